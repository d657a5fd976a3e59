"""What there is, by state and reason, and how long it has been so: for dashboards and alerts.

Counted when metrics are scraped; an operator at rest does no work for it. Neither names nor namespaces become
labels: there is a series for each reason that there is, however many objects somebody makes. The objects
behind a number are a `kubectl get` away; see docs/operations/observability.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, MODEL_CACHES, TEMPLATES, AIMModelCache
from aim_operator.api.v1alpha1.conditions import READY, Reason, State
from aim_operator.core import conditions, labels, quantity
from aim_operator.errors import SpecError
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink, Sample

OTHER = "(other)"
"""Whatever a status says that the operator never writes. Parentheses: no reason has them."""
NEW = "(new)"
"""Of an object whose status was not written yet."""
_STATUSES = frozenset(value for name, value in vars(State).items() if name.isupper())
_REASONS = frozenset(value for name, value in vars(Reason).items() if name.isupper())
_LABELS = ("resource", "status", "reason")
_JOBS = {"discovery-job": "discovery", "model-cache": "download"}
"""Sorts of Jobs by their component label."""
_OWNERS = {TEMPLATES.kind, CLUSTER_TEMPLATES.kind, MODEL_CACHES.kind}


def register(
    metrics: MetricSink,
    clock: Clock,
    *,
    ours: Iterable[Informer[Any]],
    model_caches: Informer[AIMModelCache],
    jobs: Informer[Job],
) -> None:
    """Have `metrics` show what these informers hold. `ours` are those of kinds with a status of ours."""
    watched = tuple(ours)
    metrics.gauge(
        "aim_objects",
        "Objects of the catalog, caches and services by state and reason of the Ready condition",
        _LABELS,
        partial(_counts, watched),
    )
    metrics.gauge(
        "aim_objects_longest_seconds",
        "How long the Ready condition has been as it is, of the object for which that is longest",
        _LABELS,
        partial(_longest, watched, clock),
    )
    metrics.gauge(
        "aim_model_cache_bytes",
        "Bytes of the files of model caches whose size is known, by state of the cache",
        ("status",),
        partial(_bytes, model_caches),
    )
    jobs.add_handler(partial(_job_changed, metrics))


def _counts(informers: tuple[Informer[Any], ...]) -> Iterator[Sample]:
    counts: Counter[tuple[str, ...]] = Counter()
    for informer in informers:
        counts.update(_state(informer, obj) for obj in informer.store.all())
    yield from ((state, float(number)) for state, number in counts.items())


def _longest(informers: tuple[Informer[Any], ...], clock: Clock) -> Iterator[Sample]:
    oldest: dict[tuple[str, ...], datetime] = {}
    for informer in informers:
        for obj in informer.store.all():
            ready = _ready(obj)
            since = _time((ready and ready.last_transition_time) or obj.metadata.creation_timestamp)
            if since is not None:
                state = _state(informer, obj)
                oldest[state] = min(since, oldest.get(state, since))
    now = clock.now()
    yield from ((state, max(0.0, (now - since).total_seconds())) for state, since in oldest.items())


def _bytes(informer: Informer[AIMModelCache]) -> Iterator[Sample]:
    sums: Counter[tuple[str, ...]] = Counter()
    for cache in informer.store.all():
        if cache.status is not None and cache.status.size is not None:
            sums[_known(cache.status.status, _STATUSES),] += _size(cache.status.size)
    yield from ((status, float(total)) for status, total in sums.items())


def _size(text: str) -> int:
    """Anybody with the right to may write any status: what is no size counts as nothing."""
    try:
        return max(0, int(quantity.parse(text)))
    except SpecError:
        return 0


def _state(informer: Informer[Any], obj: Any) -> tuple[str, ...]:
    ready = _ready(obj)
    status = obj.status.status if obj.status is not None else None
    return (
        informer.resource.qualified,
        _known(status, _STATUSES),
        _known(ready.reason if ready is not None else None, _REASONS),
    )


def _ready(obj: Any) -> Any:
    return conditions.find(obj.status.conditions or (), READY) if obj.status is not None else None


def _known(text: str | None, known: frozenset[str]) -> str:
    """Anybody with the right to may write any status: what is none of ours makes no series of its own."""
    if text is None:
        return NEW
    return text if text in known else OTHER


def _time(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text is not None else None
    except ValueError:
        return None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=UTC)


def _job_changed(metrics: MetricSink, old: Job | None, new: Job | None) -> None:
    """Count a Job as it ends. One that had ended before this process began was counted by another."""
    if old is None or new is None or _end(old) is not None:
        return
    owner = new.metadata.controller()
    if owner is None or owner.kind not in _OWNERS:
        return  # anybody may put labels
    sort = _JOBS.get((new.metadata.labels or {}).get(labels.COMPONENT, ""))
    end, began = _end(new), _time(new.metadata.creation_timestamp)
    if sort is not None and end is not None and began is not None:
        result, at = end
        metrics.job_ended(sort, result, max(0.0, (at - began).total_seconds()))


def _end(job: Job) -> tuple[str, datetime] | None:
    for condition in job.status.conditions or ():
        at = _time(condition.last_transition_time)
        if condition.status == "True" and condition.type in {"Complete", "Failed"} and at is not None:
            return ("complete" if condition.type == "Complete" else "failed"), at
    return None
