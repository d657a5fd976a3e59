"""Scaling through the scale subresource of a real API server: what kubectl, an HPA and KEDA use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import yaml

from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core.serving.autoscaling import scaled_object
from hack.cluster.manifests import install_crds
from tests.support.spec_world import API, World, routed

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


def test_keda_s_own_schema_takes_every_trigger_and_loses_none(world: World) -> None:
    """KEDA's operator is not there; its CRD is."""
    install_crds(world.api, [yaml.safe_load(KEDA.read_text())])
    metrics = [
        {"type": "QueueLength", "target": 5},
        {"type": "CacheUsage", "target": 80},
        {"type": "CPU", "target": 70},
        {"type": "Query", "target": 10, "query": "sum(rate(gateway_requests_total[2m]))"},
    ]
    image, template, _ = world.catalog()
    scaled = world.shared("scaled")
    config = world.cluster_config(
        scaled, autoscaling={"prometheusAddress": "http://prometheus.monitoring:9090"}
    )
    autoscaling = {"minReplicas": 0, "maxReplicas": 4, "metrics": metrics}
    world.run(image, template, config, world.service(autoscaling=autoscaling, runtimeConfigName=scaled))
    made = world.until("ScaledObject", "chat", lambda _: True, "is made")
    wanted = scaled_object(
        msgspec.convert(world.need("AIMService", "chat"), AIMService), "http://prometheus.monitoring:9090"
    )
    assert wanted is not None
    assert made["spec"] == wanted.manifest["spec"]
    assert copies(world) == [0, 4]
    world.patch("AIMService", "chat", {"spec": {"autoscaling": None}})
    world.until_gone("ScaledObject", "chat")
    world.until("InferenceService", "chat", lambda _: copies(world) == [1, 1], "has one copy")
