"""Behaviour of what templates say about profiles and models, and the status that tells what was found."""

from __future__ import annotations

import json

from tests.support.spec_world import World, told, variables

BASE_IMAGE = "ghcr.io/example/aim-base:0.9"


def served(world: World, name: str = "chat") -> dict[str, str]:
    """The environment of a service's model server."""
    return variables(world.need("InferenceService", name)["spec"]["predictor"]["model"])


def test_flags_without_a_value_stay_in_the_status(world: World) -> None:
    env = [{"name": "AIM_TEST_FLAG", "value": "async-scheduling"}]
    world.apply(world.image(), world.config(), world.template(env=env))
    status = world.until_template("Available")
    arguments = status["profile"]["engine_args"]
    assert "async-scheduling" in arguments
    assert arguments["async-scheduling"] is None
    assert f"{status['profileId']}.yaml" == status["profile"]["filename"]
    # Whatever else is written later leaves them alone.
    world.apply(world.template(env=env, metric="throughput"))
    world.until(
        "AIMServiceTemplate",
        "fast",
        lambda t: (
            t["status"]["profile"]["metadata"]["metric"] == "throughput"
            and "async-scheduling" in t["status"]["profile"]["engine_args"]
        ),
    )


def test_one_template_is_one_model_on_a_base_image(world: World) -> None:
    world.apply(world.image(ref=BASE_IMAGE), world.config())
    for name in ("one", "other"):
        gpus = {"model": "MI300X", "count": 1}
        world.apply(world.template(name, model=f"hf://acme/{name}", gpuSelector=gpus))
        world.run(world.service(name, templateRef=name), name=name)
        assert served(world, name)["AIM_MODEL_ID"] == f"hf://acme/{name}"
        [source] = world.status("AIMServiceTemplate", name)["modelSources"]
        assert source["sourceUri"] == f"hf://acme/{name}"


def test_model_sources_by_hand_need_no_discovery(world: World) -> None:
    source = {"name": "acme/tuned", "sourceUri": "s3://models/tuned", "size": "16Gi"}
    gpus = {"model": "MI300X", "count": 2}
    template = world.template(modelSources=[source], gpuSelector=gpus)
    world.run(world.image(ref=BASE_IMAGE), world.config(), template, world.service(templateRef="fast"))
    status = world.status("AIMServiceTemplate", "fast")
    assert told(status, "Discovered") == "True/ModelSourcesGiven"
    assert (status["modelSources"], "profile" in status) == ([source], False)
    assert world.all("Job") == []
    want = {"AIM_MODEL_ID": "acme/tuned", "AIM_GPU_MODEL": "MI300X", "AIM_GPU_COUNT": "2"}
    assert want.items() <= served(world).items()
    limits = world.need("InferenceService", "chat")["spec"]["predictor"]["model"]["resources"]["limits"]
    assert limits["amd.com/gpu"] == "2"


def test_engine_arguments_of_service_and_template_are_laid_over_each_other(world: World) -> None:
    template = world.template(engineArgs={"max-model-len": 1024, "config": {"a": 1, "b": 2}, "flag": None})
    service = world.service(templateRef="fast", engineArgs={"config": {"b": 3}})
    world.run(world.image(), world.config(), template, service)
    want = {"max-model-len": 1024, "config": {"a": 1, "b": 3}, "flag": None}
    assert json.loads(served(world)["AIM_ENGINE_ARGS"]) == want
    world.apply(world.service(templateRef="fast", engineArgs={"chat-template": "{{ messages }}"}))
    world.until_service("Degraded", "EngineArgsInvalid")
    assert json.loads(served(world)["AIM_ENGINE_ARGS"]) == want, "what runs is left as it is"
