"""Discovery slots: at most so many discovery Jobs at once across the cluster, oldest template first.

A slot is held by an unfinished Job, or by a grant whose Job is not in the cache yet. Nothing is
stored: after a restart the Jobs themselves say who holds what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import UNSET

from aim_operator.api.external import Job
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, TEMPLATES
from aim_operator.core.catalog import Template
from aim_operator.core.pods import finished
from aim_operator.core.template.observed import Slot
from aim_operator.runtime.store import Store

Rank = tuple[str, str, str]


class DiscoverySlots:
    """Grants slots in the order of creationTimestamp, then name. Single-threaded, like the event loop."""

    def __init__(self, jobs: Store[Job], *, limit: int, wake: Callable[[ObjectRef], None]) -> None:
        self._jobs = jobs
        self._limit = limit
        self._wake = wake
        self._granted: dict[ObjectRef, str] = {}  # template → name of the Job that it may create
        self._waiting: dict[ObjectRef, Rank] = {}
        self._active: set[tuple[str, str]] = set()

    def template_changed(self, old: Template | None, new: Template | None) -> None:
        """Give a template that was never looked at its place before its first reconcile.

        Otherwise the slots would go, after a start, to whoever is reconciled first, not to the oldest.
        An informer handler.
        """
        if old is None and new is not None and new.status is UNSET:
            ref = (TEMPLATES if new.metadata.namespace else CLUSTER_TEMPLATES).ref(new)
            self._waiting[ref] = _rank(ref, new)

    def request(self, ref: ObjectRef, template: KubeObject, job_name: str, namespace: str) -> Slot:
        """Ask for a slot for this template's Job; asking again while waiting keeps the place."""
        if self._granted.get(ref) == job_name and (namespace, job_name) not in self._active:
            return Slot(granted=True, limit=self._limit)
        self._waiting[ref] = _rank(ref, template)
        order = sorted(self._waiting, key=self._waiting.__getitem__)
        ahead = order.index(ref)
        if ahead >= self._free():
            return Slot(granted=False, ahead=ahead, limit=self._limit)
        del self._waiting[ref]
        self._granted[ref] = job_name
        return Slot(granted=True, limit=self._limit)

    def withdraw(self, ref: ObjectRef) -> None:
        """Give up a grant or a place in the queue: the template needs no Job (now)."""
        held = self._granted.pop(ref, None)
        waited = self._waiting.pop(ref, None)
        if held is not None or waited is not None:
            self._wake_next()

    def job_changed(self, old: Job | None, new: Job | None) -> None:
        """Follow the Jobs: an informer handler."""
        job = new or old
        if job is None:
            return
        key = (job.metadata.namespace, job.metadata.name)
        if new is not None and not finished(new):
            self._active.add(key)
            for ref in [ref for ref, name in self._granted.items() if name == key[1]]:
                del self._granted[ref]
        elif key in self._active:
            self._active.discard(key)
            self._wake_next()

    def samples(self) -> list[tuple[tuple[str, ...], float]]:
        """Return how many discoveries run and wait: for a gauge labelled `state`."""
        running = len(self._active) + len(self._granted)
        return [(("running",), float(running)), (("waiting",), float(len(self._waiting)))]

    def _free(self) -> int:
        return max(0, self._limit - len(self._active) - len(self._granted))

    def _wake_next(self) -> None:
        for ref in self._next():
            self._wake(ref)

    def _next(self) -> Iterator[ObjectRef]:
        yield from sorted(self._waiting, key=self._waiting.__getitem__)[: self._free()]


def _rank(ref: ObjectRef, template: KubeObject) -> Rank:
    return (template.metadata.creation_timestamp or "", ref.name, ref.namespace)
