"""What is counted, and how it is exposed.

MetricSink takes measurements and forgets them: the default everywhere. Metrics keeps them in a Prometheus
registry of its own. App-level gauges are added with `gauge`. Read by runtime.probes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import structlog

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram, Metric

log = structlog.get_logger("aim_operator.api")

M = TypeVar("M", "Counter", "Histogram")
RESULTS = (
    "ok",
    "requeued",
    "conflict",
    "throttled",
    "unavailable",
    "not_installed",
    "invalid",
    "forbidden",
    "not_leader",
    "error",
    "cancelled",
)
"""How a reconcile may end."""
Sample = tuple[tuple[str, ...], float]
"""Label values, and the value."""

_JOB_SECONDS = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0)
_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
)


class Described(NamedTuple):
    """What one metric is, for docs/reference/metrics.md."""

    type: Literal["counter", "histogram", "gauge"]
    name: str
    labels: tuple[str, ...]
    help_text: str


class MetricSink:
    """Takes measurements, and forgets them. Also a kube.transport.Observer."""

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """An API call was answered; `code` is 0 where no answer came."""

    def undecodable(self, resource: str, reason: str) -> None:
        """An object did not fit its type: its last known state is kept."""

    def warned(self, resource: str, text: str) -> None:
        """The API server sent a Warning header."""

    def reconciled(
        self, controller: str, result: str, seconds: float, exemplar: Mapping[str, str] | None = None
    ) -> None:
        """A reconcile ended; `exemplar` are the labels that lead to its trace."""

    def waited(self, controller: str, seconds: float) -> None:
        """A key left the queue after this long."""

    def event_dropped(self, why: str) -> None:
        """An event was not written."""

    def job_ended(self, job: str, result: str, seconds: float) -> None:
        """A discovery or download Job ended, that long after it was made."""

    def queue(self, controller: str, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Register a queue: its length, and the seconds its first key has waited."""

    def watch_age(self, resource: str, age: Callable[[], float]) -> None:
        """Register a watch: seconds since the server was heard of. Of several the oldest counts."""

    def leading(self, leads: Callable[[], bool]) -> None:
        """Register whether this process works, and does not stand by."""

    def gauge(
        self, name: str, help_text: str, labels: tuple[str, ...], read: Callable[[], Iterable[Sample]]
    ) -> None:
        """Register a gauge that is read when it is scraped."""

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        """Return everything in Prometheus' text format, or in OpenMetrics', which knows exemplars."""
        del openmetrics
        return b""


