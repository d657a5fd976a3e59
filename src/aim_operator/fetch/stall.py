"""When nothing comes any more: the end of a download in which every stream is silent.

A single silent stream is ended by its own timeout and tried again; this is for when that did not help.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason

LEAST_BYTES = 16 * 1024
"""What has to come within a limit. A server that sends a byte a second is as good as silent: what it sends
would take longer than anybody waits."""
VOLUME_LIMITS = 5
"""How many limits a single call to the volume may take: to sync a large file takes minutes."""


class StallWatch:
    """`watch` raises FetchError(Stalled) once streams waited `limit_seconds` with next to nothing happening.

    Time in which no stream is open, as between attempts, does not count. An answer that is an error is no
    silence: attempts are counted for those. Streams are in threads, the watch on the event loop.
    """

    def __init__(self, limit_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit_seconds = limit_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._silent_seconds = 0.0
        self._silent_bytes = 0
        self._looked = clock()
        self._waiting = 0
        self._at_volume = 0
        self._volume_seconds = 0.0

    def happened(self) -> None:
        """Something was finished, or an answer came that is no silence."""
        with self._lock:
            self._silent_seconds, self._silent_bytes = 0.0, 0

    def received(self, count: int) -> None:
        """Bytes came in. A few of them now and then are silence too."""
        with self._lock:
            self._silent_bytes += count
            if self._silent_bytes >= LEAST_BYTES:
                self._silent_seconds, self._silent_bytes = 0.0, 0

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """Around a stream, from its request to its end."""
        with self._lock:
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def entered_volume(self) -> None:
        """A thread does something on the volume: longer than a stream may be silent, but not for ever."""
        with self._lock:
            self._at_volume += 1

    def left_volume(self) -> None:
        """It has done it, which shows that the volume answers."""
        with self._lock:
            self._at_volume -= 1
            self._volume_seconds = 0.0

    def check(self) -> None:
        with self._lock:
            now = self._clock()
            if self._at_volume:
                self._volume_seconds += now - self._looked
            volume_seconds = self._volume_seconds
            if self._waiting:
                self._silent_seconds += now - self._looked
            self._looked = now
            silent_seconds, count = self._silent_seconds, self._silent_bytes
        if silent_seconds >= self.limit_seconds:
            raise FetchError(
                FetchReason.STALLED,
                f"{f'almost no byte came ({count} in all)' if count else 'no byte came'} for"
                f" {silent_seconds:.0f} s, though streams were opened anew; what is there stays, and the"
                " next run continues from it. See whether the source and the volume answer; --stall-seconds"
                " sets the limit",
            )

        if volume_seconds >= VOLUME_LIMITS * self.limit_seconds:
            raise FetchError(
                FetchReason.STALLED,
                f"the volume did not answer for {volume_seconds:.0f} s; see whether its server can be reached"
                " from this node. What is there stays, and the next run continues from it",
            )

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.limit_seconds / 20))
            self.check()
