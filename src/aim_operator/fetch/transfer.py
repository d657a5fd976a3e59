"""Files of a listing onto a volume: ranged streams, so many at once, each retried; then verified and placed.

Each stream has a thread: what the kernel has received goes into one object, and from there to the volume,
without the interpreter's lock. Memory follows the number of connections only: a stream holds two megabytes,
the first one eight; files are opened when their first chunk is due, and closed when they are whole.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain

from aim_operator.errors import FetchError
from aim_operator.fetch.access import Access, Stopped
from aim_operator.fetch.answers import RangeIgnored, Refused
from aim_operator.fetch.hashing import Alongside, Hashing
from aim_operator.fetch.http import Body, Client
from aim_operator.fetch.listing import RemoteFile, Source
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.pace import LOOK_SECONDS, Pace
from aim_operator.fetch.partial import span
from aim_operator.fetch.pending import PendingFile, Stream
from aim_operator.fetch.progress import Progress
from aim_operator.fetch.replies import use_many_buffers
from aim_operator.fetch.retrying import Policy, Transient
from aim_operator.fetch.stall import StallWatch
from aim_operator.fetch.threads import in_thread
from aim_operator.fetch.volume import Volume

_PROGRESS_BYTES = 64 * 1024
"""An attempt that gained less counts as one that gained nothing: a server that sends a little and breaks off
each time would be tried for ever."""
_SETTLE_SECONDS = 10.0
"""How long a failed run waits for what it still does on the volume; a dead file system takes for ever."""


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
        pace: Pace,
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
        self._pace = pace
        self._queue: deque[PendingFile] = deque()
        self._twice: set[str] = set()
        self._busy = 0
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        """Guards what is above it and the state of pending files."""
        self._changed = threading.Condition(self._lock)
        """Notified when there may be work."""
        self._access = Access(stall)
        self._hashing = Hashing(self._access, stall.happened)
        self.unverified = 0
        """Files that only their size could be checked of."""

    async def run(self, files: Iterable[RemoteFile]) -> None:
        """Return when all files are verified and in their places. FetchError or SourceChanged otherwise.

        Once it has ended nothing is done on the volume any more, unless it was cancelled.
        """
        self._files = iter(files)
        work = asyncio.create_task(self._all_work())
        watch = asyncio.create_task(self._stall.watch())
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            for ended in (work, watch):
                if ended.done():
                    ended.result()
        except Exception:
            self._stop()
            await in_thread(partial(self._access.settle, _SETTLE_SECONDS))
            raise
        finally:
            self._stop()
            work.cancel()
            watch.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _all_work(self) -> None:
        """Have as many threads at work as the pace says, until nothing is left to do."""
        working: list[asyncio.Task[None]] = []
        ended: set[asyncio.Task[None]] = set()
        try:
            while not ended:
                for number in range(len(working), self._pace.streams):
                    work = partial(self._work, is_first=not number)
                    working.append(asyncio.create_task(in_thread(work)))
                ended, _ = await asyncio.wait(
                    working, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                self._pace.look()
            # One ends when nothing is left for any of them, or by an error.
            await asyncio.gather(*working)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)

    def _stop(self) -> None:
        self._stopped.set()
        self._access.end()
        with self._lock:
            self._changed.notify_all()

    def _work(self, *, is_first: bool) -> None:
        if is_first:
            # One of a few where the network is fast; memory for all of them to have so many is too much.
            use_many_buffers()
        try:
            while (task := self._next()) is not None:
                try:
                    task()
                finally:
                    with self._lock:
                        self._busy -= 1
                        self._changed.notify_all()
        except Stopped:
            pass
        finally:
            self._hashing.leave()

    def _next(self) -> Callable[[], None] | None:
        """What to do next; None once nothing is left, and nobody is at work who may yet find more."""
        with self._lock:
            while not self._stopped.is_set():
                stream = self._next_stream()
                if stream is not None:
                    self._busy += 1
                    return lambda: self._fetch(stream)
                file = next(self._files, None)
                if file is not None:
                    self._busy += 1
                    return lambda: self._begin(file)
                if not self._busy:
                    return None
                self._changed.wait()
        raise Stopped

    def _next_stream(self) -> Stream | None:
        while self._queue:
            if self._queue[0].waiting:
                return self._queue[0].next_stream(self._pace.chunks())
            self._queue.popleft()
        return None

    def _begin(self, file: RemoteFile) -> None:
        checksum = self._source.checksum(file)
        with self._access:
            there = self._volume.partial(file, verifiable=checksum is not None)
            pending = PendingFile(file, checksum, there, there.missing())
        if pending.missing:
            with self._lock:
                self._queue.append(pending)
        else:
            self._finish(pending)

    def _fetch(self, stream: Stream) -> None:
        try:
            self._fetch_span(stream)
        finally:
            with self._lock:
                if stream.pending.ended(stream):
                    self._queue.append(stream.pending)

    def _fetch_span(self, stream: Stream) -> None:
        """Fetch a span, however often it takes; a failure counts only if no byte came since the last one."""
        failures, best = 0, stream.start
        while stream.position < stream.stop and not stream.is_void:
            try:
                self._attempt(stream)
            except RangeIgnored:
                with self._lock:
                    is_news = stream.pending.fetch_whole()
                if is_news:
                    self._progress.say(f"{stream.pending.file.path}: the server sends whole files only")
                return
            except Transient as cause:
                stream.pending.direct = None
                failures = 1 if stream.position >= best + _PROGRESS_BYTES else failures + 1
                best = max(best, stream.position)
                if not cause.stalled:
                    self._stall.happened()
                if failures >= self._policy.attempts:
                    then = "; what is there stays, and the next run continues from it"
                    raise self._policy.given_up(stream.pending.file.path, cause, then) from cause
                self._progress.retried(str(cause))
                self._stopped.wait(self._policy.wait_seconds(failures, cause.retry_after_seconds))

    def _attempt(self, stream: Stream) -> None:
        pending, direct = stream.pending, stream.pending.direct
        request = direct or self._source.request(pending.file)
        if stream.of_whole_only:
            # It can't be continued from the middle.
            stream.position = 0
        is_whole = False
        with self._stall.waiting():
            try:
                with (
                    self._client.get(
                        request, stream.position, stream.stop, pending.file.size, passing=direct is not None
                    ) as body,
                    Alongside(stream, self._hashing) as alongside,
                ):
                    pending.direct = body.direct or pending.direct
                    is_whole = self._store(stream, body, alongside)
            except Refused as refused:
                raise FetchError(
                    FetchReason.AUTHENTICATION_FAILED,
                    f"{pending.file.path}: {refused}: {self._source.refusal(refused.code)}",
                ) from refused
        if not is_whole:
            # What others brought that comes after this.
            self._hashing.lead(pending, lambda: self._leading_bytes(pending))
        else:
            stream.position = stream.stop
            with self._lock:
                is_ours, pending.finishing = not pending.finishing, True
            if is_ours:
                self._finish(pending)

    def _store(self, stream: Stream, body: Body, alongside: Alongside) -> bool:
        """Put what comes on the volume. Whether the file has all its bytes then: no more are needed."""
        for piece in body.pieces():
            if self._stopped.is_set():
                raise Stopped
            if stream.is_void:
                return False
            self._progress.received(len(piece))
            self._stall.received(len(piece))
            # At once: what a broken stream had received stays, and the next attempt begins behind it.
            alongside.take(piece)
            if self._write(stream, piece, alongside):
                return True
        return False

    def _write(self, stream: Stream, piece: bytes | memoryview, alongside: Alongside) -> bool:
        """Write and remember. Whether nothing of the file is missing any more."""
        pending = stream.pending
        before = stream.position
        after = before + len(piece)
        with self._access:
            with self._lock:
                new = [chunk for chunk in stream.ends(before, after) if chunk in pending.missing]
                spans = pending.unwritten(before, after)
            content = memoryview(piece)
            for start, stop in spans:
                pending.partial.write(content[start - before : stop - before], start)
            for chunk in new:
                pending.partial.mark(chunk)
        stream.position = after
        with self._lock:
            # Another stream may have brought it too, where the server only then began to ignore ranges.
            gained = pending.missing.intersection(new)
            pending.missing -= gained
            is_whole = not pending.missing
        if gained:
            self._stall.happened()
        for chunk in gained:
            start, stop = span(chunk, pending.file.size)
            self._progress.stored(stop - start)
        if gained and not is_whole and not alongside.hashes:
            self._hashing.lead(pending, lambda: self._leading_bytes(pending))
        return is_whole

    def _leading_bytes(self, pending: PendingFile) -> int:
        with self._lock:
            return pending.leading_bytes()

    def _finish(self, pending: PendingFile) -> None:
        with pending.hashing:
            self._hashing.read_back(pending, pending.file.size)
            with self._access:
                got = self._verified_and_placed(pending)
        file, checksum = pending.file, pending.checksum
        if got is None:
            with self._lock:
                self.unverified += checksum is None
            return
        expected = f"{checksum.algorithm} {checksum.value}" if checksum else ""
        problem = f"{file.path} is not what the source says it is: wanted {expected}, got {got}"
        with self._lock:
            is_second = file.path in self._twice
            self._twice.add(file.path)
        if is_second:
            raise FetchError(
                FetchReason.DOWNLOAD_FAILED,
                f"{problem}, twice; the file is spoilt at the source or on the way (a proxy?)",
            )
        self._progress.say(f"{problem}; it is discarded and fetched once more")
        self._progress.stored(-file.size)
        with self._access:
            self._discarded()
        with self._lock:
            self._files = chain((file,), self._files)

    def _verified_and_placed(self, pending: PendingFile) -> str | None:
        """What the file hashes to, if it is not what it should; None once it is in its place."""
        file, checksum, digest = pending.file, pending.checksum, pending.digest
        if checksum is not None and digest is not None:
            got = digest.hexdigest()
            if got != checksum.value:
                pending.partial.discard()
                return got
        self._volume.finish(file, pending.partial, checksum)
        return None
