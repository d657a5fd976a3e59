"""One HTTP connection pool to one API server: authorization and deadlines.

When a request is sent again is kube.retries'. Knows no resources and no JSON but Status. Used by kube.client.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import aiohttp
from msgspec import Struct
from yarl import URL

from aim_operator import errors
from aim_operator.kube.credentials import Connection
from aim_operator.kube.retries import Retries
from aim_operator.kube.translate import Call, failure, translated

TLS_GOODBYE_SECONDS = 0.1
CONNECT_SECONDS = 10.0
IDLE_CONNECTION_SECONDS = 60.0
MOST_ANSWER_BYTES = 32 * 1024 * 1024
"""Of one object, etcd takes 1.5 MiB; as JSON a built-in kind may be some times that."""
_KNOWN_WARNINGS = 256


class Observer(Protocol):
    """Who counts what the client does; runtime.metrics does."""

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """An answer began after so many seconds; `code` is 0 where none came."""
        ...

    def undecodable(self, resource: str, reason: str) -> None: ...

    def warned(self, resource: str, text: str) -> None:
        """The API server sent a Warning header that was not seen before."""
        ...


class SilentObserver:
    """Counts nothing."""

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None: ...

    def undecodable(self, resource: str, reason: str) -> None: ...

    def warned(self, resource: str, text: str) -> None: ...


class Request(Struct, frozen=True, kw_only=True):
    call: Call
    method: str
    path: str
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    body: bytes | None = None
    idempotent: bool = True
    """Whether sending it twice does what sending it once does."""
    most_bytes: int = MOST_ANSWER_BYTES
    """Of the answer; more raises TooLarge."""


class Transport:
    """Sends requests; raises errors.ApiError and its children only."""

    def __init__(
        self,
        connection: Connection,
        observer: Observer,
        timeout_seconds: float,
        *,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        self._connection = connection
        self._connect_seconds = connect_seconds
        self._observer = observer
        self._timeout_seconds = timeout_seconds
        self._session: aiohttp.ClientSession | None = None
        self._warnings: set[str] = set()
        version = importlib.metadata.version("aim-operator")
        self._headers = {"User-Agent": f"aim-operator/{version}", "Accept": "application/json"}
        # What users write can be a thousand times as large as it comes: its size would be known too late.
        self._headers["Accept-Encoding"] = "identity"

    async def send(self, request: Request) -> bytes:
        """Send, and send again while that is safe and the deadline lets; the body of the answer."""
        retries = Retries(asyncio.get_running_loop().time, asyncio.sleep, self._timeout_seconds)
        return await retries.send(partial(self._once, request), idempotent=request.idempotent)

    @asynccontextmanager
    async def stream(
        self, request: Request, *, silence_seconds: float | None = None, total_seconds: float | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a long answer: its chunks as they come. Never retried.

        Raises Unavailable after `silence_seconds` without a byte, or `total_seconds`, or when the
        connection breaks: also from inside the block, where the chunks are read.
        """
        limits = aiohttp.ClientTimeout(
            total=total_seconds, sock_connect=self._connect_seconds, sock_read=silence_seconds
        )
        with translated(request.call):
            async with await self._open(request, limits) as response:
                yield response.content.iter_any()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
            # Streams that were cancelled say goodbye over TLS outside of the session's care. A loop that
            # ends before leaves their sockets to the garbage collector.
            await asyncio.sleep(TLS_GOODBYE_SECONDS)

    async def _once(self, request: Request, seconds: float) -> bytes:
        limits = aiohttp.ClientTimeout(total=max(seconds, 0.001), sock_connect=self._connect_seconds)
        with translated(request.call):
            async with await self._open(request, limits) as response:
                return await _body(response, request)

    async def _open(self, request: Request, limits: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Return an answer of status 2xx; raise any other. A 401 is tried once more with new credentials."""
        response = await self._request(request, limits, rejected=False)
        if response.status == 401 and self._connection.authorization.can_renew():
            response.release()
            response = await self._request(request, limits, rejected=True)
        if not 200 <= response.status < 300:
            async with response:
                raise failure(request.call, response.status, await _body(response, request), response.headers)
        self._note_warnings(request.call, response.headers)
        return response

    async def _request(
        self, request: Request, limits: aiohttp.ClientTimeout, *, rejected: bool
    ) -> aiohttp.ClientResponse:
        """Send once; return whatever answer begins, its body still to be read."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        code = 0
        impersonated = self._connection.impersonated
        try:
            headers = {**self._headers, **request.headers}
            authorization = await self._authorization(rejected=rejected)
            if authorization:
                headers["Authorization"] = authorization
            response = await self._opened_session().request(
                request.method,
                self._url(request),
                # A user may be of several groups, each a header of the same name.
                headers=[*headers.items(), *impersonated] if impersonated else headers,
                data=request.body,
                timeout=limits,
                allow_redirects=False,
                server_hostname=self._connection.server_hostname,
                proxy=self._connection.proxy,
            )
            code = response.status
            return response
        finally:
            self._observer.called(request.call.verb, request.call.resource, code, loop.time() - start)

    def _url(self, request: Request) -> URL:
        """Quoted here, so that aiohttp need not parse, normalise and quote each part once more."""
        path, query = quote(request.path), _query(tuple(request.query.items()))
        return URL(f"{self._connection.server}{path}{query}", encoded=True)

    async def _authorization(self, *, rejected: bool) -> str:
        try:
            return await self._connection.authorization.header(rejected=rejected)
        except errors.UserError as error:
            # It worked when the process started; a running operator waits until it is fixed.
            raise errors.Unauthorized(str(error)) from error

    def _opened_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                # Callers bound their own concurrency; each watch holds a connection.
                limit=0,
                keepalive_timeout=IDLE_CONNECTION_SECONDS,
                ssl=self._connection.ssl_context or True,
                socket_factory=_socket,
            )
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
            # It would repeat PUT and DELETE by itself; what may be repeated is for `send` to say.
            self._session._retry_connection = False  # noqa: SLF001 - there is no other switch
        return self._session

    def _note_warnings(self, call: Call, headers: Mapping[str, str]) -> None:
        # RFC 9110 `299 - "text"`: deprecated versions, unknown fields of what we applied.
        warning = headers.get("Warning")
        if warning and warning not in self._warnings and len(self._warnings) < _KNOWN_WARNINGS:
            self._warnings.add(warning)
            self._observer.warned(call.resource, warning)


async def _body(response: aiohttp.ClientResponse, request: Request) -> bytes:
    """Read an answer, no further than it may go."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > request.most_bytes:
            raise errors.TooLarge(f"{request.call}: the answer has more than {request.most_bytes} bytes")
    return bytes(body)


@lru_cache(64)
def _query(items: tuple[tuple[str, str], ...]) -> str:
    return f"?{urlencode(items)}" if items else ""


_KEEPALIVE: tuple[tuple[str, int], ...] = (
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 60_000),
)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Make a socket that notices within a minute that its peer is gone: a watch may be silent for minutes."""
    family, kind, protocol = address[:3]
    opened = socket.socket(family=family, type=kind, proto=protocol)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
