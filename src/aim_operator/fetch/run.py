"""A fetch from beginning to end: lock, listing, space, transfer, marker. The command calls `fetch`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import source_uri
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.http import Client
from aim_operator.fetch.listing import Listing, Source, SourceChanged
from aim_operator.fetch.lock import DirectoryLock, Timing
from aim_operator.fetch.look import Question, left_out_text, summary
from aim_operator.fetch.outcome import FetchReason, LeftOut, Outcome, outcome_of
from aim_operator.fetch.pace import Pace
from aim_operator.fetch.patience import on_volume
from aim_operator.fetch.progress import Progress, size_text
from aim_operator.fetch.records import Marker, State
from aim_operator.fetch.selection import Selection, choose
from aim_operator.fetch.sources import source_of
from aim_operator.fetch.stall import StallWatch
from aim_operator.fetch.threads import in_thread
from aim_operator.fetch.transfer import Transfer
from aim_operator.fetch.volume import Volume, identity

T = TypeVar("T")

_MOST_LISTINGS = 3


class Options(Question, frozen=True, kw_only=True):
    """What can be chosen."""

    directory: Path
    capacity_bytes: int | None = None
    connections: int = 8


async def fetch(
    options: Options,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    show: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Fetch, whatever it takes, and return what became of it; `say` gets each line for the log.

    `show` gets how far it is, often; without it that is a line for the log too. Never raises but for
    cancellation, upon which the state is saved all the same, and for bugs.
    """
    run = _Run(options, environment, say, show)
    try:
        return await outcome_of(run.complete, run.outcome)
    except OSError as error:
        # Those of the source are FetchErrors by now (sources.py).
        failure = volume_error(error)
        return run.outcome(failure.reason, str(failure))


