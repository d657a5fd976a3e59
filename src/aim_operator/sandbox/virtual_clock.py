"""A clock on which hours take no time: it stands still until nothing else can happen, then jumps on.

It fits runtime.clock.Clock and the sandbox's. Everything that waits must wait by this clock or for something
in memory; sockets and asyncio's own timers are not seen. Used by `aimctl plan` and by simulations.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from aim_operator.sandbox.virtual_loop import VirtualLoop

T = TypeVar("T")

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
MANY_STEPS = 1_000_000


class VirtualTimer:
    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class VirtualClock:
    """Timers that are due at the same time are called in the order they were set."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed = 0.0
        self._timers: list[tuple[float, int, VirtualTimer]] = []
        self._order = count()

    # runtime.clock.Clock

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> VirtualTimer:
        timer = VirtualTimer(self._elapsed + max(seconds, 0.0), callback)
        heapq.heappush(self._timers, (timer.due, next(self._order), timer))
        return timer

    # For whoever lets time pass

    @property
    def next_due(self) -> float | None:
        """When the next timer is due, by `monotonic`; None if there is none."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def settle(self) -> None:
        """Let everything run that can run without time passing."""
        loop: Any = asyncio.get_running_loop()
        if isinstance(loop, VirtualLoop):
            await loop.idle()
            return
        for _ in range(MANY_STEPS):
            await asyncio.sleep(0)
            # When we are resumed and nobody else is ready, everybody waits.
            if not loop._ready:  # noqa: SLF001 - there is no public way to know that nothing else can run
                return
        raise AssertionError("the program does not come to rest: something spins")

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, timer by timer, everything settling in between."""
        await self.settle()
        end = self._elapsed + seconds
        while (due := self.next_due) is not None and due <= end:
            await self._fire(due)
        self._elapsed = end
        await self.settle()

    def freeze(self, seconds: float) -> None:
        """Let `seconds` pass while the process stands still: then all timers that are due fire."""
        self._elapsed += seconds
        while (due := self.next_due) is not None and due <= self._elapsed:
            self._call_next()

    async def run_until(self, condition: Callable[[], bool], *, limit_seconds: float = 3600.0) -> None:
        """Let time pass until `condition` holds. Fails after `limit_seconds`, or when no timer is left."""
        await self.settle()
        end = self._elapsed + limit_seconds
        while not condition():
            due = self.next_due
            if due is None:
                raise AssertionError("nothing will ever happen any more, and the condition does not hold")
            if due > end:
                raise AssertionError(f"the condition does not hold after {limit_seconds} s")
            await self._fire(due)

    async def run(self, work: Coroutine[Any, Any, T], *, limit_seconds: float = 3600.0) -> T:
        """Return what `work` returns, letting as much time pass as it takes."""
        task = asyncio.ensure_future(work)
        try:
            await self.run_until(task.done, limit_seconds=limit_seconds)
        except BaseException:
            task.cancel()
            raise
        return task.result()

    async def _fire(self, due: float) -> None:
        self._elapsed = max(self._elapsed, due)
        self._call_next()
        await self.settle()

    def _call_next(self) -> None:
        _, _, timer = heapq.heappop(self._timers)
        callback, timer.callback = timer.callback, None
        if callback is not None:
            callback()
