"""What becomes of each outcome of a reconcile, and how reconciles share the workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from aim_operator import errors
from aim_operator.api.meta import ObjectRef
from aim_operator.runtime.controller import (
    DENIED_SECONDS,
    MISSING_KIND_SECONDS,
    Controller,
    ControllerGroup,
    Result,
)
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.pace import SLOW_SECONDS, Pace
from aim_operator.runtime.triggers import Trigger
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import WIDGETS, Widget, make_stored, make_widget


def ref(name: str = "a", namespace: str = "team") -> ObjectRef:
    return ObjectRef("Widget", namespace, name)


class Always:
    """Caches that have seen everything."""

    def caught_up(self, key: ObjectRef) -> bool:
        return True

    def on_caught_up(self, key: ObjectRef, callback: Callable[[], None]) -> None:
        callback()


class Parking:
    """Caches that are behind until told."""

    def __init__(self) -> None:
        self.behind: set[ObjectRef] = set()
        self.callbacks: list[Callable[[], None]] = []

    def caught_up(self, key: ObjectRef) -> bool:
        return key not in self.behind

    def on_caught_up(self, key: ObjectRef, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


class Scripted:
    """Reconciles by a script of outcomes, the last of which repeats; keeps when it ran."""

    def __init__(self, clock: VirtualClock, *outcomes: Any) -> None:
        self._clock = clock
        self._outcomes = list(outcomes)
        self.ran: list[tuple[float, str]] = []

    async def reconcile(self, ref: ObjectRef) -> Result:
        self.ran.append((self._clock.monotonic(), ref.name))
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        assert isinstance(outcome, Result)
        return outcome


class Counted(MetricSink):
    def __init__(self) -> None:
        self.results: Counter[str] = Counter()

    def reconciled(
        self, controller: str, result: str, seconds: float, exemplar: Mapping[str, str] | None = None
    ) -> None:
        self.results[result] += 1


@asynccontextmanager
async def running(
    clock: VirtualClock,
    *controllers: Controller,
    workers: int = 4,
    applier: Any = None,
    pace: Pace | None = None,
    metrics: MetricSink | None = None,
) -> AsyncIterator[ControllerGroup]:
    group = ControllerGroup(
        controllers,
        clock=clock,
        workers=workers,
        applier=applier or Always(),
        pace=pace or Pace(workers, clock),
        metrics=metrics,
    )
    task = asyncio.create_task(group.run())
    await clock.settle()
    try:
        yield group
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def run_times(*outcomes: Any, seconds: float, metrics: MetricSink | None = None) -> Sequence[float]:
    """When one key, added once, was reconciled."""
    clock = VirtualClock()
    script = Scripted(clock, *outcomes)
    async with running(clock, Controller("c", script, []), metrics=metrics) as group:
        group.enqueue("c", ref())
        await clock.advance(seconds)
    return [when for when, _ in script.ran]


async def test_a_done_key_is_quiet() -> None:
    """Nothing polls."""
    assert await run_times(Result(), seconds=10_000) == [0]


async def test_a_key_comes_back_when_it_asked_to() -> None:
    """And then again only if it asks again."""
    assert await run_times(Result(requeue_after_seconds=30), Result(), seconds=10_000) == [0, 30]


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(errors.Unavailable("down"), "unavailable", id="unavailable"),
        pytest.param(errors.Conflict("stale"), "conflict", id="conflict"),
        pytest.param(errors.NotFound("gone"), "conflict", id="not found"),
        pytest.param(ZeroDivisionError("a bug"), "error", id="a bug"),
        pytest.param(errors.SpecError("Bad", "bad"), "error", id="an unexpected error of ours"),
    ],
)
async def test_what_may_pass_is_retried_with_growing_pauses(error: Exception, want: str) -> None:
    """At once first, then less and less often; never given up, and the group lives on."""
    metrics = Counted()
    with capture_logs():
        times = await run_times(*[error] * 12, Result(), seconds=60, metrics=metrics)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) == 13
    assert pauses[0] <= 0.005
    assert pauses[-1] > 2
    assert metrics.results == {want: 12, "ok": 1}


async def test_429_is_honoured() -> None:
    """Not before the server wants."""
    times = await run_times(errors.TooManyRequests("slow", retry_after_seconds=17), Result(), seconds=60)
    assert times == [0, 17]


@pytest.mark.parametrize("kind", [errors.Unavailable, errors.TooManyRequests])
async def test_an_error_that_is_remembered_is_not_asked_for_until_it_is_forgotten(
    kind: type[errors.ApiError],
) -> None:
    """Each answer from memory would else double the backoff: one refusal became minutes."""
    remembered = kind("refused")
    remembered.known_for_seconds = 15.0
    with capture_logs():
        assert await run_times(remembered, Result(), seconds=600) == [0, 15]


async def test_what_is_forbidden_is_retried_after_a_while() -> None:
    """Somebody mends the role, in minutes; and is told once which verb is missing."""
    error = errors.Forbidden('the operator may not "create" jobs.batch in namespace team: add it to its role')
    with capture_logs() as logs:
        times = await run_times(error, error, error, Result(), seconds=3600)
    assert times == [0, DENIED_SECONDS, 2 * DENIED_SECONDS, 3 * DENIED_SECONDS]
    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert len(warnings) == 1
    assert "create" in warnings[0]["error"]


async def test_a_missing_kind_is_looked_for_now_and_then() -> None:
    """The fallback; its arrival wakes it earlier."""
    assert await run_times(errors.NotInstalled("no"), Result(), seconds=100) == [0, MISSING_KIND_SECONDS]


@pytest.mark.parametrize(
    ("wrote", "level"),
    [
        pytest.param(None, "warning", id="a read"),
        pytest.param(("Job", "team", "discover-a"), "warning", id="a write of a child"),
        pytest.param(("Widget", "team", "b"), "warning", id="a write of another of the kind"),
        pytest.param(ref(), "error", id="its status, by a webhook or the CRD of another version"),
    ],
)
async def test_what_is_refused_heals_by_itself(wrote: tuple[str, str, str] | None, level: str) -> None:
    """No watch tells when a webhook or a policy was mended. Meanwhile it is asked rarely, and said once."""
    refused = errors.Invalid("denied by a webhook", code=400)
    refused.wrote = wrote
    with capture_logs() as logs:
        times = await run_times(*[refused] * 20, Result(), seconds=20 * 300)
    assert len(times) == 21
    assert all(later - earlier >= DENIED_SECONDS for earlier, later in pairwise(times))
    assert [line["log_level"] for line in logs] == [level]


async def test_a_bug_is_logged_with_its_traceback() -> None:
    """Whoever mends it needs it."""
    with capture_logs() as logs:
        await run_times(ZeroDivisionError("x"), Result(), seconds=1)
    assert [line for line in logs if line.get("exc_info")]


async def test_a_key_never_runs_twice_at_once() -> None:
    """Woken while it runs, it runs again afterwards."""
    clock = VirtualClock()
    running_now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    ran: Counter[str] = Counter()

    class Slow:
        async def reconcile(self, ref: ObjectRef) -> Result:
            running_now[ref.name] += 1
            most[ref.name] = max(most[ref.name], running_now[ref.name])
            ran[ref.name] += 1
            await clock.sleep(10)
            running_now[ref.name] -= 1
            return Result()

    async with running(clock, Controller("c", Slow(), [])) as group:
        for _ in range(5):
            group.enqueue("c", ref("a"))
            group.enqueue("c", ref("b"))
            await clock.advance(1)
        await clock.advance(100)
        assert group.idle
    assert most == {"a": 1, "b": 1}
    assert ran == {"a": 2, "b": 2}


async def test_workers_are_limited_and_shared() -> None:
    """A controller with a thousand keys does not starve one with a few."""
    clock = VirtualClock()
    order: list[str] = []
    at_once: list[int] = []
    busy = 0

    class Slow:
        def __init__(self, name: str) -> None:
            self.name = name

        async def reconcile(self, ref: ObjectRef) -> Result:
            nonlocal busy
            busy += 1
            at_once.append(busy)
            order.append(self.name)
            await clock.sleep(1)
            busy -= 1
            return Result()

    async with running(
        clock, Controller("many", Slow("many"), []), Controller("few", Slow("few"), []), workers=4
    ) as group:
        for number in range(1000):
            group.enqueue("many", ref(f"m{number}"))
        for number in range(5):
            group.enqueue("few", ref(f"f{number}"))
        await clock.advance(5.5)
    assert max(at_once) == 2
    assert order.count("few") == 5


class Attacked:
    """Reconciles of `attacker*` take `seconds`, and for ever fail if `error` is given; others just end."""

    def __init__(self, clock: VirtualClock, *, seconds: float, error: Exception | None = None) -> None:
        self._clock, self._seconds, self._error = clock, seconds, error
        self.order: list[str] = []
        self.at_work: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def reconcile(self, ref: ObjectRef) -> Result:
        self.order.append(ref.namespace)
        if not ref.namespace.startswith("attacker"):
            return Result()
        self.at_work[ref.namespace] += 1
        self.most[ref.namespace] = max(self.most[ref.namespace], self.at_work[ref.namespace])
        try:
            await self._clock.sleep(self._seconds)
        finally:
            self.at_work[ref.namespace] -= 1
        if self._error is not None:
            raise self._error
        return Result()

    def before(self, namespace: str) -> int:
        """How many others were begun before the first of `namespace`."""
        return self.order.index(namespace)


async def test_a_namespace_of_5000_keys_is_one_turn_ahead_of_another_that_has_one() -> None:
    clock = VirtualClock()
    attacked = Attacked(clock, seconds=0.01)
    async with running(clock, Controller("c", attacked, []), workers=4) as group:
        for number in range(5000):
            group.enqueue("c", ref(f"a{number}", "attacker"))
        group.enqueue("c", ref("b", "victim"))
        await clock.advance(0.1)
        assert attacked.before("victim") <= 2


async def test_a_namespace_whose_objects_change_all_the_time_is_one_turn_ahead_of_another() -> None:
    """A hundred times a second each, for a minute, while the other's one object changes each second."""
    clock = VirtualClock()
    attacked = Attacked(clock, seconds=0.05)
    waits: list[int] = []
    async with running(clock, Controller("c", attacked, []), workers=4) as group:
        for tick in range(6000):
            for number in range(20):
                group.enqueue("c", ref(f"a{number}", "attacker"))
            if tick % 100 == 0:
                begun = len(attacked.order)
                group.enqueue("c", ref("b", "victim"))
            await clock.advance(0.01)
            if tick % 100 == 0:
                waits.append(attacked.order[begun:].index("victim"))
    assert max(waits) <= 2
    assert attacked.order.count("attacker") > 1000, "the other namespace is served as well"


