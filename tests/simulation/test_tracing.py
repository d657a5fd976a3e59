"""What the traces of a whole operator tell of a service's life, and of an API server that refuses."""

from __future__ import annotations

import asyncio
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from aim_operator.api import v1alpha1 as aim
from aim_operator.errors import Unavailable
from aim_operator.runtime.otel import OtelTracer
from aim_operator.sandbox.network import Fault, Network
from tests.simulation.catalog import image, service, template
from tests.simulation.world import World


class Traced:
    """A world whose operator is traced; `spans` are those of reconciles, of one kind and name."""

    def __init__(self, world: World, network: Network | None = None) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracer = OtelTracer(self._exporter, world.clock)
        client = world.sandbox.client("operator", network=network)
        world.run(client, user="operator", tracer=self.tracer)

    async def spans(self, kind: str, name: str) -> list[ReadableSpan]:
        await asyncio.to_thread(self.tracer.flush)
        return [
            span
            for span in self._exporter.get_finished_spans()
            if span.name == f"reconcile {kind}" and attributes(span)["aim.name"] == name
        ]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_services_life_can_be_followed_by_its_traces() -> None:
    async with World() as world:
        world.apply([image(), template(), service("chat")])
        traced = Traced(world)
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", "team") == "Running")
        await world.pass_seconds(60)
        spans = await traced.spans("AIMService", "chat")
        assert len(spans) >= 2
        assert {attributes(span)["aim.namespace"] for span in spans} == {"team"}
        assert {attributes(span)["aim.generation"] for span in spans} == {1}
        assert {attributes(span)["aim.outcome"] for span in spans} <= {"ok", "requeued", "conflict"}
        assert len({span.context.trace_id for span in spans if span.context}) == len(spans)
        before = len(spans)
        world.patch(aim.SERVICES, "chat", "team", {"spec": {"replicas": 2}})
        await world.pass_seconds(60)
        later = (await traced.spans("AIMService", "chat"))[before:]
        assert {attributes(span)["aim.generation"] for span in later} == {2}
        await traced.tracer.close()


async def test_a_service_that_can_not_be_written_says_so_in_each_of_its_traces() -> None:
    """As long as it lasts; what reconciles in other ways is no error."""
    async with World() as world:
        network = Network(world.clock)
        refused = Fault(
            error=Unavailable("apply inferenceservices: the webhook is away"),
            verb="apply",
            resource="inferenceservices",
            times=1_000_000,
        )
        network.fail(refused)
        world.apply([image(), template(), service("chat")])
        traced = Traced(world, network)
        await world.pass_seconds(600)
        failed = [
            span
            for span in await traced.spans("AIMService", "chat")
            if attributes(span)["aim.outcome"] == "unavailable"
        ]
        assert len(failed) > 5
        assert {span.status.description for span in failed} == {
            "Unavailable: apply inferenceservices: the webhook is away"
        }
        network.calm()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", "team") == "Running")
        [*_, last] = await traced.spans("AIMService", "chat")
        assert last.status.is_unset
        await traced.tracer.close()
