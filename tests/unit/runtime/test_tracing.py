"""Traces of reconciles: what a collector receives, and that one which receives nothing costs nothing else."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from aim_operator.api.meta import ObjectRef
from aim_operator.runtime import logs
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import Metrics
from aim_operator.runtime.otel import (
    MOST_CALLS,
    MOST_CHARACTERS,
    MOST_WAITING,
    SILENCE_SECONDS,
    OtelTracer,
    otlp_exporter,
)
from aim_operator.runtime.tracing import TracedCalls, Tracer, open_tracer
from hack.cluster.ports import pick_ports
from tests.support.otlp import Collector, collecting
from tests.support.virtual_clock import VirtualClock

KEY = ObjectRef("AIMService", "team", "chat")


class Machine:
    """What time it is on the sending thread."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


PATIENT, IMPATIENT = 60.0, 0.2
"""Seconds that a batch is tried for: where it arrives, however busy the machine is, and where it can't."""


class Sender(SpanExporter):
    """Sends as the operator does, for as long as a test has it try."""

    def __init__(self, url: str) -> None:
        self._by_seconds = {seconds: otlp_exporter(url, seconds) for seconds in (PATIENT, IMPATIENT)}
        self.seconds = PATIENT

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._by_seconds[self.seconds].export(spans)

    def shutdown(self) -> None:
        for exporter in self._by_seconds.values():
            exporter.shutdown()


@asynccontextmanager
async def sending(to: str | SpanExporter, **options: Any) -> AsyncIterator[OtelTracer]:
    """A tracer that sends to a URL, or by an exporter."""
    tracer = OtelTracer(Sender(to) if isinstance(to, str) else to, SystemClock(), **options)
    try:
        yield tracer
    finally:
        await tracer.close()


async def reconcile(tracer: Tracer, outcome: str = "ok", *calls: tuple[str, str, int]) -> None:
    """One in a task of its own, as runtime.controller runs them."""

    async def run() -> None:
        trace = tracer.begin("services", KEY, 0.5)
        tracer.found(7)
        for verb, resource, code in calls:
            tracer.called(verb, resource, code, 0.001)
        trace.end(outcome)

    await asyncio.create_task(run())


async def flush(tracer: OtelTracer) -> None:
    await asyncio.to_thread(tracer.flush)


async def test_a_collector_receives_a_span_for_each_reconcile_and_one_for_each_of_its_calls() -> None:
    async with collecting() as (collector, url), sending(url, namespace="aim", instance="pod-1") as tracer:
        await reconcile(
            tracer,
            "conflict",
            ("get", "secrets", 404),
            ("patch", "jobs.batch", 200),
            ("patch", "aimservices.aim.silogen.ai/status", 409),
            ("create", "events.events.k8s.io", 0),
        )
        await flush(tracer)
        assert collector.resource["service.name"] == "aim-operator"
        assert collector.resource["service.instance.id"] == "pod-1"
        assert collector.resource["k8s.namespace.name"] == "aim"
        [span] = collector.reconciles
        assert span.name == "reconcile AIMService"
        assert span.attributes == {
            "aim.controller": "services",
            "aim.kind": "AIMService",
            "aim.namespace": "team",
            "aim.name": "chat",
            "aim.generation": 7,
            "aim.queue_seconds": 0.5,
            "aim.outcome": "conflict",
            "aim.requests": 4,
            "aim.writes": 1,
        }
        assert span.error is None, "a conflict is how a cache catches up"
        calls = collector.calls_of(span)
        assert {call.trace for call in calls} == {span.trace}
        assert [(c.name, c.attributes.get("http.response.status_code"), c.error is None) for c in calls] == [
            ("get secrets", 404, False),
            ("patch jobs.batch", 200, True),
            ("patch aimservices.aim.silogen.ai/status", 409, False),
            ("create events.events.k8s.io", None, False),
        ]
        assert all(call.end - call.start == 1_000_000 for call in calls)
        assert all(call.end <= span.end for call in calls)


@pytest.mark.parametrize(
    "outcome", ["throttled", "unavailable", "not_installed", "invalid", "forbidden", "error"]
)
async def test_a_failure_is_an_error_and_says_what_failed_however_long_that_is(outcome: str) -> None:
    async with collecting() as (collector, url), sending(url) as tracer:
        trace = tracer.begin("services", KEY, 0.0)
        tracer.failed("Invalid: " + "x" * 100_000)
        trace.end(outcome)
        await flush(tracer)
        [span] = collector.reconciles
        assert span.error is not None
        assert span.error.startswith("Invalid: xxx")
        assert len(span.error) == MOST_CHARACTERS


async def test_calls_of_watches_and_of_what_outlives_a_reconcile_belong_to_none() -> None:
    async with collecting() as (collector, url), sending(url) as tracer:
        over = asyncio.Event()

        async def later() -> None:
            await over.wait()
            tracer.called("list", "jobs.batch", 200, 0.1)
            tracer.failed("too late")

        async def run() -> asyncio.Task[None]:
            trace = tracer.begin("services", KEY, 0.0)
            tracer.called("watch", "jobs.batch", 200, 0.1)
            started = asyncio.create_task(later())
            trace.end("ok")
            return started

        started = await asyncio.create_task(run())
        tracer.called("patch", "leases.coordination.k8s.io", 200, 0.1)
        over.set()
        await started
        await flush(tracer)
        assert [span.name for span in collector.spans] == ["reconcile AIMService"]
        assert collector.spans[0].attributes["aim.requests"] == 0


