"""InferenceServices in the sandbox: ready once their runtime is there, and not before."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    DEPLOYMENTS,
    INFERENCE_SERVICES,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.errors import Invalid
from aim_operator.sandbox.aim_image.tables import LLAMA_8B
from aim_operator.sandbox.kserve import AUTOSCALER, DEPLOYMENT, SERVICE
from aim_operator.sandbox.profiles import SandboxImage
from aim_operator.sandbox.storage import Key
from tests.support.aim_image import model_env
from tests.unit.sandbox.cluster import running

READY = {"IngressReady", "PredictorReady", "Ready"}


def make_inference_service(**predictor: int) -> Manifest:
    model = {"modelFormat": {"name": "aim"}, "runtime": "llama"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {"predictor": {"model": model} | predictor},
    }


def make_runtime(resource: Resource[Any]) -> Manifest:
    where = {"namespace": "default"} if resource.namespaced else {}
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "llama"} | where,
        "spec": {"containers": [{"name": "kserve-container"}]},
    }


async def test_a_service_becomes_ready_after_a_while() -> None:
    async with running() as cluster:
        cluster.sandbox.kserve.ready_seconds = 30
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), make_inference_service()])
        await cluster.advance(29)
        got = cluster.conditions(INFERENCE_SERVICES, "chat")
        assert got == dict.fromkeys(READY, ("False", "Deployment is progressing"))
        await cluster.advance(1)
        got = cluster.conditions(INFERENCE_SERVICES, "chat")
        assert got == dict.fromkeys(READY, ("True", ""))
        status = cluster.stored(INFERENCE_SERVICES, "chat")["status"]
        assert status["url"] == "http://chat-default.example.com"
        assert status["modelStatus"]["transitionStatus"] == "UpToDate"
        assert status["observedGeneration"] == 1


async def test_a_service_waits_for_its_runtime_and_says_so() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_inference_service()])
        await cluster.advance(60)
        assert cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"] == (
            "False",
            "Waiting for runtime to become available",
        )
        model = cluster.stored(INFERENCE_SERVICES, "chat")["status"]["modelStatus"]
        assert model["transitionStatus"] == "InvalidSpec"
        cluster.sandbox.load([make_runtime(SERVING_RUNTIMES)])
        await cluster.advance()
        assert cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"] == ("True", "")


async def test_a_service_with_a_go_template_fails_as_with_kserve() -> None:
    async with running() as cluster:
        service = make_inference_service()
        service["spec"]["predictor"]["model"]["env"] = [{"name": "CHAT", "value": "{{ messages }}"}]
        cluster.sandbox.load([make_runtime(SERVING_RUNTIMES), service])
        await cluster.advance()
        model = cluster.stored(INFERENCE_SERVICES, "chat")["status"]["modelStatus"]
        assert "Failed to replace placeholders" in model["lastFailureInfo"]["message"]


async def test_a_broken_service_is_never_ready_until_it_is_mended() -> None:
    async with running() as cluster:
        cluster.sandbox.kserve.broken["default", "chat"] = "container exited with code 1"
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), make_inference_service()])
        await cluster.advance(600)
        assert cluster.conditions(INFERENCE_SERVICES, "chat")["PredictorReady"] == (
            "False",
            "container exited with code 1",
        )
        cluster.sandbox.kserve.broken.clear()
        cluster.sandbox.kserve.reconcile_all()
        await cluster.advance()
        assert cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"] == ("True", "")


async def test_a_changed_service_stays_ready_and_is_looked_at_again() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), make_inference_service()])
        await cluster.advance(1)
        before = cluster.stored(INFERENCE_SERVICES, "chat")["status"]["conditions"]
        cluster.sandbox.load([make_inference_service(minReplicas=2)])
        await cluster.advance(1)
        status = cluster.stored(INFERENCE_SERVICES, "chat")["status"]
        assert status["observedGeneration"] == 2
        assert status["conditions"] == before


@pytest.mark.parametrize(
    ("runtime_env", "service_env", "want"),
    [
        pytest.param({"AIM_PROFILE_ID": "vllm-mi300x-fp8-tp1-latency"}, {}, "", id="it serves"),
        pytest.param(
            {"AIM_MODEL_ID": "org/model"}, {"AIM_GPU_MODEL": "MI300X"}, "cannot set both", id="both ids"
        ),
        pytest.param({"AIM_MODEL_ID": "x"}, {"AIM_MODEL_ID": "", "AIM_GPU_MODEL": "MI300X"}, "", id="unset"),
        pytest.param({"AIM_GPU_MODEL": "MI100"}, {}, "gpu_mismatch", id="no profile fits"),
    ],
)
async def test_a_server_that_its_image_refuses_never_becomes_ready(
    runtime_env: dict[str, str], service_env: dict[str, str], want: str
) -> None:
    def env(values: dict[str, str]) -> list[Manifest]:
        return [{"name": name, "value": value} for name, value in values.items()]

    runtime, service = make_runtime(SERVING_RUNTIMES), make_inference_service()
    runtime["spec"]["containers"][0] |= {"image": "model:1", "env": env(runtime_env)}
    service["spec"]["predictor"]["model"]["env"] = env(service_env)
    async with running() as cluster:
        cluster.sandbox.jobs.profiles["model:1"] = SandboxImage(model_env(LLAMA_8B))
        cluster.sandbox.load([runtime, service])
        await cluster.advance(60)
        status, message = cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"]
        assert status == ("False" if want else "True")
        assert want in message


async def test_the_image_of_a_service_overrides_that_of_its_runtime() -> None:
    runtime, service = make_runtime(SERVING_RUNTIMES), make_inference_service()
    runtime["spec"]["containers"][0] |= {"image": "model:1"}
    env = [{"name": "AIM_MODEL_ID", "value": "x"}, {"name": "AIM_GPU_MODEL", "value": "MI300X"}]
    service["spec"]["predictor"]["model"] |= {"image": "model:2", "env": env}
    async with running() as cluster:
        cluster.sandbox.jobs.profiles["model:2"] = SandboxImage(model_env(LLAMA_8B))
        cluster.sandbox.load([runtime, service])
        await cluster.advance(60)
        status, message = cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"]
        assert status == "False"
        assert "cannot set both" in message


async def test_kserve_refuses_bounds_that_cross() -> None:
    async with running() as cluster:
        with pytest.raises(Invalid, match="'MinReplicas' cannot be greater than MaxReplicas"):
            cluster.sandbox.load([make_inference_service(minReplicas=3, maxReplicas=2)])


@pytest.mark.parametrize(
    ("annotations", "want"),
    [
        pytest.param(
            {"serving.kserve.io/autoscalerClass": "none"}, (3, False), id="KServe writes the number"
        ),
        pytest.param({"serving.kserve.io/autoscalerClass": "external"}, (1, False), id="somebody else does"),
        pytest.param({"serving.kserve.io/autoscalerClass": "hpa"}, (1, True), id="an HPA does"),
        pytest.param({}, (1, True), id="an HPA does where nothing is said"),
    ],
)
async def test_the_number_of_pods_is_written_by_the_autoscaler_class(
    annotations: dict[str, str], want: tuple[int, bool]
) -> None:
    async with running() as cluster:
        service = make_inference_service(minReplicas=3, maxReplicas=3)
        service["metadata"]["annotations"] = annotations
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), service])
        await cluster.advance()
        deployment = cluster.stored(DEPLOYMENTS, "chat-predictor")
        replicas, by_hpa = want
        assert deployment["spec"]["replicas"] == replicas
        assert deployment["status"]["readyReplicas"] == replicas
        hpa = cluster.sandbox.server.storage.get(Key(AUTOSCALER, "default", "chat-predictor"))
        assert (hpa is not None) == by_hpa


async def test_the_stop_annotation_takes_the_deployment_and_its_service() -> None:
    async with running() as cluster:
        service = make_inference_service()
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), service])
        await cluster.advance()
        service["metadata"]["annotations"] = {"serving.kserve.io/stop": "true"}
        cluster.sandbox.load([service])
        await cluster.advance()
        stored = cluster.sandbox.server.storage
        made = [Key(kind, "default", "chat-predictor") for kind in (DEPLOYMENT, AUTOSCALER)]
        assert not [key for key in made if stored.get(key)]
        assert cluster.conditions(INFERENCE_SERVICES, "chat")["Ready"][0] == "False"


async def test_what_it_made_is_made_again_once_somebody_deletes_it() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), make_inference_service()])
        await cluster.advance(0)
        server = cluster.sandbox.server
        for kind in (SERVICE, DEPLOYMENT):
            key = Key(kind, "default", "chat-predictor")
            first = server.storage.get(key)
            assert first is not None
            server.delete(server.kinds.of(kind), key.name, namespace=key.namespace)
            await cluster.advance(0)
            again = server.storage.get(key)
            assert again is not None
            assert again.uid != first.uid
        server.delete(server.kinds.served(INFERENCE_SERVICES), "chat", namespace="default")
        await cluster.advance(0)
        assert all(
            server.storage.get(Key(k, "default", "chat-predictor")) is None for k in (SERVICE, DEPLOYMENT)
        )
