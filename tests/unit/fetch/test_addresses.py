"""Where a source may lead a download: not to this machine, the node's metadata or the API server."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from aim_operator.errors import FetchError
from aim_operator.fetch.addresses import API_SERVER, LINK_LOCAL, LOOPBACK, Boundary
from aim_operator.fetch.http import Client
from aim_operator.fetch.listing import Request
from aim_operator.fetch.threads import in_thread
from tests.unit.fetch.test_http import CONTENT, ranged, serving

PUBLIC = "203.0.113.7"
CLUSTER = {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}


class Names:
    """What stands for getaddrinfo(3): each name has answers, given out one by one; the last stays.

    An empty answer is a name server that is away.
    """

    def __init__(self, **names: list[list[str]]) -> None:
        self._names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: Counter[str] = Counter()

    def __call__(self, host: str, port: int, **_: Any) -> list[Any]:
        if host not in self._names:
            return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answers = self._names[host]
        found = answers[min(self.asked[host], len(answers) - 1)]
        self.asked[host] += 1
        if not found:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]


@pytest.mark.parametrize(
    ("host", "place"),
    [
        pytest.param("127.0.0.1", LOOPBACK, id="loopback"),
        pytest.param("127.1.2.3", LOOPBACK, id="all of its network"),
        pytest.param("::1", LOOPBACK, id="in IPv6"),
        pytest.param("0.0.0.0", LOOPBACK, id="this machine, whichever"),
        pytest.param("::", LOOPBACK, id="the same in IPv6"),
        pytest.param("::ffff:127.0.0.1", LOOPBACK, id="IPv4 in IPv6"),
        pytest.param("::ffff:7f00:1", LOOPBACK, id="the same in hexadecimal"),
        pytest.param("::127.0.0.1", LOOPBACK, id="the old way of it"),
        pytest.param("64:ff9b::7f00:1", LOOPBACK, id="by NAT64"),
        pytest.param("64:ff9b:1::a9fe:a9fe", LINK_LOCAL, id="by a site's own NAT64"),
        pytest.param("64:ff9b:1:fffe::7f00:1", LOOPBACK, id="the same, in another of its networks"),
        pytest.param("::ffff:0:a9fe:a9fe", LINK_LOCAL, id="by stateless translation"),
        pytest.param("2002:7f00:1::", LOOPBACK, id="by 6to4"),
        pytest.param("2130706433", LOOPBACK, id="one decimal number"),
        pytest.param("0x7f000001", LOOPBACK, id="one hexadecimal number"),
        pytest.param("0177.0.0.1", LOOPBACK, id="octal"),
        pytest.param("127.1", LOOPBACK, id="short"),
        pytest.param("169.254.169.254", LINK_LOCAL, id="metadata"),
        pytest.param("0xa9fea9fe", LINK_LOCAL, id="metadata as a number"),
        pytest.param("fe80::1", LINK_LOCAL, id="link-local in IPv6"),
        pytest.param("fd00:ec2::254", LINK_LOCAL, id="metadata in IPv6"),
        pytest.param("::ffff:169.254.169.254", LINK_LOCAL, id="metadata, IPv4 in IPv6"),
        pytest.param("100.100.100.200", LINK_LOCAL, id="metadata of another cloud"),
        pytest.param("10.96.0.1", API_SERVER, id="the API server"),
        pytest.param("::ffff:10.96.0.1", API_SERVER, id="the API server, IPv4 in IPv6"),
        pytest.param("174063617", API_SERVER, id="the API server as a number"),
        pytest.param("localhost", LOOPBACK, id="its name"),
    ],
)
def test_a_redirect_into_the_cluster_is_refused_however_it_is_written(host: str, place: str) -> None:
    boundary = Boundary(CLUSTER)
    with pytest.raises(FetchError, match="where a source must not lead to") as caught:
        boundary.addresses(host, 443, home=None)
    assert place in str(caught.value)
    # As through a proxy, which resolves names itself.
    with pytest.raises(FetchError, match="where a source must not lead to"):
        boundary.check_written(host, home=None)
    if host != "localhost":
        assert boundary.addresses(host, 443, home=place), "if the endpoint itself is there it may be"


@pytest.mark.parametrize(
    "host",
    ["kubernetes", "kubernetes.default", "KUBERNETES.default.svc.", "kubernetes.default.svc.corp.local"],
)
def test_the_api_server_by_name_through_a_proxy_is_refused(host: str) -> None:
    with pytest.raises(FetchError, match="the Kubernetes API server"):
        Boundary(CLUSTER).check_written(host, home=None)


@pytest.mark.parametrize("host", [PUBLIC, "10.1.2.3", "192.168.1.1", "fd12::1", "2001:db8::1", "100.64.0.1"])
def test_private_networks_are_where_mirrors_are(host: str) -> None:
    assert Boundary(CLUSTER).addresses(host, 443, home=None) == [host]
    Boundary(CLUSTER).check_written(host, home=None)


def test_of_a_name_with_several_addresses_only_those_out_there_are_used() -> None:
    names = Names(mixed_example=[["127.0.0.1", PUBLIC, "169.254.169.254"]])
    boundary = Boundary({}, names)
    assert boundary.home("http://mixed.example/") is None
    assert boundary.addresses("mixed.example", 80, home=None) == [PUBLIC]


def test_an_endpoint_can_not_move_to_this_machine_once_the_download_began() -> None:
    """DNS rebinding: the endpoint's own name resolves to the metadata service the second time."""
    boundary = Boundary({}, Names(hub_example=[[PUBLIC], ["169.254.169.254"]]))
    home = boundary.home("https://hub.example")
    assert home is None
    with pytest.raises(FetchError, match=r"hub\.example is at link-local"):
        boundary.addresses("hub.example", 443, home)


