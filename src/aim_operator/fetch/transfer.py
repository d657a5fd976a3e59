"""Files of a listing onto a volume: ranged streams, so many at once, each retried; then verified and placed.

Memory follows the number of connections only: a stream holds a megabyte or two, files are opened when
their first chunk is due, and closed when they are whole.
"""

from __future__ import annotations

import asyncio
import errno
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import TypeVar

from aim_operator.errors import FetchError
from aim_operator.fetch.coming import Coming, Stream
from aim_operator.fetch.http import Body, Client, RangeIgnored, Refused
from aim_operator.fetch.listing import RemoteFile, Source
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.partial import span
from aim_operator.fetch.progress import Progress
from aim_operator.fetch.retrying import Policy, Transient
from aim_operator.fetch.stall import StallWatch
from aim_operator.fetch.volume import Volume

T = TypeVar("T")

_WRITE_BYTES = 1024 * 1024
"""Gathered before each write, so that a write costs little beside what it writes."""
_PROGRESS_BYTES = 64 * 1024
"""An attempt that gained less counts as one that gained nothing: a server that sends a little and breaks off
each time would be tried for ever."""


class Transfer:
    """One run over the files of a listing. `discarded` is called when a file has to be fetched again."""

    def __init__(
        self,
        *,
        source: Source,
        volume: Volume,
        client: Client,
        progress: Progress,
        policy: Policy,
        stall: StallWatch,
        discarded: Callable[[], None],
    ) -> None:
        self._source = source
        self._volume = volume
        self._client = client
        self._progress = progress
        self._policy = policy
        self._stall = stall
        self._discarded = discarded
        self._files: Iterator[RemoteFile] = iter(())
        self._queue: deque[Coming] = deque()
        self._twice: set[str] = set()
        self._busy = 0
        self._changed = asyncio.Event()
        self.unverified = 0
        """Files that only their size could be checked of."""

    async def run(self, files: Iterable[RemoteFile], connections: int) -> None:
        """Return when all files are verified and in their places. FetchError or SourceChanged otherwise."""
        self._files = iter(files)
        work = asyncio.gather(*(self._work() for _ in range(connections)))
        watch = asyncio.create_task(self._stall.watch())
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            for ended in (work, watch):
                if ended.done():
                    ended.result()
        finally:
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            stream = self._next_stream()
            file = None if stream else next(self._files, None)
            if stream is None and file is None:
                if not self._busy:
                    return
                await self._changed.wait()
                continue
            self._busy += 1
            try:
                if stream is not None:
                    await self._fetch(stream)
                elif file is not None:
                    await self._begin(file)
            finally:
                self._busy -= 1
                self._wake()

    def _next_stream(self) -> Stream | None:
        while self._queue:
            if self._queue[0].waiting:
                return self._queue[0].waiting.popleft()
            self._queue.popleft()
        return None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _begin(self, file: RemoteFile) -> None:
        checksum = await self._source.checksum(file)
        partial = self._volume.partial(file, verifiable=checksum is not None)
        coming = Coming(file, checksum, partial, partial.missing())
        if coming.missing:
            self._queue.append(coming)
        else:
            await self._finish(coming)

    async def _fetch(self, stream: Stream) -> None:
        """Fetch a span, however often it takes; a failure counts only if no byte came since the last one."""
        failures, best = 0, stream.start
        while stream.position < stream.stop:
            try:
                await self._attempt(stream)
            except RangeIgnored:
                if stream.coming.fetch_whole():
                    self._queue.append(stream.coming)
                    self._progress.say(f"{stream.coming.file.path}: the server sends whole files only")
                return
            except Transient as cause:
                stream.coming.direct = None
                failures = 1 if stream.position >= best + _PROGRESS_BYTES else failures + 1
                best = max(best, stream.position)
                if not cause.stalled:
                    self._stall.happened()
                if failures >= self._policy.attempts:
                    raise self._policy.given_up(stream.coming.file.path, cause) from cause
                self._progress.retried(str(cause))
                await asyncio.sleep(self._policy.wait_seconds(failures, cause.retry_after_seconds))

    async def _attempt(self, stream: Stream) -> None:
        coming = stream.coming
        passing = coming.direct is not None
        request = coming.direct or await self._source.request(coming.file)
        if coming.whole_only:
            # There is no going on in the midst of it.
            stream.position = 0
        with self._stall.waiting():
            try:
                async with self._client.get(
                    request, stream.position, stream.stop, coming.file.size, passing=passing
                ) as body:
                    coming.direct = body.direct or coming.direct
                    await self._store(stream, body)
            except Refused as refused:
                raise FetchError(
                    FetchReason.AUTHENTICATION_FAILED,
                    f"{coming.file.path}: {refused}: {self._source.refusal(refused.code)}",
                ) from refused

    async def _store(self, stream: Stream, body: Body) -> None:
        pieces: list[bytes] = []
        held = 0
        try:
            async for piece in body.pieces():
                self._progress.received(len(piece))
                self._stall.happened()
                pieces.append(piece[: body.stop - stream.position - held])
                held += len(pieces[-1])
                if held >= _WRITE_BYTES or stream.position + held == body.stop:
                    written, pieces, held = pieces, [], 0
                    await self._write(stream, written)
        except Transient:
            if pieces:
                # Received is received: the next attempt begins behind it.
                await self._write(stream, pieces)
            raise
        if stream.position < body.stop:
            raise Transient("a body ended early")

    async def _write(self, stream: Stream, pieces: list[bytes]) -> None:
        coming = stream.coming
        before = stream.position
        after = before + sum(map(len, pieces))
        new = [chunk for chunk in stream.ends(before, after) if chunk in coming.missing]

        def write() -> None:
            coming.partial.write(pieces, before)
            for chunk in new:
                coming.partial.mark(chunk)

        if coming.partial.in_memory:
            write()
        elif after > before:
            await self._on_volume(write)
        stream.position = after
        for chunk in new:
            start, stop = span(chunk, coming.file.size)
            self._progress.stored(stop - start)
            coming.missing.discard(chunk)
        if new and not coming.missing:
            await self._finish(coming)
        elif new:
            await self._hash_known(coming)

    async def _hash_known(self, coming: Coming) -> None:
        """Hash what is there from the beginning on, while it is still in memory; one at a time."""
        digest, known = coming.digest, coming.known_bytes()
        if digest is None or known <= coming.hashed_bytes or coming.hashing.locked():
            return
        async with coming.hashing:
            await self._on_volume(lambda: coming.partial.feed(digest, coming.hashed_bytes, known))
            coming.hashed_bytes = known

    async def _finish(self, coming: Coming) -> None:
        file, checksum, digest = coming.file, coming.checksum, coming.digest

        def verify_and_place() -> str | None:
            if checksum is not None and digest is not None:
                coming.partial.feed(digest, coming.hashed_bytes, file.size)
                got = digest.hexdigest()
                if got != checksum.value:
                    coming.partial.discard()
                    return got
            self._volume.finish(file, coming.partial)
            return None

        async with coming.hashing:
            got = await self._on_volume(verify_and_place)
        if got is None:
            self.unverified += checksum is None
            return
        wanted = f"{checksum.algorithm} {checksum.value}" if checksum else ""
        problem = f"{file.path} is not what the source says it is: wanted {wanted}, got {got}"
        if file.path in self._twice:
            raise FetchError(
                FetchReason.DOWNLOAD_FAILED,
                f"{problem}, twice; the file is spoilt at the source or on the way (a proxy?)",
            )
        self._twice.add(file.path)
        self._progress.say(f"{problem}; it is discarded and fetched once more")
        self._progress.stored(-file.size)
        await self._on_volume(self._discarded)
        self._files = chain((file,), self._files)

    async def _on_volume(self, call: Callable[[], T]) -> T:
        """Do something blocking on the volume; FetchError where it can't be done."""
        try:
            return await asyncio.to_thread(call)
        except OSError as error:
            raise volume_error(error) from error


def volume_error(error: OSError) -> FetchError:
    """What an error of the file system means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            FetchReason.INSUFFICIENT_SPACE,
            f"the volume is full ({error.strerror}), though there was room at the start: something else"
            " writes to it, or a quota holds; make room or use a larger volume. What is there stays, and the"
            " next run goes on from it",
        )
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"the volume: {error.strerror or error}{f' ({error.filename})' if error.filename else ''}",
    )
