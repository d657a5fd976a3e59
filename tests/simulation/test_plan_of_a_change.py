"""`aimctl plan` with a cluster: what it says of a change is what then happens there."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.cli.plan import documents, view
from aim_operator.cli.plan.consequences import Plan
from aim_operator.cli.plan.difference import Difference
from aim_operator.cli.plan.planning import planned
from aim_operator.cli.plan.snapshot import Snapshot, read, take, written
from aim_operator.core import labels
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.errors import Forbidden, UserError
from aim_operator.sandbox.network import Fault
from tests.simulation.world import World

MODELS = 10
ROUTING = {"enabled": True, "gatewayRef": {"name": "inference-gateway", "namespace": "gateways"}}


def image(number: int, version: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMClusterImage",
        "metadata": {"name": f"model-{number}"},
        "spec": {
            "image": f"ghcr.io/example/model-{number}:v{version}",
            "defaultServiceTemplate": f"template-{number}",
        },
    }


def template(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMClusterServiceTemplate",
        "metadata": {"name": f"template-{number}"},
        "spec": {
            "aimImageName": f"model-{number}",
            "metric": "latency",
            "precision": "fp16",
            "gpuSelector": {"model": "MI300X", "count": 1},
        },
    }


def service(number: int, **spec: Any) -> dict[str, Any]:
    """Some with overrides, and so with a template that is derived; some routed, some paused."""
    notes = {"annotations": {labels.PAUSED: "true"}} if number % 20 == 13 else {}
    derived = {"overrides": {"precision": "fp8"}} if number % 7 == 3 else {}
    routed = {"routing": ROUTING} if number % 2 else {}
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMService",
        "metadata": {"name": f"service-{number}", "namespace": f"team-{number % 5}", **notes},
        "spec": {"model": f"model-{number % MODELS}", **derived, **routed, **spec},
    }


def catalog(services: int) -> list[dict[str, Any]]:
    models = [each for number in range(MODELS) for each in (image(number), template(number))]
    return models + [service(number) for number in range(services)]


async def settled(world: World, services: int) -> None:
    """Have all services run, those that are paused only from then on."""
    for each in catalog(services):
        each["metadata"].pop("annotations", None)
        world.apply([each])
    world.start(max_discovery_jobs=1000)
    await world.pass_seconds(120)
    world.apply(catalog(services))
    await world.pass_seconds(30)


async def planned_on(world: World, tmp_path: Path, *objects: dict[str, Any]) -> Plan:
    """What `aimctl plan` says of these objects, by a snapshot that went through its file."""
    taken = await world.clock.run(take(world.admin, "https://sandbox", world.clock.now()))
    return await planned_with(saved(taken, tmp_path), tmp_path, *objects)


def saved(snapshot: Snapshot, tmp_path: Path) -> Snapshot:
    path = tmp_path / "snapshot.json"
    path.write_text(written(snapshot))
    return read(path)


async def planned_with(snapshot: Snapshot, tmp_path: Path, *objects: dict[str, Any]) -> Plan:
    found = documents.read([changed(tmp_path, objects)])
    plan, wrong = await planned(found, {}, "default", snapshot)
    assert not wrong
    return plan


def changed(tmp_path: Path, objects: Iterable[dict[str, Any]]) -> str:
    file = tmp_path / "change.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    return str(file)


def revisions(world: World) -> dict[tuple[str, str], str]:
    return {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["metadata"]["labels"][labels.REVISION]
        for each in world.all(INFERENCE_SERVICES)
    }


@pytest.mark.parametrize("services", [30])
async def test_the_restarts_of_a_bumped_image_are_those_that_then_happen(
    services: int, tmp_path: Path
) -> None:
    async with World() as world:
        await settled(world, services)
        # As KServe's webhook does.
        world.patch(
            INFERENCE_SERVICES, "service-3", "team-3", {"spec": {"predictor": {"model": {"name": ""}}}}
        )
        before = revisions(world)
        assert len(before) == services
        plan = await planned_on(world, tmp_path, image(3, version=2))
        world.apply([image(3, version=2)])
        await world.pass_seconds(300)
        after = revisions(world)
    found = plan.difference
    assert found is not None
    happened = {key for key in after if after[key] != before.get(key)}
    # A paused service of that model keeps its Pods.
    assert 0 < len(happened) < sum(number % MODELS == 3 for number in range(services)) + 1
    assert {(each.namespace, each.name) for each in found.restarts} == happened
    assert {(each.old_image, each.new_image) for each in found.restarts} == {
        ("ghcr.io/example/model-3:v1", "ghcr.io/example/model-3:v2")
    }
    assert {each.changes for each in found.restarts} == {("image",)}
    assert found.changed == ("AIMClusterImage model-3",)
    assert {each.image for each in found.discoveries} == {"ghcr.io/example/model-3:v2"}
    assert (found.scaled, found.moved, found.worse, found.waiting) == ((), (), (), ())
    # Discovery is not invented: what was taken for it is said.
    (assumed,) = plan.assumed
    assert assumed.startswith("ghcr.io/example/model-3:v2 answers discovery as the image before it did")


async def test_what_is_there_already_changes_nothing(tmp_path: Path) -> None:
    async with World() as world:
        await settled(world, 8)
        plan = await planned_on(world, tmp_path, *catalog(8))
    assert plan.difference == Difference()
    assert not plan.changes


async def test_a_cluster_that_is_read_live_is_planned_as_one_from_a_file(tmp_path: Path) -> None:
    """Nothing between the two went through JSON: a list that was a tuple there was refused."""
    async with World() as world:
        await settled(world, 8)
        taken = await world.clock.run(take(world.admin, "https://sandbox", world.clock.now()))
    live = await planned_with(taken, tmp_path, image(3, version=2))
    assert live.difference is not None
    assert live.difference.restarts
    assert live == await planned_with(saved(taken, tmp_path), tmp_path, image(3, version=2))


async def test_new_services_other_counts_routes_and_gpus(tmp_path: Path) -> None:
    async with World() as world:
        await settled(world, 8)
        world.apply([pod("service-1-predictor-x", "team-1", "service-1")])
        change = (
            service(1, replicas=3, routing={**ROUTING, "routeTemplate": "/moved"}),
            service(8),
            service(9, cacheModel=True),
        )
        plan = await planned_on(world, tmp_path, *change)
        found = plan.difference
        assert found is not None
        world.apply(change)
        await world.pass_seconds(300)
        routed = {each["metadata"]["name"] for each in world.all(HTTP_ROUTES, "team-1")}
    assert found.restarts == ()
    counts = {each.name: (each.old, each.new) for each in found.scaled}
    assert counts == {"service-1": (1, 3), "service-8": (0, 1), "service-9": (0, 1)}
    moves = {each.name: (each.old.partition(" ")[0], each.new.partition(" ")[0]) for each in found.moved}
    assert moves["service-1"][1] == "/moved"
    assert moves["service-1"][0] not in ("", "/moved")
    assert moves["service-9"][0] == ""
    assert "service-1" in routed
    (download,) = found.downloads
    assert (download.source, download.size_bytes) == ("hf://sandbox/model-9", 1024**3)
    # One Pod is there; five more come to the only node.
    (node,) = found.nodes
    assert (node.node, node.before, node.after, node.allocatable) == ("node-1", 1, 5, 8)
    assert found.unplaced == ()


async def test_another_host_is_another_address(tmp_path: Path) -> None:
    """The path stays, and whoever calls the service by its old host gets nothing."""
    async with World() as world:
        await settled(world, 2)
        named = {**ROUTING, "hostnames": ["chat.example.com"]}
        plan = await planned_on(world, tmp_path, service(1, routing=named))
    assert plan.difference is not None
    (moved,) = plan.difference.moved
    assert moved.new == f"{moved.old} for chat.example.com"


async def test_what_would_break_is_named_and_what_is_broken_already_is_not_blamed_on_it(
    tmp_path: Path,
) -> None:
    async with World() as world:
        await settled(world, 4)
        broken = service(11, model="modle-1")
        world.apply([broken])
        await world.pass_seconds(60)
        plan = await planned_on(world, tmp_path, broken, service(2, model="modle-2"))
    assert plan.difference is not None
    (worse,) = plan.difference.worse
    assert (worse.name, worse.status, worse.reason) == ("service-2", "Degraded", "ImageNotFound")
    severities = {problem.subject.rpartition("/")[2]: problem.severity for problem in plan.problems}
    assert severities == {"service-11": "warning", "service-2": "error"}
    assert plan.degraded


async def test_more_gpus_than_a_node_has_left(tmp_path: Path) -> None:
    async with World() as world:
        await settled(world, 4)
        plan = await planned_on(world, tmp_path, service(1, replicas=9))
    assert plan.difference is not None
    assert plan.difference.unplaced == ("team-1/service-1",)


async def test_gpus_of_an_autoscaled_service_are_those_of_its_fewest_replicas_and_that_is_said(
    tmp_path: Path,
) -> None:
    metric = {"type": "CPU", "target": 60}
    scaled = {"minReplicas": 2, "maxReplicas": 5, "metrics": [metric]}
    async with World() as world:
        await settled(world, 4)
        plan = await planned_on(world, tmp_path, service(8, autoscaling=scaled))
        again = await planned_on(world, tmp_path, service(2))
    assert plan.difference is not None
    (node,) = plan.difference.nodes
    assert node.after - node.before == 2
    (assumed,) = plan.assumed
    fewest = "team-3/service-8 (2 of up to 5 replicas)"
    assert assumed == f"autoscaled services take the GPUs of their fewest replicas: {fewest}"
    assert again.assumed == ()


async def test_a_snapshot_holds_no_secret(tmp_path: Path) -> None:
    async with World() as world:
        await settled(world, 4)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hub", "namespace": "team-1"}}
        config = {**secret, "kind": "ConfigMap", "data": {"token": "hf_in_a_config_map"}}
        world.apply([{**secret, "stringData": {"token": "hf_verysecret"}}, config])
        note = {"kubectl.kubernetes.io/last-applied-configuration": "hf_verysecret"}
        world.apply([{**service(1), "metadata": {**service(1)["metadata"], "annotations": note}}])
        before = len(world.sandbox.server.audit)
        taken = await world.clock.run(take(world.admin, "https://sandbox", world.clock.now()))
        asked = {entry.resource for entry in world.sandbox.server.audit[before:]}
    text = written(taken)
    assert not {"secrets", "configmaps"} & asked
    assert "hf_" not in text.replace("hf://", "")
    assert written(saved(taken, tmp_path)) == text
    assert {each["kind"] for each in json.loads(text)["objects"]} >= {"AIMService", "InferenceService"}


async def test_whoever_may_not_read_what_it_needs_gets_no_plan_and_the_rest_is_said_to_be_unseen() -> None:
    async with World() as world:
        world.apply(catalog(2))
        client = world.sandbox.client("somebody")
        denied = Forbidden('the operator may not "list" nodes: add it to its role')
        client.network.fail(Fault(error=denied, verb="list", resource="nodes", times=9))
        taken = await world.clock.run(take(client, "https://sandbox", world.clock.now()))
        assert taken.unseen == {"Node": 'you may not "list" nodes: ask for a role that has it'}
        denied = Forbidden("no")
        client.network.fail(Fault(error=denied, verb="list", resource="aimservices", times=9))
        with pytest.raises(Forbidden):
            await world.clock.run(take(client, "https://sandbox", world.clock.now()))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("apiVersion: v1", "is none of `aimctl snapshot`", id="a manifest"),
        pytest.param("[" * 100_000, "is none of `aimctl snapshot`", id="lists without an end"),
        pytest.param(
            '{"version": 9, "takenAt": "2026-01-31T12:00:00Z", "server": ""}',
            "take it again",
            id="one of another version",
        ),
        pytest.param(
            '{"version": 1, "takenAt": "2026-01-31T12:00:00", "server": ""}', "timezone", id="a time nowhere"
        ),
        pytest.param(
            '{"version": 1, "takenAt": "2026-01-31T12:00:00Z", "server": "", "objects": [{"kind": "Node"}]}',
            "object 1: .*apiVersion",
            id="an object that is none",
        ),
    ],
)
def test_a_file_that_is_no_snapshot_is_refused(text: str, want: str, tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text(text)
    with pytest.raises(UserError, match=want):
        read(path)


def pod(name: str, namespace: str, service_name: str) -> dict[str, Any]:
    limits = {"limits": {"amd.com/gpu": "1"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {OF_INFERENCE_SERVICE: service_name}},
        "spec": {
            "nodeName": "node-1",
            "containers": [{"name": "kserve-container", "image": "x", "resources": limits}],
        },
    }


async def test_the_picture(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    async with World() as world:
        await settled(world, 8)
        taken = await world.clock.run(take(world.admin, "https://sandbox", world.clock.now()))
    found = documents.read(
        [changed(tmp_path, [image(3, version=2), service(1, replicas=3), service(9, cacheModel=True)])]
    )
    plan, _ = await planned(found, {}, "default", saved(taken, tmp_path))
    for width in (80, 60):
        shown = io.StringIO()
        Console(file=shown, width=width, highlight=False, color_system=None).print(view.tree(plan))
        assert max(map(len, shown.getvalue().splitlines())) <= width
        assert shown.getvalue() == snapshot(name=f"{width} columns")
    assert view.markdown(plan) == snapshot(name="markdown")
