"""A timeout by the clock, on the real clock and the virtual one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from aim_operator.backoff import Backoff, exponential
from aim_operator.runtime.clock import SystemClock, micro_time, within
from tests.support.virtual_clock import VirtualClock


async def test_work_that_ends_in_time() -> None:
    """Its result, and no timer is left."""
    clock = VirtualClock()

    async def work() -> int:
        await clock.sleep(5)
        return 7

    assert await clock.run(within(clock, 10, work())) == 7
    assert clock.next_due is None


async def test_work_that_does_not_is_cancelled() -> None:
    """TimeoutError, after its end."""
    clock = VirtualClock()
    ended: list[float] = []

    async def work() -> None:
        try:
            await clock.sleep(100)
        finally:
            ended.append(clock.monotonic())

    with pytest.raises(TimeoutError):
        await clock.run(within(clock, 10, work()))
    assert ended == [10]


async def test_cancellation_from_outside_is_no_timeout() -> None:
    """The work is cancelled with it."""
    clock = VirtualClock()
    ended: list[str] = []

    async def work() -> None:
        try:
            await clock.sleep(100)
        finally:
            ended.append("cancelled")

    task = asyncio.create_task(within(clock, 10, work()))
    await clock.advance(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["cancelled"]


async def test_the_system_clock_is_the_machines() -> None:
    """UTC with its zone; timers come from the loop."""
    clock = SystemClock()
    called = asyncio.Event()
    clock.call_later(0, called.set)
    await called.wait()
    clock.call_later(0, called.clear).cancel()
    before = clock.monotonic()
    await clock.sleep(0.001)
    assert clock.monotonic() > before
    assert called.is_set()
    assert clock.now().tzinfo is UTC


def test_micro_time_is_utc() -> None:
    """As metav1.MicroTime."""
    moment = datetime(2026, 1, 31, 13, 0, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert micro_time(moment) == "2026-01-31T12:00:00.000005Z"


def test_backoff_grows_to_its_limit() -> None:
    """And starts over."""
    backoff = Backoff(1, 10)
    for want in (1, 2, 4, 8, 10, 10):
        assert want / 2 <= backoff.next() <= want
    backoff.reset()
    assert backoff.next() <= 1
    assert exponential(1, 300, 10_000) == 300
