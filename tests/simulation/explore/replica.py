"""One replica of several: its line to the API server, and its own clock, both of which can stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from aim_operator.errors import Unavailable
from aim_operator.sandbox.network import WRITES, Fault, Network
from aim_operator.sandbox.watches import Watch
from tests.simulation.world import NOISE, Crash, World
from tests.support.virtual_clock import VirtualClock, VirtualTimer

FOR_EVER = 10**6
BESIDE = {resource.partition(".")[0] for resource in NOISE}
"""Leases are what replicas agree by, Events are not waited for."""


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def fire(self) -> None:
        callback, self.callback = self.callback, None
        if callback is not None:
            callback()


class OffsetClock:
    """The clock of a node that somebody sets: what time it says, not how time passes."""

    def __init__(self, world: World) -> None:
        self._world, self._clock = world, world.clock

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self._world.clock_offset_seconds)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> VirtualTimer:
        return self._clock.call_later(seconds, callback)


class StoppableClock:
    """The virtual clock as a process sees it that may be stopped: what is due meanwhile is due afterwards."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.offset_seconds = 0.0
        """How far the clock of its node is from that of the others."""
        self._stopped = False
        self._due: list[_Timer] = []

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=self.offset_seconds)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        self._clock.call_later(seconds, lambda: self._fire(timer))
        return timer

    def stop(self) -> None:
        self._stopped = True

    def resume(self) -> None:
        self._stopped = False
        due, self._due = self._due, []
        for timer in due:
            timer.fire()

    def _fire(self, timer: _Timer) -> None:
        if self._stopped:
            self._due.append(timer)
        else:
            timer.fire()


class Line(Network):
    """`arrived` is called whenever a write of this replica reaches the API server."""

    def __init__(self, clock: VirtualClock, arrived: Callable[[], None]) -> None:
        super().__init__(clock)
        self._arrived = arrived
        self._dead = False
        self._resumed = asyncio.Event()
        self._resumed.set()

    async def request(self, verb: str, resource: str, name: str) -> None:
        await super().request(verb, resource, name)
        self._end_if_dead()
        if verb in WRITES and resource not in BESIDE:
            self._arrived()

    async def answer(self, verb: str, resource: str, name: str) -> None:
        await super().answer(verb, resource, name)
        await self._resumed.wait()
        self._end_if_dead()

    async def deliver(self, watch: Watch) -> None:
        await super().deliver(watch)
        await self._resumed.wait()

    def stop(self) -> None:
        """Whatever the API server says is not seen before `resume`."""
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def cut(self, *, hang: float) -> None:
        """Nothing gets through any more, which each call learns after so many seconds."""
        self.fail(Fault(error=Unavailable("no route to host"), times=FOR_EVER, seconds=hang))
        self.stall_watches()

    def die(self) -> None:
        """The process is gone: nothing that it does from now on has an effect."""
        self._dead = True
        self._resumed.set()

    def _end_if_dead(self) -> None:
        if self._dead:
            raise Crash
