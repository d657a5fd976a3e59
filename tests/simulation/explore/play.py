"""Play a story on the real operator, and say what rule it broke, if any.

After each step everything comes to rest; then a resync or a restart must write nothing: whatever it would
write was a wake-up that got lost. In a story with faults that is so once they have ended, at its end.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any

import structlog
from msgspec import Struct

from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.network import Network
from aim_operator.sandbox.virtual_loop import VirtualLoop
from tests.simulation.explore import fresh
from tests.simulation.explore.checks import SLOTS, Checks
from tests.simulation.explore.faults import AnyFault, Calm, Crash, Kill
from tests.simulation.explore.replica import OffsetClock
from tests.simulation.explore.steps import Restart, Silence, named
from tests.simulation.explore.stories import AnyStep, Story, act, all_work
from tests.simulation.world import SHOWN, World, crash_at, kill
from tests.simulation.world import Crash as CrashError

REST_SECONDS = 20.0
"""Nothing was written for so long: then all that a step causes is done, but for what is tried again later."""
LONGEST_UNREST = 30
"""How often in a row something may be written within REST_SECONDS, after one step."""
RESTART_SECONDS = 3.0
SILENCE_BROKEN = "in a quiet hour it writes"
EXPECTED = frozenset(
    {
        "refused by the API server, trying again later",
        "a write never came back, continuing with an old cache",
    }
)
"""What may be logged as an error while calls are refused and watches stall."""
MOST_DETAILS = 20
"""How much of what was found is printed: what comes after the first few follows from them, mostly."""
DETAIL_WIDTH = 400
WRITES_PER_STEP = 150
"""More than any single step needs in catalogs of this size."""
WRITES_PER_SECOND = 2
"""More than that is not needed for what fails and is tried again, of all keys of such a catalog together."""


class Failure(Struct, frozen=True, kw_only=True):
    """`step` counts from 1; 0 is before the first one. `rule` is the same for the same fault."""

    step: int
    rule: str
    text: str
    details: tuple[str, ...] = ()
    """What was found, each a line."""

    @property
    def brief(self) -> str:
        """What was found, on one line."""
        more = f", and {len(self.details) - 1} more" if len(self.details) > 1 else ""
        first = [fresh.clipped(each, DETAIL_WIDTH) for each in self.details[:1]]
        return ": ".join([self._head, *first]) + more

    def __str__(self) -> str:
        shown = [fresh.clipped(each, DETAIL_WIDTH) for each in self.details[:MOST_DETAILS]]
        left = len(self.details) - len(shown)
        rest = [f"and {left} more"] if left else []
        return "\n  ".join([f"{self._head}{':' if shown else ''}", *shown, *rest])

    @property
    def _head(self) -> str:
        return f"after step {self.step}: {self.rule}: {self.text}"


class Probe(Enum):
    """What is done once all has come to rest after a step, and must write nothing. A restart ends each."""

    NOTHING = "nothing"
    """So that the operator lives long."""
    RESYNC = "resync"
    RESTART = "restart"
    """Takes longest, and forgets what the operator has in memory."""


def probe_of(seed: int) -> Probe:
    """Return the probe of a seed's story."""
    return _PROBES[seed % len(_PROBES)]


_PROBES = (Probe.RESYNC, Probe.NOTHING, Probe.RESYNC, Probe.RESYNC, Probe.RESTART, Probe.NOTHING)


def is_compared(seed: int) -> bool:
    """Whether the end of a seed's story is compared with a fresh run, which takes as long as a story."""
    return seed % 8 == 3


def whole(story: Story) -> Story:
    """Return a story with all steps that are played: whatever fails has an end, also where none is told."""
    if not is_chaos(story) or any(isinstance(step, Calm) for step in story[-2:]):
        return story
    return (*(step for step in story if not isinstance(step, Silence)), Calm())


def is_chaos(story: Story) -> bool:
    """Whether something fails in it: then it is judged at its end only."""
    return any(isinstance(step, AnyFault) for step in story)


def play(story: Story, probe: Probe = Probe.RESTART, *, compared: bool = True) -> Failure | None:
    """Play a story; with `probe` after each of its steps, and its end compared with that of a fresh run."""
    story = whole(story)
    failure = _play(story, probe, spared=None, compared=compared)
    if failure is not None and failure.rule == "wake-up":
        # What would have been written anyhow at this very time, by a retry, is not the restart's.
        without = _play(story[: failure.step], probe, spared=failure.step)
        if without is not None and (without.text, without.details) == (failure.text, failure.details):
            return None
    return failure


