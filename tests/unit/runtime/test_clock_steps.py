"""Which ways of setting a clock are noticed, and how often."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import pytest

from aim_operator.runtime.clock_steps import LOOK_SECONDS, WatchedClock
from tests.support.virtual_clock import VirtualClock

HOUR = 3600.0


class SettableClock(VirtualClock):
    ahead_seconds = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_seconds)


async def steps_in(clock: SettableClock, *ahead_seconds: float) -> list[float]:
    """Return when a step was noticed, in seconds; the clock is so far ahead in each of these hours."""
    noticed: list[float] = []
    watched = WatchedClock(clock, lambda: noticed.append(clock.monotonic()))
    watching = asyncio.create_task(watched.run())
    await clock.settle()
    for seconds in ahead_seconds:
        clock.ahead_seconds = seconds
        await clock.advance(HOUR)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    return noticed


@pytest.mark.parametrize(
    ("ahead_seconds", "want"),
    [
        pytest.param((0, 0), [], id="nobody sets it"),
        pytest.param((86400, 0), [0, 1], id="a day ahead, then set right"),
        pytest.param((-86400, 0), [0, 1], id="a day behind, then set right"),
        pytest.param((0, 3600, 3600), [1], id="the machine was suspended for an hour, which is noticed once"),
        pytest.param((0, 1.8, 3.6, 0), [], id="NTP brings it nearer to the time"),
        pytest.param((4, 8, 12, 16, 20), [2], id="many small steps count together, from the last that did"),
        pytest.param((365 * 86400,), [0], id="a year ahead"),
    ],
)
async def test_a_clock_that_is_set_is_noticed_within_a_minute(
    ahead_seconds: tuple[float, ...], want: list[int]
) -> None:
    noticed = await steps_in(SettableClock(), *ahead_seconds)
    assert noticed == [hour * HOUR + LOOK_SECONDS for hour in want]


async def test_a_clock_that_was_wrong_before_the_start_is_no_step() -> None:
    clock = SettableClock()
    clock.ahead_seconds = 86400
    assert await steps_in(clock, 86400, 86400) == []


async def test_a_clock_that_was_wrong_for_a_moment_is_noticed_if_somebody_asked_it_then() -> None:
    """What was decided in that moment has to be decided again."""
    clock, noticed = SettableClock(), list[float]()
    watched = WatchedClock(clock, lambda: noticed.append(clock.monotonic()))
    watched.now()
    clock.ahead_seconds = 86400
    await clock.advance(1)
    assert (watched.now(), watched.now()) == (clock.now(), clock.now())
    clock.ahead_seconds = 0
    await clock.advance(1)
    watched.now()
    assert noticed == [1, 2]