async def test_a_reconcile_with_ten_thousand_calls_has_so_many_in_its_count_and_few_spans() -> None:
    async with collecting() as (collector, url), sending(url) as tracer:
        await reconcile(tracer, "ok", *[("patch", "jobs.batch", 200)] * 10_000)
        await flush(tracer)
        [span] = collector.reconciles
        assert span.attributes["aim.writes"] == 10_000
        assert len(collector.calls_of(span)) == MOST_CALLS


async def test_a_ratio_of_zero_keeps_nothing_and_marks_nothing() -> None:
    async with collecting() as (collector, url), sending(url, sample_ratio=0.0) as tracer:
        trace = tracer.begin("services", KEY, 0.0)
        tracer.called("get", "secrets", 200, 0.1)
        assert trace.exemplar is None
        assert "trace_id" not in tracer.correlate(None, "", {})
        trace.end("ok")
        await flush(tracer)
        assert collector.requests == 0


async def test_half_of_the_reconciles_at_a_ratio_of_a_half() -> None:
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(exporter, SystemClock(), sample_ratio=0.5)
    for _ in range(1000):
        await reconcile(tracer, "ok", ("get", "secrets", 200))
    await flush(tracer)
    spans = exporter.get_finished_spans()
    await tracer.close()
    kept = [span for span in spans if span.parent is None]
    assert 350 < len(kept) < 650
    assert len(spans) == 2 * len(kept), "each with its calls, or not at all"


async def test_a_clock_that_is_set_back_makes_no_span_end_before_it_began() -> None:
    exporter = InMemorySpanExporter()
    clock = VirtualClock()
    tracer = OtelTracer(exporter, clock)
    trace = tracer.begin("services", KEY, 0.0)
    await clock.advance(2.0)
    trace.end("ok")
    await flush(tracer)
    await tracer.close()
    [span] = exporter.get_finished_spans()
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 2_000_000_000


async def test_a_log_line_of_a_reconcile_names_its_trace_and_no_other_line_does() -> None:
    stream = io.StringIO()
    exporter = InMemorySpanExporter()
    tracer = OtelTracer(exporter, SystemClock())
    configured = structlog.get_config()
    logs.configure("json", stream=stream, also=[tracer.correlate])
    try:
        trace = tracer.begin("services", KEY, 0.0)
        structlog.get_logger("x").info("inside")
        trace.end("ok")
        structlog.get_logger("x").info("outside")
    finally:
        structlog.configure(**configured)
    await flush(tracer)
    await tracer.close()
    inside, outside = map(json.loads, stream.getvalue().splitlines())
    [span] = exporter.get_finished_spans()
    assert span.context is not None
    assert inside["trace_id"] == format(span.context.trace_id, "032x")
    assert inside["span_id"] == format(span.context.span_id, "016x")
    assert trace.exemplar == {"trace_id": inside["trace_id"]}
    assert "trace_id" not in outside


@pytest.mark.parametrize("fault", ["refused", "503", "404"])
async def test_a_collector_that_is_down_for_an_hour_is_a_log_line_each_five_minutes_until_it_is_back(
    fault: str,
) -> None:
    """Nothing is held for it, and the operator works on."""
    machine = Machine()
    port = pick_ports(["collector"])["collector"]
    sender = Sender(f"http://127.0.0.1:{port}/v1/traces")
    sender.seconds = IMPATIENT
    with capture_logs() as lines:
        async with sending(sender, monotonic=machine) as tracer:
            if fault == "refused":
                await failing(tracer, machine)
            else:
                async with collecting(port) as (collector, _):
                    collector.answers = [int(fault)] * 1000
                    await failing(tracer, machine)
            warnings = [line for line in lines if line["log_level"] == "warning"]
            assert len(warnings) == 3
            assert warnings[-1]["dropped_spans"] == 11
            sender.seconds = PATIENT
            async with collecting(port) as (collector, _):
                await reconcile(tracer)
                await flush(tracer)
                assert len(collector.spans) == 1, "of what was dropped, nothing comes late"
    assert [line["event"] for line in lines if line["log_level"] == "info"] == ["traces are sent again"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        pytest.param([503, 404], "Service Unavailable", id="one that is not ready"),
        pytest.param([404], "code: 404, reason: Not Found", id="a wrong path"),
        pytest.param([308], "it is at another address, 'https://elsewhere/'", id="http for https"),
    ],
)
async def test_the_log_line_says_what_a_collector_answered_first(answers: list[int], reason: str) -> None:
    async with collecting() as (collector, url), sending(url) as tracer:
        collector.answers = answers
        with capture_logs() as lines:
            await reconcile(tracer)
            await flush(tracer)
    [line] = lines
    assert line["event"] == "traces can't be sent, and are dropped"
    assert reason in line["error"]
    # A connection that nobody closed fails the test here.
    gc.collect()


