"""A hundred of the largest accepted objects of each kind, and what their operator takes for them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from aim_operator.api.quantity import parse
from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from hack.cluster.cluster import Cluster
from hack.cluster.manifests import crd_manifests
from tests.support.cluster import StartCluster, aim_crds
from tests.support.large_objects import deep, large
from tests.support.operator_process import OperatorProcess, eventually, grant_roles, running_operator
from tests.support.plugin import Measure

EACH = int(os.environ.get("AIM_LARGEST_EACH", "25"))
"""Of each kind. A hundred take two and a half minutes; a quarter of them is held to a quarter of the room."""
IDLE_MIB = 64
"""What an operator without objects has."""
MIB = 1024 * 1024
VALUES = Path(__file__).parents[2] / "charts" / "aim-operator" / "values.yaml"
STATES = {"Pending", "Starting", "Running", "Failed", "Degraded"}
GROUP_PATH = "/apis/aim.silogen.ai/v1alpha1"
SMALL = """
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{model: not-there}}
"""


def limit_bytes() -> int:
    """The memory limit of the chart."""
    amount = parse(yaml.safe_load(VALUES.read_text())["resources"]["limits"]["memory"])
    assert amount is not None
    return int(amount)


def states(cluster: Cluster, namespace: str) -> list[str]:
    """The state of each service, "" where there is none; as a table, for the objects are 50 MB."""
    rows = cluster.kubectl("get", "aimservices", f"--namespace={namespace}", "--no-headers").splitlines()
    return [(row.split()[1] if row.split()[1] in STATES else "") for row in rows]


def assert_serves_others(cluster: Cluster, namespace: str, name: str) -> None:
    """A service of another tenant is told what it lacks: the operator works for all."""
    cluster.kubectl("apply", "-f", "-", stdin=SMALL.format(name=name, namespace=namespace))
    path = f"{GROUP_PATH}/namespaces/{namespace}/aimservices/{name}"
    eventually(lambda: "ImageNotFound" in str(cluster.api.get(path)), "another tenant's service is read", 120)


def peak(operator: OperatorProcess) -> float:
    return operator.peak_bytes / MIB


@pytest.mark.needs_control_plane
def test_the_operator_survives_the_largest_objects_that_are_accepted(
    own_cluster: StartCluster, measure: Measure
) -> None:
    """At its first sight of them, at a restart with all it made of them, and with one that can't be read."""
    cluster = own_cluster(
        audit=False, crds=[*crd_manifests("kserve"), *crd_manifests("gateway"), *aim_crds()]
    )
    grant_roles(cluster)
    with cluster.namespace() as hostile, cluster.namespace() as deepest, cluster.namespace() as other:
        sizes = create_all(cluster, hostile)
        # In a namespace of its own: Python's json can't read a list with it.
        deep_path = f"{GROUP_PATH}/namespaces/{deepest}/aimservices"
        cluster.kubectl("create", f"--raw={deep_path}", "-f", "-", stdin=deep(deepest))
        with running_operator(cluster) as operator:
            eventually(operator.synced, "the operator is at work", 120)
            wait_until(lambda: "" not in states(cluster, hostile), "all services have a state")
            wait_until(lambda: inference_services(cluster, hostile) == EACH, "each has an InferenceService")
            assert_serves_others(cluster, other, "first")
            first = peak(operator)
        made = inference_services(cluster, hostile)
        with running_operator(cluster) as operator:
            eventually(operator.synced, "the operator is at work again", 120)
            assert_serves_others(cluster, other, "second")
            again = peak(operator)
            log = operator.log.read_text()
    measure(
        "largest objects",
        f"{EACH} of each kind",
        f"{sum(sizes) / MIB:.0f} MiB of JSON",
        f"{made} InferenceServices",
        f"peak {first:.0f} MiB, after a restart {again:.0f} MiB",
    )
    assert made == EACH
    assert re.search(rf"{deepest}/deep: [^\n]*recursion", log), "nobody is told of the one left out"
    assert max(first, again) - IDLE_MIB < (limit_bytes() / MIB - IDLE_MIB) * EACH / 100


def create_all(cluster: Cluster, namespace: str) -> list[int]:
    """Create them, referred to before those that refer. Returns the size of each in etcd, about."""
    sizes = []
    for resource in ALL_KINDS:
        path = resource.collection_path(namespace if resource.namespaced else "")
        for index in range(EACH):
            manifest = large(resource.kind, index, namespace)
            cluster.api.request("POST", path, manifest)
            sizes.append(len(str(manifest)))
    return sizes


def inference_services(cluster: Cluster, namespace: str) -> int:
    arguments = ("get", "inferenceservices", f"--namespace={namespace}", "--no-headers")
    return len(cluster.kubectl(*arguments).splitlines())


def wait_until(check: Callable[[], bool], what: str) -> None:
    """Wait for something that costs the API server a lot to ask."""
    deadline = time.monotonic() + 300
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(3)
