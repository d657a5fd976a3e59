"""Two kubelets: a volume of one node is bound where the GPU is, and a tainted pool works with tolerations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.cluster import StartCluster, aim_crds
from tests.support.model_hub import ModelHub, model_hub
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_second_node,
    pytest.mark.needs_kserve,
    pytest.mark.needs_operator_image,
]

GPU_NODE, OTHER_NODE = "node1", "node2"
TAINT = "amd.com/gpu=:NoSchedule"
ONE_NODE = f"""  defaultStorageClassName: local-wait
  storage: {{accessModes: [ReadWriteOnce]}}
  jobs: {{scheduling: {{nodeSelector: {{kubernetes.io/hostname: {OTHER_NODE}}}}}}}
"""
TOLERATIONS = """  scheduling:
    tolerations: [{key: amd.com/gpu, operator: Exists, effect: NoSchedule}]
"""


@pytest.fixture
def cluster(own_cluster: StartCluster) -> Cluster:
    started = own_cluster(("node", "second-node", "kserve", "operator-image"), crds=aim_crds())
    grant_roles(started)
    return started


def cached(namespace: str, hub: ModelHub, settings: str) -> str:
    """The catalog, cached from the hub, with more in its configuration; it routes nothing."""
    routing = (
        "  routing:\n    enabled: true\n    gatewayRef: {name: inference-gateway, namespace: gateways}\n"
    )
    there = catalog(namespace)
    assert routing in there
    caching = f"  caching:\n    enabled: true\n    env: [{{name: HF_ENDPOINT, value: {hub.hub.url}}}]\n"
    return there.replace(routing, settings) + caching + service(namespace, "chat")


def items(cluster: Cluster, kind: str, namespace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        cluster.kubectl("get", kind, f"--namespace={namespace}", "-o", "json")
    )["items"]
    return found


def node_of(cluster: Cluster, namespace: str, selector: str) -> set[str]:
    pods = cluster.kubectl("get", "pods", f"--namespace={namespace}", f"--selector={selector}", "-o", "json")
    return {pod["spec"].get("nodeName", "") for pod in json.loads(pods)["items"]}


def cache_message(cluster: Cluster, namespace: str) -> str:
    caches = items(cluster, "aimmc", namespace)
    conditions = caches[0].get("status", {}).get("conditions", []) if caches else []
    return next((str(c["message"]) for c in conditions if c["type"] == "Ready"), "")


def test_the_volume_is_bound_where_the_gpu_is_and_a_tainted_pool_is_used_once_it_is_tolerated(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Until then nothing is bound on the node without GPUs, and the user reads which taint it is.

    Jobs run on that node, as the configuration says: but for a download whose volume must be elsewhere.
    """
    cluster.kubectl("taint", "nodes", GPU_NODE, TAINT)
    with (
        model_hub(cluster, tmp_path, weights_mib=8) as hub,
        cluster.namespace() as namespace,
        running_operator(
            cluster, f"--namespaces={namespace}", f"--downloader-image={cluster.operator_image}"
        ),
    ):
        apply_yaml(cluster, cached(namespace, hub, ONE_NODE))
        eventually(
            lambda: (
                "tolerate the taint with jobs.scheduling.tolerations" in cache_message(cluster, namespace)
            ),
            "the scheduler's words and what to do are told",
            timeout_seconds=120,
        )
        assert "untolerated taint" in cache_message(cluster, namespace)
        [claim] = items(cluster, "pvc", namespace)
        assert claim["status"]["phase"] == "Pending", "nothing is bound where no GPU is"
        assert reasons(status_of(cluster, "aimsvc", "chat", namespace))["CacheReady"].startswith("False/")

        apply_yaml(cluster, cached(namespace, hub, ONE_NODE + TOLERATIONS))
        eventually(
            lambda: status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Running",
            "it is served",
            timeout_seconds=120,
        )
        [claim] = items(cluster, "pvc", namespace)
        assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == GPU_NODE
        assert node_of(cluster, namespace, "app.kubernetes.io/name=aim-model-cache") == {GPU_NODE}
        assert node_of(cluster, namespace, "serving.kserve.io/inferenceservice=chat") == {GPU_NODE}
        assert node_of(cluster, namespace, "app.kubernetes.io/name=aim-discovery") == {OTHER_NODE}
        assert hub.sent_bytes == hub.total_bytes, "it was fetched once"
