"""Download slots: at most so many downloads at once across the cluster, shared by its namespaces.

A cache holds a slot while it has an unfinished download that gets somewhere, or a grant whose Job is not in
the cache yet. Nothing is stored: after a restart the Jobs say who holds, and the statuses who waits. Who is
next is decided as for discoveries, by core/template/slots.py; which Jobs count, by core/model_cache/slots.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aim_operator.api.external import Job
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import MODEL_CACHES, AIMModelCache
from aim_operator.controllers.dependents import model_cache_owner
from aim_operator.controllers.index import BY_OWNER
from aim_operator.controllers.slot_table import SlotTable
from aim_operator.core.model_cache.slots import DownloadSlot, holds_slot, says_that_it_waits
from aim_operator.core.template.slots import WaitingTemplate
from aim_operator.errors import ApiError
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.store import Store


class DownloadSlots:
    """Who waits and who holds. Single-threaded, like the event loop."""

    def __init__(
        self,
        jobs: Store[Job],
        caches: Store[AIMModelCache],
        *,
        limit: int,
        clock: Clock,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._jobs, self._caches = jobs, caches
        self._limit = limit

        def wake_cache(each: WaitingTemplate) -> None:
            wake(ObjectRef(MODEL_CACHES.kind, each.namespace, each.name))

        # Who waits says how many are before it.
        self._table = SlotTable(limit=limit, clock=clock, wake=wake_cache, moved=wake_cache)
        self._holding: dict[ObjectRef, set[str]] = {}
        """The names of a cache's Jobs that count; all of them together hold one slot."""

    def request(self, ref: ObjectRef, cache: AIMModelCache, job_name: str) -> DownloadSlot:
        """Ask for a slot for this cache's Job. Raises the ApiError that refused it just now: SlotTable."""
        if self._table.request(ref, _place(cache), job_name):
            return DownloadSlot(granted=True, limit=self._limit)
        return DownloadSlot(granted=False, limit=self._limit, ahead=self._table.ahead(ref))

    def ungrant(self, ref: ObjectRef, error: ApiError | None = None) -> None:
        """Give up a grant, if there is one: no Job came of it this time, because of `error` if given."""
        self._table.ungrant(ref, error)

    def withdraw(self, ref: ObjectRef) -> None:
        """Give up a grant or a place in the queue: the cache needs no Job (now)."""
        self._table.withdraw(ref)

    # Informer handlers

    def cache_changed(self, old: AIMModelCache | None, new: AIMModelCache | None) -> None:
        """Follow the caches: an informer handler.

        One whose status says that it waits has its place before its first reconcile. Otherwise the slots
        would go, after a start, to whoever is reconciled first.
        """
        cache = new or old
        if cache is None:
            return
        ref = MODEL_CACHES.ref(cache)
        if old is None and new is not None and says_that_it_waits(new):
            self._table.wait(ref, _place(new))
        if new is None:
            self.withdraw(ref)
        names = set(self._holding.get(ref, ()))
        if new is not None and (old is None or old.status != new.status):
            # Jobs may have come before their cache, after a start; and may get somewhere again.
            names |= {job.metadata.name for job in self._jobs.by_index(BY_OWNER, new.metadata.uid)}
        for name in names:
            self._count(ref, name)

    def job_changed(self, old: Job | None, new: Job | None) -> None:
        """Follow the Jobs: an informer handler."""
        for job in (old, new):
            for ref in _caches_of(job):
                if job is not None:
                    self._count(ref, job.metadata.name)

    # Metrics

    def samples(self) -> list[tuple[tuple[str, ...], float]]:
        """Return how many downloads run and wait: for a gauge labelled `state`."""
        return self._table.samples()

    # Who holds

    def _count(self, ref: ObjectRef, name: str) -> None:
        """Have the Job of that name hold the cache's slot, or no longer, as the caches have it now."""
        cache, job = self._caches.get(ref.namespace, ref.name), self._jobs.get(ref.namespace, name)
        if cache is not None and job is not None and holds_slot(cache, job):
            self._hold(ref, name)
        else:
            self._release(ref, name)

    def _hold(self, ref: ObjectRef, name: str) -> None:
        if name in self._holding.get(ref, ()):
            return
        self._table.arrived(ref, name)
        if ref not in self._holding:
            self._holding[ref] = set()
            self._table.hold(ref)
        self._holding[ref].add(name)

    def _release(self, ref: ObjectRef, name: str) -> None:
        names = self._holding.get(ref, set())
        if name not in names:
            return
        names.discard(name)
        if not names:
            del self._holding[ref]
            self._table.release(ref)


def _place(cache: AIMModelCache) -> WaitingTemplate:
    metadata = cache.metadata
    return WaitingTemplate(metadata.creation_timestamp or "", metadata.name, metadata.namespace)


def _caches_of(job: Job | None) -> Iterator[ObjectRef]:
    if job is not None:
        yield from model_cache_owner(job)
