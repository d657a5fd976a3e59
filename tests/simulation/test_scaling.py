"""Services that are scaled, stopped and started again: what stays, what goes, and what they say meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    DEPLOYMENTS,
    EVENTS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    SCALED_OBJECTS,
)
from tests.simulation.catalog import NAMESPACE, cluster_config, config, image, routed, service, template
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


QUEUE = {"type": "QueueLength", "target": 5}
REQUESTS = {"type": "Query", "target": 10, "query": 'sum(rate(gateway_requests{service="chat"}[2m]))'}
PROMETHEUS = "http://prometheus.monitoring:9090"


def autoscaled(world: World, minimum: int, *metrics: dict[str, Any], **more: Any) -> None:
    autoscaling = {"minReplicas": minimum, "maxReplicas": 4, "metrics": list(metrics)}
    world.apply([service(routing=routed("/chat"), autoscaling=autoscaling, **more)])


def asked_of_kserve(world: World) -> dict[str, str]:
    found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
    assert found is not None
    annotations: dict[str, str] = found["metadata"]["annotations"]
    return {
        name.rpartition("/")[2]: annotations[name]
        for name in ("serving.kserve.io/autoscalerClass", "serving.kserve.io/stop")
        if name in annotations
    }


def copies(world: World) -> int | None:
    found = world.find(DEPLOYMENTS, "chat-predictor", NAMESPACE)
    return None if found is None else found["spec"]["replicas"]


def scale_deployment(world: World, replicas: int) -> None:
    """Write what an HPA or KEDA writes."""
    world.patch(DEPLOYMENTS, "chat-predictor", NAMESPACE, {"spec": {"replicas": replicas}})


def with_prometheus() -> dict[str, Any]:
    return cluster_config(autoscaling={"prometheusAddress": PROMETHEUS})


async def test_an_hpa_of_kserve_scales_by_cpu_and_nobody_writes_against_it() -> None:
    async with World() as world:
        await running(world)
        autoscaled(world, 2, {"type": "CPU", "target": 70})
        await world.until(lambda: asked_of_kserve(world) == {"autoscalerClass": "hpa"})
        target = {"type": "Utilization", "averageUtilization": 70}
        assert predictor(world)["autoScaling"] == {
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        }
        assert (predictor(world)["minReplicas"], predictor(world)["maxReplicas"]) == (2, 4)
        scale_deployment(world, 3)
        await world.pass_seconds(3600)
        assert copies(world) == 3
        assert counts(world)[0] == 3


async def test_without_a_metrics_server_an_autoscaled_service_says_that_nothing_scales_it() -> None:
    """The HPA knows, and nobody reads it; the copies that run go on."""
    async with World() as world:
        await running(world)
        world.sandbox.autoscalers.metrics_server = False
        autoscaled(world, 1, {"type": "CPU", "target": 70})
        await world.until(lambda: state(world) == "Degraded")
        await world.pass_seconds(3600)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/AutoscalingFailed"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == "True/RuntimeReady"
        said = message(world, "Failure")
        assert "the server could not find the requested resource (get pods.metrics.k8s.io)" in said
        assert said.endswith("; install metrics-server")
        world.sandbox.autoscalers.metrics_server = True
        world.sandbox.autoscalers.sync_all()
        await world.until(lambda: state(world) == "Running")


async def test_a_model_that_loads_for_an_hour_is_not_told_as_an_hpa_without_metrics() -> None:
    """An HPA measures no Pod before it is ready, and says so all the while."""
    async with World() as world:
        world.sandbox.kserve.ready_seconds = 3600
        cpu = {"maxReplicas": 4, "metrics": [{"type": "CPU", "target": 70}]}
        world.apply([*CATALOG, service(routing=routed("/chat"), autoscaling=cpu)])
        world.start()
        await world.pass_seconds(3000)
        assert state(world) == "Starting"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure").startswith("False/")
        await world.until(lambda: state(world) == "Running")
        await world.pass_seconds(3600)
        assert state(world) == "Running"


async def test_a_stopped_service_with_an_hpa_starts_again() -> None:
    """An HPA leaves a Deployment at zero alone for ever."""
    async with World() as world:
        await running(world)
        autoscaled(world, 1, {"type": "CPU", "target": 70})
        await world.pass_seconds(5)
        autoscaled(world, 1, {"type": "CPU", "target": 70}, replicas=0)
        await world.until(lambda: state(world) == "Stopped")
        await world.pass_seconds(60)
        assert asked_of_kserve(world) == {"autoscalerClass": "hpa", "stop": "true"}
        assert (state(world), copies(world)) == ("Stopped", None)
        autoscaled(world, 1, {"type": "CPU", "target": 70})
        await world.until(lambda: state(world) == "Running")
        assert (copies(world), asked_of_kserve(world)) == (1, {"autoscalerClass": "hpa"})


async def test_a_service_that_was_stopped_before_it_got_an_hpa_starts_all_the_same() -> None:
    async with World() as world:
        await running(world)
        scale(world, 0)
        await world.until(lambda: state(world) == "Stopped")
        assert copies(world) == 0
        autoscaled(world, 1, {"type": "CPU", "target": 70}, replicas=1)
        await world.until(lambda: state(world) == "Running" and copies(world) == 1)
        assert asked_of_kserve(world) == {"autoscalerClass": "hpa"}


async def test_keda_scales_by_the_queue_once_it_is_installed_and_the_status_says_what_lacks() -> None:
    async with World() as world:
        await running(world)
        autoscaled(world, 1, QUEUE)
        await world.until(lambda: state(world) == "Degraded")
        await world.pass_seconds(3600)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/KedaNotInstalled"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == "True/RuntimeReady"
        world.sandbox.install_keda()
        await world.until(
            lambda: world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/AutoscalingFailed"
        )
        assert "set autoscaling.prometheusAddress" in message(world, "Failure")
        world.apply([with_prometheus()])
        await world.until(lambda: state(world) == "Running")
        scaled = world.find(SCALED_OBJECTS, "chat", NAMESPACE)
        assert scaled is not None
        pods = '{namespace="team",pod=~"chat-predictor-[a-z0-9]+-[a-z0-9]+"}'
        assert scaled["spec"] == {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat-predictor"},
            "minReplicaCount": 1,
            "maxReplicaCount": 4,
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": PROMETHEUS,
                        "query": f"sum(vllm:num_requests_waiting{pods})",
                        "threshold": "5",
                    },
                }
            ],
        }
        assert asked_of_kserve(world) == {"autoscalerClass": "external"}
        keda_says(world, "False", "ScaledObjectCheckFailed", "no Prometheus")
        await world.until(lambda: state(world) == "Degraded")
        await world.pass_seconds(3600)
        assert message(world, "Failure").endswith("KEDA says of the ScaledObject: no Prometheus")


def keda_says(world: World, word: str, reason: str, message: str) -> None:
    told = {"type": "Ready", "status": word, "reason": reason, "message": message}
    world.sandbox.server.patch(
        world.sandbox.server.kinds.served(SCALED_OBJECTS),
        "chat",
        {"status": {"conditions": [told]}},
        namespace=NAMESPACE,
        subresource="status",
        manager="keda",
    )


async def test_one_metric_of_several_that_keda_cannot_read_is_told_for_as_long_as_it_lasts() -> None:
    """KEDA then says Unknown, as of an object that it has yet to look at (RequestScale, KEDA 2.18)."""
    some = "Some triggers defined in ScaledObject are not working correctly"
    async with World() as world:
        world.sandbox.install_keda()
        world.apply([*CATALOG, with_prometheus()])
        autoscaled(world, 1, QUEUE, REQUESTS)
        world.start()
        await world.until(lambda: state(world) == "Running")
        keda_says(world, "Unknown", "", "")
        await world.pass_seconds(60)
        assert state(world) == "Running"
        keda_says(world, "Unknown", "PartialTriggerError", some)
        await world.pass_seconds(3600)
        assert state(world) == "Degraded"
        assert message(world, "Failure").endswith(f"KEDA says of the ScaledObject: {some}")
        keda_says(world, "True", "ScaledObjectReady", "ready")
        await world.until(lambda: state(world) == "Running")


def keda_warns(world: World, message: str) -> None:
    """As KEDA's recorder does: its conditions name no cause (GetMetricsAndActivity, KEDA 2.18)."""
    found = world.find(SCALED_OBJECTS, "chat", NAMESPACE)
    assert found is not None
    about = {"apiVersion": found["apiVersion"], "kind": "ScaledObject", "name": "chat"}
    event = {
        "metadata": {"generateName": "chat."},
        "involvedObject": {**about, "namespace": NAMESPACE, "uid": found["metadata"]["uid"]},
        "type": "Warning",
        "reason": "KEDAScalerFailed",
        "message": message,
    }
    served = world.sandbox.server.kinds.served(EVENTS)
    world.sandbox.server.create(served, event, namespace=NAMESPACE, manager="keda")


