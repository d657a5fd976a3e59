"""Behaviour "Resources": merged per quantity over service, template and image; GPUs from discovery."""

from __future__ import annotations

from typing import Any

import pytest

from hack.cluster.api import Manifest
from tests.support.spec_world import World, message, told

GPU = "amd.com/gpu"


def resources(service: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = service["spec"]["predictor"]["model"]["resources"]
    return found


def until_resources(world: World, want: dict[str, Any]) -> None:
    world.until("InferenceService", "chat", lambda s: resources(s) == want, f"has {want}")


IMAGE_TIER = {"requests": {"cpu": "4", "memory": "32Gi"}, "limits": {"cpu": "8", "memory": "64Gi"}}
TEMPLATE_TIER = {"requests": {"memory": "16Gi"}, "limits": {"memory": "48Gi", "ephemeral-storage": "10Gi"}}
SERVICE_TIER = {"requests": {"cpu": "500m"}}
MERGED = {
    "requests": {"cpu": "500m", "memory": "16Gi", GPU: "1"},
    "limits": {"cpu": "8", "memory": "48Gi", "ephemeral-storage": "10Gi", GPU: "1"},
}


def test_each_quantity_is_the_services_then_the_templates_then_the_images(world: World) -> None:
    image = world.image(defaultServiceTemplate="fast", resources=IMAGE_TIER)
    world.run(
        image, world.template(resources=TEMPLATE_TIER), world.config(), world.service(resources=SERVICE_TIER)
    )
    assert resources(world.need("InferenceService", "chat")) == MERGED
    # Any tier that changes is followed.
    world.apply(world.service())
    until_resources(world, {**MERGED, "requests": {**MERGED["requests"], "cpu": "4"}})
    world.apply(world.template())
    gpus = {GPU: "1"}
    until_resources(world, {side: {**IMAGE_TIER[side], **gpus} for side in ("requests", "limits")})
    world.apply(world.image(defaultServiceTemplate="fast"))
    until_resources(
        world, {"requests": {"cpu": "4", "memory": "32Gi", **gpus}, "limits": {"memory": "48Gi", **gpus}}
    )


def test_a_cluster_template_has_a_tier_of_its_own_too(world: World) -> None:
    base = world.shared("base")
    world.run(
        world.cluster_image(defaultServiceTemplate=base, resources=IMAGE_TIER),
        world.cluster_template(base, resources=TEMPLATE_TIER),
        world.config(),
        world.service(resources=SERVICE_TIER),
    )
    assert resources(world.need("InferenceService", "chat")) == MERGED


GPUS: list[Any] = [
    pytest.param({}, "2", id="unset on both sides they are copied from the discovered gpu_count"),
    pytest.param({"requests": {GPU: "4"}}, "4", id="set as a request they are mirrored to the limit"),
    pytest.param({"limits": {GPU: "3"}}, "3", id="set as a limit they are mirrored to the request"),
]


@pytest.mark.parametrize(("given", "want"), GPUS)
def test_gpus(world: World, given: dict[str, Any], want: str) -> None:
    none = {"cpu": 0, "memory": 0, "memoryLimit": 0}
    template = world.catalog(
        gpuSelector={"count": 2, "model": "MI300X"}, serving={"defaultResourcesPerGpu": none}
    )
    world.run(*template, world.service(resources=given))
    until_resources(world, {"requests": {GPU: want}, "limits": {GPU: want}})
    # The runtime itself asks for nothing: KServe would hand a change of it on to every service at once.
    assert "resources" not in world.need("ServingRuntime", "fast")["spec"]["containers"][0]


def test_settings_of_serving_are_the_services_then_the_templates_then_the_configurations(
    world: World,
) -> None:
    per_gpu = {"defaultResourcesPerGpu": {"cpu": 2, "memory": "8Gi", "memoryLimit": "16Gi"}}
    partitions = {"count": 2, "model": "MI300X", "resourceName": "amd.com/cpx_nps4"}
    image, template, _ = world.catalog(
        gpuSelector=partitions, serving={"sharedMemorySize": "1Gi", "startupTimeoutSeconds": 120}
    )
    config = world.config(serving={"sharedMemorySize": "2Gi", **per_gpu})
    world.run(image, template, config, world.service(serving={"startupTimeoutSeconds": 60}))
    predictor = world.need("InferenceService", "chat")["spec"]["predictor"]
    partition = {"amd.com/cpx_nps4": "2"}
    assert predictor["model"]["resources"] == {
        "requests": {"cpu": "4", "memory": "16Gi", **partition},
        "limits": {"memory": "32Gi", **partition},
    }
    assert predictor["volumes"][0]["emptyDir"]["sizeLimit"] == "1Gi"
    assert predictor["model"]["startupProbe"]["failureThreshold"] == 6


INVALID: list[Any] = [
    pytest.param(
        {},
        {"requests": {"cpu": "16"}},
        "resources.requests[cpu] is 16 (from the service), which is more than its limit: "
        "resources.limits[cpu] is 8 (from the image)",
        id="a request above the limit of another tier",
    ),
    pytest.param(
        {"requests": {GPU: "1"}},
        {"limits": {GPU: "2"}},
        "amd.com/gpu cannot be overcommitted",
        id="unequal GPUs",
    ),
]


@pytest.mark.parametrize(("template", "service", "want"), INVALID)
def test_what_no_pod_could_have_is_told_with_quantity_and_tiers_and_heals(
    world: World, template: dict[str, Any], service: dict[str, Any], want: str
) -> None:
    image = world.image(defaultServiceTemplate="fast", resources=IMAGE_TIER)
    world.apply(image, world.template(resources=template), world.config(), world.service(resources=service))
    status = world.until_service("Degraded", "ResourcesInvalid")
    assert told(status, "Failure") == "True/ResourcesInvalid"
    assert want in message(status, "Failure")
    assert world.get("InferenceService", "chat") is None
    world.apply(world.service())
    world.until_service("Running")


def test_a_running_service_goes_on_while_its_new_resources_are_invalid(world: World) -> None:
    limited = {"limits": {"cpu": "1"}}
    world.run(*world.catalog(resources=limited), world.service())
    before = world.need("InferenceService", "chat")
    world.apply(world.service(resources={"requests": {"cpu": "2"}}))
    status = world.until_service("Degraded", "ResourcesInvalid")
    assert told(status, "RuntimeReady") == "True/RuntimeReady"
    assert world.need("InferenceService", "chat") == before
    world.apply(world.service(resources={"requests": {"cpu": "1"}}))
    until_resources(
        world,
        {
            "requests": {"cpu": "1", "memory": "32Gi", GPU: "1"},
            "limits": {"cpu": "1", "memory": "48Gi", GPU: "1"},
        },
    )
