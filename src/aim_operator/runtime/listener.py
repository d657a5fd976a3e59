"""An HTTP listener that costs a bounded amount, whoever connects to it and how often.

aiohttp speaks HTTP; what it has no bounds for is here: how many connections are open, how long each lasts in
all, how many bytes it may send, how many are accepted in a second. One request a connection, as the kubelet
sends them; Prometheus connects anew. Used by runtime.probes.

A connection too many ends the oldest one, rather than being refused: connections that are held open and say
nothing keep nobody out. More than are accepted wait in the kernel, and cost this process nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
from aiohttp import web
from msgspec import Struct

from aim_operator.errors import UserError

log = structlog.get_logger("aim_operator.probes")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

NO_FILES_SECONDS = 1.0
"""Before a connection is accepted again after the process had no file descriptor left for one."""


class Limits(Struct, frozen=True, kw_only=True):
    """What one listener may cost."""

    connections: int = 32
    """Open at once, TLS handshakes included."""
    seconds: float = 10.0
    """From accepting a connection to its end: handshake, request, answer."""
    request_bytes: int = 16 * 1024
    """What a client may send in all. Requests have no body; a bearer token has up to a few KiB."""
    pause_seconds: float = 0.01
    """Between two connections: a hundred are accepted in a second."""
    backlog: int = 128


class _Connection(web.RequestHandler):  # type: ignore[misc,unused-ignore] # untyped base in some versions
    """aiohttp's side of one connection. `closed` is done when it has ended."""

    def __init__(self, server: web.Server, limits: Limits) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            access_log=_SILENT,
            logger=_SILENT,
            keepalive_timeout=0,
            lingering_time=0,
            max_line_size=1024,
            max_headers=64,
            auto_decompress=False,
        )
        self.closed: asyncio.Future[None] = loop.create_future()
        self._left = limits.request_bytes

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.force_close()
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if not self.closed.done():
            self.closed.set_result(None)


class Listener:
    """`tls` gives the context for the next connection; without it, plain HTTP is spoken."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._handler = handler
        self._limits = limits or Limits()
        self._tls = tls
        self._listening: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._open: dict[asyncio.Task[None], None] = {}
        """Connections, the oldest first."""
        self.accepted = 0

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    async def listen(self, host: str, port: int) -> int:
        """Listen on all addresses of `host`, "" for every interface. Returns the port.

        Raises OSError where it can't.
        """
        server = web.Server(self._answer, handler_cancellation=True)
        self._listening = await _bound(host, port, self._limits.backlog)
        self._accepting = [asyncio.create_task(self._accept(each, server)) for each in self._listening]
        return int(self._listening[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening; what is being answered is broken off."""
        tasks = [*self._accepting, *self._open]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in self._listening:
            each.close()

    async def _accept(self, listening: socket.socket, server: web.Server) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    log.warning("no connection can be accepted", error=error.strerror)
                    await asyncio.sleep(NO_FILES_SECONDS)
                continue
            self.accepted += 1
            while len(self._open) >= self._limits.connections:
                oldest = next(iter(self._open))
                del self._open[oldest]
                oldest.cancel()
            task = asyncio.create_task(self._serve(accepted, server), name="connection")
            self._open[task] = None
            task.add_done_callback(partial(self._ended, accepted))
            await asyncio.sleep(self._limits.pause_seconds)

    async def _serve(self, accepted: socket.socket, server: web.Server) -> None:
        """See one connection to its end."""
        transport: asyncio.Transport | None = None
        # Not from what is returned below: over TLS, uvloop returns a protocol of its own.
        connection = _Connection(server, self._limits)
        try:
            accepted.setblocking(False)
            async with asyncio.timeout(self._limits.seconds):
                transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: connection, accepted, ssl=self._tls() if self._tls is not None else None
                )
                await connection.closed
        except (TimeoutError, OSError):
            # Nobody is told: anybody may connect and say nothing, or something that is not TLS.
            pass
        finally:
            if transport is not None:
                transport.abort()

    def _ended(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        accepted.close()
        self._open.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a connection failed", error=repr(error))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._handler(request)
        except Exception:
            log.exception("no answer", path=request.path[:100])
            response = web.Response(status=500, text="internal error, see the log\n")
        response.force_close()
        return response


_SILENT = logging.getLogger("aim_operator.http")
"""aiohttp logs a traceback for each request that is not HTTP: strangers would write our log."""
_SILENT.disabled = True


async def _bound(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Return listening sockets, one for each address of `host`."""
    if not host:
        return [_every_interface(port, backlog)]
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    if not found:
        raise UserError(f"{host!r} has no address")
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(_listening((str(address[0]), int(address[1])), family, backlog))
    except OSError:
        for each in sockets:
            each.close()
        raise
    return sockets


def _every_interface(port: int, backlog: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return _listening(("", port), socket.AF_INET6, backlog, dual=True)
        except OSError as error:
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                raise
    return _listening(("", port), socket.AF_INET, backlog)


def _listening(address: tuple[str, int], family: int, backlog: int, *, dual: bool = False) -> socket.socket:
    opened = socket.create_server(address, family=family, backlog=backlog, dualstack_ipv6=dual)
    opened.setblocking(False)
    return opened
