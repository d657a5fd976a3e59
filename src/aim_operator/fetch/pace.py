"""How many streams a download has: one more at a time, while this machine has cores to spare.

Where the network is slow, more streams bring more bytes. Where receiving, writing and hashing keep the cores
busy already, they only take turns with each other, and a core's caches with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

LOOK_SECONDS = 0.1
FIRST_STREAMS = 2
"""One receives and writes while the other hashes."""
_BUSY_SHARE = 0.5
"""Of all cores' time. Not more: what a busy process waits for, it often waits for on this very machine."""


class Pace:
    """`streams` is how many to have, and never falls. `clock` and `used` give seconds, of time and of CPU."""

    def __init__(
        self,
        most: int,
        *,
        cores: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        self._most = most
        self._cores = cores or len(os.sched_getaffinity(0))
        self._clock, self._used = clock, used
        self._looked, self._used_then = clock(), used()
        self.streams = min(FIRST_STREAMS, most)

    def look(self) -> None:
        """See whether one more is worth having; to be called again and again."""
        now, used = self._clock(), self._used()
        seconds = now - self._looked
        if seconds < LOOK_SECONDS:
            return
        if used - self._used_then < _BUSY_SHARE * self._cores * seconds:
            self.streams = min(self.streams + 1, self._most)
        self._looked, self._used_then = now, used
