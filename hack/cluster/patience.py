"""How long to wait for what a machine does: a second of a busy one is a part of a second."""

from __future__ import annotations

import os
import time

MOST_TIMES = 10
"""However busy it is: what hangs shall end some time."""


def times_slower(load: float, cores: int) -> float:
    """How much longer things take where so many processes want so many cores."""
    return min(max(1.0, load / cores), MOST_TIMES)


class Patience:
    """For so many seconds of an idle machine; begins when it is made.

    A load that comes meanwhile counts from the beginning, for the kernel tells of it a minute late.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    @property
    def left(self) -> float:
        """Seconds as they pass, as long as the load stays; none or less when it is at its end."""
        patience = self._seconds * times_slower(os.getloadavg()[0], os.cpu_count() or 1)
        return self._began + patience - time.monotonic()

    @property
    def ended(self) -> bool:
        return self.left <= 0
