"""What a model image refuses: the reason, a message that says what to do, and that doing it heals.

Where no profile fits, for want of a GPU model or because one is taken by its name only: test_aim_images.py.
What a model server refuses when it starts: tests/e2e/test_contract.py.
"""

from __future__ import annotations

from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.resource import Resource
from aim_operator.sandbox.aim_image.tables import LLAMA_8B
from aim_operator.sandbox.profiles import SandboxImage
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, service, template
from tests.simulation.world import World
from tests.support.aim_image import model_env

GPU = {"model": "MI300X", "count": 1}
FINE_TUNED = {"name": "AIM_MODEL_ID", "value": "org/fine-tuned"}


def catalog(**asked: Any) -> list[dict[str, Any]]:
    return [
        image(defaultServiceTemplate="fast"),
        config(),
        template(**{"gpuSelector": GPU, **asked}),
        service(),
    ]


def world_with(made_for: str) -> World:
    """A world whose image is made for one model, or "" for a base image."""
    world = World()
    world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(made_for) if made_for else {})
    return world


def told(world: World, resource: Resource[Any], name: str, type_: str) -> tuple[str, str]:
    """The reason and the message of a condition."""
    for condition in world.status(resource, name, NAMESPACE).get("conditions", ()):
        if condition["type"] == type_:
            return condition["reason"], condition["message"]
    return "", ""


def discovered(world: World) -> tuple[str, str]:
    return told(world, aim.TEMPLATES, "fast", "Discovered")


def state(world: World) -> str:
    return world.state_of(aim.TEMPLATES, "fast", NAMESPACE)


def running(world: World) -> bool:
    return world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running"


async def test_an_image_made_for_one_model_that_is_given_another() -> None:
    async with world_with(LLAMA_8B) as world:
        world.apply(catalog(env=[FINE_TUNED]))
        world.start()
        await world.until(lambda: state(world) == "Failed")
        reason, message = discovered(world)
        assert reason == "DiscoveryFailed"
        assert f"cannot set both AIM_ID ({LLAMA_8B}) and AIM_MODEL_ID (org/fine-tuned)" in message
        assert "use a template without spec.model, and AIM_MODEL_ID in no env" in message
        assert told(world, aim.SERVICES, "chat", "Failure")[1].endswith(message), "who uses it reads it, too"

        world.apply([template(gpuSelector=GPU)])
        await world.until(lambda: running(world))


async def test_a_base_image_that_is_given_no_model() -> None:
    async with world_with("") as world:
        world.apply(catalog())
        world.start()
        await world.until(lambda: state(world) == "Failed")
        reason, message = discovered(world)
        assert reason == "DiscoveryFailed"
        assert "neither AIM_ID nor AIM_MODEL_ID is set" in message
        assert "use a template that names one in spec.model" in message

        named = template("tuned", gpuSelector=GPU)
        named["spec"]["model"] = "org/fine-tuned"
        world.apply([named, service(templateRef="tuned")])
        await world.until(lambda: running(world))


async def test_a_gpu_that_the_image_does_not_know() -> None:
    async with world_with(LLAMA_8B) as world:
        world.apply(catalog(gpuSelector={"model": "MI999X", "count": 1}))
        world.start()
        await world.until(lambda: state(world) == "Degraded")
        reason, message = discovered(world)
        assert reason == "NoMatchingProfile"
        assert message.startswith("the image has no profile for MI999X, 1 GPU, latency; it says ")
        assert "unknown AIM_GPU_MODEL 'MI999X'" in message
        assert "known are MI100, MI210, MI250X, MI300A, MI300X" in message
        assert "gpu_mismatch" in message

        world.apply([template(gpuSelector=GPU)])
        await world.until(lambda: running(world))


async def test_a_metric_that_the_image_does_not_know() -> None:
    """It takes its default and goes on: only the template's message tells that it is not what was meant."""
    async with world_with(LLAMA_8B) as world:
        world.apply(catalog(env=[{"name": "AIM_METRIC", "value": "fastest"}]))
        world.start()
        await world.until(lambda: running(world))
        reason, message = told(world, aim.TEMPLATES, "fast", "Ready")
        assert reason == "Available"
        assert (
            "the image does not know AIM_METRIC=fastest but takes latency: correct it in spec.env" in message
        )
        await world.pass_seconds(60)
        assert told(world, aim.TEMPLATES, "fast", "Ready") == (reason, message), "it stays"

        world.apply([template(gpuSelector=GPU, env=[{"name": "AIM_METRIC", "value": "throughput"}])])
        await world.until(lambda: "does not know" not in told(world, aim.TEMPLATES, "fast", "Ready")[1])
        profile = world.status(aim.TEMPLATES, "fast", NAMESPACE)["profile"]
        assert profile["metadata"]["metric"] == "throughput"
