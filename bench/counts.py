"""Reads Prometheus' text format: the API server's request counters, and the operator's histograms. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_SAMPLE = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

REQUESTS = "apiserver_request_total"
WRITES = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})


class Call(NamedTuple):
    """One kind of request. `resource` has its subresource, as in `aimservices/status`."""

    verb: str
    resource: str


Calls = Counter[Call]


def samples(text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Return the samples of one metric: labels and value."""
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        match = _SAMPLE.fullmatch(line.strip())
        if match is not None and match["name"] == name:
            yield dict(_LABEL.findall(match["labels"] or "")), float(match["value"])


def calls_of(text: str) -> Calls:
    """Count the answered requests of an API server's /metrics by verb and resource."""
    calls: Calls = Counter()
    for labels, value in samples(text, REQUESTS):
        resource, sub = labels.get("resource", ""), labels.get("subresource", "")
        if resource:
            calls[Call(labels.get("verb", ""), f"{resource}/{sub}" if sub else resource)] += int(value)
    return calls


def difference(after: Calls, before: Calls) -> Calls:
    """Return what was called in between."""
    return Counter({call: number - before[call] for call, number in after.items() if number > before[call]})


Buckets = Counter[float]
"""A histogram: how many observations are at or below each bound."""


def buckets_of(text: str, metric: str, **labels: str) -> Buckets:
    """Return one histogram of a /metrics page; those of several label sets are added up."""
    buckets: Buckets = Counter()
    for found, value in samples(text, f"{metric}_bucket"):
        if labels.items() <= found.items():
            buckets[float(found["le"])] += int(value)
    return buckets


def quantile(after: Buckets, share: float, before: Buckets | None = None) -> float:
    """Return the value below which that share of the observations is, between two buckets linearly.

    Only what came after `before` counts. 0 where nothing was observed; the last finite bound where it lies
    above that.
    """
    known = before or Counter()
    buckets = sorted((bound, count - known[bound]) for bound, count in after.items())
    if not buckets or buckets[-1][1] == 0:
        return 0.0
    wanted = share * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * ((wanted - below) / (count - below) if count > below else 0.0)
        low, below = bound, count
    return low
