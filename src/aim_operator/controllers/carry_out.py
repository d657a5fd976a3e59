"""Carries a plan out: children, removals, the one status write, events. The same for every kind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeGuard, TypeVar

from msgspec import Struct

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.core.plan import Child, EventNote, Plan
from aim_operator.errors import AlreadyExists, ApiError, Forbidden, Invalid, NotFound, NotInstalled
from aim_operator.runtime.apply import Applier, ApplyOutcome
from aim_operator.runtime.controller import Result
from aim_operator.runtime.events import EventRecorder
from aim_operator.runtime.foreign import ForeignWatches
from aim_operator.runtime.informer import Informer

T = TypeVar("T")


class Refusal(Struct, frozen=True, kw_only=True):
    """A child that the API server would not take."""

    child: Child
    error: ApiError


class CarryOut:
    """What the reconcilers share. `informers` are keyed by resource."""

    def __init__(
        self,
        applier: Applier,
        recorder: EventRecorder,
        foreign: ForeignWatches,
        informers: Sequence[Informer[Any]],
    ) -> None:
        self._applier = applier
        self._recorder = recorder
        self._foreign = foreign
        self._stores = {informer.resource.qualified: informer.store for informer in informers}
        self._suspected: dict[ObjectRef, set[tuple[str, str, str]]] = {}
        """Names that turned out to be taken: kind, namespace, name."""

    def live(self, child: Child) -> KubeObject | None:
        """Return the object of a child's name as the cache has it."""
        metadata = child.manifest["metadata"]
        found: KubeObject | None = self._stores[child.resource.qualified].get(
            metadata.get("namespace", ""), metadata["name"]
        )
        return found

    async def foreign_names(
        self, key: ObjectRef, children: Sequence[Child], *, wake: Callable[[], None]
    ) -> frozenset[str]:
        """Return the kinds of those children whose name is taken by an object that is not ours.

        Such a name is watched until it is free; `wake` is called then. Our watches see our labels only:
        creating tells that a name is taken (`children` raises then), and from then on a live GET whose.
        """
        suspected = self._suspected.pop(key, set())
        taken: set[str] = set()
        for child in children:
            kind, name = child.resource.kind, child.manifest["metadata"]["name"]
            namespace = child.manifest["metadata"].get("namespace", "")
            live = self.live(child)
            if live is not None and _ours(live, child):
                continue
            if live is None:
                known = self._foreign.watches(key, child.resource, namespace, name)
                if not known and (kind, namespace, name) not in suspected:
                    continue
                live = await self._applier.probe(child.resource, namespace, name)
            if live is None or _ours(live, child):
                self._foreign.drop(key, child.resource, namespace, name)
            else:
                taken.add(kind)
                self._foreign.ensure(key, child.resource, namespace, name, wake)
        return frozenset(taken)

    def forget(self, key: ObjectRef) -> None:
        """Stop watching names for an object that is gone: nobody waits for them any more."""
        self._foreign.drop_all(key)
        self._suspected.pop(key, None)

    async def children(
        self, key: ObjectRef, children: Sequence[Child]
    ) -> tuple[list[ApplyOutcome[Any]], list[Refusal]]:
        """Apply all children at once, then those that follow them.

        What the server refuses for good is returned, and nothing follows it; the rest is raised, also a
        name that is taken by a stranger, which `foreign_names` will tell next time.
        """
        applied: list[ApplyOutcome[Any]] = []
        refused: list[Refusal] = []
        for follows in (False, True):
            wave = [child for child in children if child.follows is follows]
            outcomes = await _outcomes([self._apply(key, child) for child in wave])
            for child, outcome in zip(wave, outcomes, strict=True):
                if _is_refusal(outcome):
                    refused.append(Refusal(child=child, error=outcome))
                elif isinstance(outcome, BaseException):
                    raise outcome
                else:
                    applied.append(outcome)
            if refused:
                break
        return applied, refused

    async def finish(
        self,
        key: ObjectRef,
        resource: Resource[Any],
        obj: KubeObject,
        plan: Plan[Any],
        applied: Sequence[ApplyOutcome[Any]] = (),
    ) -> Result:
        """Do the rest: removals, then the status if it changed, then its events.

        Come back when the plan wants it, or when a repair that was held back is due.
        """
        for removal in plan.removals:
            await self._applier.delete(
                key, removal.resource, removal.live, resource_version=removal.unchanged
            )
        wrote = plan.status is not None and await self._applier.patch_status(key, resource, obj, plan.status)
        if wrote:
            # Events tell of the transition that this very write made: no write, no event.
            self.tell(resource, obj, plan.events)
        held = [o.retry_after_seconds for o in applied if o.retry_after_seconds is not None]
        due = [plan.requeue_after_seconds] if plan.requeue_after_seconds is not None else []
        return Result(requeue_after_seconds=min([*held, *due], default=None))

    def tell(self, resource: Resource[Any], obj: KubeObject, notes: Sequence[EventNote]) -> None:
        for note in notes:
            self._recorder.record(resource, obj.metadata, note.type, note.reason, note.message, note.action)

    async def _apply(self, key: ObjectRef, child: Child) -> ApplyOutcome[Any]:
        try:
            return await self._applier.apply(key, child.resource, child.manifest, live=self.live(child))
        except AlreadyExists:
            metadata = child.manifest["metadata"]
            namespace, name = metadata.get("namespace", ""), metadata["name"]
            live = await self._applier.probe(child.resource, namespace, name)
            if live is None or not _ours(live, child):
                self._suspected.setdefault(key, set()).add((child.resource.kind, namespace, name))
                raise
            # Ours, which the cache does not show yet: services that derive the same template make it once.
            return await self._applier.apply(key, child.resource, child.manifest, live=live)


async def _outcomes(applying: Sequence[Awaitable[T]]) -> list[T | BaseException]:
    """Gather what all return or raise. One alone, as mostly, needs no task of its own."""
    if len(applying) != 1:
        return await asyncio.gather(*applying, return_exceptions=True)
    try:
        return [await applying[0]]
    except ApiError as error:
        return [error]


def _is_refusal(outcome: object) -> TypeGuard[ApiError]:
    """Whether the server will not take a child, and will not soon: a person has to do something.

    NotFound is what creating an object in a namespace that does not exist gives.
    """
    refusals = (Invalid, Forbidden, NotFound)
    return isinstance(outcome, refusals) and not isinstance(outcome, NotInstalled)


def _ours(live: KubeObject, child: Child) -> bool:
    """Whether an object is the one that we would apply: same controller, or our labels if it has none."""
    wanted = child.manifest["metadata"].get("ownerReferences")
    if wanted:
        controller = live.metadata.controller()
        return controller is not None and controller.uid == wanted[0]["uid"]
    marks = child.manifest["metadata"].get("labels") or {}
    return bool(marks) and all(live.metadata.label(name) == value for name, value in marks.items())
