"""The cluster of tests/cluster/spec: a control plane, stand-ins for the rest, and one operator for all tests.

Started by the first test that asks, shared by all workers of one pytest run: KServe's and Gateway API's
own CRDs are there, and every API server decision is real. Tests keep apart by namespaces.
"""

from __future__ import annotations

import sys
from pathlib import Path

from hack.cluster import processes
from hack.cluster.api import Manifest
from hack.cluster.cache import locked
from hack.cluster.cluster import Cluster
from hack.cluster.manifests import crd_manifests
from hack.cluster.reaper import python_environment
from hack.cluster.testing import cluster_for_tests
from tests.support.operator_process import grant_roles
from tests.support.stand_ins.__main__ import READY

OPERATOR, STAND_INS = "operator", "stand-ins"
START_SECONDS = 60.0
KINDS = ("InferenceService", "ServingRuntime", "ClusterServingRuntime", "Gateway", "HTTPRoute")
"""Of KServe and Gateway API, without the many more that take seconds to install and nobody asks for."""
GATEWAY_NAMESPACE, GATEWAY = "gateways", "inference-gateway"
_BESIDE_THE_CLUSTER: tuple[Manifest, ...] = (
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GATEWAY_NAMESPACE}},
    {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE},
        "spec": {
            "gatewayClassName": "stand-in",
            "listeners": [
                {
                    "name": "http",
                    "port": 80,
                    "protocol": "HTTP",
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    },
)


def start_spec_cluster(directory: Path, owner: int, crds: list[Manifest]) -> Cluster:
    """Return the running cluster with everything in it; only the first caller starts it."""
    cluster, missing = cluster_for_tests((), directory, owner=owner, crds=[*foreign_crds(), *crds])
    assert cluster is not None, missing
    with locked(f"{directory} spec"):
        if OPERATOR not in processes.recorded(cluster.directory):
            grant_roles(cluster)
            start_stand_ins(cluster)
            _start_operator(cluster)
    return cluster


def foreign_crds() -> list[Manifest]:
    """Those of KServe and Gateway API that the operator looks at."""
    others = [*crd_manifests("kserve"), *crd_manifests("gateway")]
    return [crd for crd in others if crd["spec"]["names"]["kind"] in KINDS]


def assert_at_work(cluster: Cluster) -> None:
    """Fail with the end of the log of whoever has ended: every later test would only time out."""
    for name in (OPERATOR, STAND_INS):
        assert processes.recorded(cluster.directory)[name].alive, (
            f"{name} ended: {cluster.logs(name)[-2000:]}"
        )


def start_stand_ins(cluster: Cluster) -> None:
    """Start what stands for node, KServe and gateway, with the Gateway itself; return when it is at work."""
    for manifest in _BESIDE_THE_CLUSTER:
        cluster.api.apply_when_served(manifest)
    directory = cluster.directory
    process = processes.start(
        directory,
        STAND_INS,
        [sys.executable, "-m", "tests.support.stand_ins", str(directory)],
        python_environment(),
    )
    processes.wait_until(
        lambda: READY in cluster.logs(STAND_INS), directory, process, START_SECONDS, "The stand-ins"
    )


def _start_operator(cluster: Cluster) -> None:
    directory = cluster.directory
    process = processes.start(
        directory,
        OPERATOR,
        [
            str(Path(sys.executable).with_name("aimctl")),
            "run",
            f"--kubeconfig={cluster.operator_kubeconfig}",
            "--log-format=json",
        ],
        python_environment(),
    )
    processes.wait_until(
        lambda: "caches synced" in cluster.logs(OPERATOR), directory, process, START_SECONDS, "The operator"
    )
