"""One pipeline for all kinds: gather, decide, apply, report. The only way from a key to a write.

    gone or deleting → forget          paused → say so
    gather (reads) → decide (pure) → apply children and removals → report (pure) → status → events → raise

A status is written also when a child could not be: its outcome is data that the report reads. Only then is
the worst error raised, so that the key comes back with backoff. A kind is a `Kind`: see controllers/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.plan import Child, EventNote, Outcome, Outcomes, OutcomeType, Plan, Report, Undeleted
from aim_operator.api.resource import Resource
from aim_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotInstalled,
    TooManyRequests,
    Unavailable,
)
from aim_operator.runtime.apply import Applier
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result
from aim_operator.runtime.events import EventRecorder
from aim_operator.runtime.foreign import ForeignWatches, Name
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.ownership import Ownership, ownership
from aim_operator.runtime.tracing import Tracer
from aim_operator.runtime.unanswered import UnansweredStatuses

K = TypeVar("K", bound=KubeObject)
O = TypeVar("O")  # noqa: E741 - what a kind Observes

_SOONEST_FIRST: tuple[type[ApiError], ...] = (Conflict, TooManyRequests, Unavailable, NotInstalled, Forbidden)
"""Which of several errors decides when the key comes back: the one that is retried first."""

_REFUSALS = (Invalid, Forbidden, NotFound)
"""What a person has to do something about. NotFound: its namespace does not exist."""


class Kind(Protocol[K, O]):
    """What a controller says about its kind. `get`, `gather` and `forget` may read stores, never write."""

    def get(self, ref: ObjectRef) -> tuple[Resource[K], K] | None:
        """Return the object, or None where it is gone or not for this instance to reconcile."""
        ...

    async def gather(self, ref: ObjectRef, obj: K, now: datetime) -> O:
        """Read everything that the decision needs. What can't be read is part of what is observed."""
        ...

    def decide(self, observed: O, now: datetime) -> Plan[Any]:
        """Return what to write and how to say it. Pure."""
        ...

    def paused(self, obj: K, now: datetime) -> Report[Any] | None:
        """Return what a paused object says, None for one that is not paused. Pure."""
        ...

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        """Follow up in memory on what was planned and what came of it: release what was reserved."""
        ...

    def forget(self, ref: ObjectRef) -> None:
        """Drop what is held in memory for an object that is gone, going or paused."""
        ...


