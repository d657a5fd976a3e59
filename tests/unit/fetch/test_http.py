"""The transfer's own HTTP: certificates, proxies, connections that are used again, redirects."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from aim_operator.errors import FetchError
from aim_operator.fetch import proxies
from aim_operator.fetch.http import Client
from aim_operator.fetch.listing import Request
from aim_operator.fetch.retrying import Transient
from aim_operator.fetch.threads import in_thread
from tests.support.fetch_process import FetchProcess, assert_same_files
from tests.support.http_serving import Serving
from tests.support.hub_server import Hub

CONTENT = bytes(range(256)) * 1000


@asynccontextmanager
async def serving(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    certificate: trustme.LeafCert | None = None,
    port: int = 0,
) -> AsyncIterator[str]:
    """The address of a server on 127.0.0.1 that answers all requests with `handler`."""
    tls = None
    if certificate is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(tls)
    server = await Serving.start(web.Server(handler), port=port, tls=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    finally:
        await server.close()


async def got(url: str, *spans: tuple[int, int], environment: dict[str, str] | None = None) -> bytes:
    """What one client gets for the spans, one after the other."""

    def fetch() -> bytes:
        client = Client(connections=1, idle_seconds=20, environment=environment or {})
        try:
            content = b""
            for start, stop in spans:
                with client.get(Request(url=url, headers={}), start, stop, len(CONTENT)) as body:
                    content += b"".join(map(bytes, body.pieces()))
            return content
        finally:
            client.close()

    return await in_thread(fetch)


def ranged(request: web.BaseRequest) -> web.Response:
    start, stop = (int(part) for part in request.headers["Range"].removeprefix("bytes=").split("-"))
    headers = {"Content-Range": f"bytes {start}-{stop}/{len(CONTENT)}"}
    return web.Response(status=206, headers=headers, body=CONTENT[start : stop + 1])


async def test_a_certificate_of_ones_own_is_trusted_if_it_is_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(request: web.BaseRequest) -> web.Response:
        return ranged(request)

    async with serving(answer, authority.issue_cert("127.0.0.1")) as url:
        spans = (0, len(CONTENT))
        trusting = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        assert await got(url, spans, environment=trusting) == CONTENT
        with pytest.raises(FetchError, match=r"not trusted.*set SSL_CERT_FILE"):
            await got(url, spans)


async def test_a_connection_is_used_again_once_its_body_was_read() -> None:
    peers = []

    async def answer(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return ranged(request)

    async with serving(answer) as url:
        assert await got(url, (0, 1000), (1000, 256_000)) == CONTENT
    assert len(peers) == 2
    assert len(set(peers)) == 1


async def test_more_than_was_asked_for_is_not_taken() -> None:
    """The rest of such a body is left unread, and its connection with it."""

    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(status=206, headers={"Content-Range": "bytes 0-99/256000"}, body=CONTENT)

    async with serving(answer) as url:
        assert await got(url, (0, 100), (0, 100)) == CONTENT[:100] * 2


@pytest.mark.parametrize("location", ["", "ftp://127.0.0.1/x", "http://[::1", "file:///etc/passwd"])
async def test_a_redirect_to_nowhere_is_said(location: str) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=302, headers={"Location": location})

    async with serving(answer) as url:
        with pytest.raises(FetchError, match=r"redirects to what is no http\(s\) address"):
            await got(url, (0, 100))


def test_proxies_are_honoured(hub: Hub, tmp_path: Path) -> None:
    """The hub takes requests for any host, as a proxy does; its CDN is excepted, and asked directly."""
    process = FetchProcess(
        "hf://acme/tiny",
        tmp_path / "out",
        tmp_path / "log",
        environment={
            "HF_ENDPOINT": "http://hub.localhost",
            "HTTP_PROXY": hub.url,
            "NO_PROXY": "elsewhere.example,127.0.0.1",
        },
    )
    assert process.wait() == 0, process.text
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


@pytest.mark.parametrize(
    ("variables", "scheme", "netloc", "want"),
    [
        pytest.param({}, "http", "hub", "", id="none"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, "https", "hub:443", "http://p:3128", id="for https"),
        pytest.param({"HTTPS_PROXY": "http://p:3128"}, "http", "hub", "", id="not for http"),
        pytest.param({"https_proxy": "p:3128"}, "https", "hub", "http://p:3128", id="without a scheme"),
        pytest.param(
            {"HTTPS_PROXY": "http://p", "NO_PROXY": ".example"}, "https", "a.example:8443", "", id="excepted"
        ),
        pytest.param({"HTTP_PROXY": "http://p", "NO_PROXY": "*"}, "http", "hub", "", id="all excepted"),
    ],
)
def test_which_proxy(variables: dict[str, str], scheme: str, netloc: str, want: str) -> None:
    proxy = proxies.for_url(f"{scheme}://{netloc}/x", variables)
    assert (proxy.url if proxy else "") == want


@pytest.mark.parametrize("secure", [False, True])
async def test_what_came_before_a_body_broke_off_is_handed_out_first(tmp_path: Path, *, secure: bool) -> None:
    there = 200_000
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        headers = {
            "Content-Length": str(len(CONTENT)),
            "Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}",
        }
        response = web.StreamResponse(status=206, headers=headers)
        await response.prepare(request)
        await response.write(CONTENT[:there])
        assert request.transport is not None
        request.transport.close()
        return response

    def fetch(url: str) -> tuple[bytes, str]:
        client = Client(
            connections=1, idle_seconds=20, environment={"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        )
        content = b""
        try:
            with client.get(Request(url=url, headers={}), 0, len(CONTENT), len(CONTENT)) as body:
                for piece in body.pieces():
                    content += piece
        except Transient as error:
            return content, str(error)
        finally:
            client.close()
        return content, ""

    async with serving(answer, authority.issue_cert("127.0.0.1") if secure else None) as url:
        content, said = await in_thread(lambda: fetch(url))
    assert content == CONTENT[:there]
    assert "ended the body early" in said
