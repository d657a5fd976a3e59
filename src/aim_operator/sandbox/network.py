"""Network: what lies between one client and the server, and everything that can go wrong there.

One object per client, perfect until told otherwise. Tests script it (fail this call, drop these streams) or
give it a seed and rates; the same seed and the same calls give the same faults. Called by client.py only.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeVar

from msgspec import Struct

from aim_operator.errors import ApiError, TooManyRequests, Unavailable
from aim_operator.sandbox.clock import Clock
from aim_operator.sandbox.watches import Watch

T = TypeVar("T")
When = Literal["before", "after"]
ANY = "*"
WRITES = frozenset({"create", "apply", "replace", "patch", "patch_status", "delete"})


class Fault(Struct):
    """Fails the next `times` calls that fit. `after` lets the server do its work and loses the answer."""

    error: ApiError
    verb: str = ANY
    resource: str = ANY
    name: str = ANY
    when: When = "before"
    times: int = 1
    seconds: float = 0.0
    """How long the call hangs before it fails, as one does that a client gives up."""

    def fits(self, verb: str, resource: str, name: str) -> bool:
        criteria = ((self.verb, verb), (self.resource, resource), (self.name, name))
        return self.times > 0 and all(want in (ANY, got) for want, got in criteria)


class Rates(Struct, frozen=True, kw_only=True):
    """Chances of faults per call or event, in 0..1, and the longest random delays, in seconds."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    too_many_requests: float = 0.0
    drop_stream: float = 0.0
    arrive_cancelled: float = 0.0
    """Of writes that are given up on their way there: the request had left already."""
    call_seconds: float = 0.0
    delivery_seconds: float = 0.0


WriteHook = Callable[[int], None]


class Repeats(Protocol):
    """How a client sends again what failed, as kube.retries does."""

    async def send(self, once: Callable[[float], Awaitable[T]], *, idempotent: bool) -> T: ...


class Network:
    """Faults between one client and the server.

    `before_write(n)` and `after_write(n)` are called around the n-th write (from 1): a test that raises a
    BaseException there kills whoever writes, at that very boundary.
    """

    def __init__(self, clock: Clock, *, seed: int = 0, rates: Rates | None = None) -> None:
        self._clock = clock
        self._random = random.Random(seed)  # noqa: S311 - runs must repeat
        self.rates = rates or Rates()
        self.repeats: Repeats | None = None
        """None: each call is sent once, so that every fault is seen by who called."""
        self.writes = 0
        self.before_write: WriteHook | None = None
        self.after_write: WriteHook | None = None
        self._faults: list[Fault] = []
        self._watches: list[Watch] = []
        self._delays: dict[str, float] = {}
        self._stalled: set[str] = set()

    def fail(self, fault: Fault) -> None:
        """Adds a scripted fault; `resource` is its plural name."""
        self._faults.append(fault)

    def delay(self, resource: str, seconds: float) -> None:
        """Every event of a kind arrives this much later; ANY for all. Their order stays."""
        self._delays[resource] = seconds

    def drop_watches(self, resource: str = ANY) -> int:
        """Breaks the open watches of a kind: Unavailable. Returns how many there were."""
        broken = [watch for watch in self._watches if resource in (ANY, watch.resource)]
        for watch in broken:
            watch.fail(Unavailable(f"the watch of {watch.resource} broke"))
        return len(broken)

    def stall_watches(self, resource: str = ANY) -> None:
        """Holds back every byte of the watches of a kind, open and new, until `resume_watches`."""
        self._stalled.add(resource)
        self._apply_stalls()

    def resume_watches(self) -> None:
        self._stalled.clear()
        self._apply_stalls()

    def calm(self) -> None:
        """Ends everything that goes wrong: scripted faults, rates, delays and stalls."""
        self.rates = Rates()
        self._faults.clear()
        self._delays.clear()
        self.resume_watches()

    async def request(self, verb: str, resource: str, name: str) -> None:
        """The way there. Raises the faults that hit before the server sees the call."""
        await self._travel()
        await self._scripted(verb, resource, name, "before")
        if self._chance(self.rates.too_many_requests):
            raise TooManyRequests("the server is busy", retry_after_seconds=1.0)
        if self._chance(self.rates.fail_before):
            raise Unavailable("the connection was refused")
        if verb in WRITES:
            self.writes += 1
            if self.before_write is not None:
                self.before_write(self.writes)

    def arrives(self, verb: str) -> bool:
        """Whether a call that was given up before it was answered has reached the server all the same."""
        return verb in WRITES and self._chance(self.rates.arrive_cancelled)

    async def answer(self, verb: str, resource: str, name: str) -> None:
        """The way back. Raises the faults that lose the answer to a call that took effect."""
        if verb in WRITES and self.after_write is not None:
            self.after_write(self.writes)
        await self._scripted(verb, resource, name, "after")
        if self._chance(self.rates.fail_after):
            raise Unavailable("the connection broke before the answer came")
        await self._travel()

    async def deliver(self, watch: Watch) -> None:
        """The way of one event. Raises Unavailable where the stream breaks."""
        if self._chance(self.rates.drop_stream):
            raise Unavailable(f"the watch of {watch.resource} broke")
        seconds = self._delays.get(watch.resource, self._delays.get(ANY, 0.0))
        if self.rates.delivery_seconds:
            seconds += self._random.uniform(0.0, self.rates.delivery_seconds)
        if seconds:
            await self._clock.sleep(seconds)

    def opened(self, watch: Watch) -> None:
        self._watches.append(watch)
        if self._stalled:
            self._apply_stalls()

    def closed(self, watch: Watch) -> None:
        self._watches.remove(watch)

    def _apply_stalls(self) -> None:
        for watch in self._watches:
            watch.stall(stalled=bool(self._stalled & {ANY, watch.resource}))

    async def _scripted(self, verb: str, resource: str, name: str, when: When) -> None:
        for fault in self._faults:
            if fault.when == when and fault.fits(verb, resource, name):
                fault.times -= 1
                if fault.seconds:
                    await self._clock.sleep(fault.seconds)
                raise fault.error

    def _chance(self, rate: float) -> bool:
        return rate > 0.0 and self._random.random() < rate

    async def _travel(self) -> None:
        if self.rates.call_seconds:
            await self._clock.sleep(self._random.uniform(0.0, self.rates.call_seconds))
        else:
            # A real call always lets others run; so does this one.
            await asyncio.sleep(0)
