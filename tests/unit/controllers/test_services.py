"""What a service's reconcile reads, where what it finds is in another scope, invalid or half gone."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1 import SERVICES
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.services import Services
from aim_operator.core.service.observed import ServiceObserved
from tests.support.cache_builders import OURS
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import NOW

ROUTED = {
    "parentRefs": [{"namespace": "gateways", "name": "public"}],
    "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/team/chat"}}]}],
}


def nobody(_: Any) -> None:
    """Hears of it."""


def made_of(scope: str, **more: Any) -> dict[str, Any]:
    """Return what a service runs on: template `fast` of that scope."""
    prefix = "AIM" if scope == "Namespace" else "AIMCluster"
    return {
        "image": "x/llama:1",
        "resolvedImage": {"kind": f"{prefix}Image", "name": "llama", "scope": scope},
        "resolvedTemplate": {"kind": f"{prefix}ServiceTemplate", "name": "fast", "scope": scope},
        **more,
    }


class Team(FilledStores):
    """A cluster image with its template, and a namespace with a service on it."""

    def __init__(self) -> None:
        super().__init__()
        self.new("cluster_images", "/llama", spec={"image": "x/llama:1"})
        self.new("cluster_templates", "/fast", spec={"aimImageName": "llama"})
        self.chat()

    def chat(self, **fields: Any) -> None:
        metadata, spec = {"uid": "uid of AIMService chat"}, {"model": "llama", "templateRef": "fast"}
        self.service = self.new("services", "team/chat", metadata=metadata, spec=spec, **fields)

    async def observed(self) -> ServiceObserved:
        services = Services(
            watched=self.watched,
            catalog=self.catalog,
            route_owners=RouteOwners(self.watched, clock=self.clock, wake=nobody, apart=lambda: False),
            kserve=KServeVersion(self.client, clock=self.clock, on_change=lambda: None),
        )
        return await services.gather(SERVICES.ref(self.service), self.service, NOW)


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.mark.parametrize(
    ("prefix", "lost"),
    [
        pytest.param("/{.metadata.namespace}", False, id="is below the cluster's prefix"),
        pytest.param("/models", True, id="is not below it"),
        pytest.param("/models/..", True, id="may be nowhere, until the prefix is corrected"),
    ],
)
async def test_a_route_goes_unless_its_path(team: Team, prefix: str, *, lost: bool) -> None:
    team.new("cluster_runtime_configs", "/default", spec={"routing": {"pathPrefix": prefix}})
    team.new("http_routes", "team/chat", metadata={"ownerReferences": ["of AIMService chat"]}, spec=ROUTED)
    assert (await team.observed()).path_lost is lost


@pytest.mark.parametrize("informer", ["serving_runtimes", "cluster_serving_runtimes"])
async def test_the_runtime_that_a_service_runs_on_is_there_in_either_scope(team: Team, informer: str) -> None:
    """Where it is not, the service is given a runtime of its own."""
    team.chat(status={"active": made_of("Cluster")})
    assert (await team.observed()).runtimes == frozenset()
    team.new(informer, "team/fast" if informer == "serving_runtimes" else "/fast", metadata=OURS)
    assert (await team.observed()).runtimes == {"fast"}
