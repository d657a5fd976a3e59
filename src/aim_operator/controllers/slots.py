"""Discovery slots: at most so many discoveries at once across the cluster, shared by its namespaces.

A template holds a slot while it has an unfinished Job, or a grant whose Job is not in the cache yet. Nothing
is stored: after a restart the Jobs themselves say who holds what. Which template is next, and which Jobs
count, core/template/slots.py decides. Counted as Jobs come and go, not by listing them: a user may have
thousands that look like ours.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from aim_operator.api.external import Job
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, TEMPLATES
from aim_operator.controllers.dependents import template_owner
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import BY_OWNER
from aim_operator.core.catalog import Template
from aim_operator.core.pause import is_paused
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.core.template.observed import Slot
from aim_operator.core.template.slots import (
    WaitingTemplate,
    gets_slot,
    holds_slot,
    next_templates,
    waiting_template,
)
from aim_operator.errors import ApiError
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.store import Store

LONGEST_HOLD_SECONDS = DEADLINE_SECONDS + 60.0
"""After which a Job no longer counts. Its deadline ends it before, unless somebody took that away."""

REFUSED_SECONDS = 15.0
"""Before a slot is given again for a Job that the API server refused: a quota, Pod Security, a webhook."""


class _Refused(NamedTuple):
    job_name: str
    error: ApiError
    until: float


class DiscoverySlots:
    """Who waits and who holds. Single-threaded, like the event loop."""

    def __init__(
        self,
        jobs: Store[Job],
        catalog: StoreCatalog,
        *,
        operator_namespace: str,
        limit: int,
        clock: Clock,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._jobs, self._catalog = jobs, catalog
        self._operator_namespace = operator_namespace
        self._limit = limit
        self._clock = clock
        self._wake = wake
        self._waiting: dict[str, list[WaitingTemplate]] = {}
        self._places: dict[ObjectRef, WaitingTemplate] = {}
        self._granted: dict[ObjectRef, str] = {}
        """The name of the Job that a template may create."""
        self._holding: dict[ObjectRef, dict[str, Timer]] = {}
        """The names of a template's unfinished Jobs; all of them together hold one slot."""
        self._refused: dict[ObjectRef, _Refused] = {}
        self._overdue: set[tuple[ObjectRef, str]] = set()
        self._held: Counter[str] = Counter()
        """Slots in use by namespace: `_granted` and `_holding` counted."""

    def request(self, ref: ObjectRef, template: Template, job_name: str) -> Slot:
        """Ask for a slot for this template's Job; asking again while waiting keeps the place.

        Raises the ApiError that refused this very Job less than REFUSED_SECONDS ago. Two templates that are
        refused would hand the slot to each other for ever, each by the change of its own status.
        """
        refused = self._refused.get(ref)
        if refused is not None and refused.job_name == job_name and self._clock.monotonic() < refused.until:
            refused.error.known_for_seconds = refused.until - self._clock.monotonic()
            raise refused.error.with_traceback(None)
        if ref in self._granted:
            # For whichever Job comes of it: its inputs may have changed before one could be created.
            self._granted[ref] = job_name
            return Slot(granted=True, limit=self._limit)
        self._wait(ref, template)
        if not gets_slot(self._places[ref], self._waiting, self._held, self._limit):
            return Slot(granted=False, limit=self._limit)
        self._leave(ref)
        self._held[ref.namespace] += 1
        self._granted[ref] = job_name
        return Slot(granted=True, limit=self._limit)

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
        """Give up a grant or a place in the queue: the template needs no Job (now)."""
        self._refused.pop(ref, None)
        waited, held = self._leave(ref), self._ungrant(ref)
        if waited or held:
            self._wake_next()

    # Informer handlers

    def template_changed(self, old: Template | None, new: Template | None) -> None:
        """Follow the templates: an informer handler.

        One that was never looked at has its place before its first reconcile. Otherwise the slots would
        go, after a start, to whoever is reconciled first.
        """
        template = new or old
        if template is None:
            return
        ref = (TEMPLATES if template.metadata.namespace else CLUSTER_TEMPLATES).ref(template)
        if old is None and new is not None and new.status is None and _wants_discovery(new):
            self._wait(ref, new)
        if (new is None or not _wants_discovery(new)) and self._leave(ref):
            # A grant stays until its reconcile ends: its Job may be on the way.
            self._wake_next()
        job_names = list(self._holding.get(ref, ()))
        if old is None and new is not None:
            # Jobs may have come before their template, after a start.
            job_names = [job.metadata.name for job in self._jobs.by_index(BY_OWNER, new.metadata.uid)]
        for name in job_names:
            self._count(ref, name)

    def job_changed(self, old: Job | None, new: Job | None) -> None:
        """Follow the Jobs: an informer handler."""
        for job in (old, new):
            for ref in template_owner(job) if job is not None else ():
                # Owner references are not validated across namespaces.
                if job is not None and job.metadata.namespace == self._home(ref):
                    self._count(ref, job.metadata.name)

    # Metrics

    def samples(self) -> list[tuple[tuple[str, ...], float]]:
        """Return how many discoveries run and wait: for a gauge labelled `state`."""
        return [(("running",), float(self._held.total())), (("waiting",), float(len(self._places)))]

    # Who waits

    def _wait(self, ref: ObjectRef, template: Template) -> None:
        own = waiting_template(template)
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
        del beside[bisect_left(beside, own)]
        if not beside:
            del self._waiting[ref.namespace]
        return True

    def _wake_next(self) -> None:
        for each in next_templates(self._waiting, self._held, self._free()):
            kind = TEMPLATES.kind if each.namespace else CLUSTER_TEMPLATES.kind
            self._wake(ObjectRef(kind, each.namespace, each.name))

    # Who holds

    def _free(self) -> int:
        return max(0, self._limit - self._held.total())

    def _home(self, ref: ObjectRef) -> str:
        return ref.namespace or self._operator_namespace

    def _count(self, ref: ObjectRef, name: str) -> None:
        """Have the Job of that name hold the template's slot, or no longer, as the caches have it now."""
        home = self._home(ref)
        template, job = self._catalog.template_at(ref), self._jobs.get(home, name)
        if template is not None and job is not None and holds_slot(template, job, home=home):
            self._hold(ref, name)
        else:
            self._overdue.discard((ref, name))
            self._release(ref, name)

    def _hold(self, ref: ObjectRef, name: str) -> None:
        if name in self._holding.get(ref, ()) or (ref, name) in self._overdue:
            return
        if self._granted.get(ref) == name:
            self._ungrant(ref)
        if ref not in self._holding:
            self._holding[ref] = {}
            self._held[ref.namespace] += 1
        expire = partial(self._expire, ref, name)
        self._holding[ref][name] = self._clock.call_later(LONGEST_HOLD_SECONDS, expire)

    def _expire(self, ref: ObjectRef, name: str) -> None:
        self._overdue.add((ref, name))
        self._release(ref, name)

    def _release(self, ref: ObjectRef, name: str) -> None:
        jobs = self._holding.get(ref, {})
        timer = jobs.pop(name, None)
        if timer is None:
            return
        timer.cancel()
        if not jobs:
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


def _wants_discovery(template: Template) -> bool:
    """Whether a template is to be discovered: not while it is going, or paused, however long that lasts."""
    return template.metadata.deletion_timestamp is None and not is_paused(template)
