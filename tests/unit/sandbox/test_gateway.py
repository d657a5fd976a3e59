"""HTTPRoutes in the sandbox: each parent's verdict, and that it follows Gateways and backends."""

from __future__ import annotations

import pytest

from aim_operator.api.external import HTTP_ROUTES
from aim_operator.api.meta import Manifest
from tests.unit.sandbox.cluster import Cluster, running

GROUP = "gateway.networking.k8s.io/v1"
SERVICE: Manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat-predictor"}}


def make_gateway(namespace: str = "default", **listener: object) -> Manifest:
    return {
        "apiVersion": GROUP,
        "kind": "Gateway",
        "metadata": {"name": "inference", "namespace": namespace},
        "spec": {"listeners": [{"name": "http", "port": 80} | listener]},
    }


def make_route(**parent: object) -> Manifest:
    rule = {"backendRefs": [{"name": "chat-predictor", "port": 80}]}
    return {
        "apiVersion": GROUP,
        "kind": "HTTPRoute",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {"parentRefs": [{"name": "inference"} | parent], "rules": [rule]},
    }


def verdict(cluster: Cluster) -> dict[str, tuple[str, str]]:
    [parent] = cluster.stored(HTTP_ROUTES, "chat")["status"]["parents"]
    assert parent["parentRef"] == cluster.stored(HTTP_ROUTES, "chat")["spec"]["parentRefs"][0]
    return {each["type"]: (each["status"], each["reason"]) for each in parent["conditions"]}


ACCEPTED = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
NO_PARENT = ACCEPTED | {"Accepted": ("False", "NoMatchingParent")}
NOT_ALLOWED = ACCEPTED | {"Accepted": ("False", "NotAllowedByListeners")}
FROM_ALL = {"allowedRoutes": {"namespaces": {"from": "All"}}}


@pytest.mark.parametrize(
    ("gateway", "parent", "want"),
    [
        pytest.param(make_gateway(), {}, ACCEPTED, id="its gateway exists"),
        pytest.param(None, {}, NO_PARENT, id="there is no gateway"),
        pytest.param(make_gateway(), {"sectionName": "http"}, ACCEPTED, id="the listener exists"),
        pytest.param(make_gateway(), {"sectionName": "https"}, NO_PARENT, id="there is no such listener"),
        pytest.param(make_gateway(), {"port": 443}, NO_PARENT, id="no listener has that port"),
        pytest.param(
            make_gateway("gateways"),
            {"namespace": "gateways"},
            NOT_ALLOWED,
            id="the gateway is elsewhere and takes routes of its own namespace only",
        ),
        pytest.param(
            make_gateway("gateways", **FROM_ALL),
            {"namespace": "gateways"},
            ACCEPTED,
            id="the gateway is elsewhere and takes routes from everywhere",
        ),
    ],
)
async def test_a_route_is_judged(gateway: Manifest | None, parent: dict[str, object], want: object) -> None:
    async with running() as cluster:
        cluster.sandbox.load([SERVICE, *([gateway] if gateway else []), make_route(**parent)])
        await cluster.advance()
        assert verdict(cluster) == want


async def test_a_parent_that_is_no_gateway_is_not_judged() -> None:
    async with running() as cluster:
        cluster.sandbox.load([SERVICE, make_gateway(), make_route(group="", kind="Service")])
        await cluster.advance()
        assert cluster.stored(HTTP_ROUTES, "chat").get("status", {}).get("parents", []) == []


async def test_a_verdict_follows_the_gateway_and_the_backend() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_route()])
        await cluster.advance()
        assert verdict(cluster) == {
            "Accepted": ("False", "NoMatchingParent"),
            "ResolvedRefs": ("False", "BackendNotFound"),
        }
        cluster.sandbox.load([make_gateway()])
        await cluster.advance()
        assert verdict(cluster)["Accepted"] == ("True", "Accepted")
        cluster.sandbox.load([SERVICE])
        await cluster.advance()
        assert verdict(cluster) == ACCEPTED


async def test_a_route_has_the_defaults_of_gateway_api() -> None:
    async with running() as cluster:
        cluster.sandbox.load([make_route()])
        spec = cluster.stored(HTTP_ROUTES, "chat")["spec"]
        assert spec["parentRefs"] == [
            {"name": "inference", "group": "gateway.networking.k8s.io", "kind": "Gateway"}
        ]
        [rule] = spec["rules"]
        assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/"}}]
        assert rule["backendRefs"] == [
            {"name": "chat-predictor", "port": 80, "group": "", "kind": "Service", "weight": 1}
        ]
