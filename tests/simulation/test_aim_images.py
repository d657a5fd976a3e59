"""Images that keep the contract of AIM images: how the operator takes what they refuse, and what heals it."""

from __future__ import annotations

import json

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES, JOBS
from aim_operator.sandbox.aim_image.tables import LLAMA_8B, LLAMA_70B
from aim_operator.sandbox.jobs import ImageBehaviour
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


def env_of(world: World, name: str = "chat") -> dict[str, str]:
    """The environment of a service's model server."""
    [live] = [each for each in world.all(INFERENCE_SERVICES) if each["metadata"]["name"] == name]
    variables = live["spec"]["predictor"]["model"]["env"]
    return {variable["name"]: variable["value"] for variable in variables}


def running(world: World, name: str = "chat") -> bool:
    return world.state_of(aim.SERVICES, name, NAMESPACE) == "Running"


async def test_one_template_is_one_fine_tuned_model_on_a_base_image() -> None:
    """The model is named once; the dry run and the server are told of it."""
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage({})
        for name in ("one", "other"):
            wanted = template(name, gpuSelector=GPU)
            wanted["spec"]["model"] = f"hf://org/{name}"
            world.apply([wanted, service(name, templateRef=name, cacheModel=True)])
        world.apply([image(), config()])
        world.start()
        await world.until(lambda: running(world, "one") and running(world, "other"))
        for name in ("one", "other"):
            assert env_of(world, name)["AIM_MODEL_ID"] == f"hf://org/{name}"
            [source] = world.status(aim.TEMPLATES, name, NAMESPACE)["modelSources"]
            assert (source["name"], source["sourceUri"]) == (f"org/{name}", f"hf://org/{name}")
        assert len(world.all(aim.MODEL_CACHES)) == 2


async def test_a_profile_that_is_selected_by_name_only_is_run_by_its_name() -> None:
    """70B in fp16 on one GPU is nothing that the image would choose."""
    manual = "vllm-mi300x-fp16-tp1-latency"
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_70B))
        world.apply([image(defaultServiceTemplate="fast"), config(), service()])
        world.apply([template(gpuSelector=GPU, precision="fp16")])
        world.start()
        await world.until(lambda: state(world) == "Degraded")
        assert "for MI300X, 1 GPU, fp16, latency" in message(world)
        assert "manual selection has to be named in spec.profileId" in message(world)

        world.apply([template(profileId="vllm-typo")])
        await world.until(lambda: "has no profile vllm-typo" in message(world))

        world.apply([template(profileId=manual)])
        await world.until(lambda: running(world))
        status = world.status(aim.TEMPLATES, "fast", NAMESPACE)
        assert status["profileId"] == manual
        assert status["profile"]["metadata"]["manual_selection_only"] is True
        assert env_of(world)["AIM_PROFILE_ID"] == manual


async def test_a_profile_is_in_the_status_as_it_was_printed_flags_and_all() -> None:
    profile = {
        "aim_id": "org/model",
        "model_id": "org/model",
        "metadata": {"engine": "vllm", "gpu": "MI300X", "gpu_count": 1, "type": None},
        "engine_args": {"async-scheduling": None, "nested": {"x": None, "y": [{"z": None}]}},
        "env_vars": {"lower": 3, "fast": True, "TEMPLATE": "{{ messages }}"},
        "more": {"to": "see"},
    }
    models = [{"name": "org/model", "source": "hf://org/model", "size_gb": None}]
    printed = [{"filename": "vllm-x.yaml", "profile": profile, "models": models}]
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(log=json.dumps(printed).encode())
        world.apply([image(), config(), template(gpuSelector=GPU)])
        world.start()
        await world.until(lambda: state(world) == "Available")
        assert world.status(aim.TEMPLATES, "fast", NAMESPACE)["profile"] == {
            **profile,
            "filename": "vllm-x.yaml",
        }
        await world.pass_seconds(10)
        before = world.writes()
        await world.pass_seconds(300)
        assert world.writes() == before, "what the server keeps is what was meant"


async def test_model_sources_by_hand_are_cached_and_served_without_discovery() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage({})
        source = {"name": "org/tuned", "sourceUri": "s3://models/tuned", "size": "16Gi"}
        wanted = template(modelSources=[source], gpuSelector=GPU, caching={"enabled": True})
        world.apply([image(defaultServiceTemplate="fast"), config(), wanted, service()])
        world.start()
        await world.until(lambda: running(world))
        discovered = world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Discovered")
        assert discovered == "True/ModelSourcesGiven"
        assert not any(name.startswith("Job team/discover-") for name in world.created)
        assert env_of(world)["AIM_MODEL_ID"] == "org/tuned"
        [cache] = world.all(aim.MODEL_CACHES)
        assert (cache["spec"]["sourceUri"], cache["spec"]["size"]) == ("s3://models/tuned", "16Gi")
        model = world.all(INFERENCE_SERVICES)[0]["spec"]["predictor"]["model"]
        assert "/workspace/model-cache/org/tuned" in [each["mountPath"] for each in model["volumeMounts"]]


