"""Which proxy is asked: the same for listings and files, of hubs and buckets."""

from __future__ import annotations

import pytest

from aim_operator.errors import UserError
from aim_operator.fetch import proxies

P = "http://p:3128"


@pytest.mark.parametrize(
    ("environment", "url", "want"),
    [
        pytest.param({}, "https://hub/x", None, id="none"),
        pytest.param({"HTTPS_PROXY": P}, "https://hub/x", "HTTPS_PROXY", id="for https"),
        pytest.param({"HTTPS_PROXY": P}, "http://hub/x", None, id="not for http"),
        pytest.param({"ALL_PROXY": P}, "https://hub/x", "ALL_PROXY", id="for all: https"),
        pytest.param({"all_proxy": P}, "http://hub/x", "all_proxy", id="for all: http"),
        pytest.param(
            {"ALL_PROXY": "http://a", "HTTP_PROXY": P}, "http://hub", "HTTP_PROXY", id="its own over all"
        ),
        pytest.param(
            {"HTTPS_PROXY": "http://a", "https_proxy": P}, "https://hub", "https_proxy", id="lower case wins"
        ),
        pytest.param(
            {"HTTPS_PROXY": P, "https_proxy": ""}, "https://hub", None, id="an empty one in lower case too"
        ),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "*"}, "http://hub", None, id="all excepted"),
        pytest.param({"ALL_PROXY": P, "NO_PROXY": "*"}, "http://hub", None, id="from ALL_PROXY too"),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "hub"}, "http://HUB.", None, id="a name"),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "a, .ex.org b"}, "http://h.ex.org", None, id="a domain"),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": ".ex.org"}, "http://ex.org", None, id="the domain itself"),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "*.ex.org"}, "http://h.ex.org", None, id="a star before"),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "ex.org"}, "http://hex.org", "HTTP_PROXY", id="no mere ending"
        ),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "hub:8080"}, "http://hub:8080", None, id="with its port"),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "hub:8080"}, "http://hub", "HTTP_PROXY", id="with another port"
        ),
        pytest.param(
            {"HTTPS_PROXY": P, "NO_PROXY": "hub:443"}, "https://hub", None, id="with the usual port"
        ),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://10.1.2.3", None, id="a network"),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://11.1.2.3", "HTTP_PROXY", id="another network"
        ),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://10.example", "HTTP_PROXY", id="no address"
        ),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "10.1.2.3"}, "http://10.1.2.3:81", None, id="an address"),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "2.3"}, "http://10.1.2.3", "HTTP_PROXY", id="no part of an address"
        ),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "fd00::/8"}, "http://[fd00::1]", None, id="an IPv6 network"
        ),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "::1"}, "http://[::1]:9", None, id="an IPv6 address"),
        pytest.param({"HTTP_PROXY": P, "NO_PROXY": "[::1]:9"}, "http://[::1]:9", None, id="it with a port"),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "10.0.0.0/8"}, "http://[::ffff:10.1.2.3]", None, id="IPv4 in IPv6"
        ),
        pytest.param(
            {"HTTP_PROXY": P, "NO_PROXY": "10.0.0.0/99,,x/y"}, "http://hub", "HTTP_PROXY", id="nonsense"
        ),
    ],
)
def test_which_proxy(environment: dict[str, str], url: str, want: str | None) -> None:
    got = proxies.for_url(url, environment)
    assert (got.variable if got else None) == want
    if got:
        assert (got.url, got.address) == (P, "p:3128")


@pytest.mark.parametrize(
    ("value", "address", "credentials"),
    [
        pytest.param("p:3128", "p:3128", "", id="without a scheme"),
        pytest.param("http://p", "p:80", "", id="without a port"),
        pytest.param("https://p/", "p:443", "", id="over TLS"),
        pytest.param("http://me:p%40ss@p:1", "p:1", "me:p@ss", id="with a password"),
        pytest.param("me:secret@[::1]:1", "[::1]:1", "me:secret", id="an IPv6 address"),
    ],
)
def test_how_a_proxy_is_written(value: str, address: str, credentials: str) -> None:
    got = proxies.for_url("https://hub", {"ALL_PROXY": f"{value}\n"})
    assert got is not None
    assert (got.address, got.credentials) == (address, credentials)


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(
            "socks5://me:secret@p:1080", "names a SOCKS proxy, which downloads can't use", id="SOCKS"
        ),
        pytest.param("socks5h://p", "except the host by NO_PROXY", id="SOCKS with names"),
        pytest.param("ftp://secret", "is no address of a proxy; write http://host:port", id="ftp"),
        pytest.param("http://", "is no address of a proxy", id="no host"),
        pytest.param("http://p:secret", "is no address of a proxy", id="no port"),
        pytest.param("http://[secret", "is no address of a proxy", id="no address"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_named_by_its_variable(value: str, want: str) -> None:
    """And not quoted: there may be a password in it."""
    with pytest.raises(UserError) as caught:
        proxies.for_url("https://hub", {"ALL_PROXY": value})
    assert str(caught.value).startswith("ALL_PROXY ")
    assert want in str(caught.value)
    assert "secret" not in str(caught.value)
    assert proxies.for_url("https://hub", {"ALL_PROXY": value, "no_proxy": "hub"}) is None
