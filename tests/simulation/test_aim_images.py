"""Images that keep the contract of AIM images: how the operator takes what they refuse, and what heals it."""

from __future__ import annotations

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES, JOBS
from aim_operator.sandbox.aim_image.tables import LLAMA_8B
from aim_operator.sandbox.profiles import SandboxImage
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, service, template
from tests.simulation.world import World
from tests.support.aim_image import model_env

GPU = {"model": "MI300X", "count": 1}


def state(world: World) -> str:
    return world.state_of(aim.TEMPLATES, "fast", NAMESPACE)


def message(world: World) -> str:
    text: str = world.status(aim.TEMPLATES, "fast", NAMESPACE)["discovery"]["message"]
    return text


async def test_no_matching_profile_is_not_tried_again_until_an_input_changes() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        world.apply([image(defaultServiceTemplate="fast"), template(), config(), service()])
        world.start()
        await world.until(lambda: state(world) == "Degraded")
        assert world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Failure") == "True/NoMatchingProfile"
        assert "set spec.gpuSelector.model" in message(world)
        await world.pass_seconds(7_200)
        assert sum(name.startswith("Job ") for name in world.created) == 1

        world.apply([template(gpuSelector=GPU | {"count": 4})])
        await world.until(lambda: "for MI300X, 4 GPUs, latency" in message(world))
        assert "16 gpu_count_mismatch, 8 gpu_mismatch, 8 metric_mismatch" in message(world)
        assert len(world.all(JOBS)) == 1, "the earlier one is gone"

        world.apply([template(gpuSelector=GPU)])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        profile = world.status(aim.TEMPLATES, "fast", NAMESPACE)["profile"]
        assert profile["filename"] == "vllm-mi300x-fp16-tp1-latency.yaml"


async def test_an_image_that_refuses_both_ids_is_served_without_ours() -> None:
    """The sandbox's KServe starts no server that the image would end: Running means that it serves."""
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        world.apply([image(defaultServiceTemplate="fast"), template(gpuSelector=GPU), config(), service()])
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        [live] = world.all(INFERENCE_SERVICES)
        names = {variable["name"] for variable in live["spec"]["predictor"]["model"]["env"]}
        assert "AIM_MODEL_ID" not in names
        assert "AIM_PROFILE_ID" in names


async def test_a_base_image_serves_the_model_that_its_template_names() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage({})
        named = [{"name": "AIM_MODEL_ID", "value": "org/fine-tuned"}]
        wanted = template(gpuSelector=GPU, env=named)
        world.apply([image(defaultServiceTemplate="fast"), wanted, config(), service()])
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        [source] = world.status(aim.TEMPLATES, "fast", NAMESPACE)["modelSources"]
        assert source["name"] == "org/fine-tuned"
