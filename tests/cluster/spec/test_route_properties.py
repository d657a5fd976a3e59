"""Any template over any service: a path that the real HTTPRoute CRD takes, or RouteTemplateInvalid.

Thousands of routes are held to the CRD's own schema and CEL rules in memory; a sample of all
kinds of characters is put to the real API server, which agrees.
"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from aim_operator.api.meta import Manifest, ObjectMeta
from aim_operator.api.v1alpha1 import AIMService, AIMServiceSpec
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.routing import literal_path
from aim_operator.core.service.desired import http_route
from aim_operator.core.service.route import Route, RouteProblem, wanted_route
from aim_operator.sandbox.rules import broken_rules
from aim_operator.sandbox.schema import Node, admitted
from aim_operator.sandbox.validation import violations
from hack.cluster.manifests import crd_manifests
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.spec_world import World, refused

UID = "5f2b9c6e-0d5f-4f7e-9a63-0f3f0e6c1a11"
SAMPLE = 40

pytestmark = pytest.mark.needs_control_plane

texts = (
    st.text(max_size=24)
    | st.text(alphabet="aZ09/.%2fFeE~!'()*@:,;+=$& {}\\[]\"é\x7f\x85\u202e", max_size=24)
    | st.sampled_from(["..", ".", "%2e%2e", "a/../b", "%2F", "", "/", "x" * 210, "ä" * 40, "{{.Name}}"])
)
labels = st.dictionaries(st.sampled_from(["team", "app.kubernetes.io/name", "x"]), texts, max_size=3)
services = st.builds(
    lambda labels, annotations, model, env: msgspec.convert(
        {
            "metadata": {
                "name": "chat",
                "namespace": "ns",
                "uid": UID,
                "labels": labels,
                "annotations": annotations,
            },
            "spec": {"model": model, "env": env},
        },
        AIMService,
    ),
    labels,
    labels,
    texts,
    st.lists(st.fixed_dictionaries({"name": st.sampled_from("ABC"), "value": texts}), max_size=3),
)
pieces = texts | st.sampled_from(
    [
        "{.metadata.labels['team']}",
        r"{.metadata.labels.app\.kubernetes\.io/name}",
        '{.metadata.annotations["x"]}',
        "{.spec.model}",
        "{.spec.aimImageName}",
        "{.spec.env[0].value}",
        "{.spec.env[-1].value}",
        "{.spec.env[*].name}",
        "{.spec.env[?(@.name=='A')].value}",
        "{..value}",
        "{.metadata}",
        "{.status.status}",
        "{'lit/eral%2f'}",
        "{$.metadata.uid}",
        "/",
        "%",
    ]
)
templates = st.none() | st.lists(pieces, min_size=1, max_size=8).map("".join)


@cache
def http_route_schema() -> Node:
    """The schema of HTTPRoute v1, as Gateway API ships it."""
    crd = next(c for c in crd_manifests("gateway") if c["spec"]["names"]["kind"] == "HTTPRoute")
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1")
    return Node(version["schema"]["openAPIV3Schema"])


def routed(service: AIMService, template: str | None) -> Route | RouteProblem:
    """Return what becomes of the service with that template in its configuration."""
    config = {"gatewayRef": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}, "enabled": True}
    if template is not None:
        config["routeTemplate"] = template
    routing = msgspec.convert(config, type(RuntimeConfig().routing))
    found = wanted_route(service, RuntimeConfig(routing=routing))
    assert found is not None
    return found


def assert_taken(route: Manifest) -> None:
    """Hold an HTTPRoute to everything that the CRD says about it."""
    schema = http_route_schema()
    stored = admitted(schema, route)  # with the defaults, which the rules count on
    broken = [*violations(schema, stored), *broken_rules(schema, stored)]
    assert not broken, (route["spec"]["rules"][0]["matches"], broken)


def test_the_schema_is_one_that_refuses_bad_paths() -> None:
    """Else the next test would prove nothing."""
    good = http_route(plain_service(), path_route("/good"))
    assert_taken(good.manifest)
    for path in ("no-slash", "/a//b", "/a/../b", "/a/..", "/a%2fb", "/a#b", "/a b", "/" + "a" * 1024):
        with pytest.raises(AssertionError):
            assert_taken(http_route(plain_service(), path_route(path)).manifest)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(services, templates)
@example(AIMService(metadata=ObjectMeta(name="chat", namespace="ns", uid=UID), spec=AIMServiceSpec()), None)
def test_a_template_gives_a_path_that_the_crd_takes_or_says_that_it_is_invalid(
    service: AIMService, template: str | None
) -> None:
    found = routed(service, template)
    if isinstance(found, RouteProblem):
        assert found.reason == Reason.ROUTE_TEMPLATE_INVALID
        assert found.message.isprintable()
        return
    assert len(found.path) < 200
    assert literal_path(found.path) == found.path
    assert_taken(http_route(service, found).manifest)


def test_the_real_api_server_takes_a_sample_of_them(world: World) -> None:
    paths = sample()
    assert len(paths) == SAMPLE
    for path in paths:
        manifest = http_route(plain_service(), path_route(path)).manifest
        manifest["metadata"] = {"name": "chat", "namespace": world.namespace}
        assert refused(world, manifest) == "", path
    bad = http_route(plain_service(), path_route("/a//b")).manifest
    bad["metadata"] = {"name": "chat", "namespace": world.namespace}
    assert "must not contain '//'" in refused(world, bad)


def sample() -> list[str]:
    """Return paths of services whose labels are made of every kind of character."""
    dice = random.Random(0)
    alphabets = ("aZ09", "-._~", "!'()*@:,;+=$&|^`", '{}[]<>\\"#?% ', "éßÅ中文😀\u202e", "/")
    paths: set[str] = set()
    while len(paths) < SAMPLE:
        team = "".join(dice.choice(dice.choice(alphabets)) for _ in range(dice.randint(1, 20)))
        service = plain_service(team=team)
        found = routed(service, "/%7E/{.metadata.labels['team']}/x%20Y")
        if isinstance(found, Route):
            paths.add(found.path)
    return sorted(paths)


def plain_service(**labels: str) -> AIMService:
    metadata = ObjectMeta(name="chat", namespace="ns", uid=UID, labels=labels)
    return AIMService(metadata=metadata, spec=AIMServiceSpec(model="model"))


def path_route(path: str) -> Route:
    """Return a route with a path as it is given."""
    found: Any = routed(plain_service(), "/any")
    route: Route = structs.replace(found, path=path)
    return route
