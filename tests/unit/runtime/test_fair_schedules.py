"""Namespaces at random: whatever they ask for, nothing is lost, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.api.meta import ObjectRef
from aim_operator.errors import Unavailable
from aim_operator.runtime.controller import Controller, ControllerGroup, Result
from aim_operator.runtime.pace import Pace
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.test_controller import Always

NAMESPACES = ("", "a", "b", "c")
KEYS = [ObjectRef("Widget", namespace, name) for namespace in NAMESPACES for name in "xyz"]
CONTROLLERS = ("one", "two")

WORK = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 7.0]), st.sampled_from(["ok", "again", "fails"])), max_size=8
)
STEPS = st.lists(
    st.tuples(st.sampled_from(CONTROLLERS), st.sampled_from(KEYS), st.sampled_from([0.0, 0.0, 0.05, 3.0])),
    max_size=60,
)


class Work:
    """Reconciles that take, and end, as the lists say; once they are used up, at once and well."""

    def __init__(self, clock: VirtualClock, script: list[tuple[float, str]], at_work: Counter[str]) -> None:
        self._clock, self._script, self._at_work = clock, list(script), at_work
        self._running: set[ObjectRef] = set()
        self.begun: dict[ObjectRef, float] = {}

    async def reconcile(self, ref: ObjectRef) -> Result:
        assert ref not in self._running, "twice at once"
        self._running.add(ref)
        self._at_work[ref.namespace] += 1
        self.begun[ref] = self._clock.monotonic()
        seconds, end = self._script.pop(0) if self._script else (0.0, "ok")
        try:
            await self._clock.sleep(seconds)
        finally:
            self._running.discard(ref)
            self._at_work[ref.namespace] -= 1
        if end == "fails":
            raise Unavailable("down")
        return Result(requeue_after_seconds=1.0 if end == "again" else None)


@settings(deadline=None)
@given(WORK, WORK, STEPS, st.integers(1, 5))
def test_every_key_that_is_asked_for_runs_after_that(
    one: list[tuple[float, str]],
    two: list[tuple[float, str]],
    steps: list[tuple[str, ObjectRef, float]],
    workers: int,
) -> None:
    async def scenario() -> None:
        clock = VirtualClock()
        at_work: Counter[str] = Counter()
        work = {
            name: Work(clock, script, at_work) for name, script in zip(CONTROLLERS, (one, two), strict=True)
        }
        group = ControllerGroup(
            [Controller(name, work[name], []) for name in CONTROLLERS],
            clock=clock,
            workers=workers,
            applier=Always(),
            pace=Pace(workers, clock),
        )
        running = asyncio.create_task(group.run())
        asked: dict[tuple[str, ObjectRef], float] = {}
        for controller, ref, seconds in steps:
            group.enqueue(controller, ref)
            asked[controller, ref] = clock.monotonic()
            await clock.advance(seconds)
            assert at_work.total() <= workers
            if seconds and group.saturated:
                # Keys wait, though a worker may be free: then for each namespace that has all it may have.
                assert at_work.total() > 0, "keys wait, and nobody works"
        await clock.advance(600)
        assert group.idle
        for (controller, ref), when in asked.items():
            assert work[controller].begun[ref] >= when, f"{controller} {ref} was lost"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(2, 8))
def test_one_key_beside_any_crowds_begins_within_a_turn_of_each(crowds: list[int], workers: int) -> None:
    """However many keys others have, each namespace is ahead by a turn at most."""

    async def scenario() -> None:
        clock = VirtualClock()
        work = Work(clock, [(1.0, "ok")] * 200, Counter())
        group = ControllerGroup(
            [Controller("one", work, [])],
            clock=clock,
            workers=workers,
            applier=Always(),
            pace=Pace(workers, clock),
        )
        running = asyncio.create_task(group.run())
        for number, size in enumerate(crowds):
            for name in range(size):
                group.enqueue("one", ObjectRef("Widget", f"crowd{number}", f"{name}"))
        await clock.settle()
        late = ObjectRef("Widget", "late", "x")
        group.enqueue("one", late)
        asked = clock.monotonic()
        await clock.advance(300)
        # One reconcile takes a second. Those at work end first, and then others may have a turn each.
        assert work.begun[late] - asked <= 1.0 + len(crowds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(scenario())
