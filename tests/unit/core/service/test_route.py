"""Where a service wants to be reached: what it says itself, and what it leaves to its configuration."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.service.route import GatewayKey, Route, RouteProblem, wanted_route
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
    service: dict[str, Any] | None,
    config: dict[str, Any] | None = None,
    *,
    path_prefix: str | None = None,
    allowed: tuple[str, ...] | None = None,
) -> Route | RouteProblem | None:
    catalog = FakeCatalog(make_image(), make_template(), make_runtime_config(routing=config or {}))
    spec: dict[str, Any] = {} if service is None else {"routing": service}
    observed = make_service_observed(make_service(metadata={"uid": "UID-1"}, **spec), catalog)
    assert observed.config is not None
    return wanted_route(observed.service, observed.config, path_prefix=path_prefix, allowed_hostnames=allowed)


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
    assert (got.path, [at.path for at in got.listener_paths]) == (want, [want])


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(
            {"name": "own"}, GATEWAY, (("team", "own"), "", 0), id="the service's, in its own namespace"
        ),
        pytest.param(
            None, GATEWAY, (("gateways", "inference-gateway"), "", 0), id="else the configuration's"
        ),
        pytest.param(
            {**GATEWAY, "sectionName": "https", "port": 8443},
            None,
            (("gateways", "inference-gateway"), "https", 8443),
            id="one listener and port of it",
        ),
    ],
)
def test_the_gateway_is(service: Any, config: Any, want: tuple[tuple[str, str], str, int]) -> None:
    own = {"enabled": True} if service is None else {"enabled": True, "gatewayRef": service}
    got = routed(own, None if config is None else {"gatewayRef": config})
    assert isinstance(got, Route)
    assert [at.gateway for at in got.listener_paths] == [GatewayKey(*want)]


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param(
            {"gatewayRefs": [{"name": "b"}, {"name": "c"}]},
            {"gatewayRef": {"name": "a"}},
            ["a", "b", "c"],
            id="the service's beside the configuration's one",
        ),
        pytest.param(
            {"gatewayRef": {"name": "mine"}},
            {"gatewayRefs": [{"name": "b"}]},
            ["mine", "b"],
            id="or the other way",
        ),
        pytest.param(
            {"gatewayRefs": []},
            {"gatewayRef": {"name": "a"}, "gatewayRefs": [{"name": "b"}]},
            ["a"],
            id="none beside",
        ),
        pytest.param({"gatewayRefs": [{"name": "b"}]}, None, ["b"], id="only those of the list"),
        pytest.param(
            {"gatewayRef": {"name": "a"}, "gatewayRefs": [{"name": "a", "namespace": "team"}, {"name": "a"}]},
            None,
            ["a"],
            id="each once, however it is written",
        ),
    ],
)
def test_the_gateways_are(service: Any, config: Any, want: list[str]) -> None:
    got = routed({"enabled": True, **service}, config)
    assert isinstance(got, Route)
    assert [ref.name for ref in got.gateways] == want
    assert [at.gateway.gateway for at in got.listener_paths] == [("team", name) for name in want]


def test_one_gateway_of_several_that_is_none_is_named() -> None:
    got = routed({**ON, "gatewayRefs": [{"name": "db", "kind": "Service", "group": ""}]})
    assert isinstance(got, RouteProblem)
    assert '"Service" of group "" is no Gateway' in got.message


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param({}, {}, (), id="every one where nobody says"),
        pytest.param({}, {"hostnames": ["b.example.com"]}, ("b.example.com",), id="the configuration's"),
        pytest.param(
            {"hostnames": ["z.example.com", "*.a.example.com", "z.example.com"]},
            {"hostnames": ["b.example.com"]},
            ("*.a.example.com", "z.example.com"),
            id="the service's, each once and in one order",
        ),
        pytest.param({"hostnames": []}, {"hostnames": ["b.example.com"]}, (), id="every one by the service"),
        pytest.param(
            {"hostnames": ["A.Example.com", "a.example.com"]}, {}, ("a.example.com",), id="in whatever case"
        ),
    ],
)
def test_the_hosts_are(service: Any, config: Any, want: tuple[str, ...]) -> None:
    got = routed({**ON, **service}, config)
    assert isinstance(got, Route)
    assert got.hosts == want
    assert {at.hosts for at in got.listener_paths} == {want}


@pytest.mark.parametrize(
    ("service", "config", "want"),
    [
        pytest.param({}, {}, "0s", id="none: Envoy would cut a stream after 15 seconds"),
        pytest.param({}, {"requestTimeout": "5m"}, "5m", id="the configuration's"),
        pytest.param({"requestTimeout": "30s"}, {"requestTimeout": "5m"}, "30s", id="the service's"),
        pytest.param(
            {"requestTimeout": "Gateway"}, {"requestTimeout": "5m"}, "Gateway", id="the gateway's own"
        ),
    ],
)
def test_the_limit_of_a_request_is(service: Any, config: Any, want: str) -> None:
    got = routed({**ON, **service}, config)
    assert isinstance(got, Route)
    assert got.request_timeout == want


def test_annotations_of_the_service_are_laid_over_those_of_the_configuration_by_key() -> None:
    got = routed({**ON, "annotations": {"a": "own", "c": "own"}}, {"annotations": {"a": "site", "b": "site"}})
    assert isinstance(got, Route)
    assert got.annotations == {"a": "own", "b": "site", "c": "own"}


def test_without_a_gateway_there_is_no_route() -> None:
    got = routed({"enabled": True})
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.ROUTE_FAILED
    assert "gatewayRef" in got.message


def test_a_bad_template_is_the_route_templates_fault() -> None:
    got = routed({**ON, "routeTemplate": "/{.spec.model"})
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.ROUTE_TEMPLATE_INVALID


@pytest.mark.parametrize(
    "parent",
    [
        pytest.param({"kind": "Service", "group": ""}, id="a Service of a mesh"),
        pytest.param({"kind": "Service"}, id="of another kind"),
        pytest.param({"group": "example.com"}, id="of another group"),
        pytest.param(
            {"kind": "XListenerSet", "group": "gateway.networking.x-k8s.io"}, id="a set of listeners"
        ),
        pytest.param({"kind": "gateway"}, id="by a kind in another case"),
    ],
)
@pytest.mark.parametrize("of_service", [True, False], ids=["by the service", "by its configuration"])
def test_a_route_is_attached_to_nothing_but_a_gateway(
    parent: dict[str, Any],
    of_service: bool,  # noqa: FBT001 - a table
) -> None:
    """The API server refuses it too; an object that is older than that rule is still there."""
    routing = {**ON, "gatewayRef": {**GATEWAY, **parent}}
    got = routed(routing) if of_service else routed({"enabled": True}, routing)
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.ROUTE_FAILED
    assert got.message.startswith("gatewayRef: ")
    assert "leave out kind and group" in got.message


@pytest.mark.parametrize(
    ("prefix", "template", "want"),
    [
        pytest.param("/{.metadata.namespace}/", "/team/x", "/team/x", id="below it"),
        pytest.param("/{.metadata.namespace}/", "/team", "/team", id="on it"),
        pytest.param("/{.metadata.namespace}/", None, "/team/uid-1", id="that of no template is"),
        pytest.param("/models/{.metadata.namespace}", None, "/models/team/uid-1", id="also elsewhere"),
        pytest.param("/Models", None, "/models/uid-1", id="in lower case"),
        pytest.param("//{.metadata.namespace}//", "/%74eam/x", "/team/x", id="whatever it is written like"),
    ],
)
def test_a_path_is_taken_below_the_clusters_prefix(prefix: str, template: str | None, want: str) -> None:
    got = routed({**ON, **({} if template is None else {"routeTemplate": template})}, path_prefix=prefix)
    assert isinstance(got, Route)
    assert got.path == want


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("/victim/chat", id="another namespace's"),
        pytest.param("/teams/chat", id="one that only begins alike"),
        pytest.param("/tea", id="one above it"),
        pytest.param("/x/{.metadata.namespace}/chat", id="the prefix further down"),
        pytest.param("/team%2E/chat", id="one character more"),
    ],
)
def test_a_path_outside_the_clusters_prefix_is_refused(template: str) -> None:
    got = routed({**ON, "routeTemplate": template}, path_prefix="/{.metadata.namespace}/")
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.PATH_NOT_ALLOWED
    assert got.message.startswith("routeTemplate: path ")
    assert 'is not below "/team"' in got.message
    assert got.message.endswith("begin the template with /{.metadata.namespace}/")


@pytest.mark.parametrize("prefix", ["/../x", "/", "/.well-known/x", "/" + "a" * 200], ids=str)
def test_a_prefix_that_is_not_valid_allows_nothing(prefix: str) -> None:
    """The API server refuses most; the longest only shows with the namespace in it."""
    got = routed({**ON, "routeTemplate": "/team/x"}, path_prefix=prefix)
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.PATH_NOT_ALLOWED
    assert "routing.pathPrefix: " in got.message
    assert "until a cluster administrator has corrected it" in got.message


ALLOWED = ("*.{.metadata.namespace}.example.com", "{.metadata.namespace}-models.example.com", "shared.test")


@pytest.mark.parametrize(
    "host",
    [
        "a.team.example.com",
        "a.b.team.example.com",
        "*.team.example.com",
        "team-models.example.com",
        "shared.test",
    ],
)
def test_a_host_of_ones_own_may_be_named(host: str) -> None:
    got = routed({**ON, "hostnames": [host]}, allowed=ALLOWED)
    assert isinstance(got, Route)
    assert got.hosts == (host,)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("models.example.com", id="one that all share"),
        pytest.param("a.victim.example.com", id="one of another namespace's"),
        pytest.param("team.example.com", id="what a wildcard is below"),
        pytest.param("xteam.example.com", id="one that ends alike"),
        pytest.param("*.example.com", id="a wildcard over all of them"),
        pytest.param("*.shared.test", id="one below a host"),
    ],
)
@pytest.mark.parametrize("by", ["service", "configuration"])
def test_a_host_that_is_not_its_namespaces_is_refused(host: str, by: str) -> None:
    names = {"hostnames": ["a.team.example.com", host]}
    own, configured = ({**ON, **names}, {}) if by == "service" else (ON, names)
    got = routed(own, configured, allowed=ALLOWED)
    assert isinstance(got, RouteProblem)
    assert got.reason == Reason.HOSTNAME_NOT_ALLOWED
    assert f'hostnames: "{host}" is none of those' in got.message
    assert got.message.endswith("write one of *.team.example.com, team-models.example.com, shared.test")


def test_a_route_for_all_hosts_is_none_that_takes_one() -> None:
    assert isinstance(routed(ON, allowed=ALLOWED), Route)
