"""From the oldest KServe to the newest under services that run, and one that makes routes of their names."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from hack.cluster.cluster import Cluster
from hack.cluster.manifests import CRDS
from tests.support.catalog_yaml import catalog, service
from tests.support.cluster import StartCluster, aim_crds
from tests.support.kserve_routes import let_kserve_make_routes, route_owner
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

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_oldest_kserve,
    pytest.mark.needs_kserve,
    pytest.mark.needs_gateway,
]


class Services:
    """Those of one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster, self.namespace = cluster, namespace

    def status(self, name: str = "chat") -> dict[str, Any]:
        return status_of(self.cluster, "aimsvc", name, self.namespace)

    def runs(self, name: str = "chat") -> bool:
        status = self.status(name)
        seen = reasons(status)
        return (status.get("status"), seen.get("Progressing")) == ("Running", "False/RuntimeReady")

    def routed(self) -> bool:
        return self.runs() and reasons(self.status()).get("RoutingReady", "").startswith("True/")

    def patch(self, **spec: Any) -> None:
        patch = json.dumps({"spec": spec})
        self.cluster.kubectl("patch", "aimsvc", "chat", "-n", self.namespace, "--type=merge", "-p", patch)

    def pods(self) -> set[str]:
        selector = "--selector=serving.kserve.io/inferenceservice=chat"
        uids = "jsonpath={.items[*].metadata.uid}"
        return set(self.cluster.kubectl("get", "pods", "-n", self.namespace, selector, "-o", uids).split())

    def message(self, name: str, condition: str) -> str:
        [found] = [c["message"] for c in self.status(name)["conditions"] if c["type"] == condition]
        return str(found)


def test_an_upgrade_of_kserve_leaves_services_running_changeable_and_deletable(
    own_cluster: StartCluster,
) -> None:
    cluster = own_cluster(("node", "oldest-kserve", "gateway"), crds=aim_crds())
    grant_roles(cluster)
    with cluster.namespace() as namespace, running_operator(cluster):
        services = Services(cluster, namespace)
        long = "c" * (64 - len(f"-predictor-{namespace}"))
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat") + service(namespace, long))
        # Made without a route, it lets KServe make one, as services of earlier versions of the operator do.
        services.patch(routing={"enabled": False})
        eventually(services.runs, "the service runs on KServe 0.16")
        check_long_name_is_explained(services, long)
        services.patch(routing={"enabled": True})
        eventually(services.routed, "it has a route")
        path = services.status()["routing"]["path"]
        assert models(cluster, path) == [MODEL]
        before = services.pods()

        with asked_all_the_time(f"{cluster.gateway_url}{path}/v1/models") as answers:
            cluster.add("kserve")
            eventually(services.routed, "it still runs")
        assert set(answers) == {MODEL}, answers
        check_long_name_is_explained(services, long)

        check_kserve_takes_the_route(services, before, path)

        services.patch(env=[{"name": "AIM_LOG_LEVEL", "value": "DEBUG"}])
        eventually(lambda: services.routed() and not services.pods() & before, "it is changed")
        assert models(cluster, path) == [MODEL]

        cluster.kubectl("delete", "aimsvc", "chat", long, f"--namespace={namespace}")
        left = partial(
            cluster.kubectl, "get", "isvc,httproute,deploy", f"--namespace={namespace}", "-o", "name"
        )
        eventually(lambda: not left().strip(), "all children are gone")

        check_0_15_is_refused(services)


def check_long_name_is_explained(services: Services, name: str) -> None:
    """KServe makes nothing of it: 0.16 says so in an event only, newer ones in a condition, too."""
    eventually(
        lambda: services.status(name).get("status") == "Degraded", "a name that is too long is refused"
    )
    message = services.message(name, "Failure")
    assert "must be no more than 63 characters" in message
    assert "use a shorter name" in message


def check_kserve_takes_the_route(services: Services, before: set[str], path: str) -> None:
    """With its HTTPRoutes switched on under a service that runs, ours has another name; nothing restarts."""
    cluster, namespace = services.cluster, services.namespace
    owner = partial(route_owner, cluster, namespace)
    let_kserve_make_routes(cluster)
    services.patch(replicas=2)  # it looks at its configuration when it looks at a service
    eventually(lambda: owner("chat") == "InferenceService", "KServe takes the route's name")
    eventually(lambda: owner("chat.aim") == "AIMService", "the operator makes the route beside it")
    eventually(services.routed, "the service is routed")
    assert services.status()["routing"]["path"] == path
    assert models(cluster, path) == [MODEL]
    assert before < services.pods()


def check_0_15_is_refused(services: Services) -> None:
    """Its CRD is as of before 0.16 when it has no storageUris: told by the real API server's answer."""
    api = services.cluster.api
    crd = api.get(f"{CRDS}/inferenceservices.serving.kserve.io")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["predictor"]["properties"]["storageUris"]
    api.request("PUT", f"{CRDS}/inferenceservices.serving.kserve.io", crd)
    apply_yaml(services.cluster, service(services.namespace, "late"))
    refused = "False/KServeTooOld"
    eventually(lambda: reasons(services.status("late")).get("RuntimeReady") == refused, "0.15 is refused")
    assert "upgrade KServe to 0.16" in services.message("late", "RuntimeReady")
