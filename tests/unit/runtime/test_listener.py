"""Who connects, how often and with what, can't make a listener cost more than its limits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop
from aiohttp import web

from aim_operator.runtime.listener import Limits, Listener

FLOOD = 500
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
LOOPS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop, as in production")]
Run = Callable[[Any], None]


class Flood:
    """Connections that somebody opened and holds."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []

    async def open(self, number: int, say: bytes = b"") -> None:
        loop = asyncio.get_running_loop()
        for _ in range(number):
            each = socket.socket()
            each.setblocking(False)
            self.sockets.append(each)
            await loop.sock_connect(each, ("127.0.0.1", self.port))
            if say:
                with contextlib.suppress(OSError):
                    await loop.sock_sendall(each, say)

    async def ended(self, each: socket.socket) -> bytes:
        """Wait until the server has closed a connection; return what it sent before."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while chunk := await asyncio.get_running_loop().sock_recv(each, 65536):
                received += chunk
        return received

    def close(self) -> None:
        for each in self.sockets:
            each.close()


@asynccontextmanager
async def flooded(
    limits: Limits, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None
) -> AsyncIterator[tuple[Listener, Flood]]:
    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(text="hello")

    listener = Listener(handler or hello, limits=limits)
    flood = Flood(await listener.listen("127.0.0.1", 0))
    try:
        yield listener, flood
    finally:
        flood.close()
        await listener.close()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)


async def asked(port: int, request: bytes = GET) -> bytes:
    """Return the answer to one request of somebody who does as one should."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize(
    "say",
    [
        pytest.param(b"", id="that say nothing"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-A", id="that stop in the middle of a header"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 99\r\n\r\n", id="that owe a body"),
        pytest.param(b"\x16\x03\x01\x02", id="that speak something else"),
        pytest.param(GET, id="that ask and never read the answer"),
    ],
)
def test_500_held_connections_keep_nobody_out(run: Run, say: bytes) -> None:
    async def scenario() -> None:
        limits = Limits(connections=8, seconds=60, pause_seconds=0)
        async with flooded(limits) as (listener, flood):
            for _ in range(5):
                await flood.open(FLOOD // 5, say)
                assert listener.connections <= limits.connections
                assert b"hello" in await asked(flood.port), "also while all of them are held"
            assert listener.connections <= limits.connections
            first = flood.sockets[: FLOOD // 2]
            await asyncio.gather(*(flood.ended(each) for each in first))

    run(scenario())


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize("trickle", [b"", b"X"], ids=["silent", "a byte now and then"])
def test_half_open_connections_end_after_their_time(run: Run, trickle: bytes) -> None:
    async def scenario() -> None:
        async with flooded(Limits(seconds=0.3, pause_seconds=0)) as (listener, flood):
            await flood.open(20, b"GET /metrics HTTP/1.1\r\nX-A: ")
            await until(lambda: listener.accepted == 20)
            held = listener.connections
            while listener.connections:
                for each in flood.sockets if trickle else ():
                    with contextlib.suppress(OSError):
                        each.send(trickle)
                await asyncio.sleep(0.05)
            assert held
            for each in flood.sockets:
                assert b"200" not in await flood.ended(each)

    run(scenario())


@pytest.mark.parametrize("run", LOOPS)
def test_an_answer_that_never_comes_ends_with_its_connection(run: Run) -> None:
    """The API server that is asked who scrapes may be away."""
    cancelled: list[str] = []

    async def never(request: web.BaseRequest) -> web.StreamResponse:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.append(request.path)
            raise
        raise AssertionError

    async def scenario() -> None:
        async with flooded(Limits(seconds=0.2, pause_seconds=0), never) as (listener, flood):
            assert await asked(flood.port) == b""
            await until(lambda: bool(cancelled))
            assert not listener.connections

    run(scenario())


@pytest.mark.parametrize("run", LOOPS)
@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(b"GET /" + b"a" * 100_000, id="a URL without end"),
        pytest.param(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 100_000, id="a header without end"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 10_000, id="headers without end"),
        pytest.param(b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100_000, id="a body"),
        pytest.param(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 10_000, id="chunks"
        ),
    ],
)
def test_a_request_of_any_size_is_not_read_to_its_end(run: Run, request_: bytes) -> None:
    async def scenario() -> None:
        async with flooded(Limits(pause_seconds=0, seconds=60)) as (listener, flood):
            reader, writer = await asyncio.open_connection("127.0.0.1", flood.port)
            with contextlib.suppress(ConnectionError):
                writer.write(request_)
                await writer.drain()
                await reader.read()
            writer.close()
            await until(lambda: not listener.connections)
            assert b"hello" in await asked(flood.port)

    run(scenario())


@pytest.mark.parametrize("run", LOOPS)
def test_one_request_a_connection(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """Pipelined ones are not answered: how many are served in a second is how many are accepted."""
    served: list[str] = []

    async def count(request: web.BaseRequest) -> web.StreamResponse:
        served.append(request.path)
        return web.Response(text="hello")

    async def scenario() -> None:
        async with flooded(Limits(pause_seconds=0), count) as (_, flood):
            answer = await asked(flood.port, GET * 50)
            assert answer.count(b"HTTP/1.1 200") == 1
            assert b"Connection: close" in answer
            assert len(served) == 1
            assert b"400" in (await asked(flood.port, b"nonsense\r\n\r\n")).partition(b"\r\n")[0]

    run(scenario())
    assert capfd.readouterr().err == "", "strangers write nothing into our log"


@pytest.mark.parametrize("run", LOOPS)
def test_connections_are_accepted_one_at_a_time_with_a_pause(run: Run) -> None:
    """What comes faster waits in the kernel; everything else runs in between."""

    async def scenario() -> None:
        async with flooded(Limits(pause_seconds=3600)) as (listener, flood):
            await flood.open(20, GET)
            for _ in range(100):
                await asyncio.sleep(0)
            assert listener.accepted <= 1
            await asyncio.sleep(0.1)
            assert listener.accepted == 1

    run(scenario())


@pytest.mark.parametrize("run", LOOPS)
def test_tls_handshakes_that_are_never_ended_are_connections_like_others(run: Run, tmp_path: Any) -> None:
    import trustme  # noqa: PLC0415 - slow, and for this test only

    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)

    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(text="hello")

    async def scenario() -> None:
        listener = Listener(
            hello, limits=Limits(connections=8, seconds=60, pause_seconds=0), tls=lambda: server
        )
        flood = Flood(await listener.listen("127.0.0.1", 0))
        try:
            await flood.open(100)
            await flood.open(100, b"\x16\x03\x01\x02\x00\x01\x00")
            await flood.open(10, GET)
            assert listener.connections <= 8
            reader, writer = await asyncio.open_connection("localhost", flood.port, ssl=client)
            writer.write(GET)
            assert b"hello" in await reader.read()
            writer.close()
            await asyncio.gather(*(flood.ended(each) for each in flood.sockets[:150]))
        finally:
            flood.close()
            await listener.close()

    run(scenario())


async def test_every_interface_is_ipv4_as_well() -> None:
    async def hello(request: web.BaseRequest) -> web.StreamResponse:
        del request
        return web.Response(text="hello")

    listener = Listener(hello)
    port = await listener.listen("", 0)
    try:
        assert b"hello" in await asked(port)
    finally:
        await listener.close()
