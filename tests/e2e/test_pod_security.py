"""A namespace that enforces Pod Security `restricted`: what runs in it, and how what it refuses is told."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hack.cluster.api import Manifest
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

# As docs/operations/security.md shows it: all that the default leaves out is a user.
NON_ROOT = """\
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
"""
NAMES_NO_USER = NON_ROOT.replace("    runAsUser: 65532\n", "")
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


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


def served_pod(cluster: Cluster, namespace: str, name: str) -> Manifest:
    """Return the Pod of a model server, and no other."""
    selector = f"--selector=serving.kserve.io/inferenceservice={name}"
    listed = json.loads(cluster.kubectl("get", "pods", selector, f"--namespace={namespace}", "--output=json"))
    (pod,) = listed["items"]
    found: Manifest = pod
    return found


def in_server(cluster: Cluster, namespace: str, pod: Manifest, command: str) -> str:
    where = (f"--namespace={namespace}", "--container=kserve-container")
    return cluster.kubectl("exec", pod["metadata"]["name"], *where, "--", "sh", "-c", command)


@pytest.fixture
def open_namespace(full_cluster: Cluster) -> Iterator[str]:
    """One that enforces nothing, with an operator that serves no other."""
    grant_roles(full_cluster)
    with (
        full_cluster.namespace("open") as name,
        running_operator(full_cluster, f"--namespaces={name}"),
    ):
        yield name


def test_a_model_server_that_is_taken_over_has_no_privileges_and_no_token(
    full_cluster: Cluster, open_namespace: str
) -> None:
    """The image starts as root, as many do. What a program in it can do is asked of the kernel."""
    namespace = open_namespace
    apply_yaml(full_cluster, catalog(namespace) + service(namespace, "chat"))
    until_running(full_cluster, namespace, "chat")
    pod = served_pod(full_cluster, namespace, "chat")
    assert pod["spec"]["automountServiceAccountToken"] is False
    status = in_server(full_cluster, namespace, pod, "cat /proc/self/status")
    process = dict(line.split(":\t", 1) for line in status.splitlines())
    assert process["Uid"].split() == ["0"] * 4
    assert {process[field].strip("0") for field in ("CapInh", "CapPrm", "CapEff", "CapBnd")} == {""}
    assert process["NoNewPrivs"] == "1"
    assert process["Seccomp"] == "2", "a filter"
    assert in_server(full_cluster, namespace, pod, f"ls {TOKEN} 2>&1 || true").endswith(
        "No such file or directory\n"
    )


def test_only_an_account_that_a_configuration_names_gives_its_token(
    full_cluster: Cluster, open_namespace: str
) -> None:
    namespace = open_namespace
    for account in ("server", "silent"):
        full_cluster.kubectl("create", "serviceaccount", account, f"--namespace={namespace}")
    silent = {"automountServiceAccountToken": False}
    patch = ("--type=merge", "-p", json.dumps(silent), f"--namespace={namespace}")
    full_cluster.kubectl("patch", "serviceaccount", "silent", *patch)
    for account, token in (("server", "present"), ("silent", "absent")):
        named = catalog(namespace).replace("  routing:\n", f"  serviceAccountName: {account}\n  routing:\n")
        apply_yaml(full_cluster, named + service(namespace, account))
        until_running(full_cluster, namespace, account)
        pod = served_pod(full_cluster, namespace, account)
        assert pod["spec"]["serviceAccountName"] == account
        asked = in_server(full_cluster, namespace, pod, f"test -e {TOKEN} && echo present || echo absent")
        assert asked.strip() == token


def test_what_a_platform_allows_is_given_and_no_more(full_cluster: Cluster, open_namespace: str) -> None:
    namespace = open_namespace
    more = """\
  securityContext:
    capabilities: {add: [SYS_PTRACE]}
    seccompProfile: {type: Unconfined}
  podSecurityContext:
    supplementalGroups: [44, 109]
"""
    apply_yaml(full_cluster, secured(namespace, more) + service(namespace, "chat"))
    until_running(full_cluster, namespace, "chat")
    pod = served_pod(full_cluster, namespace, "chat")
    status = in_server(full_cluster, namespace, pod, "cat /proc/1/status")
    process = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(process["CapEff"], 16) == 1 << 19, "SYS_PTRACE and no other"
    assert process["Seccomp"] == "0"
    assert {"44", "109"} <= set(process["Groups"].split())


def test_discovery_and_serving_run_under_restricted(full_cluster: Cluster, namespace: str) -> None:
    apply_yaml(full_cluster, secured(namespace, NON_ROOT) + service(namespace, "chat"))
    until_running(full_cluster, namespace, "chat")
    assert reasons(status_of(full_cluster, "aimst", "fast", namespace))["Discovered"] == "True/Discovered"
    # What was refused is told: first no user is set, then the image's is root.
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