class Metrics(MetricSink):
    """Keeps measurements. One per process; gauges are read at scrape time, so that rest costs nothing."""

    def __init__(self) -> None:
        # Imported here: 0.15 s that `aimctl demo` and the like need not pay.
        from prometheus_client import CollectorRegistry  # noqa: PLC0415

        self.registry = CollectorRegistry()
        self._said: set[str] = set()
        self._gauges: dict[str, _Gauge] = {}
        self._described: list[Described] = []
        self._ages: dict[str, list[Callable[[], float]]] = {}
        self._reconcile_seconds = self._histogram(
            "aim_reconcile_seconds", "Seconds a reconcile took", "controller"
        )
        self._reconciles = self._counter("aim_reconciles", "Reconciles by result", "controller", "result")
        self._queue_seconds = self._histogram(
            "aim_queue_seconds", "Seconds a key waited to be reconciled", "controller"
        )
        self._calls = self._counter(
            "aim_api_calls",
            "API calls by verb, resource and status code (0: no answer)",
            "verb",
            "resource",
            "code",
        )
        self._call_seconds = self._histogram(
            "aim_api_call_seconds", "Seconds until an API call was answered, watches left out", "verb"
        )
        self._undecodable = self._counter(
            "aim_undecodable_objects", "Objects that did not fit their type", "resource"
        )
        self._dropped = self._counter("aim_events_dropped", "Events that were not written", "why")
        self._job_seconds = self._histogram(
            "aim_job_seconds",
            "Seconds from making a discovery or download Job to its end",
            "task",
            "result",
            buckets=_JOB_SECONDS,
        )
        self.registry.register(_Gauges(self._gauges))

    def described(self) -> list[Described]:
        """Return everything that is exposed so far, in the order of its registration."""
        gauges = (Described("gauge", name, g.labels, g.help_text) for name, g in self._gauges.items())
        return [*self._described, *gauges]

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        self._calls[verb, resource, str(code)].inc()
        if verb != "watch":
            self._call_seconds[(verb,)].observe(seconds)

    def undecodable(self, resource: str, reason: str) -> None:
        self._undecodable[(resource,)].inc()
        self._say_once(resource, "an object does not fit its type, its last known state is kept", reason)

    def warned(self, resource: str, text: str) -> None:
        self._say_once(resource, "the API server warns", text)

    def reconciled(
        self, controller: str, result: str, seconds: float, exemplar: Mapping[str, str] | None = None
    ) -> None:
        self._reconciles[controller, result].inc()
        self._reconcile_seconds[(controller,)].observe(seconds, dict(exemplar) if exemplar else None)

    def waited(self, controller: str, seconds: float) -> None:
        self._queue_seconds[(controller,)].observe(seconds)

    def event_dropped(self, why: str) -> None:
        self._dropped[(why,)].inc()

    def job_ended(self, job: str, result: str, seconds: float) -> None:
        self._job_seconds[job, result].observe(seconds)

    def queue(self, controller: str, depth: Callable[[], float], age: Callable[[], float]) -> None:
        # `increase` does not see what a counter begins with: a first failure would go unnoticed.
        for result in RESULTS:
            self._reconciles[controller, result].inc(0)
        self._add("aim_queue_depth", "Keys waiting to be reconciled", ("controller",), (controller,), depth)
        self._add(
            "aim_queue_age_seconds", "Seconds the first key has waited", ("controller",), (controller,), age
        )

    def watch_age(self, resource: str, age: Callable[[], float]) -> None:
        ages = self._ages.setdefault(resource, [])
        ages.append(age)
        if len(ages) > 1:
            return
        self._add(
            "aim_watch_age_seconds",
            "Seconds since the API server was heard of",
            ("resource",),
            (resource,),
            lambda: max(each() for each in ages),
        )

    def leading(self, leads: Callable[[], bool]) -> None:
        self._add(
            "aim_leader",
            "1 where this process works: it holds the Lease, or runs without leader election",
            (),
            (),
            lambda: float(leads()),
        )

    def gauge(
        self, name: str, help_text: str, labels: tuple[str, ...], read: Callable[[], Iterable[Sample]]
    ) -> None:
        self._gauges.setdefault(name, _Gauge(help_text, labels)).sources.append(read)

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        if openmetrics:
            from prometheus_client.openmetrics import exposition  # noqa: PLC0415

            text: bytes = exposition.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return text
        from prometheus_client import generate_latest  # noqa: PLC0415

        return generate_latest(self.registry)

    def _counter(self, name: str, help_text: str, *labels: str) -> _Children[Counter]:
        from prometheus_client import Counter  # noqa: PLC0415

        # Counters are exposed with this suffix, whatever they are called.
        self._described.append(Described("counter", f"{name}_total", labels, help_text))
        return _Children(Counter(name, help_text, labels, registry=self.registry))

    def _histogram(
        self, name: str, help_text: str, *labels: str, buckets: tuple[float, ...] = _SECONDS
    ) -> _Children[Histogram]:
        from prometheus_client import Histogram  # noqa: PLC0415

        self._described.append(Described("histogram", name, labels, help_text))
        return _Children(Histogram(name, help_text, labels, buckets=buckets, registry=self.registry))

    def _add(
        self,
        name: str,
        help_text: str,
        labels: tuple[str, ...],
        values: tuple[str, ...],
        read: Callable[[], float],
    ) -> None:
        self.gauge(name, help_text, labels, lambda: [(values, read())])

    def _say_once(self, resource: str, event: str, text: str) -> None:
        if text not in self._said and len(self._said) < 1000:
            self._said.add(text)
            log.warning(event, resource=resource, text=text)


class _Children(dict[tuple[str, ...], M]):
    """A metric's children by their label values: `labels` checks and locks anew at each call."""

    def __init__(self, metric: M) -> None:
        super().__init__()
        self._child: Callable[..., M] = metric.labels

    def __missing__(self, values: tuple[str, ...]) -> M:
        child = self[values] = self._child(*values)
        return child


class _Gauge:
    def __init__(self, help_text: str, labels: tuple[str, ...]) -> None:
        self.help_text = help_text
        self.labels = labels
        self.sources: list[Callable[[], Iterable[Sample]]] = []


class _Gauges:
    """A Prometheus collector: asks every source when scraped, and leaves out one that fails."""

    def __init__(self, gauges: Mapping[str, _Gauge]) -> None:
        self._gauges = gauges
        self._failed: set[str] = set()

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

        for name, gauge in self._gauges.items():
            family = GaugeMetricFamily(name, gauge.help_text, labels=gauge.labels)
            for values, value in self._read(name, gauge):
                family.add_metric(values, value)
            yield family

    def _read(self, name: str, gauge: _Gauge) -> list[Sample]:
        try:
            samples = [sample for read in gauge.sources for sample in read()]
        except Exception:
            # Said once, until it works again: Prometheus comes every few seconds.
            if name not in self._failed:
                self._failed.add(name)
                log.exception("a gauge can't be read, and is left out", gauge=name)
            return []
        self._failed.discard(name)
        return samples
