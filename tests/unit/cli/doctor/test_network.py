"""Whether NetworkPolicies let the operator reach the API server."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.cli.doctor.policies import Endpoints, Operator, Policy
from aim_operator.cli.doctor.verdicts import Check
from tests.unit.cli.doctor.surroundings import convert, one


@pytest.mark.parametrize(
    ("egress", "down", "want"),
    [
        pytest.param([{"ports": [{"port": 443}, {"port": 6443}]}], (), "ok", id="the port"),
        pytest.param([{"ports": [{"port": 6000, "endPort": 7000}]}], (), "ok", id="a range"),
        pytest.param([{}], (), "ok", id="every port"),
        pytest.param([{"ports": [{"port": 443}]}], ("home/x",), "problem", id="no Pod is ready"),
        pytest.param([{"ports": [{"port": 443}]}], (), "warning", id="nothing enforces it yet"),
        pytest.param([{"ports": [{"port": 6443, "protocol": "UDP"}]}], (), "warning", id="UDP alone"),
        pytest.param([], (), "warning", id="nothing at all"),
    ],
)
def test_the_api_servers_port_and_the_operators_policy(egress: Any, down: tuple[str, ...], want: str) -> None:
    policy = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": egress}}, name="p")
    endpoints = convert(Endpoints, {"ports": [{"port": 6443}]})
    found = one("network", network_policies=(policy,), endpoints=(endpoints,), down=down)
    assert found.verdict == want
    assert "6443" in found.found
    assert ("networkPolicy.apiServerPorts" in found.remedy) is (want != "ok")


@pytest.mark.parametrize(
    ("to", "want"),
    [
        pytest.param(None, "ok", id="everybody"),
        pytest.param([], "ok", id="everybody, written as nobody"),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ok", id="its network"),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ok", id="its address"),
        pytest.param(
            [{"ipBlock": {"cidr": "192.168.0.0/16"}}, {"ipBlock": {"cidr": "10.0.0.7/32"}}], "ok", id="both"
        ),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.0/29"}}], "ok", id="a small network"),
        pytest.param([{"ipBlock": {"cidr": "10.0.1.0/24"}}], "problem", id="another network"),
        pytest.param([{"ipBlock": {"cidr": "::/0"}}], "problem", id="the other family"),
        pytest.param(
            [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/24"]}}], "problem", id="but for it"
        ),
        pytest.param([{"namespaceSelector": {}}], "problem", id="all Pods, of which it is none"),
        pytest.param([{"podSelector": {}}], "problem", id="the Pods beside"),
        pytest.param([{"namespaceSelector": {}, "podSelector": {}}], "problem", id="Pods of namespaces"),
    ],
)
def test_the_api_servers_address_and_the_operators_policy(to: Any, want: str) -> None:
    """By the words of networking.k8s.io/v1 NetworkPolicyPeer: what is in no peer is not reached."""
    rule = {"ports": [{"port": 6443}]} | ({"to": to} if to is not None else {})
    policy = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": [rule]}}, name="p")
    there = {"ports": [{"port": 6443}], "endpoints": [{"addresses": ["10.0.0.7"]}], "addressType": "IPv4"}
    endpoints = (convert(Endpoints, there),)
    found = one("network", network_policies=(policy,), endpoints=endpoints, down=("home/x",))
    assert found.verdict == want
    if want == "problem":
        assert "the API server is at 10.0.0.7, whom team/p does not allow" in found.found
        assert "add an ipBlock with 10.0.0.7" in found.remedy


def test_what_one_policy_allows_is_allowed_and_each_address_of_the_api_server_has_to_be() -> None:
    nobody = convert(Policy, {"spec": {"policyTypes": ["Egress"]}}, name="nobody")
    rule = {"ports": [{"port": 6443}], "to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}]}
    first = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": [rule]}}, name="first")

    def found(*addresses: str) -> Check:
        there = {"ports": [{"port": 6443}], "endpoints": [{"addresses": [each]} for each in addresses]}
        return one("network", network_policies=(nobody, first), endpoints=(convert(Endpoints, there),))

    assert found("10.0.0.7").verdict == "ok"
    assert found("10.0.0.7", "10.0.0.8").verdict == "warning"
    assert "10.0.0.8, whom team/first and team/nobody" not in found("10.0.0.7", "10.0.0.8").found
    assert "10.0.0.8, whom team/first, team/nobody" in found("10.0.0.7", "10.0.0.8").found


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        pytest.param({}, True, id="all Pods of the namespace"),
        pytest.param({"matchLabels": {"app": "operator"}}, True, id="its label"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["operator"]}]},
            True,
            id="its label among others",
        ),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False, id="others"),
        pytest.param({"matchLabels": {"app": "web"}}, False, id="another's label"),
        pytest.param(
            {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}, True, id="not it"
        ),
    ],
)
def test_a_policy_of_others_is_about_the_operator_if_it_selects_its_pods(
    selector: Any, *, want: bool
) -> None:
    template = {"metadata": {"labels": {"app": "operator"}}}
    operator = convert(Operator, {"spec": {"template": template}}, namespace="home")
    here, elsewhere = (
        convert(Policy, {"spec": {"podSelector": selector}}, namespace=each) for each in ("home", "team")
    )
    assert operator.is_selected_by(here) is want
    assert not operator.is_selected_by(elsewhere)
