"""What is measured is exposed under stable names."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from aim_operator.runtime.metrics import Metrics, MetricSink


def make_metrics() -> Metrics:
    metrics = Metrics()
    metrics.called("list", "jobs.batch", 200, 0.01)
    metrics.called("watch", "jobs.batch", 0, 300)
    with capture_logs():
        metrics.undecodable("jobs.batch", "team/a: bad")
    metrics.reconciled("services", "ok", 0.002)
    metrics.waited("services", 0.1)
    metrics.event_dropped("rate")
    metrics.queue("services", lambda: 3.0, lambda: 1.5)
    metrics.queue("images", lambda: 0.0, lambda: 0.0)
    metrics.watch_age("jobs.batch", lambda: 12.0)
    metrics.watch_age("jobs.batch", lambda: 3.0)
    metrics.leading(lambda: True)
    metrics.gauge("aim_objects", "Objects by kind", ("kind",), lambda: [(("Job",), 4.0), (("Pod",), 5.0)])
    return metrics


@pytest.mark.parametrize(
    "want",
    [
        'aim_api_calls_total{code="200",resource="jobs.batch",verb="list"} 1.0',
        'aim_api_calls_total{code="0",resource="jobs.batch",verb="watch"} 1.0',
        'aim_api_call_seconds_count{verb="list"} 1.0',
        'aim_undecodable_objects_total{resource="jobs.batch"} 1.0',
        'aim_reconciles_total{controller="services",result="ok"} 1.0',
        'aim_reconcile_seconds_bucket{controller="services",le="0.0025"} 1.0',
        'aim_queue_seconds_count{controller="services"} 1.0',
        'aim_events_dropped_total{why="rate"} 1.0',
        'aim_queue_depth{controller="services"} 3.0',
        'aim_queue_depth{controller="images"} 0.0',
        'aim_queue_age_seconds{controller="services"} 1.5',
        'aim_watch_age_seconds{resource="jobs.batch"} 12.0',
        "aim_leader 1.0",
        'aim_objects{kind="Pod"} 5.0',
    ],
)
def test_exposition(want: str) -> None:
    """One line each, in Prometheus' text format."""
    assert want in make_metrics().exposition().decode().splitlines()


def test_watches_are_no_slow_calls() -> None:
    """They last for minutes by design."""
    assert 'aim_api_call_seconds_count{verb="watch"}' not in make_metrics().exposition().decode()


def test_what_is_wrong_with_an_object_is_logged_once() -> None:
    """Counted every time."""
    metrics = Metrics()
    with capture_logs() as logs:
        for _ in range(3):
            metrics.undecodable("jobs.batch", "team/a: bad")
            metrics.warned("jobs.batch", "deprecated")
    assert len(logs) == 2


def test_a_traced_reconcile_is_an_exemplar_of_its_duration_in_openmetrics() -> None:
    metrics = make_metrics()
    metrics.reconciled("services", "ok", 0.03, {"trace_id": "0af7651916cd43dd8448eb211c80319c"})
    text = metrics.exposition(openmetrics=True).decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    [family] = [each for each in families if each.name == "aim_reconcile_seconds"]
    marked = [sample for sample in family.samples if sample.exemplar]
    assert [(s.labels["le"], s.exemplar.labels, s.exemplar.value) for s in marked if s.exemplar] == [
        ("0.05", {"trace_id": "0af7651916cd43dd8448eb211c80319c"}, 0.03)
    ]
    assert "0af7651916cd43dd8448eb211c80319c" not in metrics.exposition().decode(), "it knows no exemplars"


def test_openmetrics_has_every_series_of_the_text_format() -> None:
    """Prometheus asks for it first: nothing may be missing, or have another name, where traces are on."""

    def series(text: str) -> set[str]:
        return {line.partition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    metrics = make_metrics()
    assert series(metrics.exposition(openmetrics=True).decode()) == series(metrics.exposition().decode())


def test_the_sink_forgets() -> None:
    """The default everywhere."""
    assert MetricSink().exposition() == b""


def test_a_gauge_that_fails_takes_no_other_with_it_and_is_logged_once_until_it_works_again() -> None:
    """Else one object that nobody thought of would blind everybody."""
    metrics = make_metrics()
    values: list[float] = []
    metrics.gauge("aim_broken", "Broken", (), lambda: [((), values[0])])
    with capture_logs() as logs:
        for _ in range(3):
            text = metrics.exposition().decode()
            assert 'aim_objects{kind="Job"} 4.0' in text
            assert "\naim_broken " not in text
        values.append(7.0)
        assert "\naim_broken 7.0" in metrics.exposition().decode()
        values.clear()
        metrics.exposition()
    assert [line["gauge"] for line in logs] == ["aim_broken", "aim_broken"]
