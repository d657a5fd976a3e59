"""The steps at which something goes wrong between the operator and the cluster, beside what users do.

What lasts does so until `Calm`, with which every story of chaos ends.
"""

from __future__ import annotations

from typing import Literal

from msgspec import structs

from aim_operator.errors import ApiError, Conflict, Forbidden, Invalid, TooManyRequests, Unavailable
from aim_operator.kube.retries import Retries
from aim_operator.sandbox.network import ANY, Fault, Rates
from tests.simulation.explore.steps import Step
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
        words = {name: value for name, value in structs.asdict(self).items() if value and name != "seconds"}
        return f"noise: {words}"

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
        often = "always" if self.times == FOR_EVER else f"{self.times} times"
        effect = "has its effect and " if self.when == "after" else ""
        hanging = f" after {self.hang:g} s" if self.hang else ""
        return f"{self.verb} of {self.resource} {effect}fails with {self.code}{hanging}, {often}"

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
        return f"the watches of {self.resource} break{', and history is compacted' if self.compacted else ''}"

    def act(self, world: World) -> None:
        world.network.drop_watches(self.resource)
        if self.compacted:
            world.sandbox.server.storage.compact()


class Stall(Step, frozen=True, kw_only=True):
    """Nothing arrives by the watches of a kind; or what arrives is late by so many seconds."""

    resource: str = ANY
    late: float = 0.0

    def __str__(self) -> str:
        how = f"are {self.late:g} s late" if self.late else "stall"
        return f"the watches of {self.resource} {how}"

    def act(self, world: World) -> None:
        if self.late:
            world.network.delay(self.resource, self.late)
        else:
            world.network.stall_watches(self.resource)


class Freeze(Step, frozen=True, kw_only=True):
    """The process stands still for so long, as under SIGSTOP: then all that was due is due at once."""

    frozen: float

    def __str__(self) -> str:
        return f"the process stands still for {self.frozen:g} s"

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
        where = "before" if self.lost else "after"
        return f"crash {where} write {self.writes} from now, back after {self.down:g} s"


class Kill(Step, frozen=True, kw_only=True):
    """The operator is gone between two awaits, so many steps of its event loop from now.

    It starts again `down` seconds later.
    """

    steps: int
    down: float = 0.0

    def __str__(self) -> str:
        return f"killed {self.steps} steps of the event loop from now, back after {self.down:g} s"


class SetClock(Step, frozen=True, kw_only=True):
    """The clock of the operator's node is so far ahead of the API server's, or behind, until all is calm."""

    ahead: float

    def __str__(self) -> str:
        return f"the operator's clock is set {abs(self.ahead):g} s {'ahead' if self.ahead > 0 else 'back'}"

    def act(self, world: World) -> None:
        world.clock_offset_seconds = self.ahead


class Calm(Step, frozen=True, kw_only=True):
    """Nothing goes wrong any more."""

    seconds: float = 4000.0

    def __str__(self) -> str:
        return "all faults end"

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
        return f"replica {self.replica} {self.what}{f', calls hang {self.hang:g} s' if self.hang else ''}"


AnyFault = Noise | Fail | Cut | Stall | Freeze | SetClock | Crash | Kill | Calm
