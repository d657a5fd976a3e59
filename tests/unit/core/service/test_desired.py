"""A service's HTTPRoute, field by field where a golden file would not say why."""

from __future__ import annotations

from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.core.service import desired
from aim_operator.core.service.route import Route
from tests.support.service_builders import ROUTED, make_service, make_service_observed


def http_route(**routing: Any) -> Manifest:
    observed = make_service_observed(make_service(routing={**ROUTED, **routing}))
    assert isinstance(observed.route, Route)
    return desired.http_route(observed.service, observed.route).manifest


def test_a_stream_is_not_cut_by_a_gateway_that_would_unless_somebody_says_so() -> None:
    assert http_route()["spec"]["rules"][0]["timeouts"] == {"request": "0s"}
    assert "timeouts" not in http_route(requestTimeout="Gateway")["spec"]["rules"][0]


def test_gateways_and_hosts_reach_the_route() -> None:
    got = http_route(gatewayRefs=[{"name": "other"}], hostnames=["b.example.com", "a.example.com"])["spec"]
    assert got["parentRefs"] == [{"name": "inference-gateway", "namespace": "gateways"}, {"name": "other"}]
    assert got["hostnames"] == ["a.example.com", "b.example.com"]
    assert "hostnames" not in http_route()["spec"]


def test_a_timeout_and_annotations_are_there_if_asked_for() -> None:
    assert "annotations" not in http_route()["metadata"]
    got = http_route(requestTimeout="30s", annotations={"a": "b"})
    assert got["spec"]["rules"][0]["timeouts"] == {"request": "30s"}
    assert got["metadata"]["annotations"] == {"a": "b"}


def test_the_backend_is_the_service_that_kserve_makes() -> None:
    assert desired.predictor_service("chat") == "chat-predictor"
    assert http_route()["spec"]["rules"][0]["backendRefs"] == [
        {"name": "chat-predictor", "port": 80, "kind": "Service"}
    ]