def _play(story: Story, probe: Probe, *, spared: int | None, compared: bool = False) -> Failure | None:
    # What has failed is tried again later and later, or not at all.
    compared = compared and all_work(story)
    with structlog.testing.capture_logs() as logged, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        player = _Player(story, logged, probe, spared)
        failure = runner.run(player.play())
        if failure is not None or not compared or (given := player.inputs) is None:
            return failure
        found = tuple(fresh.worse(runner.run(fresh.end_of(given)), player.ended))
    text = "in order in a new cluster that is given all at once, but not here"
    return Failure(step=len(story), rule="fresh", text=text, details=found) if found else None


class WriteBound:
    """How much may be written from one step to the next, whatever fails meanwhile."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._before = 0

    def exceeded(self, step: int, seconds: float) -> Failure | None:
        """Judge what was written since the last time, in so many seconds."""
        written = self._world.writes()
        made, before = len(written) - self._before, self._before
        self._before = len(written)
        if made <= WRITES_PER_STEP + WRITES_PER_SECOND * seconds:
            return None
        text = f"{made} writes within {seconds:g} s"
        return Failure(step=step, rule="writes", text=text, details=listed(written[before:]))


class _Player:
    def __init__(self, story: Story, logged: Sequence[Any], probe: Probe, spared: int | None) -> None:
        self._story, self._logged = story, logged
        self._probe, self._spared = probe, spared
        self._chaos = is_chaos(story)
        self._operator: asyncio.Task[None] | None = None
        self.inputs: fresh.Inputs | None = None
        self.ended: fresh.Statuses = {}
        """The inputs at the end, None where history counts on purpose; and what was made of them."""

    async def play(self) -> Failure | None:
        number = 0
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        try:
            async with World() as world:
                world.apply([storage_class("quick", default=False)])
                self._world, self._checks, self._bound = world, Checks(world), WriteBound(world)
                self._network = Network(world.clock, seed=len(self._story))
                # Most of what happens in a quiet hour would be bookmarks.
                world.sandbox.server.bookmark_seconds = 900.0
                self._start()
                await world.pass_seconds(1)
                for number, step in enumerate(self._story, 1):
                    await self._take(step)
                    last = number == len(self._story)
                    if failure := await self._settled(number, step.seconds, last=last):
                        return failure
                self.inputs = fresh.inputs(world)
                self.ended = fresh.statuses(world, self.inputs) if self.inputs is not None else {}
            return leaked(number)
        except AssertionError as error:
            return Failure(step=number, rule="spins", text=str(error))

    async def _take(self, step: AnyStep) -> None:
        world = self._world
        match step:
            case Restart():
                await self._stop()
                await world.pass_seconds(step.down)
                self._start()
            case Crash():
                assert self._operator is not None
                crash_at(self._operator, world.network.writes + step.writes, world.network, lost=step.lost)
                await self._killed(step.seconds, step.down)
            case Kill():
                assert self._operator is not None
                loop = asyncio.get_running_loop()
                assert isinstance(loop, VirtualLoop)
                loop.after_steps(step.steps, partial(kill, self._operator, world.network))
                await self._killed(step.seconds, step.down)
                loop.after_steps(0, None)
            case _:
                self._checks.by_user = True
                act(world, step)
                self._checks.by_user = False

    async def _killed(self, seconds: float, down: float) -> None:
        """Let pass the time in which the operator may end, and start it again if it has."""
        world = self._world
        await world.pass_seconds(seconds)
        # Killed at the last moment, it has not ended yet.
        if self._operator is not None and (self._operator.cancelling() or self._operator.done()):
            await self._stop()
            await world.pass_seconds(down)
            self._start()
        else:
            world.network.before_write = world.network.after_write = None

    async def _settled(self, number: int, seconds: float, *, last: bool) -> Failure | None:
        """Let pass what comes after a step, and look at what is there then."""
        world, before = self._world, len(self._world.writes())
        await world.pass_seconds(seconds)
        if isinstance(self._story[number - 1], Silence) and (written := world.writes()[before:]):
            return Failure(step=number, rule="silence", text=SILENCE_BROKEN, details=listed(written))
        if (seconds < REST_SECONDS or self._chaos) and not last:
            return self._broken(number) or self._bound.exceeded(number, seconds)
        for _ in range(LONGEST_UNREST):
            so_far = len(world.writes())
            await world.pass_seconds(REST_SECONDS)
            if len(world.writes()) == so_far:
                break
        else:
            recent = listed(world.writes()[so_far:])
            return Failure(step=number, rule="unrest", text="it never comes to rest", details=recent)
        if failure := self._bound.exceeded(number, seconds if self._chaos else 0):
            return failure
        self._checks.at_rest()
        if failure := self._broken(number):
            return failure
        probe = Probe.RESTART if last else self._probe
        return await self._probed(number, probe) if probe is not Probe.NOTHING else None

    async def _probed(self, number: int, probe: Probe) -> Failure | None:
        world, before, refused = self._world, len(self._world.writes()), self._world.conflicts()
        there = _objects(world)
        if number != self._spared:
            if probe is Probe.RESTART:
                await self._stop()
                self._start()
            else:
                world.resync()
        await world.pass_seconds(RESTART_SECONDS)
        written = world.writes()[before:]
        # A name that is taken by what no watch shows is tried once after a restart, and refused (ADR 4).
        if len(written) > world.conflicts() - refused:
            changes = tuple(differences(there, _objects(world))) or listed(written)
            return Failure(step=number, rule="wake-up", text=f"a {probe.value} writes", details=changes)
        return self._broken(number)

    def _broken(self, number: int) -> Failure | None:
        errors = [entry for entry in self._logged if entry["log_level"] in ("error", "critical")]
        errors = [entry for entry in errors if not (self._chaos and entry["event"] in EXPECTED)]
        if errors:
            return logged_error(number, errors[0])
        if self._operator is not None and self._operator.done():
            return Failure(step=number, rule="ended", text=f"the operator ended: {self._operator!r}")
        if self._checks.broken:
            text = self._checks.broken[0]
            return Failure(step=number, rule="invariant", text=text)
        return None

    def _unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        if not isinstance(context.get("exception"), CrashError):
            self._checks.broken.append(f"unhandled: {context}")

    def _start(self) -> None:
        network = self._network
        network.before_write = network.after_write = None
        clock = OffsetClock(self._world)
        self._operator = self._world.start(network=network, clock=clock, max_discovery_jobs=SLOTS)

    async def _stop(self) -> None:
        if self._operator is not None:
            await self._world.stop(self._operator)


def leaked(number: int) -> Failure | None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        return Failure(step=number, rule="leak", text=f"tasks are left: {sorted(map(str, left))}")
    return None


def logged_error(number: int, entry: Mapping[str, Any]) -> Failure:
    details = tuple(f"{name}: {value}" for name, value in entry.items() if name not in ("event", "log_level"))
    return Failure(step=number, rule="error log", text=str(entry["event"]), details=details)


def listed(written: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """Return writes as lines, the most frequent first."""
    return tuple(
        f"{verb} of {resource} {name}{f', {times} times' if times > 1 else ''}"
        for (verb, resource, name), times in Counter(written).most_common()
    )


def _objects(world: World) -> dict[str, Any]:
    """Return spec and status of everything that the operator may write."""
    return {
        named(obj): {"spec": obj.get("spec"), "status": obj.get("status")}
        for resource in SHOWN
        for obj in world.all(resource)
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between objects by their names, leaf by leaf."""
    for name in sorted({*before, *after}):
        if name in before and name in after:
            yield from (f"{name}: {leaf}" for leaf in _leaves(before[name], after[name], ""))
        else:
            yield f"{name}: {'deleted' if name in before else 'created'}"


def _leaves(before: Any, after: Any, path: str) -> Iterator[str]:
    if path.endswith("conditions"):
        before, after = ({each["type"]: each for each in conditions or ()} for conditions in (before, after))
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _leaves(before.get(name), after.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _leaves(old, new, f"{path}[{place}]")
    elif before != after and not path.endswith(("Time", "Generation")):
        yield f"{path}: before {fresh.shown(before)}, then {fresh.shown(after)}"