@pytest.mark.parametrize("workers", [4, 24])
@pytest.mark.parametrize(
    "error", [None, errors.Unavailable("etcd is full", code=500)], ids=["that end", "that fail for ever"]
)
async def test_a_namespace_whose_every_call_hangs_leaves_workers_to_others(
    workers: int, error: Exception | None
) -> None:
    """Its webhook answers after thirty seconds, its node's kubelet not at all: each reconcile waits."""
    clock = VirtualClock()
    attacked = Attacked(clock, seconds=30, error=error)
    with capture_logs():
        async with running(clock, Controller("c", attacked, []), workers=workers) as group:
            for number in range(500):
                group.enqueue("c", ref(f"a{number}", "attacker"))
            for _ in range(100):
                await clock.advance(5.3)
                done = attacked.order.count("victim")
                group.enqueue("c", ref("b", "victim"))
                await clock.settle()
                assert attacked.order.count("victim") == done + 1, "at once"
    assert attacked.most["attacker"] == workers // 2


async def test_a_namespace_whose_writes_are_slow_has_two_at_work_until_they_are_quick_again() -> None:
    """Whoever keeps a busy API server busier is slowed down; others keep what they may have."""
    clock = VirtualClock()
    pace = Pace(4, clock)
    attacked = Attacked(clock, seconds=30.0)
    for _ in range(20):
        pace.answered("attacker", SLOW_SECONDS + 1)
    async with running(clock, Controller("c", attacked, []), workers=8, pace=pace) as group:
        for number in range(100):
            group.enqueue("c", ref(f"{number}", "attacker"))
        await clock.advance(60)
        assert attacked.most["attacker"] == 2
        for _ in range(100):
            pace.answered("attacker", 0.01)
        await clock.advance(60)
        assert attacked.most["attacker"] == 4
        await clock.advance(30 * 100)
    assert attacked.order.count("attacker") == 100, "it is slowed down, and still served"