class _Run:
    def __init__(
        self,
        options: Options,
        environment: Mapping[str, str],
        say: Callable[[str], None],
        show: Callable[[Progress], None] | None,
    ) -> None:
        self._options = options
        self._environment = environment
        self._say = say
        self._progress = Progress(say, show=show)
        self._revision = ""
        self._files = 0
        self._left_out: tuple[LeftOut, ...] = ()

    def outcome(self, reason: str, message: str) -> Outcome:
        return Outcome(
            reason=reason,
            message=message,
            total_bytes=self._progress.total_bytes,
            downloaded_bytes=self._progress.downloaded_bytes,
            files=self._files,
            revision=self._revision,
            left_out=self._left_out,
        )

    async def complete(self) -> Outcome:
        # Before anything is made on the volume.
        source_uri.parse(self._options.uri)
        limit = self._options.stall_seconds
        volume = await on_volume(lambda: Volume(self._options.directory), limit)
        timing = Timing(silent_seconds=limit)
        async with DirectoryLock(volume.state_folder, self._say, timing).hold():
            if outcome := await self._at(volume, lambda: self._already(volume)):
                return outcome
            self._say(f"fetching {self._options.uri} into {self._options.directory}")
            # Its credentials may be asked of a role, by the network.
            source = await in_thread(self._source)
            with contextlib.closing(source):
                for _ in range(_MOST_LISTINGS):
                    try:
                        return await self._once(source, volume)
                    except SourceChanged as changed:
                        self._say(f"the source changed meanwhile ({changed}); it is listed anew")
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{self._options.uri} kept changing, or is not what its listing says; fetch a revision that"
            " stays",
        )

    def _source(self) -> Source:
        return source_of(
            self._options.uri,
            self._environment,
            policy=self._options.policy,
            limit_seconds=self._options.stall_seconds / 2,
            retried=self._retried,
        )

    async def _at(self, volume: Volume, call: Callable[[], T]) -> T:
        """What `call` does at the volume, off the event loop, for as long as the volume answers."""
        return await on_volume(call, self._options.stall_seconds, lambda: volume.steps)

    def _refuse_other_source(self, volume: Volume) -> None:
        for record in (volume.records.marker(), volume.records.state()):
            if record is not None and record.uri != self._options.uri:
                raise UserError(
                    f"{self._options.directory} holds {record.uri}; choose another directory, or empty it"
                )

    def _already(self, volume: Volume) -> Outcome | None:
        self._refuse_other_source(volume)
        marker = volume.records.marker()
        if marker is None:
            return None
        if Selection(include=marker.include, exclude=marker.exclude).key != self._options.selection.key:
            self._say("what is complete was chosen by other patterns; the source is listed anew")
            volume.records.remove_marker()
            return None
        if not volume.whole(marker):
            self._say("files of a complete download are missing or cut; they are fetched again")
            volume.records.remove_marker()
            return None
        self._revision, self._files, self._left_out = marker.revision, marker.files, marker.left_out
        self._progress.begin(
            total_bytes=marker.total_bytes, stored_bytes=marker.total_bytes, shown_bytes=marker.total_bytes
        )
        self._progress.verified = True
        self._progress.print_now()
        self._say(f"complete since {marker.finished_at}; nothing to fetch")
        return self.outcome(
            FetchReason.DOWNLOADED,
            f"{marker.files} files, {size_text(marker.total_bytes)}; complete since {marker.finished_at}"
            f"{left_out_text(marker.left_out)}",
        )

    async def _once(self, source: Source, volume: Volume) -> Outcome:
        state = await self._at(volume, volume.records.state)
        whole = await in_thread(lambda: source.list(state.revision if state else None))
        self._revision = whole.revision
        chosen = choose(whole, self._options.selection)
        listing = chosen.listing
        self._files, self._left_out = len(listing.files), chosen.left_out
        shown = state.shown_bytes if state else 0

        def prepared() -> int:
            volume.tidy(listing.files)
            self._check_space(listing, volume)
            volume.records.write_state(self._state(shown))
            return volume.stored_bytes(listing.files)

        stored = await self._at(volume, prepared)
        self._progress.begin(total_bytes=listing.total_bytes, stored_bytes=stored, shown_bytes=shown)
        self._say(
            f"revision {listing.revision}: {summary(chosen)}"
            + (f"; {size_text(stored)} are there already" if stored else "")
        )
        async with self._reported():
            unverified = await self._transfer(source, volume, listing)
            await self._at(volume, lambda: volume.sync(listing.files))
            self._progress.verified = True
        finished = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        marker = Marker(
            uri=self._options.uri,
            revision=listing.revision,
            files=len(listing.files),
            total_bytes=listing.total_bytes,
            finished_at=finished,
            include=self._options.selection.include,
            exclude=self._options.selection.exclude,
            left_out=chosen.left_out,
            contents=volume.contents(listing.files),
        )
        await self._at(volume, lambda: volume.records.write_marker(marker))
        message = f"{len(listing.files)} files, {size_text(listing.total_bytes)}"
        if unverified:
            message += f"; {unverified} of them have no checksum to verify at the source, only a size"
        message += left_out_text(chosen.left_out)
        self._progress.print_now()
        self._say(f"done: {message}")
        return self.outcome(FetchReason.DOWNLOADED, message)

    async def _transfer(self, source: Source, volume: Volume, listing: Listing) -> int:
        options = self._options
        client = Client(
            connections=options.connections,
            # Half of the limit, so that a silent stream is tried anew before the limit ends it all.
            idle_seconds=options.stall_seconds / 2,
            environment=self._environment,
        )
        transfer = Transfer(
            source=source,
            volume=volume,
            client=client,
            progress=self._progress,
            policy=options.policy,
            stall=StallWatch(options.stall_seconds),
            pace=Pace(options.connections),
            discarded=lambda: volume.records.write_state(self._state(self._progress.downloaded_bytes)),
        )
        done = volume.records.done
        left = [file for file in listing.files if identity(file) not in done]
        try:
            await transfer.run(left)
        finally:
            client.close()
        return transfer.unverified

    @contextlib.asynccontextmanager
    async def _reported(self) -> AsyncIterator[None]:
        """Progress lines meanwhile; the last one also where it fails."""
        report = asyncio.create_task(self._progress.report())
        try:
            yield
        except BaseException:
            self._progress.print_now()
            raise
        finally:
            report.cancel()
            await asyncio.gather(report, return_exceptions=True)

    def _retried(self, cause: str) -> None:
        if self._progress.total_bytes:
            self._progress.retried(cause)
        else:
            # Nothing is reported yet that would gather it.
            self._say(f"trying again after: {cause}")

    def _state(self, shown_bytes: int) -> State:
        return State(uri=self._options.uri, revision=self._revision, shown_bytes=shown_bytes)

    def _check_space(self, listing: Listing, volume: Volume) -> None:
        total, capacity = listing.total_bytes, self._options.capacity_bytes
        there, space = volume.bytes_there(listing.files), volume.space()
        if space is None:
            self._say("the volume does not tell how much space it has; that the model fits is not checked")
        has = (
            f"{size_text(space.free)} free of {size_text(space.total)}"
            if space
            else "space that it can't tell"
        )
        numbers = (
            f"the model has {size_text(total)}, of which {size_text(there)} are there; the volume has {has}"
            + (f" and a capacity of {size_text(capacity)}" if capacity is not None else "")
        )
        if (capacity is not None and total > capacity) or (space and total - there > space.free):
            self._progress.begin(total_bytes=total, stored_bytes=0, shown_bytes=0)
            raise FetchError(
                FetchReason.INSUFFICIENT_SPACE,
                f"{numbers}; nothing was fetched. Give it more than {size_text(total)}: enlarge the claim"
                " (spec.resources.requests.storage) where its class allows that, or free space",
            )
