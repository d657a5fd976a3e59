"""The hash of a file on its way, which takes the bytes in their order.

Those of a stream that brings the next ones come from its buffer, in a thread beside it; others are read back
from the volume once all before them are there, which costs half as much again as to hash them. One thread at
a time hashes a file: whoever holds its `hashing`.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Self

from aim_operator.fetch.access import Access
from aim_operator.fetch.partial import CHUNK_BYTES
from aim_operator.fetch.pending import PendingFile, Stream
from aim_operator.fetch.replies import buffers


class Hashing:
    """Of one run. `access` is around what is read back, `happened` is called after each step of that."""

    def __init__(self, access: Access, happened: Callable[[], None]) -> None:
        self._access = access
        self._happened = happened
        self._of_thread = _OfThread()

    def lead(self, pending: PendingFile, leading_bytes: Callable[[], int]) -> None:
        """Hash what is there from the beginning on, while it is in memory; not if another thread is at it."""
        if pending.digest is None or not pending.hashing.acquire(blocking=False):
            return
        try:
            while (leading := leading_bytes()) > pending.hashed_bytes:
                self.read_back(pending, leading)
        finally:
            pending.hashing.release()

    def read_back(self, pending: PendingFile, until: int) -> None:
        """Of whoever holds `hashing`. In steps: of a file that an earlier run left it takes minutes."""
        while pending.digest is not None and pending.hashed_bytes < until:
            stop = min(pending.hashed_bytes + CHUNK_BYTES, until)
            with self._access:
                pending.partial.feed(pending.digest, pending.hashed_bytes, stop)
            pending.hashed_bytes = stop
            self._happened()

    def helper(self) -> Helper:
        """The one beside this thread, until `leave`."""
        if self._of_thread.helper is None:
            self._of_thread.helper = Helper()
        return self._of_thread.helper

    def leave(self) -> None:
        """This thread hashes nothing more."""
        if self._of_thread.helper is not None:
            self._of_thread.helper.close()
            self._of_thread.helper = None


class Alongside:
    """The hash beside one stream: `take` a piece before it is written.

    Takes part where the stream has come to what is to be hashed next, and holds `hashing` from then on. It
    is behind by fewer pieces than the stream has buffers.
    """

    def __init__(self, stream: Stream, hashing: Hashing) -> None:
        self._stream = stream
        self._hashing = hashing
        self._holds = False
        self._taken: deque[int] = deque()
        """The sizes of the pieces that are not known to be hashed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def take(self, piece: bytes | memoryview) -> None:
        """Hash a piece that begins at the stream's position, if that is what comes next."""
        pending = self._stream.pending
        digest = pending.digest
        # A small file is hashed at once when it is whole.
        if digest is None or pending.partial.in_memory:
            return
        # The one that is received next has the buffer of the oldest.
        self._wait(buffers() - 2)
        if self._reached(self._stream.position):
            self._taken.append(len(piece))
            self._hashing.helper().start(lambda: digest.update(piece))

    @property
    def hashes(self) -> bool:
        """Whether this stream brings what is hashed next."""
        return self._holds

    def rest(self) -> None:
        """Wait for the last piece, and let other threads hash this file."""
        self._wait(0)
        if self._holds:
            self._holds = False
            self._stream.pending.hashing.release()

    def _reached(self, position: int) -> bool:
        """Whether the piece at this position is next, after those that were taken."""
        pending = self._stream.pending
        if self._taken:
            return True
        if not self._holds:
            if not pending.hashing.acquire(blocking=False):
                return False
            self._holds = True
        if self._stream.start <= pending.hashed_bytes < position:
            # What was missing before this stream's span came while it was under way.
            self._hashing.read_back(pending, position)
        if pending.hashed_bytes != position:
            self.rest()
        return self._holds

    def _wait(self, most: int) -> None:
        """Until no more than so many pieces are under way."""
        while len(self._taken) > most:
            self._hashing.helper().wait()
            self._stream.pending.hashed_bytes += self._taken.popleft()


class Helper:
    """A thread that does one thing after the other, none of which may raise; `wait` for the end of each."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def start(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def wait(self) -> None:
        self._ended.get()

    def close(self) -> None:
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            finally:
                self._ended.put(None)


class _OfThread(threading.local):
    helper: Helper | None = None
