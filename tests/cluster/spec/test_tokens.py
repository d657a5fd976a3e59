"""Behaviour on tokens said once, on a real API server: which Jobs and servers refer to which Secret."""

from __future__ import annotations

from typing import Any

from aim_operator.core.naming import model_cache_name
from hack.cluster.api import Manifest
from tests.support.spec_world import OPERATOR_NAMESPACE, World, told

SOURCE = "hf://sandbox/llama-3.1-8b-instruct"
TEMPLATE = "aim.silogen.ai/template"


def token(secret: str) -> dict[str, Any]:
    return {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}


def env_of(job: Manifest) -> list[Manifest]:
    env: list[Manifest] = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return env


def tokens(env: list[Manifest]) -> list[Manifest]:
    return [variable for variable in env if variable["name"] == "HF_TOKEN"]


def late_storage(world: World) -> Manifest:
    """Return a class whose claims wait for their first Pod: without a provisioner, the download is made."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": world.shared("late")},
        "provisioner": "example.com/nobody",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def download(world: World, storage_class: Manifest) -> Manifest:
    """Return the download Job of the namespace, once there is one."""
    name = model_cache_name(SOURCE, storage_class["metadata"]["name"])
    world.until(
        "AIMModelCache", name, lambda c: told(c.get("status", {}), "Ready").endswith("DownloadPending")
    )
    (job,) = [job for job in world.all("Job") if job["metadata"]["name"].startswith("download-")]
    return job


def test_a_token_of_the_cluster_configuration_reaches_discovery_download_and_server_and_is_never_read(
    world: World,
) -> None:
    base, gated, late = world.shared("base"), world.shared("gated"), late_storage(world)
    world.run(
        late,
        world.cluster_image(defaultServiceTemplate=base, runtimeConfigName=gated),
        world.cluster_config(
            gated,
            env=[token("hugging-face"), {"name": "VLLM_LOGGING_LEVEL", "value": "DEBUG"}],
            defaultStorageClassName=late["metadata"]["name"],
        ),
        world.cluster_template(base),
        world.service(),
    )
    (discovery,) = [
        job for job in world.all("Job", OPERATOR_NAMESPACE) if job["metadata"]["labels"].get(TEMPLATE) == base
    ]
    assert tokens(env_of(discovery)) == [token("hugging-face")]
    model = world.need("InferenceService", "chat")["spec"]["predictor"]["model"]
    assert tokens(model["env"]) == [token("hugging-face")]
    world.apply(world.service("cached", cacheModel=True))
    assert env_of(download(world, late)) == [token("hugging-face")]
    asked = [e.get("objectRef") or {} for e in world.cluster.audit_events()]
    assert not [ref for ref in asked if ref.get("resource") == "secrets"]  # type: ignore[attr-defined]


def test_the_token_of_a_service_reaches_its_server_and_its_download_and_no_other_server(world: World) -> None:
    late = late_storage(world)
    world.run(
        late,
        world.image(defaultServiceTemplate="fast"),
        world.template(env=[token("of-template")]),
        world.config(defaultStorageClassName=late["metadata"]["name"]),
        world.service("other"),
        name="other",
    )
    world.apply(world.service(cacheModel=True, env=[token("of-service")]))
    assert env_of(download(world, late)) == [token("of-service")]
    model = world.need("InferenceService", "other")["spec"]["predictor"]["model"]
    assert tokens(model["env"]) == [token("of-template")]
