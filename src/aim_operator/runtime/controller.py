"""Keys in, reconciles out: what becomes of each outcome, and how many run at once.

A reconciler is level-triggered by type: it learns which object, never why. Owns error policy, fairness
between controllers and namespaces, and that no key is reconciled on a cache older than its own writes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import structlog
from msgspec import Struct

from aim_operator.api.meta import ObjectRef
from aim_operator.errors import (
    AimError,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotInstalled,
    NotLeader,
    TooManyRequests,
    Unauthorized,
    Unavailable,
)
from aim_operator.runtime.clock import Clock, within
from aim_operator.runtime.fair import may_have_more
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.pace import Pace
from aim_operator.runtime.tracing import Tracer
from aim_operator.runtime.triggers import Trigger
from aim_operator.runtime.workqueue import WorkQueue

log = structlog.get_logger("aim_operator.controller")

DENIED_SECONDS = 30.0
"""Before what RBAC, a webhook or a schema refuses is tried again: people fix it, in minutes."""
MISSING_KIND_SECONDS = 30.0
"""The fallback only: a kind that gets installed wakes its dependents."""


class Result(Struct, frozen=True, kw_only=True):
    """Reconcile again after so many seconds, or (None) when something changes."""

    requeue_after_seconds: float | None = None


class Reconciler(Protocol):
    async def reconcile(self, ref: ObjectRef) -> Result:
        """Make one object as it should be. Idempotent; may be cancelled at any await."""
        ...


class Freshness(Protocol):
    """Who knows whether the caches have seen our own writes: runtime.apply.Applier."""

    def caught_up(self, key: ObjectRef) -> bool: ...

    def on_caught_up(self, key: ObjectRef, callback: Callable[[], None]) -> None: ...


class Controller:
    """A reconciler, its name in logs and metrics, and what wakes it. Run by a ControllerGroup."""

    def __init__(self, name: str, reconciler: Reconciler, triggers: Sequence[Trigger[Any]]) -> None:
        self.name = name
        self.reconciler = reconciler
        self.triggers = tuple(triggers)


class ControllerGroup:
    """All controllers of a process. At most `workers` reconciles run at once, round-robin between them.

    One namespace may have as many of them at work as are left for others: half of all, if it is alone. So
    there is one left for whoever comes, also while each reconcile of that one waits for a timeout. And as
    many as `pace` allows it, which is fewer while the API server answers its writes slowly.

    Keys are collected from construction on, so that a standby that becomes leader has them.
    """

    def __init__(
        self,
        controllers: Sequence[Controller],
        *,
        clock: Clock,
        workers: int,
        applier: Freshness,
        pace: Pace,
        metrics: MetricSink | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._clock = clock
        self._limit = workers
        self._freshness = applier
        self._pace = pace
        self._wake = asyncio.Event()
        self._running: dict[asyncio.Task[None], str] = {}
        """Reconciles at work, and the namespace of each."""
        self._at_work: Counter[str] = Counter()
        """Counted by namespace."""
        self._draining = False
        metrics = metrics or MetricSink()
        tracer = tracer or Tracer()
        self._lanes = [
            _Lane(c, clock, applier, metrics, tracer, on_ready=self._wake.set) for c in controllers
        ]
        self._by_name = {lane.name: lane for lane in self._lanes}
        self._turn = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits, is parked, or runs. What was put off for later does not count."""
        return not self._running and all(lane.idle for lane in self._lanes)

    @property
    def saturated(self) -> bool:
        """Whether keys wait for a worker."""
        return any(len(lane.queue) for lane in self._lanes)

    def enqueue(self, controller: str, ref: ObjectRef) -> None:
        """Enqueue `ref` for the controller of that name."""
        self._by_name[controller].queue.add(ref)

    async def run(self) -> None:
        """Work until cancelled; running reconciles are cancelled with it. May be run again."""
        self._draining = False
        self._wake.set()
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._dispatch()
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Begin nothing new, and wait for what runs, for `seconds` at most."""
        self._draining = True
        running = list(self._running)
        if not running:
            return
        try:
            await within(self._clock, seconds, _all(running))
        except TimeoutError:
            log.info("reconciles did not end in time", running=len(self._running))

    def _dispatch(self) -> None:
        while len(self._running) < self._limit and not self._draining:
            work = self._next()
            if work is None:
                return
            lane, ref, waited = work
            task = asyncio.create_task(lane.reconcile(ref, waited), name=f"{lane.name} {ref}")
            self._running[task] = ref.namespace
            self._at_work[ref.namespace] += 1
            task.add_done_callback(self._ended)

    def _next(self) -> tuple[_Lane, ObjectRef, float] | None:
        """Return the next key and how long it waited, asking the controllers in turn."""
        for _ in self._lanes:
            lane = self._lanes[self._turn]
            self._turn = (self._turn + 1) % len(self._lanes)
            taken = lane.take(self._may_begin)
            if taken is not None:
                return lane, *taken
        return None

    def _may_begin(self, namespace: str) -> bool:
        at_work = self._at_work[namespace]
        # One that waits for its pace has something at work, whose end has it asked again.
        return self._pace.allows(namespace, at_work) and may_have_more(
            at_work, self._limit - len(self._running)
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        namespace = self._running.pop(task)
        self._at_work[namespace] -= 1
        if not self._at_work[namespace]:
            del self._at_work[namespace]
        self._wake.set()


async def _all(tasks: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)


class _Lane:
    """One controller at work: its queue, the keys it parked, what it complained of."""

    def __init__(
        self,
        controller: Controller,
        clock: Clock,
        freshness: Freshness,
        metrics: MetricSink,
        tracer: Tracer,
        *,
        on_ready: Callable[[], None],
    ) -> None:
        self.name = controller.name
        self.queue = WorkQueue(clock, on_ready=on_ready)
        self._reconciler = controller.reconciler
        self._clock = clock
        self._freshness = freshness
        self._metrics = metrics
        self._tracer = tracer
        self._parked: set[ObjectRef] = set()
        self._complaints: dict[ObjectRef, str] = {}
        """What was last logged about a key: a retry that fails alike says nothing new."""
        self._log = log.bind(controller=self.name)
        metrics.queue(self.name, lambda: len(self.queue), lambda: self.queue.age_seconds)
        for trigger in controller.triggers:
            trigger.connect(self.queue.add, self.queue.add_unless_failing)

    @property
    def idle(self) -> bool:
        return self.queue.idle and not self._parked

    def take(self, may: Callable[[str], bool]) -> tuple[ObjectRef, float] | None:
        """Return the next key of a namespace that `may`, and how long it waited.

        Those whose caches are not fresh are parked.
        """
        while (taken := self.queue.take(may)) is not None:
            ref, waited = taken
            if self._freshness.caught_up(ref):
                self._metrics.waited(self.name, waited)
                return taken
            self.queue.done(ref)
            if ref not in self._parked:
                self._parked.add(ref)
                self._freshness.on_caught_up(ref, partial(self._unpark, ref))
        return None

    async def reconcile(self, ref: ObjectRef, waited_seconds: float) -> None:
        start = self._clock.monotonic()
        outcome = "cancelled"
        trace = self._tracer.begin(self.name, ref, waited_seconds)
        try:
            outcome = await self._outcome(ref)
        finally:
            trace.end(outcome)
            self._metrics.reconciled(self.name, outcome, self._clock.monotonic() - start, trace.exemplar)
            if outcome == "cancelled":
                # Not done: the next leader, here or elsewhere, must do it.
                self.queue.add(ref)
            self.queue.done(ref)

    async def _outcome(self, ref: ObjectRef) -> str:
        """Reconcile, and see to what follows. Returns how it went, for the metrics."""
        try:
            result = await self._reconciler.reconcile(ref)
        except TooManyRequests as error:
            self._retry(ref, error, at_least_seconds=error.retry_after_seconds)
            return "throttled"
        except NotInstalled as error:
            self._retry(ref, error, at_least_seconds=MISSING_KIND_SECONDS)
            return "not_installed"
        except (Conflict, NotFound) as error:
            # The cache was behind: what it says will have changed in a moment.
            self._retry(ref, error)
            return "conflict"
        except Unavailable as error:
            self._retry(ref, error)
            return "unavailable"
        except Invalid as error:
            self._refused(ref, error)
            return "invalid"
        except (Forbidden, Unauthorized) as error:
            self.queue.add_rate_limited(ref, at_least_seconds=DENIED_SECONDS)
            self._complain(ref, self._log.warning, "not allowed, trying again later", error)
            return "forbidden"
        except NotLeader:
            self.queue.add_rate_limited(ref)
            return "not_leader"
        except AimError as error:
            self._retry(ref, error)
            return "error"
        except Exception as error:  # noqa: BLE001 - a bug in one kind must not stop the others
            self._tracer.failed(f"{type(error).__name__}: {error}")
            self._log.exception("reconcile failed", key=str(ref))
            self.queue.add_rate_limited(ref)
            return "error"
        self.queue.forget(ref)
        self._complaints.pop(ref, None)
        if result.requeue_after_seconds is not None:
            self.queue.add_after(ref, result.requeue_after_seconds)
            return "requeued"
        return "ok"

    def _refused(self, ref: ObjectRef, error: Invalid) -> None:
        """Try again slowly: no watch reports when a webhook, a policy or a CRD of another version was fixed.

        They refuse a status, too, which would stay wrong until its object changes or the operator restarts.
        """
        self.queue.add_rate_limited(ref, at_least_seconds=DENIED_SECONDS)
        say = self._log.error if error.wrote == ref else self._log.warning
        self._complain(ref, say, "refused by the API server, trying again later", error)

    def _retry(self, ref: ObjectRef, error: AimError, *, at_least_seconds: float = 0.0) -> None:
        # An error that is only remembered says nothing new until it is forgotten: not a failure each time.
        known = error.known_for_seconds if isinstance(error, ApiError) else 0.0
        self.queue.add_rate_limited(ref, at_least_seconds=max(known, at_least_seconds))
        self._complain(ref, self._log.info, "trying again", error)

    def _complain(self, ref: ObjectRef, say: Callable[..., Any], event: str, error: AimError) -> None:
        text = f"{type(error).__name__}: {error}"
        self._tracer.failed(text)
        if self._complaints.get(ref) != text:
            self._complaints[ref] = text
            say(event, key=str(ref), error=text)

    def _unpark(self, ref: ObjectRef) -> None:
        self._parked.discard(ref)
        self.queue.add(ref)
