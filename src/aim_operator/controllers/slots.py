"""Discovery slots: at most so many discoveries at once across the cluster, shared by its namespaces.

A template holds a slot while it has an unfinished Job, or a grant whose Job is not in the cache yet. Nothing
is stored: after a restart the Jobs themselves say who holds what. Which template is next, and which Jobs
count, core/template/slots.py decides. Counted as Jobs come and go, not by listing them: a user may have
thousands that look like ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from aim_operator.api.external import Job
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, TEMPLATES
from aim_operator.controllers.dependents import template_owner
from aim_operator.controllers.index import BY_OWNER
from aim_operator.controllers.slot_table import SlotTable
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.core.catalog import Template
from aim_operator.core.pause import is_paused
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.core.template.observed import Slot
from aim_operator.core.template.slots import (
    WaitingTemplate,
    holds_slot,
    waiting_template,
)
from aim_operator.errors import ApiError
from aim_operator.runtime.clock import Clock, Timer
from aim_operator.runtime.store import Store

LONGEST_HOLD_SECONDS = DEADLINE_SECONDS + 60.0
"""After which a Job no longer counts. Its deadline ends it before, unless somebody took that away."""


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
        self._limit, self._clock = limit, clock

        def wake_template(each: WaitingTemplate) -> None:
            kind = TEMPLATES.kind if each.namespace else CLUSTER_TEMPLATES.kind
            wake(ObjectRef(kind, each.namespace, each.name))

        self._table = SlotTable(limit=limit, clock=clock, wake=wake_template)
        self._holding: dict[ObjectRef, dict[str, Timer]] = {}
        """The names of a template's unfinished Jobs; all of them together hold one slot."""
        self._overdue: set[tuple[ObjectRef, str]] = set()

    def request(self, ref: ObjectRef, template: Template, job_name: str) -> Slot:
        """Ask for a slot for this template's Job. Raises the ApiError that refused it just now: SlotTable."""
        granted = self._table.request(ref, waiting_template(template), job_name)
        return Slot(granted=granted, limit=self._limit)

    def ungrant(self, ref: ObjectRef, error: ApiError | None = None) -> None:
        """Give up a grant, if there is one: no Job came of it this time, because of `error` if given."""
        self._table.ungrant(ref, error)

    def withdraw(self, ref: ObjectRef) -> None:
        """Give up a grant or a place in the queue: the template needs no Job (now)."""
        self._table.withdraw(ref)

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
            self._table.wait(ref, waiting_template(new))
        if (new is None or not _wants_discovery(new)) and self._table.leave(ref):
            # A grant stays until its reconcile ends: its Job may be on the way.
            self._table.wake_next()
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
        return self._table.samples()

    # Who holds

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
        self._table.arrived(ref, name)
        if ref not in self._holding:
            self._holding[ref] = {}
            self._table.hold(ref)
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
            self._table.release(ref)


def _wants_discovery(template: Template) -> bool:
    """Whether a template is to be discovered: not while it is going, or paused, however long that lasts."""
    return template.metadata.deletion_timestamp is None and not is_paused(template)
