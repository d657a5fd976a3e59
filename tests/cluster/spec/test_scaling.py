"""Scaling through the scale subresource of a real API server: what kubectl, an HPA and KEDA use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import yaml

from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core.serving.autoscaling import scaled_object
from hack.cluster.manifests import CRDS, install_crds
from tests.support.spec_world import API, World, message, routed, told

KEDA = Path(__file__).parents[1] / "data" / "keda-2.18.0-scaledobjects.yaml"


def scale(world: World, replicas: int) -> None:
    world.cluster.kubectl(
        "scale", "aimsvc", "chat", f"--replicas={replicas}", f"--namespace={world.namespace}"
    )


def copies(world: World) -> list[int]:
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    return [predictor["minReplicas"], predictor["maxReplicas"]]


def test_kubectl_scales_a_service_down_to_nothing_and_up_again(world: World) -> None:
    world.run(*world.catalog(), world.service(routing=routed(world.path())))
    scale(world, 3)
    world.until("InferenceService", "chat", lambda _: copies(world) == [3, 3], "has 3 copies")
    scale(world, 0)
    world.until_service("Stopped")
    assert copies(world) == [0, 0]
    assert world.need("HTTPRoute", "chat")
    asked = f"/apis/{API}/namespaces/{world.namespace}/aimservices/chat/scale"
    found: dict[str, Any] = json.loads(world.cluster.kubectl("get", "--raw", asked))
    assert (found["spec"], found["status"]["replicas"]) == ({}, 0)
    assert found["status"]["selector"] == "serving.kserve.io/inferenceservice=chat"
    scale(world, 1)
    world.until_service("Running")


METRICS = [
    {"type": "QueueLength", "target": 5},
    {"type": "CacheUsage", "target": 80},
    {"type": "CPU", "target": 70},
    {"type": "Query", "target": 10, "query": "sum(rate(gateway_requests_total[2m]))"},
]
AUTOSCALING: dict[str, Any] = {"minReplicas": 0, "maxReplicas": 4, "metrics": METRICS}
PROMETHEUS = "http://prometheus.monitoring:9090"
CRD_PATH = f"{CRDS}/scaledobjects.keda.sh"
# As KEDA 2.18.0 writes them: GetInitializedConditions, then scaledobject_controller.go and
# pkg/scaling/executor. It gives no times.
INITIAL = [
    {"type": "Ready", "status": "Unknown"},
    {"type": "Active", "status": "Unknown"},
    {"type": "Fallback", "status": "Unknown"},
    {"type": "Paused", "status": "False"},
]


def keda_says(world: World, status: str, reason: str, words: str) -> None:
    """Write the condition Ready as KEDA's operator does."""
    ready = {"type": "Ready", "status": status, "reason": reason, "message": words}
    world.patch("ScaledObject", "chat", {"status": {"conditions": [ready, *INITIAL[1:]]}}, status=True)


def test_keda_s_own_schema_takes_every_trigger_its_words_are_read_and_its_crds_come_and_go(
    world: World,
) -> None:
    """KEDA's operator is not there; its CRD is, and what the operator would write."""
    image, template, _ = world.catalog()
    scaled = world.shared("scaled")
    config = world.cluster_config(scaled, autoscaling={"prometheusAddress": PROMETHEUS})
    world.apply(image, template, config, world.service(autoscaling=AUTOSCALING, runtimeConfigName=scaled))
    status = world.until_service("Degraded", "KedaNotInstalled")
    assert "install KEDA, and the operator continues by itself" in message(status, "Ready")
    world.until("AIMService", "chat", lambda s: told(s["status"], "RuntimeReady").startswith("True/"), "runs")

    install_crds(world.api, [yaml.safe_load(KEDA.read_text())])
    made = world.until("ScaledObject", "chat", lambda _: True, "is made")
    wanted = scaled_object(msgspec.convert(world.need("AIMService", "chat"), AIMService), PROMETHEUS)
    assert wanted is not None
    assert made["spec"] == wanted.manifest["spec"]
    assert copies(world) == [0, 4]
    world.until_service("Running")

    world.patch("ScaledObject", "chat", {"status": {"conditions": INITIAL}}, status=True)
    keda_says(world, "False", "ScaledObjectCheckFailed", "Failed to ensure HPA is correctly created")
    status = world.until_service("Degraded", "AutoscalingFailed")
    assert "KEDA says of the ScaledObject: Failed to ensure HPA is correctly" in message(status, "Ready")
    partial = "Some triggers defined in ScaledObject are not working correctly"
    keda_says(world, "Unknown", "PartialTriggerError", partial)
    world.until("AIMService", "chat", lambda s: partial in message(s["status"], "Ready"), "says which")
    keda_says(world, "True", "ScaledObjectReady", "ScaledObject is defined correctly")
    world.until_service("Running")

    world.api.delete(CRD_PATH)
    world.until_service("Degraded", "KedaNotInstalled")
    install_crds(world.api, [yaml.safe_load(KEDA.read_text())])
    world.until_service("Running")
    world.until("ScaledObject", "chat", lambda _: True, "is made again")

    world.patch("AIMService", "chat", {"spec": {"autoscaling": None}})
    world.until_gone("ScaledObject", "chat")
    world.until("InferenceService", "chat", lambda _: copies(world) == [1, 1], "has one copy")
    world.api.delete(CRD_PATH)