async def test_engine_arguments_of_a_service_go_over_the_templates_and_need_no_discovery() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        arguments = {"max-model-len": 1024, "speculative-config": {"method": "ngram", "tokens": 3}}
        wanted = template(gpuSelector=GPU, engineArgs=arguments)
        own = {"speculative-config": {"tokens": 5}, "enable-expert-parallel": None}
        world.apply([image(defaultServiceTemplate="fast"), config(), wanted])
        world.apply([service(), service("other", engineArgs=own)])
        world.start()
        await world.until(lambda: running(world) and running(world, "other"))
        assert json.loads(env_of(world)["AIM_ENGINE_ARGS"]) == arguments
        assert json.loads(env_of(world, "other")["AIM_ENGINE_ARGS"]) == {
            "max-model-len": 1024,
            "speculative-config": {"method": "ngram", "tokens": 5},
            "enable-expert-parallel": None,
        }
        assert [t["metadata"]["name"] for t in world.all(aim.TEMPLATES)] == ["fast"]

        world.apply([template(gpuSelector=GPU, engineArgs={"max-model-len": 2048})])
        await world.until(lambda: json.loads(env_of(world)["AIM_ENGINE_ARGS"]) == {"max-model-len": 2048})
        assert sum("Job team/discover-" in name for name in world.created) == 1, (
            "nothing was discovered again"
        )

        world.apply([service(engineArgs={"x": "{{"})])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Degraded")
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/EngineArgsInvalid"
        assert json.loads(env_of(world)["AIM_ENGINE_ARGS"]) == {"max-model-len": 2048}, "it runs on"


async def test_a_flag_reaches_a_derived_template() -> None:
    """Null in free-form arguments survives the operator's own apply."""
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        wanted = template(gpuSelector=GPU, engineArgs={"enable-expert-parallel": None})
        world.apply([image(defaultServiceTemplate="fast"), config(), wanted])
        world.apply([service(overrides={"precision": "fp8"})])
        world.start()
        await world.until(lambda: running(world))
        assert json.loads(env_of(world)["AIM_ENGINE_ARGS"]) == {"enable-expert-parallel": None}


async def test_an_unoptimized_profile_is_chosen_and_said_to_be_one() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        world.apply(
            [image(), config(allowUnoptimized=False), service(), service("other", allowUnoptimized=True)]
        )
        world.apply([template(gpuSelector=GPU | {"count": 2}, precision="fp16")])
        world.start()
        await world.until(lambda: running(world, "other"))
        [resolved] = [
            each["message"]
            for each in world.status(aim.SERVICES, "other", NAMESPACE)["conditions"]
            if each["type"] == "Resolved"
        ]
        assert resolved == "template 'fast' is available; its profile is preview, not optimized"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "Failure") == "True/NoOptimizedTemplate"

        world.apply([template("better", gpuSelector=GPU, precision="fp16")])
        await world.until(lambda: running(world))
        assert world.status(aim.SERVICES, "chat", NAMESPACE)["resolvedTemplate"]["name"] == "better"
        assert world.status(aim.SERVICES, "other", NAMESPACE)["resolvedTemplate"]["name"] == "fast"


async def test_a_pull_is_shown_while_it_lasts_in_one_write() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(pull_seconds=3_000)
        world.apply([image(), config(), template(gpuSelector=GPU)])
        world.start()
        await world.until(
            lambda: world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Discovered") == "False/Pulling"
        )
        shown = world.status(aim.TEMPLATES, "fast", NAMESPACE)
        await world.pass_seconds(2_000)
        assert world.status(aim.TEMPLATES, "fast", NAMESPACE) == shown
        await world.until(lambda: state(world) == "Available", limit_seconds=2_000)


async def test_a_base_image_without_a_model_says_what_to_add() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage({})
        wanted = template(gpuSelector=GPU)
        world.apply([image(defaultServiceTemplate="fast"), wanted, config(), service()])
        world.start()
        await world.until(lambda: state(world) == "Failed")
        assert "neither AIM_ID nor AIM_MODEL_ID is set" in message(world)
        assert "the image serves any model and was given none" in message(world)
        wanted["spec"]["model"] = "org/tuned"
        world.apply([wanted])
        await world.until(lambda: running(world))


async def test_a_model_image_with_a_model_says_what_to_leave_out() -> None:
    async with World() as world:
        world.sandbox.jobs.profiles[IMAGE] = SandboxImage(model_env(LLAMA_8B))
        wanted = template(gpuSelector=GPU)
        wanted["spec"]["model"] = "org/tuned"
        world.apply([image(defaultServiceTemplate="fast"), wanted, config(), service()])
        world.start()
        await world.until(lambda: state(world) == "Failed")
        assert "cannot set both AIM_ID" in message(world)
        del wanted["spec"]["model"]
        world.apply([wanted])
        await world.until(lambda: running(world))
