"""A node with one device, real Pods and KServe: a roll-out ends, and a service that is stopped frees it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.node import NODE
from tests.e2e.test_rollouts import at_rest, pods
from tests.support.catalog_yaml import catalog, service
from tests.support.model_hub import MODEL
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    running_operator,
    status_of,
)
from tests.support.served_models import models

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

DEVICE = "example.com/only-one"
AWAY = "it goes first, and the model is away until the new one is ready"
CHANGED = '  env: [{name: CHANGED, value: "true"}]\n'
SECONDS = 150


@pytest.fixture
def cluster(full_cluster: Cluster) -> Cluster:
    """The shared node, which other tests fill with GPUs as they like, has one device of this test's own."""
    grant_roles(full_cluster)
    one = {"capacity": {DEVICE: "1"}, "allocatable": {DEVICE: "1"}}
    path = f"/api/v1/nodes/{NODE}/status"
    full_cluster.api.request("PATCH", path, {"status": one}, "application/merge-patch+json")
    return full_cluster


def message(cluster: Cluster, namespace: str) -> str:
    conditions = status_of(cluster, "aimsvc", "chat", namespace).get("conditions", [])
    return next((str(each["message"]) for each in conditions if each["type"] == "Ready"), "")


def test_a_roll_out_on_a_full_node_ends_and_a_stopped_service_frees_it(cluster: Cluster) -> None:
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        only = f"gpuSelector: {{count: 1, resourceName: {DEVICE}, model: MI300X}}"
        shown = catalog(namespace).replace("gpuSelector: {count: 1, model: MI300X}", only)
        assert only in shown
        apply_yaml(cluster, shown + service(namespace, "chat"))
        eventually(lambda: at_rest(cluster, namespace), "the service runs", timeout_seconds=SECONDS)
        before = pods(cluster, namespace)
        apply_yaml(cluster, shown + service(namespace, "chat") + CHANGED)
        eventually(
            lambda: AWAY in message(cluster, namespace),
            "the status says beforehand that the model will be away",
            timeout_seconds=SECONDS,
        )
        eventually(
            lambda: at_rest(cluster, namespace) and not set(before) & set(pods(cluster, namespace)),
            "the new Pod has the device",
            timeout_seconds=SECONDS,
        )
        found = cluster.kubectl("get", "deploy", "chat-predictor", f"--namespace={namespace}", "-o", "json")
        assert json.loads(found)["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
        }

        cluster.kubectl("scale", "aimsvc", "chat", "--replicas=0", f"--namespace={namespace}")
        eventually(
            lambda: (
                status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Stopped"
                and not pods(cluster, namespace)
            ),
            "it is stopped, and its Pod is gone",
            timeout_seconds=SECONDS,
        )
        path = status_of(cluster, "aimsvc", "chat", namespace)["routing"]["path"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{cluster.gateway_url}{path}/v1/models", timeout=10)
        refused.value.close()
        assert refused.value.code == 503
        cluster.kubectl("scale", "aimsvc", "chat", "--replicas=1", f"--namespace={namespace}")
        eventually(lambda: at_rest(cluster, namespace), "it runs again", timeout_seconds=SECONDS)
        assert models(cluster, path) == [MODEL]


def check_want_of_a_metrics_server_is_said(cluster: Cluster, namespace: str, hpa: str) -> None:
    """Kubernetes' own controller finds none here. After three minutes of that the service says so."""
    eventually(
        lambda: _condition(cluster.api.get(hpa), "ScalingActive").get("status") == "False",
        "its controller can measure nothing",
        timeout_seconds=SECONDS,
    )
    service_path = f"/apis/aim.silogen.ai/v1alpha1/namespaces/{namespace}/aimservices/chat"
    _three_minutes_later(cluster, service_path, "RuntimeReady")
    _three_minutes_later(cluster, hpa, "ScalingActive")
    eventually(
        lambda: "AutoscalingFailed" in _condition(cluster.api.get(service_path), "Ready").get("reason", ""),
        "the service says that nothing scales it",
    )
    ready = _condition(cluster.api.get(service_path), "Ready")["message"]
    assert "the HorizontalPodAutoscaler 'chat-predictor' says: the HPA was unable to compute" in ready
    assert ready.endswith("; install metrics-server")


def _condition(found: Manifest | None, type_: str) -> dict[str, str]:
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == type_), {})


def _three_minutes_later(cluster: Cluster, path: str, type_: str) -> None:
    """Let the condition have held for longer: whoever writes it keeps since when while it does not change."""
    found = cluster.api.get(path)
    earlier = datetime.now(UTC) - timedelta(minutes=4)
    _condition(found, type_)["lastTransitionTime"] = earlier.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = {"status": {"conditions": found["status"]["conditions"]}}
    cluster.api.request("PATCH", f"{path}/status", conditions, "application/merge-patch+json")


def test_kserve_s_hpa_has_the_number_of_copies_and_a_stopped_service_starts_again(cluster: Cluster) -> None:
    """KServe deletes and makes the Deployment anew: an HPA would leave one at zero alone."""
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        scaled = (
            service(namespace, "chat")
            + "  autoscaling: {maxReplicas: 3, metrics: [{type: CPU, target: 70}]}\n"
        )
        apply_yaml(cluster, catalog(namespace) + scaled)
        eventually(lambda: at_rest(cluster, namespace), "the service runs", timeout_seconds=SECONDS)
        hpa = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/chat-predictor"
        spec = cluster.api.get(hpa)["spec"]
        assert (spec["scaleTargetRef"]["name"], spec["minReplicas"], spec["maxReplicas"]) == (
            "chat-predictor",
            1,
            3,
        )
        assert spec["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
        check_want_of_a_metrics_server_is_said(cluster, namespace, hpa)
        cluster.kubectl("scale", "deploy", "chat-predictor", "--replicas=2", f"--namespace={namespace}")
        eventually(
            lambda: status_of(cluster, "aimsvc", "chat", namespace).get("readyReplicas") == 2,
            "what an HPA writes stays",
            timeout_seconds=SECONDS,
        )
        cluster.kubectl("scale", "aimsvc", "chat", "--replicas=0", f"--namespace={namespace}")
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/chat-predictor"
        eventually(
            lambda: (
                status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Stopped"
                and cluster.api.get(path) is None
            ),
            "it is stopped",
            timeout_seconds=SECONDS,
        )
        cluster.kubectl("scale", "aimsvc", "chat", "--replicas=1", f"--namespace={namespace}")
        eventually(lambda: at_rest(cluster, namespace), "it runs again", timeout_seconds=SECONDS)
