"""The steps at which something goes wrong between the operator and the cluster, beside what users do.

What lasts does so until `Calm`, with which every story of chaos ends.
"""

from __future__ import annotations

from typing import Literal

from aim_operator.errors import ApiError, Conflict, Forbidden, Invalid, TooManyRequests, Unavailable
from aim_operator.kube.retries import Retries
from aim_operator.sandbox.network import ANY, Fault, Rates
from tests.simulation.explore.steps import Step, nth
from tests.simulation.world import World

ERRORS: dict[int, ApiError] = {
    0: Unavailable("the connection broke"),
    400: Invalid("bad request", code=400, reason="BadRequest"),
    403: Forbidden("forbidden: no such verb", code=403, reason="Forbidden"),
    409: Conflict("the object has been modified", code=409, reason="Conflict"),
    429: TooManyRequests("the server is busy", retry_after_seconds=7.0),
    500: Unavailable("internal error", code=500, reason="InternalError"),
    503: Unavailable("apiserver not ready", code=503, reason="ServiceUnavailable"),
}
MEANINGS = {
    0: "as the connection breaks",
    400: "with 400 (bad request)",
    403: "with 403 (forbidden)",
    409: "with 409 (conflict)",
    429: "with 429 (too many requests)",
    500: "with 500 (internal error)",
    503: "with 503 (unavailable)",
}
REFUSALS = frozenset({400, 403, 429})
"""Whoever answers so has done nothing; what has its effect all the same has no answer, or a conflict."""
FOR_EVER = 10**6
CALL_SECONDS = 30.0
"""As kube.client has it."""