class Writer:
    """What all reconcilers write with. `informers` show what is there already, by resource."""

    def __init__(
        self,
        applier: Applier,
        recorder: EventRecorder,
        foreign: ForeignWatches,
        informers: Sequence[Informer[Any]],
        *,
        applied_annotation: str,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._applier, self._recorder, self._foreign = applier, recorder, foreign
        self._stores = {informer.resource.qualified: informer.store for informer in informers}
        self._stores_by_kind = {informer.resource.kind: informer.store for informer in informers}
        self._applied_annotation = applied_annotation
        self._wake = wake
        self._unanswered = UnansweredStatuses()

    async def apply_plan(self, key: ObjectRef, plan: Plan[Any]) -> Outcomes:
        """Write children (those that come after others last) and removals.

        A child may come after one that itself comes after another, if the plan has them in that order.
        Raises nothing that RBAC, a webhook, a quota or the network can cause: that is in what it returns.
        """
        taken: set[Name] = set()
        first = [child for child in plan.children if not child.after]
        outcomes = await _gathered([self._child(key, child, taken) for child in first])
        there = {o.child.kind for o in outcomes if o.object is not None}
        for child in (child for child in plan.children if child.after):
            if child.after in there:
                outcome = await self._child(key, child, taken)
                there |= {child.kind} if outcome.object is not None else set()
            else:
                outcome = Outcome(child=child, type=OutcomeType.SKIPPED, object=self._live(child))
            outcomes.append(outcome)
        self._foreign.keep(key, taken)
        undeleted = []
        for removal in plan.removals:
            try:
                await self._applier.delete(
                    key, removal.resource, removal.live, resource_version=removal.unchanged
                )
            except ApiError as error:
                undeleted.append(Undeleted(removal=removal, error=error))
        return Outcomes(tuple(outcomes), tuple(undeleted))

    async def report(self, key: ObjectRef, resource: Resource[K], obj: K, report: Report[Any]) -> None:
        """Write the status if it changed, and record the events of the transition that this write makes."""
        self._record(resource, obj, report.write_events)
        self._record(resource, obj, self._unanswered.found(key, obj))
        try:
            written = await self._applier.patch_status(key, resource, obj, report.status)
        except ApiError as error:
            self._unanswered.failed(key, obj, report, error)
            raise
        if written:
            # On the version that those without an answer were for: none of them took effect.
            self._unanswered.forget(key)
            self._record(resource, obj, report.events)

    def _record(self, resource: Resource[Any], obj: KubeObject, notes: Sequence[EventNote]) -> None:
        for note in notes:
            self._recorder.record(resource, obj.metadata, note.type, note.reason, note.message, note.action)

    def forget(self, key: ObjectRef) -> None:
        """Stop watching names for an object that is gone, going or paused: nobody waits for them."""
        self._foreign.keep(key, set())
        self._unanswered.forget(key)

    def is_undecodable(self, ref: ObjectRef) -> bool:
        """Whether an object is there whose present state does not fit its type."""
        store = self._stores_by_kind.get(ref.kind)
        return store is not None and store.is_undecodable(ref.namespace, ref.name)

    def _live(self, child: Child) -> KubeObject | None:
        """Return the object of a child's name as the cache has it."""
        obj: KubeObject | None = self._stores[child.resource.qualified].get(child.namespace, child.name)
        return obj

    async def _child(self, key: ObjectRef, child: Child, taken: set[Name]) -> Outcome:
        try:
            return await self._apply(key, child, self._live(child), taken)
        except ApiError as error:
            if child.disposable and isinstance(error, Invalid):
                return await self._dispose(key, child, error)
            refused = isinstance(error, _REFUSALS) and not isinstance(error, NotInstalled)
            live = self._live(child)
            ours = live is not None and self._ownership(live, child) is Ownership.OURS
            return Outcome(
                child=child,
                type=OutcomeType.REFUSED if refused else OutcomeType.FAILED,
                object=live if ours else None,
                message=str(error),
                error=error,
            )

    async def _apply(
        self, key: ObjectRef, child: Child, live: KubeObject | None, taken: set[Name]
    ) -> Outcome:
        """Apply one child, unless its name is taken.

        Caches show objects with our labels only: that a name is taken by another shows when creating fails,
        and from then on by a watch of that one name.
        """
        if child.disposable:
            return await self._let_go(key, child, live)
        name = Name(child.resource, child.namespace, child.name)
        if live is None and self._foreign.watches(key, name):
            live = await self._applier.probe(child.resource, child.namespace, child.name)
        if live is None:
            try:
                applied = await self._applier.apply(key, child.resource, child.manifest, live=None)
            except AlreadyExists:
                live = await self._applier.probe(child.resource, child.namespace, child.name)
                if live is None:
                    raise
            else:
                return _applied(
                    child, applied.action, applied.object, applied.retry_after_seconds, applied.message
                )
        match self._ownership(live, child):
            case Ownership.GOING_AWAY:
                return self._waiting(key, child, OutcomeType.GOING_AWAY, name, taken)
            case Ownership.FOREIGN:
                return self._waiting(key, child, OutcomeType.FOREIGN, name, taken)
            case Ownership.OURS:
                applied = await self._applier.apply(key, child.resource, child.manifest, live=live)
                return _applied(
                    child, applied.action, applied.object, applied.retry_after_seconds, applied.message
                )

    async def _let_go(self, key: ObjectRef, child: Child, live: KubeObject | None) -> Outcome:
        """Write the few fields of a child that is done with; nothing where it is gone, or not ours."""
        if live is None or self._ownership(live, child) is not Ownership.OURS:
            return Outcome(child=child, type=OutcomeType.UNCHANGED)
        amended = await self._applier.amend(key, child.resource, child.manifest, live=live)
        return _applied(child, amended.action, amended.object, amended.retry_after_seconds, amended.message)

    async def _dispose(self, key: ObjectRef, child: Child, error: ApiError) -> Outcome:
        """Delete a child that can't be changed and is not needed any more."""
        live = self._live(child)
        try:
            if live is not None and self._ownership(live, child) is Ownership.OURS:
                await self._applier.delete(key, child.resource, live)
        except ApiError as failure:
            error = failure
        else:
            return Outcome(child=child, type=OutcomeType.UNCHANGED)
        return Outcome(child=child, type=OutcomeType.FAILED, object=live, message=str(error), error=error)

    def _waiting(
        self, key: ObjectRef, child: Child, type_: OutcomeType, name: Name, taken: set[Name]
    ) -> Outcome:
        taken.add(name)
        self._foreign.ensure(key, name, lambda: self._wake(key))
        return Outcome(child=child, type=type_)

    def _ownership(self, live: KubeObject, child: Child) -> Ownership:
        return ownership(live, child.manifest, self._applied_annotation)


class KindReconciler(Generic[K, O]):
    """The pipeline for one kind; a runtime.controller.Reconciler."""

    def __init__(self, kind: Kind[K, O], writer: Writer, clock: Clock, tracer: Tracer | None = None) -> None:
        self._kind, self._writer, self._clock = kind, writer, clock
        self._tracer = tracer or Tracer()

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Apply what one object's inputs ask for, and write its status."""
        current = self._kind.get(ref)
        if current is None and self._writer.is_undecodable(ref):
            # It is there: what is held for it stays, until a version of it can be decoded and wakes the key.
            return Result()
        if current is None or current[1].metadata.deletion_timestamp is not None:
            self._kind.forget(ref)
            self._writer.forget(ref)
            return Result()
        resource, obj = current
        self._tracer.found(obj.metadata.generation)
        # One moment for all: a retry must not be early for its slot and due for the decision.
        now = self._clock.now()
        if (report := self._kind.paused(obj, now)) is not None:
            self._kind.forget(ref)
            self._writer.forget(ref)
            await self._writer.report(ref, resource, obj, report)
            return Result()
        observed = await self._kind.gather(ref, obj, now)
        plan = self._kind.decide(observed, now)
        outcomes = await self._writer.apply_plan(ref, plan)
        self._kind.settle(ref, plan, outcomes)
        # What was found now was decided without: it is seen in a moment, and wakes the key.
        if plan.report is not None and not outcomes.found:
            await self._writer.report(ref, resource, obj, plan.report(outcomes))
        unread = (plan.unread,) if plan.unread is not None else ()
        if failures := [*outcomes.errors, *unread]:
            raise min(failures, key=_urgency)
        held = [o.retry_after_seconds for o in outcomes if o.retry_after_seconds is not None]
        due = [plan.requeue_after_seconds] if plan.requeue_after_seconds is not None else []
        return Result(requeue_after_seconds=min([*held, *due], default=None))


def _urgency(error: ApiError) -> int:
    return next(
        (place for place, type_ in enumerate(_SOONEST_FIRST) if isinstance(error, type_)), len(_SOONEST_FIRST)
    )


def _applied(
    child: Child, action: str, obj: KubeObject | None, retry_after_seconds: float | None, message: str
) -> Outcome:
    held = retry_after_seconds is not None
    return Outcome(
        child=child,
        type=OutcomeType.HELD if held else OutcomeType(action),
        object=obj,
        message=message,
        retry_after_seconds=retry_after_seconds,
    )


async def _gathered(applying: Sequence[Any]) -> list[Outcome]:
    """Return the outcomes of all. One alone, as mostly, needs no task of its own."""
    if len(applying) == 1:
        return [await applying[0]]
    return list(await asyncio.gather(*applying))
