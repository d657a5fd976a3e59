"""Beside a KServe that makes HTTPRoutes of our routes' names: nothing restarts, and no route is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.external import HTTPRoute, InferenceService
from aim_operator.api.meta import OwnerReference
from aim_operator.api.plan import Plan
from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.core import labels
from aim_operator.core.service.plan import decide
from aim_operator.core.service.route_name import name_of_route, service_of
from tests.support.service_builders import (
    make_http_route,
    make_inference_service,
    make_service,
    make_service_observed,
    make_workload,
    revision_of_service,
    with_status,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VISIBILITY = "networking.kserve.io/visibility"
ROUTED = make_service(routing={"enabled": True, "gatewayRef": {"name": "gateway", "namespace": "gateways"}})
UNROUTED = make_service()
STATUS = AIMServiceStatus(active=make_workload())


def live(*, hidden: bool, revision: str = "") -> InferenceService:
    found = make_inference_service(ready=True)
    words = {labels.REVISION: revision or revision_of_service(ROUTED, make_workload())}
    if hidden:
        words[VISIBILITY] = "cluster-local"
    return structs.replace(found, metadata=structs.replace(found.metadata, labels=words))


def plan(service: Any = ROUTED, **seen: Any) -> Plan[AIMServiceStatus]:
    return decide(with_status(make_service_observed(service, **seen), STATUS), now=NOW)


def visibility(planned: Plan[AIMServiceStatus]) -> str | None:
    [found] = [c.manifest for c in planned.children if c.kind == "InferenceService"]
    value: str | None = found["metadata"]["labels"].get(VISIBILITY)
    return value


def test_a_new_service_with_a_route_tells_kserve_to_make_none() -> None:
    assert visibility(plan()) == "cluster-local"


def test_one_without_a_route_keeps_kserves() -> None:
    assert visibility(plan(UNROUTED)) is None


def test_one_that_serves_is_not_restarted_for_it() -> None:
    assert visibility(plan(inference_service=live(hidden=False))) is None


def test_routing_switched_off_restarts_nothing_either() -> None:
    assert visibility(plan(UNROUTED, inference_service=live(hidden=True))) == "cluster-local"


def test_it_comes_and_goes_with_a_roll_out_that_is_due_anyway() -> None:
    assert visibility(plan(inference_service=live(hidden=False, revision="0ther"))) == "cluster-local"
    assert visibility(plan(UNROUTED, inference_service=live(hidden=True, revision="0ther"))) is None


def test_where_kserve_took_the_name_the_route_has_another() -> None:
    planned = plan(inference_service=live(hidden=False), route_name="chat.aim")
    [route] = [c for c in planned.children if c.kind == "HTTPRoute"]
    assert route.manifest["metadata"]["name"] == "chat.aim"
    assert planned.removals == ()


def route(name: str, *, owner: str, kind: str = "AIMService") -> HTTPRoute:
    found = make_http_route()
    controller = OwnerReference(api_version="v1", kind=kind, name="chat", uid=owner, controller=True)
    metadata = structs.replace(found.metadata, name=name, owner_references=(controller,))
    return structs.replace(found, metadata=metadata)


SERVER = make_inference_service(ready=True)
OURS = route("chat", owner=ROUTED.metadata.uid)
BESIDE = route("chat.aim", owner=ROUTED.metadata.uid)
KSERVES = route("chat", owner=SERVER.metadata.uid, kind="InferenceService")
STRANGERS = route("chat", owner="somebody")


@pytest.mark.parametrize(
    ("named", "aside", "want"),
    [
        pytest.param(None, None, "chat", id="a new one is called as its service"),
        pytest.param(OURS, None, "chat", id="and stays so"),
        pytest.param(KSERVES, None, "chat.aim", id="KServe took the name"),
        pytest.param(KSERVES, BESIDE, "chat.aim", id="both are there"),
        pytest.param(None, BESIDE, "chat.aim", id="it does not move back when KServe's is gone"),
        pytest.param(STRANGERS, None, "chat", id="a stranger's is a conflict that is said"),
        pytest.param(
            OURS, route("chat.aim", owner="somebody"), "chat", id="a stranger's beside it changes nothing"
        ),
    ],
)
def test_what_the_route_is_called(named: HTTPRoute | None, aside: HTTPRoute | None, want: str) -> None:
    assert name_of_route(ROUTED, named, aside, SERVER) == want


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(OURS, "chat", id="its own name"),
        pytest.param(BESIDE, "chat", id="beside KServe's"),
        pytest.param(KSERVES, "chat", id="KServe's"),
    ],
)
def test_whose_a_route_is(found: HTTPRoute, want: str) -> None:
    assert service_of(found) == want
