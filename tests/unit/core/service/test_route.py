"""Where a service wants to be reached: what it says itself, and what it leaves to its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.service.route import GatewayKey, Route, RouteProblem
from tests.support.service_builders import (
    GATEWAY,
    FakeCatalog,
    make_image,
    make_runtime_config,
    make_service,
    make_service_observed,
    make_template,
)

ON: dict[str, Any] = {"enabled": True, "gatewayRef": GATEWAY}


def routed(
    service: dict[str, Any] | None, config: dict[str, Any] | None = None
) -> Route | RouteProblem | None:
    catalog = FakeCatalog(make_image(), make_template(), make_runtime_config(routing=config or {}))
    spec: dict[str, Any] = {} if service is None else {"routing": service}
    return make_service_observed(make_service(metadata={"uid": "UID-1"}, **spec), catalog).route


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(None, None, False, id="off where nobody says anything"),
        pytest.param({"enabled": True}, {"gatewayRef": GATEWAY}, True, id="on by the service"),
        pytest.param(None, ON, True, id="on by the configuration"),
        pytest.param({"annotations": {}}, ON, True, id="on by the configuration, with words of the service"),
        pytest.param({"enabled": False}, ON, False, id="off by the service"),
        pytest.param({"gatewayRef": GATEWAY}, {"enabled": False}, False, id="off by the configuration"),
    ],
)
def test_routing_is(service: Any, config: Any, want: bool) -> None:  # noqa: FBT001 - a table
    assert (routed(service, config) is not None) is want


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(ON, None, "/team/uid-1", id="namespace and uid where there is no template"),
        pytest.param(ON, {"routeTemplate": "/c"}, "/c", id="the configuration's"),
        pytest.param(
            {**ON, "routeTemplate": "/s"}, {"routeTemplate": "/c"}, "/s", id="the service's over it"
        ),
        pytest.param({**ON, "routeTemplate": "/{.spec.aimImageName}"}, None, "/model", id="an alias in it"),
    ],
)
def test_the_path_is(service: Any, config: Any, want: str) -> None:
    got = routed(service, config)
    assert isinstance(got, Route)
    assert (got.path, got.listener_path.path) == (want, want)


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(
            {"name": "own"}, GATEWAY, ("team", "own", "", 0), id="the service's, in its own namespace"
        ),
        pytest.param(None, GATEWAY, ("gateways", "inference-gateway", "", 0), id="else the configuration's"),
        pytest.param(
            {**GATEWAY, "sectionName": "https", "port": 8443},
            None,
            ("gateways", "inference-gateway", "https", 8443),
            id="one listener and port of it",
        ),
    ],
)
def test_the_gateway_is(service: Any, config: Any, want: tuple[str, str, str, int]) -> None:
    own = {"enabled": True} if service is None else {"enabled": True, "gatewayRef": service}
    got = routed(own, None if config is None else {"gatewayRef": config})
    assert isinstance(got, Route)
    assert got.listener_path.gateway == GatewayKey("gateway.networking.k8s.io", "Gateway", *want)


def test_without_a_gateway_there_is_no_route() -> None:
    got = routed({"enabled": True})
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.ROUTE_FAILED
    assert "gatewayRef" in got.message


def test_a_bad_template_is_the_route_templates_fault() -> None:
    got = routed({**ON, "routeTemplate": "/{.spec.model"})
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.ROUTE_TEMPLATE_INVALID
