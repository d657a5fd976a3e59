"""`aimctl fit` against a cluster: a service that is there, one that waits, one in a file, other rights."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from aim_operator.api.external import NODES
from aim_operator.cli.fit import gather, judge
from aim_operator.cli.fit.command import judged
from aim_operator.cli.fit.judge import Fit, Verdict
from aim_operator.cli.plan import documents, snapshot
from aim_operator.errors import Forbidden, UserError
from aim_operator.sandbox.client import SandboxClient
from aim_operator.sandbox.network import Fault
from aim_operator.sandbox.nodes import plain_node
from tests.simulation.world import World

CATALOG = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {name: llama}
spec: {image: "ghcr.io/example/llama:v1", defaultServiceTemplate: fast}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {name: fast}
spec: {aimImageName: llama, metric: latency, precision: fp16, gpuSelector: {model: MI300X, count: 2}}
"""
SERVICE = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: chat, namespace: team}
spec: {model: llama}
"""
DENIED = 'the operator may not "list" {} in the whole cluster: add it to its role'


async def fits(world: World, name: str = "chat", client: SandboxClient | None = None) -> Fit:
    asking = world.sandbox.client("somebody") if client is None else client
    asked = gather.of_service(asking, "team", name, "sandbox", world.clock.now())
    (found,) = await judged(asking, asked)
    return found


async def of_file(world: World, path: Path) -> list[Fit]:
    client = world.sandbox.client("somebody")
    read, _ = documents.read([str(path)])
    seen = await snapshot.take(client, "sandbox", world.clock.now())
    return await judged(client, gather.of_documents(seen, read, "team"))


def message(found: Fit, check: str) -> str:
    return next(each.message for each in found.findings if each.check == check)


async def started(world: World, *more: str) -> None:
    world.apply(CATALOG)
    for each in more:
        world.apply(each)
    world.start()
    await world.pass_seconds(60)


async def test_a_service_of_the_cluster_by_what_its_pods_ask_for() -> None:
    async with World() as world:
        await started(world, SERVICE)
        found = await fits(world)
    assert (found.verdict, found.replicas) == (Verdict.FITS, 1)
    assert "amd.com/gpu 2" in found.needs


async def test_the_node_that_had_it_is_gone() -> None:
    async with World() as world:
        await started(world, SERVICE)
        world.apply([plain_node("cpu-1")])
        world.delete(NODES, "node-1")
        found = await fits(world)
    assert found.verdict is Verdict.NO
    assert {node.node: node.why.partition(":")[0] for node in found.nodes} == {
        "cpu-1": "Insufficient amd.com/gpu"
    }


async def test_a_service_that_can_not_be_resolved_is_not_known_and_why() -> None:
    async with World() as world:
        await started(world, SERVICE.replace("llama", "lama"))
        found = await fits(world)
    assert found.verdict is Verdict.UNKNOWN
    assert "Degraded: ImageNotFound" in message(found, "service")


async def test_a_service_in_a_file_is_made_on_a_copy_and_not_in_the_cluster(tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(SERVICE + "---" + SERVICE.replace("chat", "second"))
    async with World() as world:
        await started(world, SERVICE.replace("chat", "other"))
        written = len(world.writes())
        found = await of_file(world, path)
        assert world.writes()[written:] == []
    assert [(each.name, each.verdict) for each in found] == [
        ("chat", Verdict.FITS),
        ("second", Verdict.FITS),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(CATALOG, "no AIMService", id="a catalog"),
        pytest.param(SERVICE.replace("model:", "modell:"), "spec.modell", id="a field that is none"),
    ],
)
async def test_a_file_that_is_not_right(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(textwrap.dedent(text))
    async with World() as world:
        await started(world)
        with pytest.raises(UserError, match=says):
            await of_file(world, path)


async def test_a_service_that_is_not_there() -> None:
    async with World() as world:
        with pytest.raises(UserError, match="there is no AIMService chat in namespace team"):
            await fits(world)


@pytest.mark.parametrize(
    ("resource", "check"), [("nodes", "nodes"), ("pods", "nodes"), ("resourcequotas", "quota")]
)
async def test_what_a_user_may_not_see_is_named_and_is_no_verdict(resource: str, check: str) -> None:
    async with World() as world:
        await started(world, SERVICE)
        client = world.sandbox.client("somebody")
        denied: Any = Forbidden(DENIED.format(resource))
        client.network.fail(Fault(error=denied, verb="list", resource=resource, times=9))
        found = await fits(world, client=client)
    assert found.verdict is Verdict.UNKNOWN
    assert f'you may not "list" {resource}' in message(found, check)


async def test_without_the_right_to_copy_the_cluster_a_service_that_waits_is_not_known() -> None:
    async with World() as world:
        world.apply(SERVICE)
        client = world.sandbox.client("somebody")
        denied: Any = Forbidden(DENIED.format("aimservices.aim.silogen.ai"))
        client.network.fail(Fault(error=denied, verb="list", resource="aimservices", times=9))
        found = await fits(world, client=client)
    assert found == judge.unknown(
        "team",
        "chat",
        'it has no InferenceService yet, and you may not "list" aimservices.aim.silogen.ai in the whole '
        "cluster: ask for a role that has it",
    )
