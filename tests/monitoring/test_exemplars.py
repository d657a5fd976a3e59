"""A real Prometheus keeps which trace a reconcile's duration is of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aim_operator.app import Operator
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import Metrics
from aim_operator.runtime.otel import OtelTracer
from aim_operator.sandbox import Sandbox
from aim_operator.settings import Settings
from hack.cluster.ports import pick_ports
from tests.simulation.catalog import image, service, template
from tests.support.prometheus import Prometheus, prometheus


async def kept(server: Prometheus) -> set[str]:
    async with asyncio.timeout(60):
        while not (found := await server.exemplars("aim_reconcile_seconds_bucket")):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return {labels["trace_id"] for labels in found}


@pytest.mark.needs_prometheus
async def test_a_duration_in_prometheus_leads_to_the_trace_of_its_reconcile(tmp_path: Path) -> None:
    port = pick_ports(["operator"])["operator"]
    sandbox, clock, exporter = Sandbox(SystemClock()), SystemClock(), InMemorySpanExporter()
    sandbox.load([image(), template(), service("chat")])
    tracer = OtelTracer(exporter, clock)
    operator = Operator(
        sandbox.client(),
        Settings(metrics_address=f"127.0.0.1:{port}"),
        metrics=Metrics(),
        identity="a",
        tracer=tracer,
    )
    tasks = [asyncio.create_task(operator.run()), asyncio.create_task(sandbox.run())]
    try:
        async with prometheus(tmp_path, rules={}, targets=[(port, {"job": "release"})]) as server:
            traces = await kept(server)
            # As from the text format: what dashboards and alerts ask for has the same names.
            await server.until('aim_reconciles_total{controller="services", result="ok"}', 1)
            await server.until('aim_objects{resource="aimservices.aim.silogen.ai"}', 1)
    finally:
        operator.stop()
        await asyncio.wait(tasks[:1], timeout=5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(tracer.flush)
        await tracer.close()
    assert traces <= {
        format(span.context.trace_id, "032x") for span in exporter.get_finished_spans() if span.context
    }