async def test_why_keda_cannot_read_a_metric_is_told_with_the_failure() -> None:
    """Each attempt is from another port: that is no reason to write the status again."""
    broken = "Triggers defined in ScaledObject are not working correctly"
    refused = "read tcp 10.244.0.5:{}->10.96.0.10:9090: read: connection reset by peer"
    async with World() as world:
        world.sandbox.install_keda()
        world.apply([*CATALOG, with_prometheus()])
        autoscaled(world, 1, QUEUE)
        world.start()
        await world.until(lambda: state(world) == "Running")
        keda_warns(world, refused.format(40001))
        await world.pass_seconds(60)
        assert state(world) == "Running", "it may pass; what counts is whether KEDA is ready"
        keda_says(world, "False", "TriggerError", broken)
        await world.until(lambda: state(world) == "Degraded")
        cause = "10.96.0.10:9090: read: connection reset by peer"
        assert message(world, "Failure").endswith(
            f"KEDA says of the ScaledObject: {broken}: read tcp {cause}"
        )
        quiet = world.writes()
        for port in range(40002, 40012):
            keda_warns(world, refused.format(port))
            await world.pass_seconds(30)
        assert world.writes() == quiet
        keda_warns(world, "error parsing the query")
        await world.until(lambda: message(world, "Failure").endswith(f"{broken}: error parsing the query"))
        keda_says(world, "True", "ScaledObjectReady", "ready")
        await world.until(lambda: state(world) == "Running")