class Noise(Step, frozen=True, kw_only=True):
    """Every call and stream fails with these chances, and takes its time."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    busy: float = 0.0
    drop: float = 0.0
    call: float = 0.0
    delivery: float = 0.0
    arrive: float = 0.0
    """Of calls that are given up: how many the server gets all the same."""
    persistent: bool = False
    """Whether the client repeats what failed, as the real one does: callers see fewer faults, and later."""

    def __str__(self) -> str:
        words = (
            (self.fail_before, f"{self.fail_before:.0%} of calls fail without an effect"),
            (self.fail_after, f"{self.fail_after:.0%} of calls take effect and fail"),
            (self.busy, f"{self.busy:.0%} of calls are refused with 429 (too many requests)"),
            (self.drop, f"{self.drop:.0%} of events break their watch instead of arriving"),
            (self.call, f"each way of a call takes up to {self.call:g} s"),
            (self.delivery, f"events are up to {self.delivery:g} s late"),
            (self.arrive, f"{self.arrive:.0%} of writes that are given up arrive all the same"),
            (self.persistent, "the client repeats what failed"),
        )
        return f"from now on {', '.join(word for value, word in words if value) or 'nothing fails by chance'}"

    def act(self, world: World) -> None:
        world.network.rates = Rates(
            fail_before=self.fail_before,
            fail_after=self.fail_after,
            too_many_requests=self.busy,
            drop_stream=self.drop,
            call_seconds=self.call,
            delivery_seconds=self.delivery,
            arrive_cancelled=self.arrive,
        )
        retries = Retries(world.clock.monotonic, world.clock.sleep, CALL_SECONDS)
        world.network.repeats = retries if self.persistent else None


class Fail(Step, frozen=True, kw_only=True):
    """One verb on one kind fails: so many times, or for as long as it lasts."""

    verb: str
    resource: str
    code: int
    when: Literal["before", "after"] = "before"
    times: int = FOR_EVER
    hang: float = 0.0

    def __str__(self) -> str:
        several = 1 < self.times < FOR_EVER
        s = "" if several else "s"
        often = {1: "the next", FOR_EVER: "from now on every"}.get(self.times, f"the next {self.times}")
        what = {"patch_status": "status write", ANY: "call"}.get(self.verb, self.verb)
        of = "" if self.resource == ANY else f" of {self.resource}"
        before = [f"take{s} effect"] if self.when == "after" else []
        before += [f"hang{s} for {self.hang:g} s"] if self.hang else []
        first = f"{', '.join(before)} and " if before else ""
        return f"{often} {_plural(what) if several else what}{of} {first}fail{s} {MEANINGS[self.code]}"

    def act(self, world: World) -> None:
        world.network.fail(
            Fault(
                error=ERRORS[self.code],
                verb=self.verb,
                resource=self.resource,
                when=self.when,
                times=self.times,
                seconds=self.hang,
            )
        )


class Cut(Step, frozen=True, kw_only=True):
    """The watches of a kind break; with `compacted` what they missed is gone, too (410)."""

    resource: str = ANY
    compacted: bool = False

    def __str__(self) -> str:
        gone = ", and what they miss is gone: 410" if self.compacted else ""
        return f"{_watches(self.resource)} break{gone}"

    def act(self, world: World) -> None:
        world.network.drop_watches(self.resource)
        if self.compacted:
            world.sandbox.server.storage.compact()


class Stall(Step, frozen=True, kw_only=True):
    """Nothing arrives by the watches of a kind; or what arrives is late by so many seconds."""

    resource: str = ANY
    late: float = 0.0

    def __str__(self) -> str:
        how = f"are {self.late:g} s late" if self.late else "stand still: nothing arrives by them"
        return f"from now on {_watches(self.resource)} {how}"

    def act(self, world: World) -> None:
        if self.late:
            world.network.delay(self.resource, self.late)
        else:
            world.network.stall_watches(self.resource)


class Freeze(Step, frozen=True, kw_only=True):
    """The process stands still for so long, as under SIGSTOP: then all that was due is due at once."""

    frozen: float

    def __str__(self) -> str:
        return f"the operator's process stands still for {self.frozen:g} s"

    def act(self, world: World) -> None:
        world.clock.freeze(self.frozen)


class Crash(Step, frozen=True, kw_only=True):
    """The operator is gone at its n-th write from now, and starts again `down` seconds later.

    `lost`: before the write has its effect.
    """

    writes: int
    lost: bool = False
    down: float = 0.0

    def __str__(self) -> str:
        where = "just before" if self.lost else "right after"
        return _killed(f"{where} its {nth(self.writes)} write from now", self.seconds, self.down)


class Kill(Step, frozen=True, kw_only=True):
    """The operator is gone between two awaits, so many steps of its event loop from now.

    It starts again `down` seconds later.
    """

    steps: int
    down: float = 0.0

    def __str__(self) -> str:
        return _killed(f"{self.steps} steps of its event loop from now", self.seconds, self.down)


class SetClock(Step, frozen=True, kw_only=True):
    """The clock of the operator's node is so far ahead of the API server's, or behind, until all is calm."""

    ahead: float

    def __str__(self) -> str:
        where = "ahead of" if self.ahead > 0 else "behind"
        return f"the operator's clock is set {_span(abs(self.ahead))} {where} the cluster's"

    def act(self, world: World) -> None:
        world.clock_offset_seconds = self.ahead


class Calm(Step, frozen=True, kw_only=True):
    """Nothing goes wrong any more."""

    seconds: float = 4000.0

    def __str__(self) -> str:
        return "all faults end, and the operator's clock is right"

    def act(self, world: World) -> None:
        world.network.calm()
        world.clock_offset_seconds = 0.0


WhatHappens = Literal[
    "is cut off",
    "is killed",
    "stands still",
    "is asked to stop",
    "goes on",
    "the Lease is deleted",
    "is an hour ahead",
    "is an hour behind",
]


class Trouble(Step, frozen=True, kw_only=True):
    """What happens to one replica of several, or to their Lease. Only leaders.py plays it."""

    what: WhatHappens
    replica: int = 0
    hang: float = 0.0

    def __str__(self) -> str:
        if self.what == "the Lease is deleted":
            return self.what
        return f"replica {self.replica} {self.what}{self._more()}"

    def _more(self) -> str:
        match self.what:
            case "is cut off":
                return f": its calls {f'hang for {self.hang:g} s and ' if self.hang else ''}fail"
            case "is killed" | "is asked to stop":
                return ", and starts again"
            case "stands still":
                return ", until it goes on"
            case "goes on":
                return ", with its line and its clock as they should be"
            case _:
                return " by its clock"


AnyFault = Noise | Fail | Cut | Stall | Freeze | SetClock | Crash | Kill | Calm


def _killed(when: str, seconds: float, down: float) -> str:
    back = f"back {f'{down:g} s later' if down else 'at once'}"
    within = f"within {seconds:g} s" if seconds else "at once"
    return f"the operator is killed {when}, if that comes {within}; {back}"


def _watches(resource: str) -> str:
    return "all watches" if resource == ANY else f"the watches of {resource}"


def _plural(noun: str) -> str:
    return {"apply": "applies"}.get(noun, f"{noun}s")


def _span(seconds: float) -> str:
    return {3600.0: "an hour", 86400.0: "a day"}.get(seconds, f"{seconds:g} s")
