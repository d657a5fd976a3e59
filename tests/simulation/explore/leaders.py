"""The third explorer: three replicas, one of which works, while lines, processes and the Lease fail.

Two never write in turns: once somebody wrote under a newer term, nobody writes under an older one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any, get_args

import structlog
from msgspec import structs

from aim_operator.app import LEASE_NAME
from aim_operator.runtime.leader import LEASES
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.storage import Change
from aim_operator.sandbox.virtual_loop import VirtualLoop
from tests.simulation.explore import draw
from tests.simulation.explore.checks import SLOTS, Checks
from tests.simulation.explore.faults import Trouble, WhatHappens
from tests.simulation.explore.play import (
    EXPECTED,
    RESTART_SECONDS,
    SILENCE_BROKEN,
    Failure,
    WriteBound,
    leaked,
    listed,
    logged_error,
)
from tests.simulation.explore.replica import Line, StoppableClock
from tests.simulation.explore.steps import Restart, Silence
from tests.simulation.explore.stories import AnyStep, Story, act, all_work
from tests.simulation.world import Crash, World

REPLICAS = 3
PAUSES = (0.0, 1.0, 4.0, 9.0, 14.0, 30.0)
LONGEST_FAILOVER_SECONDS = 60.0
REST_SECONDS = 900.0
SILENT_SECONDS = 3600.0


TROUBLES: tuple[WhatHappens, ...] = get_args(WhatHappens)


def story(seed: int) -> Story:
    """Return the story of a seed."""
    chance = random.Random(seed)
    return tuple(_steps(chance, draw.story(seed)))


def _steps(chance: random.Random, edits: Story) -> Iterator[AnyStep]:
    for step in edits:
        if isinstance(step, Restart | Silence):
            continue
        yield structs.replace(step, seconds=chance.choice(PAUSES))
        while chance.random() < 0.6:
            yield Trouble(
                what=chance.choice(TROUBLES),
                replica=chance.randrange(REPLICAS),
                hang=chance.choice((0.0, 3.0, 30.0)),
                seconds=chance.choice(PAUSES),
            )


def play(told: Story) -> Failure | None:
    """Play a story, and say what rule it broke."""
    with structlog.testing.capture_logs() as logged, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_Player(told, logged).play())


class _Replica:
    """One of them, in all its lives: each has an identity of its own."""

    def __init__(self, world: World, number: int, terms: _Terms) -> None:
        self._world, self._number, self._terms = world, number, terms
        self._lives = 0
        self.start()

    def start(self) -> None:
        self._lives += 1
        user = f"operator-{self._number}-{self._lives}"
        self.line = Line(self._world.clock, lambda: self._terms.wrote(user))
        self.clock = StoppableClock(self._world.clock)
        client = self._world.sandbox.client(user, network=self.line)
        self.task = self._world.run(
            client, user=user, clock=self.clock, leader_elect=True, max_discovery_jobs=SLOTS
        )

    async def kill(self) -> None:
        self.line.die()
        await self._end()

    async def stop(self) -> None:
        self.go_on()
        await self._end()

    async def _end(self) -> None:
        self.clock.resume()
        if self.task in self._world.running:
            await self._world.stop(self.task)

    def stand_still(self) -> None:
        self.line.stop()
        self.clock.stop()

    def go_on(self) -> None:
        self.line.calm()
        self.line.resume()
        self.clock.resume()
        self.clock.offset_seconds = 0.0


class _Terms:
    """Who wrote under which term. A term begins with the write that makes somebody the Lease's holder."""

    def __init__(self, world: World) -> None:
        self.broken: list[str] = []
        self._began: dict[str, int] = {}
        self._last = ("", 0)
        """Who wrote last, and when its term then began: it may have another one since."""
        self._holder = ""
        world.sandbox.server.storage.listen(self._changed)

    def wrote(self, user: str) -> None:
        if user not in self._began:
            self.broken.append(f"{user} wrote and never held the Lease")
            return
        last, term = self._last
        if self._began[user] < term:
            self.broken.append(f"{user} wrote after {last}, whose term is later")
        self._last = user, self._began[user]

    def _changed(self, change: Change) -> None:
        if change.new.key.id.kind != LEASES.kind:
            return
        holder = "" if change.type == "DELETED" else change.new.obj["spec"].get("holderIdentity", "")
        if holder and holder != self._holder:
            self._began[holder] = change.revision
        self._holder = holder