async def test_four_namespaces_whose_every_call_hangs_leave_a_worker_to_a_fifth() -> None:
    clock = VirtualClock()
    attacked = Attacked(clock, seconds=30)
    async with running(clock, Controller("c", attacked, []), workers=24) as group:
        for space in range(4):
            for number in range(100):
                group.enqueue("c", ref(f"a{number}", f"attacker{space}"))
        await clock.advance(100)
        group.enqueue("c", ref("b", "victim"))
        await clock.settle()
        assert "victim" in attacked.order


async def test_a_key_whose_cache_is_behind_is_parked() -> None:
    """Not reconciled, not spun on; woken once when the cache has come."""
    clock = VirtualClock()
    script = Scripted(clock, Result())
    parking = Parking()
    parking.behind.add(ref("a"))
    async with running(clock, Controller("c", script, []), applier=parking) as group:
        for _ in range(3):
            group.enqueue("c", ref("a"))
            await clock.advance(10)
        group.enqueue("c", ref("b"))
        await clock.advance(10)
        assert [name for _, name in script.ran] == ["b"]
        assert len(parking.callbacks) == 1
        assert not group.idle
        parking.behind.clear()
        parking.callbacks[0]()
        await clock.advance(10)
        assert [name for _, name in script.ran] == ["b", "a"]


