"""A namespace that enforces Pod Security `restricted`: what runs in it, and how what it refuses is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve]

# As docs/operations/security.md shows it.
NON_ROOT = """\
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
"""
NAMES_NO_USER = NON_ROOT.replace("    runAsUser: 65532\n", "")


@pytest.fixture
def namespace(full_cluster: Cluster) -> Iterator[str]:
    """One that enforces `restricted`, with an operator that serves no other."""
    grant_roles(full_cluster)
    with full_cluster.namespace("restricted") as name:
        level = "pod-security.kubernetes.io/enforce=restricted"
        full_cluster.kubectl("label", "namespace", name, level)
        with running_operator(full_cluster, f"--namespaces={name}"):
            yield name


def secured(namespace: str, context: str) -> str:
    """The catalog whose configuration carries a security context."""
    return catalog(namespace).replace("  routing:\n", f"{context}  routing:\n")


def runtime_of(cluster: Cluster, namespace: str, name: str) -> tuple[str, str]:
    """The reason and message of RuntimeReady."""
    for condition in status_of(cluster, "aimsvc", name, namespace).get("conditions", []):
        if condition["type"] == "RuntimeReady":
            return condition["reason"], condition["message"]
    return "", ""


def until_running(cluster: Cluster, namespace: str, name: str) -> None:
    def runs() -> bool:
        return status_of(cluster, "aimsvc", name, namespace).get("status") == "Running"

    try:
        eventually(runs, f"{name} runs")
    except AssertionError as error:
        seen = cluster.kubectl("get", "pods,events,aimst,aimsvc", f"--namespace={namespace}")
        raise AssertionError(f"{error}: {status_of(cluster, 'aimsvc', name, namespace)}\n{seen}") from None


def test_discovery_and_serving_run_under_restricted(full_cluster: Cluster, namespace: str) -> None:
    apply_yaml(full_cluster, secured(namespace, NON_ROOT) + service(namespace, "chat"))
    until_running(full_cluster, namespace, "chat")
    assert reasons(status_of(full_cluster, "aimst", "fast", namespace))["Discovered"] == "True/Discovered"
    # What was refused is told: first nothing at all is set, then what the image can't do.
    apply_yaml(full_cluster, catalog(namespace) + service(namespace, "bare"))
    eventually(
        lambda: "violates PodSecurity" in runtime_of(full_cluster, namespace, "bare")[1],
        "the refused Pod is told in the API server's words",
    )
    assert runtime_of(full_cluster, namespace, "bare")[0] == "RuntimeFailed"
    # The one that ran before serves on its old Pod, and says why there is no new one.
    eventually(
        lambda: (
            reasons(status_of(full_cluster, "aimsvc", "chat", namespace))["Failure"] == "True/RolloutFailed"
        ),
        "the refused roll-out is told",
    )
    assert runtime_of(full_cluster, namespace, "chat")[0] == "RollingOut"
    apply_yaml(full_cluster, secured(namespace, NAMES_NO_USER))
    eventually(
        lambda: "image will run as root" in runtime_of(full_cluster, namespace, "bare")[1],
        "an image that starts as root is told",
    )
    assert runtime_of(full_cluster, namespace, "bare")[0] == "RuntimeFailed"
    apply_yaml(full_cluster, secured(namespace, NON_ROOT))
    until_running(full_cluster, namespace, "bare")
