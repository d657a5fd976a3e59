"""Which paths get into each other's way, held against what a gateway would do with a request."""

from __future__ import annotations

import time
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.core.service.path_claims import Claim, Contender, PathClaims, conflict, hosts_meet, meet
from aim_operator.core.service.route import GatewayKey, ListenerPath

WHERE = ("gateways", "inference-gateway")


def claim(
    path: str,
    namespace: str = "a",
    name: str = "s",
    *,
    age: str = "1",
    on: str = "",
    port: int = 0,
    hosts: tuple[str, ...] = (),
) -> Claim:
    return Claim(Contender(age, namespace, name), ListenerPath(GatewayKey(WHERE, on, port), path, hosts))


ONE, TWO, WILD = ("a.example.com",), ("b.example.com",), ("*.example.com",)


@pytest.mark.parametrize(
    ("one", "other", "want"),
    [
        pytest.param(claim("/x"), claim("/x", "b"), True, id="the same path"),
        pytest.param(claim("/x"), claim("/x/y", "b"), True, id="a path below it"),
        pytest.param(claim("/x/y"), claim("/x", "b"), True, id="a path above it"),
        pytest.param(claim("/x"), claim("/x/v1/chat/completions", "b"), True, id="what its clients ask for"),
        pytest.param(claim("/x"), claim("/xy", "b"), False, id="a path that only begins alike"),
        pytest.param(claim("/x/y"), claim("/x/z", "b"), False, id="a path beside it"),
        pytest.param(claim("/x"), claim("/x", name="t"), True, id="the same path in the same namespace"),
        pytest.param(claim("/x"), claim("/x/y", name="t"), False, id="below it in the same namespace"),
        pytest.param(claim("/x"), claim("/x", name="t", on="http"), False, id="on one listener in the same"),
        pytest.param(claim("/x"), claim("/x/y"), False, id="of the service itself"),
        pytest.param(claim("/x"), claim("/x", age="2"), False, id="of the service itself, made again"),
        pytest.param(
            claim("/x"), claim("/x", "b", on="http"), True, id="on one listener, where it is on all"
        ),
        pytest.param(claim("/x"), claim("/x", "b", port=80), True, id="on one port, where it is on all"),
        pytest.param(
            claim("/x", port=80), claim("/x/y", "b", on="http"), True, id="on a port and a listener"
        ),
        pytest.param(claim("/x", on="http"), claim("/x", "b", on="https"), False, id="on another listener"),
        pytest.param(claim("/x", port=80), claim("/x", "b", port=443), False, id="on another port"),
        pytest.param(claim("/x", hosts=ONE), claim("/x", "b", hosts=TWO), False, id="of another host"),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x/y", "b", hosts=ONE + TWO), True, id="of a shared host"
        ),
        pytest.param(claim("/x", hosts=ONE), claim("/x", "b"), True, id="of every host"),
        pytest.param(claim("/x", hosts=ONE), claim("/x", "b", hosts=WILD), True, id="of a wildcard over it"),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x", name="t", hosts=TWO), False, id="of another host, in the same"
        ),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x", name="t", hosts=ONE), True, id="of one host, in the same"
        ),
        pytest.param(
            claim("/x", hosts=ONE + TWO),
            claim("/x", name="t", hosts=TWO),
            True,
            id="of one of its hosts, in the same",
        ),
        pytest.param(
            claim("/x", hosts=ONE),
            claim("/x", name="t"),
            False,
            id="of every host, in the same: one goes before",
        ),
        pytest.param(claim("/x", hosts=ONE), claim("", "b", hosts=ONE), True, id="of who is at home there"),
        pytest.param(claim("/x"), claim("", "b", hosts=ONE), False, id="of what is left over on one host"),
    ],
)
def test_a_path_conflicts_with(one: Claim, other: Claim, want: bool) -> None:  # noqa: FBT001 - a table
    assert conflict(one, other) is want
    assert conflict(other, one) is want


