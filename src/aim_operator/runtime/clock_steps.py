"""Notices that the machine's clock was set, or that the machine was suspended.

What was decided by the time of day is then decided again, and when to look again is reckoned anew: a timer
counts seconds that pass, and was set by what the clock said before. No watch reports that. Made by app.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from aim_operator.runtime.clock import Clock, Timer

log = structlog.get_logger("aim_operator.clock_steps")

LOOK_SECONDS = 60.0
"""How long a clock that was set goes unnoticed at most."""
STEP_SECONDS = 10.0
"""What is less makes no decision wrong. NTP slews a clock by a second in half an hour at most."""


class WatchedClock:
    """A runtime.clock.Clock that calls `on_step` when it says another time than the seconds that passed make.

    It compares whenever it is asked what time it is, so nothing is decided by a time of which it does not
    know, and every minute while `run` does.
    """

    def __init__(self, clock: Clock, on_step: Callable[[], None]) -> None:
        self._clock = clock
        self._on_step = on_step
        self._ahead: float | None = None
        """How far the time of day is ahead of the seconds that have passed: the same, unless it is set."""

    def now(self) -> datetime:
        moment = self._clock.now()
        ahead = moment.timestamp() - self._clock.monotonic()
        if self._ahead is None:
            self._ahead = ahead
        # Compared with the last step, not the last look: many small ones are noticed, too.
        seconds = ahead - self._ahead
        if abs(seconds) >= STEP_SECONDS:
            self._ahead = ahead
            log.warning("the clock was set, everything is reconciled", seconds=round(seconds))
            self._on_step()
        return moment

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return self._clock.call_later(seconds, callback)

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            self.now()
            await self._clock.sleep(LOOK_SECONDS)
