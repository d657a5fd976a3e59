"""The main job on a real cluster: catalog, a real discovery Job, KServe's Pod, HTTP 200 through a gateway."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import pytest

from hack.cluster.cluster import SERVING_PARTS, Cluster
from hack.cluster.manifests import crd_manifests, install_crds
from tests.support.catalog_yaml import catalog, service
from tests.support.cluster import StartCluster, aim_crds
from tests.support.crash import crash_after_each_write
from tests.support.model_hub import MODEL
from tests.support.operator_process import (
    apply_yaml,
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
    writes,
)
from tests.support.served_models import chat, models

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_kserve,
    pytest.mark.needs_gateway,
]


@pytest.fixture
def cluster(full_cluster: Cluster) -> Cluster:
    """The shared cluster; an operator keeps to its test's namespaces there."""
    grant_roles(full_cluster)
    return full_cluster


def running(cluster: Cluster, namespace: str, name: str) -> bool:
    return status_of(cluster, "aimsvc", name, namespace).get("status") == "Running"


def test_a_service_answers_through_the_gateway_and_is_gone_without_a_trace(cluster: Cluster) -> None:
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):
        long = "c" * (64 - len(f"-predictor-{namespace}"))
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat") + service(namespace, long))
        eventually(lambda: running(cluster, namespace, "chat"), "the service runs")
        check_long_name_is_explained(cluster, namespace, long)
        status = status_of(cluster, "aimsvc", "chat", namespace)
        path = status["routing"]["path"]
        assert models(cluster, path) == [MODEL]
        assert chat(cluster, path, MODEL, "Are you there?").endswith("You asked: Are you there?")
        template = status_of(cluster, "aimst", "fast", namespace)
        assert template["status"] == "Available"
        assert template["modelSources"] == [
            {
                "name": MODEL,
                "sourceUri": f"hf://{MODEL}",
                "size": "16073915105",
            }
        ]
        assert reasons(template)["HardwareAvailable"] == "True/HardwareFound"

        cluster.kubectl("delete", "aimsvc", "chat", long, f"--namespace={namespace}")
        left = "isvc,httproute,deploy"
        eventually(
            lambda: not cluster.kubectl("get", left, f"--namespace={namespace}", "-o", "name").strip(),
            "its children are gone",
        )


def check_long_name_is_explained(cluster: Cluster, namespace: str, name: str) -> None:
    """KServe makes nothing of it, for good: its own words say why, and ours what to do."""
    status = partial(status_of, cluster, "aimsvc", name, namespace)
    eventually(lambda: status().get("status") == "Degraded", "a name that is too long is refused", 30)
    [failure] = [c for c in status()["conditions"] if c["type"] == "Failure"]
    assert "must be no more than 63 characters" in failure["message"]
    assert "use a shorter name" in failure["message"]


@pytest.mark.parametrize(
    ("image", "state", "reason"),
    [
        ("ghcr.io/example/broken:v1", "Failed", "DiscoveryFailed"),
        ("ghcr.io/example/garbage:v1", "Failed", "DiscoveryParseFailed"),
        ("ghcr.io/example/not-there:v1", "Degraded", "ImagePullFailed"),
    ],
)
def test_discovery_says_why_it_fails_and_heals_once_the_image_is_mended(
    cluster: Cluster, image: str, state: str, reason: str
) -> None:
    with cluster.namespace() as namespace, running_operator(cluster, f"--namespaces={namespace}"):

        def said() -> tuple[str, str]:
            status = status_of(cluster, "aimst", "fast", namespace)
            return status.get("status", ""), reasons(status).get("Discovered", "")

        apply_yaml(cluster, catalog(namespace, image=image))
        eventually(lambda: said() == (state, f"False/{reason}"), f"it is {state} because of {reason}")
        apply_yaml(cluster, catalog(namespace))
        eventually(lambda: said()[0] == "Available", "it is available with a good image")


def test_kserve_and_gateway_api_are_picked_up_once_installed(own_cluster: StartCluster) -> None:
    cluster = own_cluster(("node",), crds=aim_crds())
    grant_roles(cluster)
    with cluster.namespace() as namespace, running_operator(cluster):
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat"))

        def template_reason() -> str:
            return reasons(status_of(cluster, "aimst", "fast", namespace)).get("Ready", "")

        def service_reasons() -> dict[str, str]:
            return reasons(status_of(cluster, "aimsvc", "chat", namespace))

        eventually(lambda: template_reason() == "False/KServeNotInstalled", "the template says so")
        eventually(
            lambda: service_reasons().get("RuntimeReady") == "False/KServeNotInstalled", "the service says so"
        )
        assert service_reasons()["RoutingReady"] == "False/GatewayAPINotInstalled"
        install_crds(cluster.api, crd_manifests("kserve"))
        install_crds(cluster.api, crd_manifests("gateway"))
        eventually(lambda: template_reason() == "True/Available", "the template is available")
        eventually(
            lambda: "chat" in cluster.kubectl("get", "isvc,httproute", f"--namespace={namespace}"),
            "the InferenceService is there",
        )


def test_killed_after_any_write_it_ends_in_the_same_state_without_a_needless_write(cluster: Cluster) -> None:
    results = crash_after_each_write(cluster)
    assert len(results) >= 10, "the main job takes at least ten writes"
    reference = results[0]
    want = reference.applied()
    for result in results[1:]:
        assert result.state == reference.state, f"killed after write {result.killed_after}"
        verbs = {verb for verb, resource, *_ in result.writes if resource == "jobs"}
        assert (result.jobs, verbs) == (1, {"patch"}), f"one Job, never replaced: {result.writes}"
        missing, needless = want - result.applied(), result.applied() - want
        assert not missing - result.undecided(), f"killed after write {result.killed_after}: {result.writes}"
        assert not needless, f"killed after write {result.killed_after}: {result.writes}"


def test_at_rest_the_api_server_hears_nothing_but_watches_and_the_lease(own_cluster: StartCluster) -> None:
    cluster = own_cluster(SERVING_PARTS, crds=aim_crds())
    grant_roles(cluster)
    services = [f"chat-{number}" for number in range(50)]
    with cluster.namespace() as namespace, running_operator(cluster, "--leader-elect"):
        apply_yaml(cluster, catalog(namespace, gpus=1) + "".join(service(namespace, s) for s in services))
        eventually(
            lambda: cluster.kubectl("get", "aimsvc", f"--namespace={namespace}").count(" Running ") == 50,
            "fifty services run",
            timeout_seconds=240,
        )
        # The operator looks at nothing more seldom than every half a minute, but at ends of watches.
        at_rest(cluster, settle_seconds=10, rest_seconds=70)
    assert not [w for w in writes(cluster) if w[3] >= 400], "no write was refused"


def at_rest(cluster: Cluster, *, settle_seconds: int, rest_seconds: int) -> None:
    """Watch the audit log for that long; only watches and the Lease may be in it."""
    time.sleep(settle_seconds)
    before = sum(1 for _ in cluster.audit_events())
    time.sleep(rest_seconds)
    heard = [
        (event["verb"], (event.get("objectRef") or {}).get("resource"))  # type: ignore[attr-defined]
        for event in list(cluster.audit_events())[before:]
    ]
    assert heard, "the Lease at least is renewed"
    other = Counter(h for h in heard if h[0] != "watch" and h[1] != "leases")
    assert not other, f"requests at rest: {other}"