@pytest.mark.parametrize(
    ("one", "other", "want"),
    [
        pytest.param(claim("/x"), claim("/x", "b"), True, id="on its path"),
        pytest.param(claim("/x"), claim("/x", name="t"), False, id="not from its own namespace"),
        pytest.param(claim("/x/y/z"), claim("/x", "b"), True, id="above it"),
        pytest.param(claim("/x"), claim("/x/y", "b"), False, id="not below it: the longer path goes before"),
        pytest.param(claim("/x", hosts=ONE), claim("/x/y", "b"), True, id="below it, of every host"),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x/y", name="t"), False, id="not below it in its own namespace"
        ),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x/y", "b", hosts=WILD), True, id="below it, of all such"
        ),
        pytest.param(
            claim("/x", hosts=ONE), claim("/x/y", "b", hosts=ONE), False, id="not below it, of the very host"
        ),
        pytest.param(claim("/x"), claim("/x/y", "b", hosts=WILD), False, id="not below it, without a host"),
        pytest.param(claim("/x", hosts=ONE), claim("", "b", hosts=ONE), True, id="who is at home there"),
    ],
)
def test_a_route_takes_requests_from(one: Claim, other: Claim, *, want: bool) -> None:
    found = PathClaims()
    found.add(other)
    assert list(found.taken_from(one)) == ([other] if want else [])


def test_another_gateway_is_another_world() -> None:
    elsewhere = GatewayKey(("team", "inference-gateway"), "", 0)
    assert not meet(claim("/x").at.gateway, elsewhere)


segments = st.lists(st.sampled_from(["x", "y", "x-", "x%20"]), max_size=4)
claims = st.builds(
    lambda path, namespace, name, age, on, port, hosts: claim(
        "".join(f"/{segment}" for segment in path), namespace, name, age=age, on=on, port=port, hosts=hosts
    ),
    segments,
    st.sampled_from("abc"),
    st.sampled_from("st"),
    st.sampled_from("123"),
    st.sampled_from(["", "http", "https"]),
    st.sampled_from([0, 80]),
    st.sampled_from([(), (), ONE, TWO, ONE + TWO, WILD, ("*.a.example.com",)]),
)
names = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)
hostnames = st.lists(st.one_of(names, names.map("*.{}".format)), max_size=3).map(
    lambda each: tuple(sorted(each))
)


def matches(hosts: tuple[str, ...], host: str) -> bool:
    """Whether a request's host is among a route's, by the words of Gateway API."""
    return not hosts or any(
        host == each or (each.startswith("*.") and host.endswith(each[1:])) for each in hosts
    )


@given(hostnames, hostnames)
def test_hosts_meet_where_a_request_could_be_for_both(some: tuple[str, ...], others: tuple[str, ...]) -> None:
    asked = [".".join(labels) for size in range(1, 6) for labels in product("abx", repeat=size)]
    want = any(matches(some, host) and matches(others, host) for host in asked)
    assert hosts_meet(some, others) is want
    assert hosts_meet(others, some) is want


@given(st.lists(claims, max_size=30), st.lists(claims, max_size=10), claims)
def test_the_conflicting_claims_are_those_that_a_scan_would_find(
    added: list[Claim], discarded: list[Claim], asked: Claim
) -> None:
    found = PathClaims()
    for each in added:
        found.add(each)
    for each in discarded:
        found.discard(each)
    left = set(added) - set(discarded)
    assert all((each in found) is (each in left) for each in (*added, *discarded, asked))
    want = {each for each in left if conflict(asked, each)}
    got = list(found.conflicting(asked))
    assert (set(got), len(got)) == (want, len(want))
    older = [each for each in want if each.owner < asked.owner]
    assert found.oldest_before(asked) == min(older, default=None)
    some = [each for each in older if each.owner.name == "s"]
    assert found.oldest_before(asked, lambda each: each.owner.name == "s") == min(some, default=None)
    for each in left:
        found.discard(each)
    assert list(found.conflicting(asked)) == []


def test_what_lies_elsewhere_costs_nothing() -> None:
    """Thousands of claims, and of segments: what is asked for is found by name, not by looking at all."""
    crowd = PathClaims()
    for number in range(20_000):
        crowd.add(claim(f"/crowd/{number}", "b", f"s{number}"))
    crowd.add(claim("/x" * 99, "b"))
    began = time.process_time()
    for number in range(1_000):
        assert list(crowd.conflicting(claim(f"/a/{number}"))) == []
        assert crowd.oldest_before(claim(f"/crowd/{number}/y", age="2")) is not None
    assert time.process_time() - began < 0.5
