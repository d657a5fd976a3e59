"""What gateways say about a route: refusals in their own words, old and others' words left out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.external import HTTPRoute, HTTPRouteStatus
from aim_operator.core.service.route import Route
from aim_operator.core.service.route_state import route_state
from tests.support.service_builders import (
    GATEWAY,
    ROUTED,
    make_http_route,
    make_route_conditions,
    make_service,
    make_service_observed,
)

GOOD = make_route_conditions()


def make_route(**gateway: Any) -> Route:
    service = make_service(routing={**ROUTED, "gatewayRef": {**GATEWAY, **gateway}})
    route = make_service_observed(service).route
    assert isinstance(route, Route)
    return route


@pytest.mark.parametrize(
    ("live", "want"),
    [
        pytest.param(None, "ConfiguringRoute", id="no HTTPRoute yet"),
        pytest.param(make_http_route(), "ConfiguringRoute", id="no gateway looked at it"),
        pytest.param(make_http_route(conditions=[]), "ConfiguringRoute", id="a gateway without a verdict"),
        pytest.param(
            make_http_route(conditions=GOOD[:1]), "ConfiguringRoute", id="accepted, not yet resolved"
        ),
        pytest.param(make_http_route(conditions=GOOD), "RouteReady", id="accepted and resolved"),
        pytest.param(
            make_http_route(conditions=GOOD, generation=2),
            "ConfiguringRoute",
            id="conditions of an older generation",
        ),
        pytest.param(
            make_http_route(conditions=make_route_conditions(accepted="False"), generation=2),
            "ConfiguringRoute",
            id="a refusal of an older generation",
        ),
        pytest.param(
            make_http_route(conditions=make_route_conditions(accepted="False")), "RouteFailed", id="refused"
        ),
        pytest.param(
            make_http_route(conditions=make_route_conditions(resolved="False")),
            "RouteFailed",
            id="references that lead nowhere",
        ),
        pytest.param(
            make_http_route(conditions=GOOD, parent={**GATEWAY, "name": "before"}),
            "ConfiguringRoute",
            id="the gateway it had before",
        ),
        pytest.param(
            make_http_route(conditions=GOOD, parent={"name": GATEWAY["name"]}),
            "ConfiguringRoute",
            id="a namesake in the route's namespace",
        ),
        pytest.param(
            make_http_route(conditions=GOOD, parent={**GATEWAY, "sectionName": "https"}),
            "ConfiguringRoute",
            id="another listener",
        ),
        pytest.param(
            make_http_route(conditions=GOOD, parent={**GATEWAY, "port": 8443}),
            "ConfiguringRoute",
            id="another port",
        ),
    ],
)
def test_a_route_is_judged_by(live: HTTPRoute | None, want: str) -> None:
    got = route_state(live, make_route(), backend_ready=True)
    assert (got.reason, got.ready) == (want, want == "RouteReady")
    assert got.message


def test_a_listener_and_port_of_its_own_are_matched() -> None:
    listener = {"sectionName": "https", "port": 8443}
    live = make_http_route(conditions=GOOD, parent={**GATEWAY, **listener})
    assert route_state(live, make_route(**listener), backend_ready=True).ready


def test_one_gateway_of_two_that_refuses_is_told_although_the_other_is_still_awaited() -> None:
    other = {"name": "internal", "namespace": "gateways"}
    service = make_service(routing={**ROUTED, "gatewayRefs": [other]})
    route = make_service_observed(service).route
    assert isinstance(route, Route)
    refused = make_http_route(conditions=make_route_conditions(accepted="False"), parent=other)
    assert route_state(refused, route, backend_ready=True).reason == "RouteFailed"
    accepted = make_http_route(conditions=GOOD, parent=other)
    assert route_state(accepted, route, backend_ready=True).reason == "ConfiguringRoute"


def test_a_gateway_is_quoted_in_one_line() -> None:
    live = make_http_route(conditions=make_route_conditions(accepted="False", message="no\nlistener"))
    got = route_state(live, make_route(), backend_ready=True)
    assert got.message == "example.com/gateway says Accepted=False: no listener"


def test_a_gateway_without_words_is_told_by_its_reason() -> None:
    live = make_http_route(conditions=make_route_conditions(accepted="False", reason="NotAllowedByListeners"))
    got = route_state(live, make_route(), backend_ready=True)
    assert got.message.endswith("NotAllowedByListeners")


@pytest.mark.parametrize(
    ("reason", "backend_ready", "want"),
    [
        pytest.param("BackendNotFound", False, "ConfiguringRoute", id="waited for while the server starts"),
        pytest.param("BackendNotFound", True, "RouteFailed", id="a failure once it is ready"),
        pytest.param("RefNotPermitted", False, "RouteFailed", id="a failure for any other reason"),
    ],
)
def test_a_missing_backend_is(reason: str, backend_ready: bool, want: str) -> None:  # noqa: FBT001 - a table
    live = make_http_route(conditions=make_route_conditions(resolved="False", reason=reason))
    assert route_state(live, make_route(), backend_ready=backend_ready).reason == want


def test_while_the_server_starts_the_gateway_is_not_blamed() -> None:
    live = make_http_route(conditions=make_route_conditions(resolved="False", reason="BackendNotFound"))
    got = route_state(live, make_route(), backend_ready=False)
    assert got.message == "waiting for the Service of the model server, which KServe makes"


OLDER = [{**condition, "observedGeneration": 1} for condition in GOOD]
NAMELESS = [
    {name: value for name, value in condition.items() if name != "observedGeneration"}
    for condition in make_route_conditions(accepted="False", message="no such class")
]


@pytest.mark.parametrize(
    "left_behind",
    [
        pytest.param(OLDER, id="that accepted an older generation"),
        pytest.param(make_route_conditions(accepted="False"), id="that refused an older generation"),
        pytest.param(NAMELESS, id="that refused without saying which generation"),
        pytest.param([], id="that said nothing"),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_the_entry_of_a_controller_that_is_gone_does_not_count(
    left_behind: list[dict[str, Any]],
    first: bool,  # noqa: FBT001 - a table
) -> None:
    gone = make_http_route(conditions=left_behind, generation=2)
    here = make_http_route(conditions=make_route_conditions(generation=2), generation=2)
    assert isinstance(gone.status, HTTPRouteStatus)
    assert isinstance(here.status, HTTPRouteStatus)
    entries = [*(gone.status.parents or ()), *(here.status.parents or ())]
    live = structs.replace(
        here, status=HTTPRouteStatus(parents=tuple(entries if first else reversed(entries)))
    )
    assert route_state(live, make_route(), backend_ready=True).reason == "RouteReady"
    alone = route_state(gone, make_route(), backend_ready=True)
    assert alone.reason == ("RouteFailed" if left_behind is NAMELESS else "ConfiguringRoute")
