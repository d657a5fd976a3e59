"""`aimctl run --tracing-endpoint` on a real API server, with a collector that answers and then does not."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hack.cluster.cluster import Cluster
from hack.cluster.ports import pick_ports
from tests.support.operator_process import OperatorProcess
from tests.support.otlp import Collector, Received, collecting

pytestmark = pytest.mark.needs_control_plane
SERVICE = {
    "apiVersion": "aim.silogen.ai/v1alpha1",
    "kind": "AIMService",
    "metadata": {"name": "traced"},
    "spec": {"model": "nowhere"},
}
STATUS = "patch aimservices.aim.silogen.ai/status"


def wrote_status(collector: Collector) -> list[tuple[Received, Received]]:
    """Reconciles of the service with the call that wrote its status."""
    return [
        (reconcile, call)
        for reconcile in collector.reconciles
        if reconcile.attributes["aim.name"] == "traced"
        for call in collector.calls_of(reconcile)
        if call.name == STATUS
    ]


async def exemplars(port: int) -> set[str]:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics", headers=accept) as response,
    ):
        text = await response.text()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    samples = [sample for family in families for sample in family.samples if sample.exemplar]
    return {sample.exemplar.labels["trace_id"] for sample in samples if sample.exemplar}


async def test_a_collector_gets_reconciles_with_their_calls_and_one_that_hangs_delays_no_end(
    control_plane: Cluster,
) -> None:
    port = pick_ports(["traced-metrics"])["traced-metrics"]
    with control_plane.namespace() as namespace:
        async with collecting() as (collector, url):
            operator = OperatorProcess(
                control_plane,
                f"--namespaces={namespace}",
                f"--operator-namespace={namespace}",
                f"--metrics-address=127.0.0.1:{port}",
                f"--tracing-endpoint={url.removesuffix('/v1/traces')}",
                kubeconfig=control_plane.kubeconfig,
            )
            try:
                await asyncio.to_thread(
                    control_plane.api.apply,
                    {**SERVICE, "metadata": {"name": "traced", "namespace": namespace}},
                )
                await collector.until(lambda it: bool(wrote_status(it)))
                assert collector.resource["service.name"] == "aim-operator"
                assert collector.resource["k8s.namespace.name"] == namespace
                reconcile, call = wrote_status(collector)[0]
                assert reconcile.attributes["aim.generation"] == 1
                assert reconcile.attributes["aim.writes"] >= 1
                assert call.attributes["http.response.status_code"] == 200
                assert reconcile.start <= call.start < call.end <= reconcile.end
                assert await exemplars(port) <= {span.trace for span in collector.reconciles}
                assert await exemplars(port)

                collector.hangs.set()
                await asyncio.to_thread(
                    control_plane.kubectl, "delete", "aimservice", "traced", f"--namespace={namespace}"
                )
                seen = collector.requests
                await collector.until(lambda it: it.requests > seen)
                assert await asyncio.to_thread(operator.stop, 20) == 0
            finally:
                if operator.running:
                    operator.kill()
