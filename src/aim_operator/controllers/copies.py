"""Copies of model servers and the GPUs they ask for and have: gauges for dashboards and alerts.

Counted when metrics are scraped, from the statuses of services. No label has a service's name or namespace;
docs/operations/observability.md says how kube-state-metrics shows these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from aim_operator.api.v1alpha1.services import AIMService, AIMServiceStatus
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink, Sample

OTHERS = "(others)"
NAMED = 10
"""Resources with a series of their own: those with the most GPUs. Clusters have one or two."""


def register(metrics: MetricSink, services: Informer[AIMService]) -> None:
    """Have `metrics` show what the statuses of these services say."""
    metrics.gauge(
        "aim_replicas",
        "Copies of model servers of all services by state",
        ("state",),
        partial(_replicas, services),
    )
    metrics.gauge(
        "aim_gpus",
        "GPUs of all services by the resource that they are requested as, and state of the copy",
        ("gpu", "state"),
        partial(_gpus, services),
    )


def _replicas(services: Informer[AIMService]) -> Iterator[Sample]:
    sums = Counter({"desired": 0, "existing": 0, "ready": 0})
    for status in _statuses(services):
        sums.update(_copies(status))
    yield from (((state,), float(number)) for state, number in sums.items())


def _gpus(services: Informer[AIMService]) -> Iterator[Sample]:
    sums: dict[str, Counter[str]] = {}
    for status in _statuses(services):
        active = status.active
        if active is not None and active.gpu_resource and active.gpu_count > 0:
            of_resource = sums.setdefault(active.gpu_resource, Counter())
            of_resource.update({state: n * active.gpu_count for state, n in _copies(status).items()})
    ranked = sorted(sums, key=lambda resource: (-sums[resource].total(), resource))
    shown: dict[str, Counter[str]] = {}
    for place, resource in enumerate(ranked):
        shown.setdefault(resource if place < NAMED else OTHERS, Counter()).update(sums[resource])
    for resource, counts in shown.items():
        yield from (((resource, state), float(number)) for state, number in counts.items())


def _statuses(services: Informer[AIMService]) -> Iterator[AIMServiceStatus]:
    yield from (service.status for service in services.store.all() if service.status is not None)


def _copies(status: AIMServiceStatus) -> dict[str, int]:
    return {
        "desired": status.desired_replicas or 0,
        "existing": status.replicas or 0,
        "ready": status.ready_replicas or 0,
    }