def test_an_endpoint_that_was_there_first_may_not_send_on_from_outside() -> None:
    """The other way round: its name resolves to the metadata service first, and then to the attacker."""
    boundary = Boundary({}, Names(hub_example=[["169.254.169.254"], ["127.0.0.1"]]))
    home = boundary.home("https://hub.example")
    assert home == LINK_LOCAL
    with pytest.raises(FetchError, match="this machine itself"):
        boundary.addresses("hub.example", 443, home)


def test_an_api_server_that_is_given_by_name_is_resolved() -> None:
    names = Names(api_corp=[["10.9.9.9"]], cdn_example=[["10.9.9.9"]])
    boundary = Boundary({"KUBERNETES_SERVICE_HOST": "api.corp"}, names)
    with pytest.raises(FetchError, match="the Kubernetes API server"):
        boundary.addresses("cdn.example", 443, home=None)


def test_a_mirror_beside_the_job_is_reached_once_its_name_server_is_back() -> None:
    """One failed look-up had its address refused for as long as the process lived."""
    boundary = Boundary({}, Names(mirror_example=[[], ["169.254.10.10"]]))
    assert boundary.home("http://mirror.example") is None
    assert boundary.home("http://mirror.example") == LINK_LOCAL
    assert boundary.addresses("mirror.example", 80, LINK_LOCAL) == ["169.254.10.10"]


def test_the_api_server_stays_out_of_bounds_after_a_failed_look_up() -> None:
    names = Names(api_corp=[[], ["10.9.9.9"]], cdn_example=[[PUBLIC], ["10.9.9.9"]])
    boundary = Boundary({"KUBERNETES_SERVICE_HOST": "api.corp"}, names)
    assert boundary.addresses("cdn.example", 443, home=None) == [PUBLIC]
    with pytest.raises(FetchError, match="the Kubernetes API server"):
        boundary.addresses("cdn.example", 443, home=None)


async def test_a_source_out_there_does_not_reach_a_server_on_this_machine() -> None:
    """By its redirect, or by where it redirected to before: not one request arrives."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.path)
        return ranged(request)

    async with serving(answer) as url:
        port = url.rpartition(":")[2]
        for host in ("127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]", "rebound.example"):
            names = Names(hub_example=[[PUBLIC]], rebound_example=[["127.0.0.1"]])
            request = Request(url=f"http://{host}:{port}/x", headers={}, endpoint="http://hub.example/m")
            with pytest.raises(FetchError, match="where a source must not lead to"):
                await in_thread(partial(fetched, request, names))
    assert asked == []


async def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to() -> None:
    """A name that would resolve to something else the second time is not resolved a second time."""

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.headers["Host"].startswith("cdn.example:")
        return ranged(request)

    async with serving(answer) as url:
        port = url.rpartition(":")[2]
        names = Names(cdn_example=[["127.0.0.1"], ["169.254.169.254"]])
        request = Request(url=f"http://cdn.example:{port}/x", headers={}, endpoint=url)
        assert await in_thread(lambda: fetched(request, names)) == CONTENT
    assert names.asked == {"cdn.example": 1}


async def test_a_host_whose_first_address_swallows_packets_is_reached_by_the_next() -> None:
    """As where IPv6 is configured and leads nowhere. A socket whose backlog is full stands for it."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return ranged(request)

    with socket.socket() as silent, contextlib.ExitStack() as held:
        silent.bind(("127.0.0.2", 0))
        silent.listen(0)
        port = silent.getsockname()[1]
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(("127.0.0.2", port))
        async with serving(answer, port=port) as url:
            names = Names(cdn_example=[["127.0.0.2", "127.0.0.1"]])
            request = Request(url=f"http://cdn.example:{port}/x", headers={}, endpoint=url)
            assert await in_thread(lambda: fetched(request, names, idle_seconds=6)) == CONTENT


def fetched(request: Request, names: Names, idle_seconds: float = 20) -> bytes:
    client = Client(connections=1, idle_seconds=idle_seconds, environment={}, resolve=names)
    try:
        with client.get(request, 0, len(CONTENT), len(CONTENT)) as body:
            return b"".join(body.pieces())
    finally:
        client.close()