class _Player:
    def __init__(self, told: Story, logged: Sequence[Any]) -> None:
        self._story, self._logged = told, logged

    async def play(self) -> Failure | None:
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        try:
            async with World() as world:
                failure = await self._played(world)
            return failure or leaked(len(self._story))
        except AssertionError as error:
            return Failure(step=len(self._story), rule="spins", text=str(error))

    async def _played(self, world: World) -> Failure | None:
        world.apply([storage_class("quick", default=False)])
        world.sandbox.server.bookmark_seconds = 900.0
        self._world, self._checks, self._terms = world, Checks(world), _Terms(world)
        self._bound = WriteBound(world)
        self._replicas = [_Replica(world, number, self._terms) for number in range(REPLICAS)]
        await world.pass_seconds(30)
        number = 0
        for number, step in enumerate(self._story, 1):
            if isinstance(step, Trouble):
                await self._trouble(step)
            else:
                self._checks.by_user = True
                act(world, step)
                self._checks.by_user = False
            await world.pass_seconds(step.seconds)
            if failure := self._broken(number) or self._bound.exceeded(number, step.seconds):
                return failure
        return await self._ended(number)

    async def _trouble(self, step: Trouble) -> None:
        replica = self._replicas[step.replica]
        match step.what:
            case "is cut off":
                replica.line.cut(hang=step.hang)
            case "is killed":
                await replica.kill()
                replica.start()
            case "stands still":
                replica.stand_still()
            case "is asked to stop":
                await replica.stop()
                replica.start()
            case "goes on":
                replica.go_on()
            case "is an hour ahead":
                replica.clock.offset_seconds = 3600.0
            case "is an hour behind":
                replica.clock.offset_seconds = -3600.0
            case _:
                if self._world.find(LEASES, LEASE_NAME) is not None:
                    self._world.delete(LEASES, LEASE_NAME, "kaiwo-system")

    async def _ended(self, number: int) -> Failure | None:
        """All replicas go on: one of them leads soon, and brings everything to rest."""
        world = self._world
        for replica in self._replicas:
            replica.go_on()
        await world.pass_seconds(LONGEST_FAILOVER_SECONDS)
        lease = world.find(LEASES, LEASE_NAME)
        if lease is None or not lease["spec"].get("holderIdentity"):
            return Failure(step=number, rule="nobody leads", text=str(lease))
        await world.pass_seconds(REST_SECONDS)
        if failure := self._broken(number) or self._bound.exceeded(number, REST_SECONDS):
            return failure
        self._checks.at_rest()
        for replica in self._replicas:
            await replica.stop()
        before = len(world.writes())
        world.start(max_discovery_jobs=SLOTS)
        await world.pass_seconds(RESTART_SECONDS)
        if written := world.writes()[before:]:
            return Failure(step=number, rule="wake-up", text="a restart writes", details=listed(written))
        if not all_work(self._story):
            return self._broken(number)  # what fails is tried again
        await world.pass_seconds(SILENT_SECONDS)
        if written := world.writes()[before:]:
            return Failure(step=number, rule="silence", text=SILENCE_BROKEN, details=listed(written))
        return self._broken(number)

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        if not isinstance(context.get("exception"), Crash):  # of one that was killed
            self._checks.broken.append(f"unhandled: {context}")

    def _broken(self, number: int) -> Failure | None:
        errors = [entry for entry in self._logged if entry["log_level"] in ("error", "critical")]
        errors = [entry for entry in errors if entry["event"] not in EXPECTED]
        if errors:
            return logged_error(number, errors[0])
        if broken := [*self._terms.broken, *self._checks.broken]:
            return Failure(step=number, rule="invariant", text=broken[0])
        return None