async def test_keda_may_take_the_last_copy_and_a_stopped_service_has_no_scaled_object() -> None:
    async with World() as world:
        world.sandbox.install_keda()
        await running(world)
        world.apply([with_prometheus()])
        autoscaled(world, 0, QUEUE, REQUESTS)
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is not None)
        scale_deployment(world, 0)
        await world.until(lambda: state(world) == "Stopped")
        await world.pass_seconds(3600)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Ready") == "False/ScaledToZero"
        assert (copies(world), counts(world)[0]) == (0, 0)
        scale_deployment(world, 1)
        world.sandbox.kserve.reconcile_all()
        await world.until(lambda: state(world) == "Running")
        autoscaled(world, 0, QUEUE, REQUESTS, replicas=0)
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is None)
        await world.until(lambda: world.reason(aim.SERVICES, "chat", NAMESPACE, "Ready") == "False/Stopped")


async def test_a_scaled_object_that_nobody_lets_go_is_told_for_as_long_as_it_is_there() -> None:
    """KEDA is gone and its CRDs are left: nobody takes its finalizer away, and its HPA goes on scaling."""
    async with World() as world:
        world.sandbox.install_keda()
        await running(world)
        world.apply([with_prometheus()])
        autoscaled(world, 1, QUEUE)
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is not None)
        world.patch(SCALED_OBJECTS, "chat", NAMESPACE, {"metadata": {"finalizers": ["finalizer.keda.sh"]}})
        world.patch(aim.SERVICES, "chat", NAMESPACE, {"spec": {"autoscaling": None}})
        await world.pass_seconds(50)
        assert state(world) == "Running", "KEDA may need a moment"
        await world.until(lambda: state(world) == "Degraded", limit_seconds=30)
        await world.pass_seconds(3600)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/AutoscalingFailed"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == "True/RuntimeReady"
        assert "it waits for finalizer.keda.sh: see that KEDA's operator runs" in message(world, "Failure")
        world.patch(SCALED_OBJECTS, "chat", NAMESPACE, {"metadata": {"finalizers": None}})
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is None)
        await world.until(lambda: state(world) == "Running")


async def test_without_autoscaling_kserve_writes_the_number_again() -> None:
    async with World() as world:
        world.sandbox.install_keda()
        await running(world)
        world.apply([with_prometheus()])
        autoscaled(world, 1, QUEUE)
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is not None)
        scale_deployment(world, 4)
        world.patch(aim.SERVICES, "chat", NAMESPACE, {"spec": {"autoscaling": None}})
        await world.until(lambda: world.find(SCALED_OBJECTS, "chat", NAMESPACE) is None)
        await world.until(lambda: counts(world) == [1, 1, 1, 1])
        assert asked_of_kserve(world) == {"autoscalerClass": "none"}
