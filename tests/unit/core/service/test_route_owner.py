"""Whose a path is: the oldest one's of those that want it or are routed there, once others have left."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import HTTPRoute
from aim_operator.core.service.desired import http_route
from aim_operator.core.service.route import GatewayKey, ListenerPath, Route
from aim_operator.core.service.route_owner import Contender, PathUse, Standing, routed_paths, standing
from tests.support.service_builders import GATEWAY, ROUTED, make_service, make_service_observed

OLD, MIDDLE, YOUNG = (Contender(year, "team", name) for year, name in (("1", "c"), ("2", "b"), ("3", "a")))


def use(*contenders: Contender, routed: tuple[Contender, ...] = ()) -> PathUse:
    return PathUse(contenders=contenders, routed=tuple((c.namespace, c.name) for c in routed))


@pytest.mark.parametrize(
    ("wanted", "routed", "want"),
    [
        pytest.param(use(MIDDLE), (), Standing(), id="it is alone"),
        pytest.param(use(YOUNG, MIDDLE), (), Standing(), id="the other is younger"),
        pytest.param(use(MIDDLE, OLD), (), Standing(rival=OLD), id="the other is older"),
        pytest.param(
            use(MIDDLE, YOUNG, routed=(YOUNG,)),
            (),
            Standing(held_by=("team", "a")),
            id="a younger one still has its route on it",
        ),
        pytest.param(
            use(MIDDLE, routed=(YOUNG,)),
            (),
            Standing(held_by=("team", "a")),
            id="the route of a deleted one is still on it",
        ),
        pytest.param(
            use(MIDDLE, YOUNG, routed=(MIDDLE, YOUNG)),
            (),
            Standing(),
            id="it has its own route on it already",
        ),
        pytest.param(
            use(MIDDLE),
            (use(MIDDLE, OLD, routed=(MIDDLE,)),),
            Standing(yields_to=OLD),
            id="an older one wants the path that it leaves",
        ),
        pytest.param(
            None, (use(MIDDLE, OLD, routed=(MIDDLE,)),), Standing(yields_to=OLD), id="it wants nothing now"
        ),
        pytest.param(None, (use(MIDDLE, YOUNG, routed=(MIDDLE,)),), Standing(), id="a younger one waits"),
        pytest.param(None, (), Standing(), id="it has nothing and wants nothing"),
    ],
)
def test_a_service_stands_where(wanted: PathUse | None, routed: Any, want: Standing) -> None:
    assert standing(MIDDLE, wanted, routed) == want


def test_of_the_same_age_the_smaller_name_goes_first() -> None:
    one, two = Contender("1", "a", "z"), Contender("1", "b", "a")
    assert standing(two, use(one, two), ()).rival == one
    assert standing(one, use(one, two), ()).rival is None


def live(spec: Any) -> HTTPRoute:
    document = {"metadata": {"name": "chat", "namespace": "team"}, "spec": spec}
    return msgspec.json.decode(msgspec.json.encode(document), type=HTTPRoute)


@pytest.mark.parametrize("gateway", [{}, {"sectionName": "https"}, {"port": 8443}], ids=str)
def test_the_path_of_a_rendered_route_is_the_one_that_was_wanted(gateway: dict[str, Any]) -> None:
    service = make_service(routing={**ROUTED, "gatewayRef": {**GATEWAY, **gateway}})
    route = make_service_observed(service).route
    assert isinstance(route, Route)
    spec = http_route(service, route).manifest["spec"]
    assert routed_paths(live(spec)) == (route.listener_path,)
    # As the API server keeps it, with its defaults.
    spec["parentRefs"][0] |= {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    assert routed_paths(live(spec)) == (route.listener_path,)


def test_a_route_that_was_edited_has_all_the_paths_that_it_has() -> None:
    spec = {
        "parentRefs": [{"name": "one"}, {"name": "two", "namespace": "gateways"}],
        "rules": [{"matches": [{"path": {"value": "/a"}}, {}]}],
    }
    one, two = (
        GatewayKey("gateway.networking.k8s.io", "Gateway", *where, "", 0)
        for where in (("team", "one"), ("gateways", "two"))
    )
    assert set(routed_paths(live(spec))) == {
        ListenerPath(gateway, path) for gateway in (one, two) for path in ("/a", "/")
    }


@pytest.mark.parametrize("spec", [{}, {"rules": "none"}, {"parentRefs": 1}, {"rules": [{}]}], ids=str)
def test_a_route_that_is_not_readable_has_none(spec: Any) -> None:
    assert routed_paths(live(spec)) == ()
