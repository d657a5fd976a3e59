"""How many streams a download has: one more at a time, while this machine has cores to spare.

Where the network is slow, more streams bring more bytes. Where receiving, writing and hashing keep the cores
busy already, they only take turns with each other, and a core's caches with them; what they bring out of turn
has to be read back for the hash.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

LOOK_SECONDS = 0.1
FIRST_STREAMS = 2
"""One receives and writes while the other decrypts, hashes, or waits for the answer to a request."""
MOST_CHUNKS = 4
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

    def chunks(self) -> int:
        """How many chunks the stream that begins now is to bring by one request, at most.

        Several while there are only the first streams: between two requests nothing comes, and what one
        stream brings in a row need not be read back for the hash. Among more streams, where the network is
        slow, one: for what one of them has not brought the hash waits, and at a file's end all do.
        """
        return MOST_CHUNKS if self.streams <= FIRST_STREAMS else 1

    def look(self) -> None:
        """See whether one more is worth having; to be called again and again."""
        now, used = self._clock(), self._used()
        seconds = now - self._looked
        if seconds < LOOK_SECONDS:
            return
        if used - self._used_then < _BUSY_SHARE * self._cores * seconds:
            self.streams = min(self.streams + 1, self._most)
        self._looked, self._used_then = now, used
