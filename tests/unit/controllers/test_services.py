"""What a service's reconcile reads, where what it finds is in another scope, invalid or half gone."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child, Outcome, Outcomes, OutcomeType, Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import SERVICES
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.services import Services
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.errors import Unavailable
from tests.support.cache_builders import OURS
from tests.support.filled_stores import FilledStores
from tests.support.template_builders import NOW

SPEC = {"model": "llama", "templateRef": "fast"}
OWNED = {"ownerReferences": ["of AIMService chat"]}
ROUTED = {
    "hostnames": ["team.example.com"],
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


class LostWrites(RouteOwners):
    """Keeps whose route may have been written all the same."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.of: list[str] = []

    def lost_write(self, ref: ObjectRef) -> None:
        self.of.append(ref.name)


class Team(FilledStores):
    """A cluster image with its template, and a namespace with a service on it."""

    def __init__(self) -> None:
        super().__init__()
        self.new("cluster_images", "/llama", spec={"image": "x/llama:1"})
        self.new("cluster_templates", "/fast", spec={"aimImageName": "llama"})
        self.chat()

    def chat(self, **fields: Any) -> None:
        metadata = {"uid": "uid of AIMService chat"}
        self.service = self.new("services", "team/chat", metadata=metadata, spec=SPEC, **fields)

    def services(self) -> Services:
        self.routes = LostWrites(self.watched, clock=self.clock, wake=nobody, apart=lambda: False)
        return Services(
            watched=self.watched,
            catalog=self.catalog,
            route_owners=self.routes,
            kserve=KServeVersion(self.client, clock=self.clock, on_change=lambda: None),
        )

    async def observed(self) -> ServiceObserved:
        return await self.services().gather(SERVICES.ref(self.service), self.service, NOW)


@pytest.fixture
def team() -> Team:
    return Team()


@pytest.mark.parametrize(
    ("limits", "lost"),
    [
        pytest.param({}, False, id="nothing is limited"),
        pytest.param({"pathPrefix": "/{.metadata.namespace}"}, False, id="its path is below the prefix"),
        pytest.param({"pathPrefix": "/models"}, True, id="its path is not below the prefix"),
        pytest.param({"pathPrefix": "/models/.."}, True, id="the prefix is invalid until it is corrected"),
        pytest.param({"allowedHostnames": ["*.team.example.com"]}, True, id="its host is somebody else's"),
        pytest.param(
            {"allowedHostnames": ["{.metadata.namespace}.example.com"]}, False, id="its host is its own"
        ),
    ],
)
async def test_a_route_loses_its_place_by_the_clusters_limits_where(
    team: Team, limits: dict[str, Any], *, lost: bool
) -> None:
    team.new("cluster_runtime_configs", "/default", spec={"routing": limits})
    team.new("http_routes", "team/chat", metadata=OWNED, spec=ROUTED)
    assert (await team.observed()).path_lost is lost


@pytest.mark.parametrize("informer", ["serving_runtimes", "cluster_serving_runtimes"])
async def test_the_runtime_that_a_service_runs_on_is_there_in_either_scope(team: Team, informer: str) -> None:
    """Where it is not, the service is given a runtime of its own."""
    team.chat(status={"active": made_of("Cluster")})
    assert (await team.observed()).runtimes == frozenset()
    team.new(informer, "team/fast" if informer == "serving_runtimes" else "/fast", metadata=OURS)
    assert (await team.observed()).runtimes == {"fast"}


async def test_a_runtime_that_shadows_the_clusters_is_in_the_way_of_what_is_to_start_only(team: Team) -> None:
    """Whoever makes one later holds up no change of what runs."""
    assert not (await team.observed()).runtime_shadowed
    team.new("other_runtimes", "team/fast")
    assert (await team.observed()).runtime_shadowed
    team.new("inference_services", "team/chat", metadata=OWNED, spec={})
    assert not (await team.observed()).runtime_shadowed


GOING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}


@pytest.mark.parametrize(
    ("claim", "phase", "lost"),
    [
        pytest.param({}, "Bound", set(), id="is bound"),
        pytest.param(GOING, "Bound", {"disk"}, id="is going: new Pods can't mount it"),
        pytest.param({}, "Lost", {"disk"}, id="has lost its volume"),
    ],
)
async def test_files_that_nothing_mounts_any_more_are_lost_unless_their_claim(
    team: Team, claim: dict[str, Any], phase: str, lost: set[str]
) -> None:
    mounts = [{"model": "llama", "claim": "disk"}]
    team.chat(status={"active": made_of("Cluster", mounts=mounts)})
    team.new("claims", "team/disk", metadata=claim, status={"phase": phase})
    assert (await team.observed()).lost_claims == lost
    team.new("inference_services", "team/chat", metadata=OWNED, spec={})
    assert (await team.observed()).lost_claims == set(), "while it runs, its Pods have them"


async def test_a_claim_that_a_model_server_mounts_is_alive_also_when_no_cache_lists_it_any_more(
    team: Team,
) -> None:
    """Else a service whose files are all there would say that they are lost."""
    volumes = {"volumes": [{"persistentVolumeClaim": {"claimName": "disk"}}]}
    team.service = team.edit("services", "team/chat", spec={**SPEC, "cacheModel": True})
    team.new("inference_services", "team/chat", metadata=OWNED, spec={"predictor": volumes})
    assert (await team.observed()).live_claims == frozenset()
    team.new("claims", "team/disk", status={"phase": "Bound"})
    assert (await team.observed()).live_claims == {"disk"}


@pytest.mark.parametrize(
    ("resource", "kept"),
    [
        pytest.param(HTTP_ROUTES, ["chat"], id="of its route"),
        pytest.param(INFERENCE_SERVICES, [], id="of another child: nobody waits for a path because of that"),
    ],
)
def test_a_path_is_kept_for_a_while_after_a_failed_write(
    team: Team, resource: Resource[Any], kept: list[str]
) -> None:
    services = team.services()
    child = Child(resource=resource, manifest={"metadata": {"namespace": "team", "name": "chat"}})
    failed = Outcome(child=child, type=OutcomeType.FAILED, error=Unavailable("the connection broke"))
    services.settle(SERVICES.ref(team.service), Plan(report=None), Outcomes((failed,)))
    assert team.routes.of == kept


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        pytest.param("of AIMService chat", "chat.aim", id="its own: KServe's route has the name"),
        pytest.param("of AIMService another", "chat", id="somebody else's, whose routes are not looked at"),
    ],
)
async def test_a_route_makes_way_for_that_of_an_inference_service(team: Team, owner: str, name: str) -> None:
    owned = {"ownerReferences": [owner], "uid": "uid of InferenceService chat"}
    team.new("inference_services", "team/chat", metadata=owned, spec={})
    team.new(
        "http_routes", "team/chat", metadata={"ownerReferences": ["of InferenceService chat"]}, spec=ROUTED
    )
    assert (await team.observed()).route_name == name
