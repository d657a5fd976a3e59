"""The hash of a file on its way, which takes bytes in their order: those of a stream that brings the next ones,
from its buffer and in a thread beside it; the others from the volume, once all before them are there.

Of each pending file one thread at a time hashes: whoever holds `hashing`. To read back what was written costs
half as much as to hash it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Self

from aim_operator.fetch.partial import CHUNK_BYTES
from aim_operator.fetch.pending import PendingFile, Stream


class Hashing:
    """Of one run. `on_volume` is around what is read back, `happened` is called after each step of that."""

    def __init__(
        self, on_volume: Callable[[], AbstractContextManager[None]], happened: Callable[[], None]
    ) -> None:
        self._on_volume = on_volume
        self._happened = happened

    def lead(self, pending: PendingFile, leading_bytes: Callable[[], int]) -> None:
        """Hash what is there from the beginning on, while it is still in memory, unless another thread is at it."""
        if pending.digest is None or not pending.hashing.acquire(blocking=False):
            return
        try:
            while (leading := leading_bytes()) > pending.hashed_bytes:
                self.read_back(pending, leading)
        finally:
            pending.hashing.release()

    def read_back(self, pending: PendingFile, until: int) -> None:
        """Of whoever holds `hashing`. In steps: of what an earlier run left it takes minutes, which are no silence."""
        while pending.digest is not None and pending.hashed_bytes < until:
            stop = min(pending.hashed_bytes + CHUNK_BYTES, until)
            with self._on_volume():
                pending.partial.feed(pending.digest, pending.hashed_bytes, stop)
            pending.hashed_bytes = stop
            self._happened()


class Alongside:
    """The hash beside one stream: `take` each of its pieces before it is written, `rest` when others may hash.

    Takes part where the stream has come to what is to be hashed next, and holds `hashing` from then on. A piece
    is read until the next one is taken, so that the stream needs two buffers.
    """

    def __init__(self, stream: Stream, hashing: Hashing) -> None:
        self._stream = stream
        self._hashing = hashing
        self._holds = False
        self._taken = 0
        self._helper: _Helper | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()
        if self._helper is not None:
            self._helper.close()

    def take(self, piece: bytes | memoryview) -> None:
        pending, position = self._stream.pending, self._stream.position
        digest = pending.digest
        if digest is None or pending.partial.in_memory:
            return
        self._wait()
        if not self._reached(position):
            return
        if self._helper is None:
            self._helper = _Helper()
        self._taken = len(piece)
        self._helper.start(lambda: digest.update(piece))

    def rest(self) -> None:
        """Wait for the last piece, and let other threads hash this file."""
        self._wait()
        if self._holds:
            self._holds = False
            self._stream.pending.hashing.release()

    def _reached(self, position: int) -> bool:
        """Whether the byte at this position is the next to be hashed, after what this stream left out at most."""
        pending = self._stream.pending
        if not self._holds:
            if not pending.hashing.acquire(blocking=False):
                return False
            self._holds = True
        if self._stream.start <= pending.hashed_bytes < position:
            # Another stream has just brought what is before this one's span.
            self._hashing.read_back(pending, position)
        if pending.hashed_bytes != position:
            self.rest()
        return self._holds

    def _wait(self) -> None:
        if self._taken and self._helper is not None:
            self._helper.wait()
            self._stream.pending.hashed_bytes += self._taken
            self._taken = 0


class _Helper:
    """A thread that does one thing at a time. What it is given must not raise."""

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
