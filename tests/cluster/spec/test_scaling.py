"""Scaling through the scale subresource of a real API server: what kubectl, an HPA and KEDA use."""

from __future__ import annotations

import json
from typing import Any

from tests.support.spec_world import API, World, routed


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
