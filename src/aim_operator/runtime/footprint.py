"""How many objects the watch caches hold, and how large: by kind, and by the namespaces that hold the most.

A namespace is anybody's word, so few of them become labels: the largest few, and all others together.
Read when metrics are scraped.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink, Sample

NAMED_NAMESPACES = 10
OTHERS = "(others)"
"""Parentheses: no namespace has such a name."""
_LABELS = ("resource", "namespace")


def register(metrics: MetricSink, informers: Iterable[Informer[Any]]) -> None:
    """Have `metrics` show what these informers hold."""
    watched = tuple(informers)
    metrics.gauge(
        "aim_cached_objects",
        "Objects in watch caches",
        _LABELS,
        lambda: _samples(watched, "objects"),
    )
    metrics.gauge(
        "aim_cached_bytes",
        "Bytes of the objects in watch caches, as JSON of what is kept of them",
        _LABELS,
        lambda: _samples(watched, "bytes"),
    )
    metrics.gauge(
        "aim_unreadable_objects",
        "Objects that do not fit their type now; of each the last known state is kept",
        ("resource",),
        lambda: _unreadable(watched),
    )


def _unreadable(informers: tuple[Informer[Any], ...]) -> Iterator[Sample]:
    # The most, not the sum: several informers may watch one kind.
    most: dict[str, int] = {}
    for informer in informers:
        resource = informer.resource.qualified
        most[resource] = max(most.get(resource, 0), informer.store.undecodable)
    yield from (((resource,), float(number)) for resource, number in most.items())


def _samples(informers: tuple[Informer[Any], ...], what: Literal["objects", "bytes"]) -> Iterator[Sample]:
    totals: Counter[str] = Counter()
    for informer in informers:
        for namespace, usage in informer.store.usage().items():
            totals[namespace] += usage.bytes
    # The name decides between equal ones, so that no series comes and goes.
    largest = heapq.nsmallest(NAMED_NAMESPACES, totals, key=lambda name: (-totals[name], name))
    named = frozenset(largest)
    # Several informers watch Events; a kind without objects is shown with 0.
    sums: Counter[tuple[str, str]] = Counter()
    for informer in informers:
        resource = informer.resource.qualified
        sums[resource, OTHERS] += 0
        for namespace, usage in informer.store.usage().items():
            sums[resource, namespace if namespace in named else OTHERS] += getattr(usage, what)
    yield from ((labels, float(total)) for labels, total in sums.items())
