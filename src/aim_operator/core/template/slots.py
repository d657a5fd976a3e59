"""Discovery slots: which Jobs hold one, and which template gets the next one that is free.

A slot goes to the namespace that uses the fewest, within it to the oldest template; cluster templates
count as one namespace. The last fifth is for namespaces that use none. Decides only; controllers/slots.py
keeps who waits and who holds.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.core.catalog import Template
from aim_operator.core.jobs.readings import finished, is_suspended
from aim_operator.core.naming import HASH_DIGITS, is_discovery_job_name


class WaitingTemplate(NamedTuple):
    """A template that waits for a slot, the oldest of its namespace ("": cluster templates) first."""

    created: str
    name: str
    namespace: str


Waiting = Mapping[str, Sequence[WaitingTemplate]]
"""By namespace, in order."""


def waiting_template(template: Template) -> WaitingTemplate:
    metadata = template.metadata
    return WaitingTemplate(metadata.creation_timestamp or "", metadata.name, metadata.namespace)


def reserved(limit: int) -> int:
    """Return how many of `limit` slots are kept for namespaces that use none: 2 of 10.

    So that images which take for ever hold up nobody else, however many templates ask for them.
    """
    return limit // 5


def gets_slot(own: WaitingTemplate, waiting: Waiting, held: Mapping[str, int], limit: int) -> bool:
    """Whether `own`, one of `waiting`, may have one of the slots that `held` leaves."""
    left = limit - sum(held.values()) - templates_ahead(own, waiting, held)
    uses = held.get(own.namespace, 0) + bisect_left(waiting[own.namespace], own)
    return left > (reserved(limit) if uses else 0)


def next_templates(waiting: Waiting, held: Mapping[str, int], free: int) -> list[WaitingTemplate]:
    """Return the waiting templates that get the `free` slots, in order. `held` counts slots in use.

    Between namespaces that use equally many, the older template comes first. Costs what there are
    namespaces that wait.
    """
    heads = [
        (held.get(namespace, 0), templates[0], 0) for namespace, templates in waiting.items() if templates
    ]
    heapq.heapify(heads)
    chosen: list[WaitingTemplate] = []
    while heads and len(chosen) < free:
        used, first, place = heads[0]
        chosen.append(first)
        templates = waiting[first.namespace]
        if place + 1 < len(templates):
            heapq.heapreplace(heads, (used + 1, templates[place + 1], place + 1))
        else:
            heapq.heappop(heads)
    return chosen


def templates_ahead(own: WaitingTemplate, waiting: Waiting, held: Mapping[str, int]) -> int:
    """Return how many of `waiting`, which `own` is one of, `next_templates` would choose before it.

    Costs what there are namespaces that wait, however many templates they have.
    """
    used = held.get(own.namespace, 0) + bisect_left(waiting[own.namespace], own)
    ahead = 0
    for namespace, templates in waiting.items():
        # Each namespace gets slots while it uses fewer, and one more where it uses as many, if older.
        before = min(used - held.get(namespace, 0), len(templates))
        if before >= 0:
            ahead += before
            as_many = held.get(namespace, 0) + before == used
            ahead += before < len(templates) and as_many and templates[before] < own
    return ahead


def holds_slot(template: Template, job: Job, *, home: str) -> bool:
    """Whether a Job is an unfinished discovery of this template. `home` is the namespace of its Jobs.

    Users of a namespace can write any labels and owner references. So it must be a Job that the
    template would have: of its namespace, with the name of one, and for inputs without a result so far.
    One that is being deleted takes its Pod along. One that is suspended runs nothing: whoever suspends Jobs,
    such as a queue, says how many run at once, and may say so for days.
    """
    metadata = job.metadata
    owner = metadata.controller()
    if owner is None or owner.uid != template.metadata.uid or metadata.namespace != home:
        return False
    return (
        is_discovery_job_name(metadata.name, template.metadata.name)
        and metadata.deletion_timestamp is None
        and not finished(job)
        and not is_suspended(job)
        and not _has_result(template, metadata.name[-HASH_DIGITS:])
    )


def _has_result(template: Template, digest: str) -> bool:
    """Whether the result for inputs of which only the first digits are known is in status."""
    record = (template.status or AIMServiceTemplateStatus()).discovery
    if record is None or (record.attempts or 0):
        return False
    return (record.spec_hash or "")[:HASH_DIGITS] == digest
