"""Download slots: at most so many downloads at once across the cluster, shared by its namespaces.

A cache holds a slot while it has an unfinished download that gets somewhere, or a grant whose Job is not in
the cache yet. Nothing is stored: after a restart the Jobs say who holds, and the statuses who waits. Who is
next is decided as for discoveries, by core/template/slots.py; which Jobs count, by core/model_cache/slots.py.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aim_operator.api.external import Job
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import MODEL_CACHES, AIMModelCache
from aim_operator.controllers.dependents import model_cache_owner
from aim_operator.controllers.watched import BY_OWNER
from aim_operator.core.model_cache.slots import DownloadSlot, holds_slot, says_that_it_waits
from aim_operator.core.template.slots import WaitingTemplate, gets_slot, next_templates
from aim_operator.errors import ApiError
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.store import Store

REFUSED_SECONDS = 15.0
"""Before a slot is given again for a Job that the API server refused: a quota, Pod Security, a webhook."""


class _Refused(NamedTuple):
    job_name: str
    error: ApiError
    until: float


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
        self._limit, self._clock, self._wake = limit, clock, wake
        self._waiting: dict[str, list[WaitingTemplate]] = {}
        self._places: dict[ObjectRef, WaitingTemplate] = {}
        self._granted: dict[ObjectRef, str] = {}
        """The name of the Job that a cache may create."""
        self._holding: dict[ObjectRef, set[str]] = {}
        """The names of a cache's Jobs that count; all of them together hold one slot."""
        self._refused: dict[ObjectRef, _Refused] = {}
        self._held: Counter[str] = Counter()
        """Slots in use by namespace: `_granted` and `_holding` counted."""

    def request(self, ref: ObjectRef, cache: AIMModelCache, job_name: str) -> DownloadSlot:
        """Ask for a slot for this cache's Job; asking again while waiting keeps the place.

        Raises the ApiError that refused this very Job less than REFUSED_SECONDS ago. Two caches that are
        refused would hand the slot to each other for ever, each by the change of its own status.
        """
        refused = self._refused.get(ref)
        if refused is not None and refused.job_name == job_name and self._clock.monotonic() < refused.until:
            refused.error.known_for_seconds = refused.until - self._clock.monotonic()
            raise refused.error.with_traceback(None)
        if ref in self._granted:
            self._granted[ref] = job_name
            return DownloadSlot(granted=True, limit=self._limit)
        self._wait(ref, cache)
        if not gets_slot(self._places[ref], self._waiting, self._held, self._limit):
            ahead = bisect_left(self._waiting[ref.namespace], self._places[ref])
            return DownloadSlot(granted=False, limit=self._limit, ahead=ahead)
        self._leave(ref)
        self._held[ref.namespace] += 1
        self._granted[ref] = job_name
        return DownloadSlot(granted=True, limit=self._limit)

    def ungrant(self, ref: ObjectRef, error: ApiError | None = None) -> None:
        """Give up a grant, if there is one: no Job came of it this time, because of `error` if given."""
        job_name = self._granted.get(ref)
        if job_name is None:
            return
        if error is not None:
            self._refused[ref] = _Refused(job_name, error, self._clock.monotonic() + REFUSED_SECONDS)
        self._ungrant(ref)
        self._wake_next()

    def withdraw(self, ref: ObjectRef) -> None:
        """Give up a grant or a place in the queue: the cache needs no Job (now)."""
        self._refused.pop(ref, None)
        waited, held = self._leave(ref), self._ungrant(ref)
        if waited or held:
            self._wake_next()

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
            self._wait(ref, new)
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
        return [(("running",), float(self._held.total())), (("waiting",), float(len(self._places)))]

    # Who waits

    def _wait(self, ref: ObjectRef, cache: AIMModelCache) -> None:
        metadata = cache.metadata
        own = WaitingTemplate(metadata.creation_timestamp or "", metadata.name, metadata.namespace)
        if self._places.get(ref) == own:
            return
        self._leave(ref)
        self._places[ref] = own
        insort(self._waiting.setdefault(ref.namespace, []), own)

    def _leave(self, ref: ObjectRef) -> bool:
        own = self._places.pop(ref, None)
        if own is None:
            return False
        beside = self._waiting[ref.namespace]
        place = bisect_left(beside, own)
        del beside[place]
        for behind in beside[place:]:
            # They say how many are before them.
            self._wake(ObjectRef(MODEL_CACHES.kind, behind.namespace, behind.name))
        if not beside:
            del self._waiting[ref.namespace]
        return True

    def _wake_next(self) -> None:
        free = max(0, self._limit - self._held.total())
        for each in next_templates(self._waiting, self._held, free):
            self._wake(ObjectRef(MODEL_CACHES.kind, each.namespace, each.name))

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
        if self._granted.get(ref) == name:
            self._ungrant(ref)
        if ref not in self._holding:
            self._holding[ref] = set()
            self._held[ref.namespace] += 1
        self._holding[ref].add(name)

    def _release(self, ref: ObjectRef, name: str) -> None:
        names = self._holding.get(ref, set())
        if name not in names:
            return
        names.discard(name)
        if not names:
            del self._holding[ref]
            self._free_one(ref)
            self._wake_next()

    def _ungrant(self, ref: ObjectRef) -> bool:
        if self._granted.pop(ref, None) is None:
            return False
        self._free_one(ref)
        return True

    def _free_one(self, ref: ObjectRef) -> None:
        self._held[ref.namespace] -= 1
        if not self._held[ref.namespace]:
            del self._held[ref.namespace]


def _caches_of(job: Job | None) -> Iterator[ObjectRef]:
    if job is not None:
        yield from model_cache_owner(job)
