"""A GPU model keeps Pods off nodes that have another: the real scheduler's word, told by the service."""

from __future__ import annotations

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.operator_process import apply_yaml, eventually, running_operator, status_of


def runtime_message(cluster: Cluster, namespace: str) -> str:
    conditions = status_of(cluster, "aimsvc", "chat", namespace).get("conditions", [])
    return next((str(c["message"]) for c in conditions if c["type"] == "RuntimeReady"), "")


def test_a_service_waits_for_a_node_with_its_gpu_and_says_so(full_cluster: Cluster) -> None:
    """The node has MI300X; the template asks for MI325X, and later for what is there."""
    with (
        full_cluster.namespace() as namespace,
        running_operator(
            full_cluster, f"--namespaces={namespace}", kubeconfig=full_cluster.kubeconfig
        ) as operator,
    ):
        eventually(operator.synced, "the operator is at work")
        there = catalog(namespace) + service(namespace, "chat")
        apply_yaml(full_cluster, there.replace("MI300X", "MI325X"))
        eventually(
            lambda: "didn't match Pod's node affinity" in runtime_message(full_cluster, namespace),
            "the scheduler's word is told",
        )
        assert status_of(full_cluster, "aimsvc", "chat", namespace)["status"] == "Starting"
        apply_yaml(full_cluster, there)
        eventually(
            lambda: status_of(full_cluster, "aimsvc", "chat", namespace).get("status") == "Running",
            "it runs where its GPU is",
        )
