"""Every sort of AIM image on a real node and KServe: from the catalog to a chat completion."""

from __future__ import annotations

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import IMAGE, catalog, service
from tests.support.operator_process import apply_yaml, eventually, grant_roles, running_operator, status_of
from tests.support.served_models import chat, containers, models

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

LLAMA, FP8 = "meta-llama/Llama-3.1-8B-Instruct", "amd/Llama-3.1-8B-Instruct-FP8-KV"
NAMED = "  env: [{name: AIM_MODEL_ID, value: org/fine-tuned}]\n"
AS_IT_IS = ("precision: fp16", "precision: fp16")
ON_CPU = ("  precision: fp16\n  gpuSelector: {count: 1, model: MI300X}\n", "  precision: fp32\n")
SORTS = [
    pytest.param(IMAGE, ("precision: fp16", "precision: fp8"), "", [FP8, LLAMA], id="for one model"),
    pytest.param("ghcr.io/example/base:v1", AS_IT_IS, NAMED, ["org/fine-tuned"], id="base, for any"),
    pytest.param("ghcr.io/example/before-0.8:v1", AS_IT_IS, "", [LLAMA], id="from before 0.8"),
    pytest.param("ghcr.io/example/cpu:v1", ON_CPU, "", ["stand-in/cpu-model"], id="for CPUs"),
]


@pytest.mark.parametrize(("image", "changed", "more", "want"), SORTS)
def test_an_image_serves_its_discovered_profile_and_nothing_else_runs_in_its_pod(
    full_cluster: Cluster, image: str, changed: tuple[str, str], more: str, want: list[str]
) -> None:
    cluster = full_cluster
    grant_roles(cluster)
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        wanted = catalog(namespace, image=image).replace(*changed)
        apply_yaml(cluster, wanted + more + service(namespace, "chat"))
        eventually(
            lambda: status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Running",
            "the service runs",
        )
        path = status_of(cluster, "aimsvc", "chat", namespace)["routing"]["path"]
        assert models(cluster, path) == want
        assert chat(cluster, path, want[-1], "Hello?").endswith("You asked: Hello?")
        assert containers(cluster, namespace, "chat") == [["kserve-container"]], "no download, no agent"