async def test_a_group_can_be_stopped_and_run_again() -> None:
    """Leadership comes and goes; what was interrupted is done by the next run."""
    clock = VirtualClock()
    began: list[str] = []
    ended: list[str] = []

    class Slow:
        async def reconcile(self, ref: ObjectRef) -> Result:
            began.append(ref.name)
            await clock.sleep(10)
            ended.append(ref.name)
            return Result()

    group = ControllerGroup(
        [Controller("c", Slow(), [])], clock=clock, workers=1, applier=Always(), pace=Pace(1, clock)
    )
    group.enqueue("c", ref("a"))
    group.enqueue("c", ref("b"))
    for wait in (5, 100):
        task = asyncio.create_task(group.run())
        await clock.advance(wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert sorted(began) == ["a", "a", "b"]
    assert sorted(ended) == ["a", "b"]


@pytest.mark.parametrize(("seconds", "want"), [(20, ["a"]), (5, [])], ids=["in time", "too slow"])
async def test_draining_lets_what_runs_end(seconds: float, want: list[str]) -> None:
    """Nothing new begins; what does not end in time is cancelled later."""
    clock = VirtualClock()
    ended: list[str] = []

    class Slow:
        async def reconcile(self, ref: ObjectRef) -> Result:
            await clock.sleep(10)
            ended.append(ref.name)
            return Result()

    async with running(clock, Controller("c", Slow(), []), workers=1) as group:
        group.enqueue("c", ref("a"))
        group.enqueue("c", ref("b"))
        await clock.settle()
        await clock.run(group.drain(seconds))
        assert ended == want


async def test_success_ends_the_backoff() -> None:
    """What failed often, long ago, is tried again at once when it fails next."""
    failures = [errors.Unavailable("down")] * 12
    healed = Result(requeue_after_seconds=1000)
    times = await run_times(*failures, healed, errors.Unavailable("again"), Result(), seconds=10_000)
    assert times[-1] - times[-2] < 0.1


async def test_a_key_that_could_not_be_written_without_the_lease_comes_back() -> None:
    """This process may lead again in a moment."""
    assert len(await run_times(errors.NotLeader("lost"), Result(), seconds=60)) == 2


def test_only_its_own_status_does_not_end_the_backoff_of_an_object() -> None:
    """An annotation that asks for another try does, and so does an edit."""
    informer: Informer[Widget] = Informer(FakeClient(), WIDGETS, clock=VirtualClock())
    woken: list[str] = []
    trigger = Trigger(informer, lambda _: [ref()], own=True)
    trigger.connect(lambda _: woken.append("now"), lambda _: woken.append("unless it fails"))
    sink: Any = informer._streams[""]
    sink.changed(make_stored(version="1", spec={}))
    sink.changed(make_stored(version="2", spec={}, status={"phase": "Failed"}))
    sink.changed(make_stored(version="3", spec={}, annotations={"retry": "1"}))
    assert woken == ["now", "unless it fails", "unless it fails", "now", "now"]
    woken.clear()
    edited = make_stored(version="4", spec={"a": 1}, annotations={"retry": "1"})
    sink.changed(structs.replace(edited, metadata=structs.replace(edited.metadata, generation=2)))
    assert woken == ["now", "now"]


async def test_a_trigger_wakes_what_the_old_and_the_new_object_concern() -> None:
    """An object that changed owners; and `when` keeps the rest quiet."""
    clock = VirtualClock()
    client = FakeClient()
    informer: Informer[Widget] = Informer(client, WIDGETS, clock=clock)
    script = Scripted(clock, Result())

    def owner(widget: Widget) -> list[ObjectRef]:
        return [ref(widget.metadata.label("owner") or "nobody")]

    def relabelled(old: Widget | None, new: Widget | None) -> bool:
        return old is None or new is None or old.metadata.labels != new.metadata.labels

    client.put(WIDGETS, make_widget(labels={"owner": "x"}))
    following = asyncio.create_task(informer.run())
    await clock.settle()
    async with running(clock, Controller("c", script, [Trigger(informer, owner, when=relabelled)])):
        await clock.advance(1)
        client.put(WIDGETS, make_widget(labels={"owner": "y"}))
        await clock.advance(1)
        client.put(WIDGETS, make_widget(labels={"owner": "y"}, spec={"a": 1}))
        await clock.advance(1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert [name for _, name in script.ran] == ["x", "x", "y"]
