"""Services that are scaled, stopped and started again: what stays, what goes, and what they say meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import DEPLOYMENTS, HTTP_ROUTES, INFERENCE_SERVICES
from tests.simulation.catalog import NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

CATALOG = [image(defaultServiceTemplate="fast"), template(), config(routing={"enabled": True})]
COUNTS = ("desiredReplicas", "replicas", "readyReplicas", "updatedReplicas")


def state(world: World) -> str:
    return world.state_of(aim.SERVICES, "chat", NAMESPACE)


def status(world: World) -> dict[str, Any]:
    return world.status(aim.SERVICES, "chat", NAMESPACE)


def counts(world: World) -> list[int]:
    return [status(world)[name] for name in COUNTS]


def predictor(world: World) -> dict[str, Any]:
    found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
    assert found is not None
    predictor: dict[str, Any] = found["spec"]["predictor"]
    return predictor


def message(world: World, type_: str) -> str:
    (condition,) = [each for each in status(world)["conditions"] if each["type"] == type_]
    text: str = condition["message"]
    return text


def scale(world: World, replicas: int) -> None:
    """Write what `kubectl scale` and an HPA write through the scale subresource."""
    world.patch(aim.SERVICES, "chat", NAMESPACE, {"spec": {"replicas": replicas}})


async def running(world: World, **spec: Any) -> None:
    world.apply([*CATALOG, service(routing=routed("/chat"), **spec)])
    world.start()
    await world.until(lambda: state(world) == "Running")


async def test_a_service_that_is_scaled_counts_its_copies() -> None:
    async with World() as world:
        await running(world)
        assert counts(world) == [1, 1, 1, 1]
        assert status(world)["selector"] == "serving.kserve.io/inferenceservice=chat"
        scale(world, 3)
        await world.until(lambda: counts(world) == [3, 3, 3, 3])
        assert (predictor(world)["minReplicas"], predictor(world)["maxReplicas"]) == (3, 3)
        assert state(world) == "Running"


async def test_a_service_at_zero_is_stopped_and_keeps_its_route_and_what_it_runs_on() -> None:
    async with World() as world:
        await running(world)
        before = status(world)
        (route,) = world.all(HTTP_ROUTES)
        scale(world, 0)
        await world.until(lambda: state(world) == "Stopped")
        await world.pass_seconds(60)
        assert counts(world) == [0, 0, 0, 0]
        assert (predictor(world)["minReplicas"], predictor(world)["maxReplicas"]) == (0, 0)
        for type_, want in {
            "Ready": "False/Stopped",
            "Failure": "False/Stopped",
            "Progressing": "False/Stopped",
            "RuntimeReady": "False/Stopped",
            "RoutingReady": "True/RouteReady",
        }.items():
            assert world.reason(aim.SERVICES, "chat", NAMESPACE, type_) == want
        assert message(world, "Ready") == "scaled to zero; set spec.replicas, or scale it, to start it again"
        assert status(world)["active"] == before["active"]
        assert status(world)["routing"] == before["routing"]
        assert [kept["metadata"]["uid"] for kept in world.all(HTTP_ROUTES)] == [route["metadata"]["uid"]]
        scale(world, 1)
        await world.until(lambda: state(world) == "Running")


async def test_a_service_that_begins_at_zero_has_everything_but_its_model_server() -> None:
    async with World() as world:
        world.apply([*CATALOG, service(routing=routed("/chat"), replicas=0)])
        world.start()
        await world.until(lambda: state(world) == "Stopped")
        assert world.find(DEPLOYMENTS, "chat-predictor", NAMESPACE) is not None
        assert status(world)["active"]["image"]
        assert status(world)["routing"]["path"] == "/chat"


async def test_pods_that_do_not_go_are_told_of_for_as_long_as_they_are_there() -> None:
    """A node that is away keeps its Pods: GPUs that somebody waits for may not be free."""
    async with World() as world:
        await running(world)
        stuck = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "chat-predictor-0a1b-x",
                "namespace": NAMESPACE,
                "labels": {
                    "app.kubernetes.io/managed-by": "aim-controller",
                    "serving.kserve.io/inferenceservice": "chat",
                },
            },
            "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
        }
        world.apply([stuck])
        scale(world, 0)
        await world.until(lambda: state(world) == "Stopped")
        await world.pass_seconds(3600)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Progressing") == "True/Stopped"
        assert message(world, "Ready") == "stopping: 1 Pods of the model server are still there"


@pytest.mark.parametrize("replicas", [0, 1])
async def test_a_stopped_model_server_that_would_crash_is_no_failure(replicas: int) -> None:
    async with World() as world:
        await running(world)
        scale(world, replicas)
        await world.pass_seconds(5)
        world.sandbox.kserve.broken[NAMESPACE, "chat"] = "it crashes"
        world.sandbox.kserve.reconcile_all()
        await world.until(lambda: state(world) == ("Starting" if replicas else "Stopped"))
        await world.pass_seconds(60)
        assert state(world) == ("Starting" if replicas else "Stopped")


def pod(name: str, revision: str, placement: str, *conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"chat-predictor-{name}",
            "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/managed-by": "aim-controller",
                "serving.kserve.io/inferenceservice": "chat",
                "aim.silogen.ai/revision": revision,
                "aim.silogen.ai/placement": placement,
            },
        },
        "spec": {"containers": [{"name": "kserve-container", "image": "x"}]},
        "status": {"conditions": list(conditions)},
    }


def own_label(world: World, name: str) -> str:
    found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
    assert found is not None
    label: str = found["metadata"]["labels"][f"aim.silogen.ai/{name}"]
    return label


@pytest.mark.parametrize("fits", [True, False], ids=["in its place", "nowhere"])
async def test_on_a_full_node_the_old_pod_makes_room_for_what_fits(fits: bool) -> None:  # noqa: FBT001 - a table
    ready = {"type": "Ready", "status": "True"}
    async with World() as world:
        await running(world)
        world.apply([pod("old", own_label(world, "revision"), own_label(world, "placement"), ready)])
        more: dict[str, Any] = {} if fits else {"scheduling": {"nodeSelector": {"pool": "other"}}}
        world.apply([service(routing=routed("/chat"), env=[{"name": "A", "value": "b"}], **more)])
        await world.pass_seconds(1)
        no_gpu = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": "0/1 nodes are available: 1 Insufficient amd.com/gpu.",
            "lastTransitionTime": world.sandbox.kserve.now(),
        }
        revision = own_label(world, "revision")
        world.apply([pod("new", revision, own_label(world, "placement"), no_gpu)])
        await world.pass_seconds(10)
        assert "deploymentStrategy" not in predictor(world)
        await world.pass_seconds(3600)
        if fits:
            assert predictor(world)["deploymentStrategy"] == {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            }
            assert status(world)["rollout"] == {"revision": revision, "strategy": "OldFirst"}
            assert "it goes first, and the model is away until the new one is ready" in message(
                world, "Ready"
            )
            assert (state(world), own_label(world, "revision")) == ("Running", revision)
        else:
            assert "deploymentStrategy" not in predictor(world)
            assert (state(world), "rollout" in status(world)) == ("Degraded", False)
            assert message(world, "Ready").endswith(
                "1 Insufficient amd.com/gpu.; rollout.strategy: Recreate has the old Pods go first, whether "
                "the new ones fit or not"
            )
