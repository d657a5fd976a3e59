"""What restarts Pods on a real cluster, and what a service says while its new Pods do not start."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.model_hub import MODEL
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)
from tests.support.served_models import asked_all_the_time, models

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

OTHER_IMAGE = "ghcr.io/ml-team/llama-3.1-8b-instruct:dev-latest"
# A dry run does not read this; a server can't, and ends.
CRASHES = '  env: [{name: AIM_STAND_IN_START_SECONDS, value: "soon"}]\n'
KSERVE_SECONDS = 5
"""In which KServe would have followed a change of a runtime: it takes milliseconds."""


@pytest.fixture
def cluster(full_cluster: Cluster) -> Cluster:
    grant_roles(full_cluster)
    return full_cluster


def pods(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Return the uids of the service's Pods, each with its revision."""
    selector = "--selector=serving.kserve.io/inferenceservice=chat"
    found = json.loads(cluster.kubectl("get", "pods", f"--namespace={namespace}", selector, "-o", "json"))
    return {
        pod["metadata"]["uid"]: pod["metadata"]["labels"]["aim.silogen.ai/revision"] for pod in found["items"]
    }


def at_rest(cluster: Cluster, namespace: str) -> bool:
    status = status_of(cluster, "aimsvc", "chat", namespace)
    seen = reasons(status)
    return (status.get("status"), seen.get("Ready"), seen.get("Progressing")) == (
        "Running",
        "True/RuntimeReady",
        "False/RuntimeReady",
    )


def test_while_new_pods_crash_the_old_one_serves_and_the_status_says_why(cluster: Cluster) -> None:
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat"))
        eventually(lambda: at_rest(cluster, namespace), "the service runs")
        path = status_of(cluster, "aimsvc", "chat", namespace)["routing"]["path"]
        assert models(cluster, path) == [MODEL]
        before = pods(cluster, namespace)
        assert len(before) == 1
        with asked_all_the_time(f"{cluster.gateway_url}{path}/v1/models") as answers:
            apply_yaml(cluster, catalog(namespace, image=OTHER_IMAGE) + CRASHES)
            want = {
                "Ready": "False/RolloutFailed",
                "Failure": "True/RolloutFailed",
                "Progressing": "True/RolloutFailed",
                "RuntimeReady": "True/RollingOut",
                "Resolved": "True/Resolved",
                "RoutingReady": "True/RouteReady",
            }

            def seen() -> dict[str, str]:
                found = reasons(status_of(cluster, "aimsvc", "chat", namespace))
                return {type_: found.get(type_, "") for type_ in want}

            eventually(lambda: seen() == want, "the new Pod crashes", timeout_seconds=120)
            status = status_of(cluster, "aimsvc", "chat", namespace)
            assert status["status"] == "Degraded"
            assert status["active"]["image"] == OTHER_IMAGE
            (failure,) = [each for each in status["conditions"] if each["type"] == "Failure"]
            cause = "the previous one serves: container kserve-container exited with code 1"
            assert cause in failure["message"]
            now = pods(cluster, namespace)
            assert set(before) < set(now)
            assert len(set(now.values())) == 2, "the new Pod has a revision of its own"

            apply_yaml(cluster, catalog(namespace))
            eventually(
                lambda: at_rest(cluster, namespace) and pods(cluster, namespace) == before,
                "it heals, on the Pod that served all the time",
                timeout_seconds=120,
            )
        assert set(answers) == {MODEL}, answers
        assert answers[MODEL] > 20


def test_a_runtime_that_is_edited_by_hand_restarts_no_pod(cluster: Cluster) -> None:
    """An InferenceService overrides the image; environment stays only where the operator is told to pause."""
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat"))
        eventually(lambda: at_rest(cluster, namespace), "the service runs")
        before = pods(cluster, namespace)
        url = f"/apis/serving.kserve.io/v1alpha1/namespaces/{namespace}/servingruntimes/fast"

        def container() -> dict[str, Any]:
            found: dict[str, Any] = cluster.api.get(url)["spec"]["containers"][0]
            return found

        def edit(**fields: Any) -> None:
            live = cluster.api.get(url)
            live["spec"]["containers"][0] |= fields
            cluster.api.request("PUT", url, live)

        def pause(word: str) -> None:
            annotation = f"aim.silogen.ai/reconciliation-paused{word}"
            cluster.kubectl("annotate", "aimst", "fast", annotation, f"--namespace={namespace}")

        made = container()
        added = [{"name": "ADDED", "value": "by hand"}]
        edit(image=OTHER_IMAGE, env=added)
        eventually(lambda: container() == made, "the edit is set back")
        time.sleep(KSERVE_SECONDS)
        # KServe may have seen the edit first, and begun a Pod that it takes back.
        assert set(before) <= set(pods(cluster, namespace))
        eventually(lambda: pods(cluster, namespace) == before, "the Pod that served all the time is left")

        pause("=true")
        eventually(
            lambda: reasons(status_of(cluster, "aimst", "fast", namespace)).get("Paused") == "True/Paused",
            "the template is paused",
        )
        edit(image=OTHER_IMAGE)
        time.sleep(KSERVE_SECONDS)
        assert container()["image"] == OTHER_IMAGE
        assert pods(cluster, namespace) == before, "each InferenceService has its own image"
        # Why nothing but a shape is in a runtime: KServe hands on what no InferenceService overrides.
        edit(env=added)
        eventually(lambda: not set(before) & set(pods(cluster, namespace)), "KServe adds the variable")
        pause("-")
        eventually(lambda: container() == made, "it is set back once the template is not paused")

        eventually(lambda: at_rest(cluster, namespace), "and so are the Pods")
        before = pods(cluster, namespace)
        cluster.kubectl(
            "annotate", "aimsvc", "chat", "aim.silogen.ai/restart=now", f"--namespace={namespace}"
        )
        eventually(
            lambda: at_rest(cluster, namespace) and not set(before) & set(pods(cluster, namespace)),
            "a restart that is asked for replaces the Pod",
        )