async def test_the_log_line_says_that_nobody_listens() -> None:
    port = pick_ports(["collector"])["collector"]
    # With a second try, as the operator's has: the SDK says why when it announces that.
    exporter = otlp_exporter(f"http://127.0.0.1:{port}/v1/traces", 5)
    async with sending(exporter) as tracer:
        with capture_logs() as lines:
            await reconcile(tracer)
            await flush(tracer)
    [line] = lines
    assert "Connection refused" in line["error"]


async def failing(tracer: OtelTracer, machine: Machine) -> None:
    """Eleven batches in a little more than ten minutes."""
    for _ in range(11):
        await reconcile(tracer)
        await flush(tracer)
        machine.seconds += SILENCE_SECONDS / 5


class Stuck(SpanExporter):
    """Waits for an answer, whatever is done about it, until the test is over."""

    def __init__(self) -> None:
        self.asked, self.over = threading.Event(), threading.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked.set()
        self.over.wait()
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Does not end what is under way."""


async def test_a_collector_that_never_answers_holds_up_neither_the_operator_nor_its_end() -> None:
    """With one that is reached over HTTP: tests/cluster/test_tracing.py."""
    exporter = Stuck()
    tracer = OtelTracer(exporter, SystemClock(), close_seconds=0.1)
    await reconcile(tracer)
    sender = asyncio.create_task(flush(tracer))
    try:
        await asyncio.to_thread(exporter.asked.wait)
        for _ in range(MOST_WAITING + 100):
            await reconcile(tracer)
        await tracer.close()
        assert not exporter.over.is_set()
        assert not sender.done()
    finally:
        exporter.over.set()
        await sender


class Slow(SpanExporter):
    """Takes a batch only once it may; counts spans."""

    def __init__(self) -> None:
        self.taken = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        return SpanExportResult.SUCCESS


async def test_what_waits_is_sent_at_the_end() -> None:
    """The reconciles before a shutdown are the ones that are asked for."""
    exporter = Slow()
    tracer = OtelTracer(exporter, SystemClock())
    for _ in range(10):
        await reconcile(tracer)
    await tracer.close()
    assert exporter.taken == 10


async def test_calls_are_counted_in_metrics_whether_traced_or_not() -> None:
    metrics, collector = Metrics(), Collector()
    calls = TracedCalls(metrics, Tracer())
    calls.called("get", "secrets", 200, 0.1)
    with capture_logs() as lines:
        calls.warned("secrets", "deprecated")
    assert (
        'aim_api_calls_total{code="200",resource="secrets",verb="get"} 1.0' in metrics.exposition().decode()
    )
    assert len(lines) == 1
    assert collector.spans == []


async def test_off_there_is_nothing() -> None:
    tracer = open_tracer("", 1.0, namespace="aim", instance="pod-1")
    trace = tracer.begin("services", KEY, 0.0)
    tracer.called("get", "secrets", 200, 0.1)
    tracer.found(1)
    tracer.failed("x")
    trace.end("ok")
    await tracer.close()
    assert not tracer.tracing
    assert trace.exemplar is None
    assert tracer.correlate(None, "", {"event": "x"}) == {"event": "x"}


def test_off_nothing_of_the_sdk_is_imported() -> None:
    """It takes a quarter of a second and 27 MiB."""
    program = (
        "import sys; import aim_operator.cli.serving, aim_operator.cli.run; "
        "from aim_operator.runtime.tracing import open_tracer; "
        "open_tracer('', 1.0, namespace='', instance=''); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google', 'requests'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_sdk_the_start_is_refused_with_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from aim_operator.errors import UserError\n"
        "from aim_operator.runtime.tracing import open_tracer\n"
        "try: open_tracer('http://localhost:4318/v1/traces', 1.0, namespace='', instance='')\n"
        "except UserError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--tracing-endpoint needs OpenTelemetry's SDK" in done.stdout
    assert "pip install 'aim-operator[otel]'" in done.stdout


ONE_TRACE = """
import asyncio, sys
from aim_operator.api.meta import ObjectRef
from aim_operator.runtime.tracing import open_tracer

async def main():
    tracer = open_tracer(sys.argv[1], 1.0, namespace="aim", instance="pod-1")
    tracer.begin("services", ObjectRef("AIMService", "team", "chat"), 0.0).end("ok")
    await asyncio.to_thread(tracer.flush)
    await tracer.close()

asyncio.run(main())
"""


async def test_tokens_and_certificates_come_from_opentelemetrys_own_variables(tmp_path: Path) -> None:
    """As docs/operations/observability.md says."""
    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    given = {
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20abc",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.crt"),
    }
    # Of this machine, for its proxy: `requests` would prefer it.
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_CA_BUNDLE")}
    async with collecting(tls=tls) as (collector, url):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ONE_TRACE, url, env={**environment, **given}
        )
        assert await process.wait() == 0
        assert [headers["Authorization"] for headers in collector.headers] == ["Bearer abc"]
        assert len(collector.spans) == 1
