"""What a live HTTPRoute takes, and when it takes what its namespace may not have."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import HTTPRoute
from aim_operator.core.service.desired import http_route
from aim_operator.core.service.route import GatewayKey, ListenerPath, Route
from aim_operator.core.service.route_owner import MAX_PATHS, breaks_limits, routed_paths
from tests.support.service_builders import GATEWAY, ROUTED, make_service, make_service_observed


def live(spec: Any) -> HTTPRoute:
    document = {"metadata": {"name": "chat", "namespace": "team"}, "spec": spec}
    return msgspec.json.decode(msgspec.json.encode(document), type=HTTPRoute)


def routing(*paths: Any, parent: dict[str, Any] | None = None) -> HTTPRoute:
    matches = [{"path": {"value": path} if isinstance(path, str) else path} for path in paths]
    return live({"parentRefs": [parent or GATEWAY], "rules": [{"matches": matches}]})


@pytest.mark.parametrize("gateway", [{}, {"sectionName": "https"}, {"port": 8443}], ids=str)
def test_the_path_of_a_rendered_route_is_the_one_that_was_wanted(gateway: dict[str, Any]) -> None:
    service = make_service(routing={**ROUTED, "gatewayRef": {**GATEWAY, **gateway}})
    route = make_service_observed(service).route
    assert isinstance(route, Route)
    spec = http_route(service, route).manifest["spec"]
    assert routed_paths(live(spec)) == route.listener_paths
    # As the API server keeps it, with its defaults.
    spec["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    assert routed_paths(live(spec)) == route.listener_paths


def test_a_route_that_was_edited_has_all_the_paths_that_it_has() -> None:
    spec = {
        "parentRefs": [{"name": "one"}, {"name": "two", "namespace": "gateways"}],
        "rules": [{"matches": [{"path": {"value": "/a"}}, {"path": {"type": "PathPrefix", "value": "/b/"}}]}],
    }
    one, two = (GatewayKey(where, "", 0) for where in (("team", "one"), ("gateways", "two")))
    assert set(routed_paths(live(spec))) == {
        ListenerPath(gateway, path) for gateway in (one, two) for path in ("/a", "/b")
    }


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="everything: any other route overrides it"),
        pytest.param({}, id="everything by default"),
        pytest.param({"type": "Exact", "value": "/victim"}, id="one exact path: no prefix takes it"),
        pytest.param({"type": "RegularExpression", "value": "/.*"}, id="a regular expression"),
    ],
)
def test_no_prefix_is_claimed_by_editing_a_route_to(path: Any) -> None:
    """Else whoever may edit one HTTPRoute could take the routes of everybody away."""
    assert routed_paths(routing(path)) == ()


def test_a_route_with_thousands_of_paths_costs_no_more_than_one_with_sixteen() -> None:
    spec = {
        "parentRefs": [{"name": f"g{number}"} for number in range(32)],
        "rules": [{"matches": [{"path": {"value": f"/{number}"}} for number in range(128)]}],
    }
    assert len(routed_paths(live(spec))) == MAX_PATHS


@pytest.mark.parametrize("spec", [{}, {"rules": "none"}, {"parentRefs": 1}, {"rules": [{}]}], ids=str)
def test_a_route_that_is_not_readable_has_none(spec: Any) -> None:
    assert routed_paths(live(spec)) == ()
    assert not breaks_limits(live(spec), "/team")


@pytest.mark.parametrize(
    ("route", "prefix", "want"),
    [
        pytest.param(routing("/team/x"), "/team", False, id="below the prefix"),
        pytest.param(routing("/team"), "/team", False, id="on the prefix"),
        pytest.param(routing("/victim"), None, False, id="anywhere, where there is none"),
        pytest.param(routing("/victim"), "/team", True, id="outside"),
        pytest.param(routing("/team/x", "/victim"), "/team", True, id="outside with one of its paths"),
        pytest.param(routing("/teams"), "/team", True, id="beside it"),
        pytest.param(routing("/.well-known/x"), None, True, id="below /.well-known"),
        pytest.param(
            routing("/x", parent={"name": "db", "kind": "Service", "group": ""}), None, True, id="no Gateway"
        ),
    ],
)
def test_a_live_route_has_what_its_namespace_may_not_have(
    route: HTTPRoute,
    prefix: str | None,
    want: bool,  # noqa: FBT001 - a table
) -> None:
    assert breaks_limits(route, prefix) is want


@pytest.mark.parametrize(
    ("hostnames", "allowed", "want"),
    [
        pytest.param(["models.example.com"], None, False, id="any, where nothing is said"),
        pytest.param(["a.team.example.com"], ("*.team.example.com",), False, id="one of its own"),
        pytest.param([], ("*.team.example.com",), False, id="none"),
        pytest.param(
            ["a.team.example.com", "M.example.com"], ("*.team.example.com",), True, id="a shared one"
        ),
    ],
)
def test_a_live_route_names_a_host_that_its_namespace_may_not_name(
    hostnames: list[str],
    allowed: tuple[str, ...] | None,
    want: bool,  # noqa: FBT001 - a table
) -> None:
    assert breaks_limits(live({"parentRefs": [GATEWAY], "hostnames": hostnames}), None, allowed) is want
