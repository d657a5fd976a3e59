"""Connections: pools of urllib3, to addresses that may be connected to, by the proxy that is to be used.

Makes one request and hands out its answer unread: no retries, no redirects. Errors are urllib3's, and
FetchError for an address that is out of bounds.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import urllib3
from urllib3 import connection, exceptions
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

from aim_operator.fetch import certificates, proxies
from aim_operator.fetch.addresses import Boundary
from aim_operator.fetch.proxies import Proxy
from aim_operator.fetch.replies import Reply
from aim_operator.fetch.tls import holds_more

if TYPE_CHECKING:
    Addresses = Callable[[str, int], list[str]]

_CONNECT_SECONDS = 30


class Connections:
    """Kept open between requests, `count` to a host. `idle_seconds` without a byte end a request."""

    def __init__(
        self,
        *,
        count: int,
        idle_seconds: float,
        environment: Mapping[str, str],
        boundary: Boundary | None = None,
    ) -> None:
        self._count = count
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, idle_seconds), read=idle_seconds)
        self._environment = environment
        self._boundary = boundary or Boundary(environment)
        self._lock = threading.Lock()
        self._managers: dict[tuple[Proxy | None, bool, str | None], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close those that nobody uses; the others follow when their answers are closed."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def get(self, url: str, headers: Mapping[str, str], endpoint: str = "") -> urllib3.BaseHTTPResponse:
        """Send a GET; as `send`."""
        return self.send("GET", url, headers, endpoint=endpoint)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        endpoint: str = "",
    ) -> urllib3.BaseHTTPResponse:
        """Send a request; returns once the answer's headers are there.

        `endpoint` is the address that redirected to this one, "" where this is what the user named: it
        decides which addresses are out of bounds.
        """
        proxy, parts = proxies.for_url(url, self._environment), urlsplit(url)
        home = self._home(endpoint or url)
        if proxy is not None:
            self._boundary.check_written(parts.hostname or "", home)
        return self._manager(proxy, home, secure=parts.scheme == "https").request(
            method,
            url,
            body=body,
            headers={"Accept-Encoding": "identity", "User-Agent": "aim-operator-fetch", **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
        )

    def _home(self, endpoint: str) -> str | None:
        if proxies.for_url(endpoint, self._environment) is None:
            return self._boundary.home(endpoint)
        # This machine may not know the name at all.
        return self._boundary.written_place(urlsplit(endpoint).hostname or "")

    def _manager(self, proxy: Proxy | None, home: str | None, *, secure: bool) -> urllib3.PoolManager:
        key = (proxy, secure, home)
        with self._lock:
            if key not in self._managers:
                self._managers[key] = self._new_manager(proxy, home, secure=secure)
            return self._managers[key]

    def _new_manager(self, proxy: Proxy | None, home: str | None, *, secure: bool) -> urllib3.PoolManager:
        # Reading all of a system's certificates takes a while: only where they are needed.
        needed = secure or (proxy is not None and proxy.url.startswith("https:"))
        tls = certificates.trusted(self._environment) if needed else None
        if proxy is None:
            manager = urllib3.PoolManager(maxsize=self._count, timeout=self._timeout, ssl_context=tls)
            manager.pool_classes_by_scheme = _pools(
                lambda host, port: self._boundary.addresses(host, port, home)
            )
            return manager
        user = proxy.credentials
        manager = urllib3.ProxyManager(
            proxy.url,
            maxsize=self._count,
            timeout=self._timeout,
            ssl_context=tls,
            proxy_ssl_context=tls,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None,
        )
        # What is connected to is the proxy, which the user names, wherever it may be.
        manager.pool_classes_by_scheme = _pools(self._boundary.any_addresses)
        return manager


def _pools(addresses: Addresses) -> dict[str, type[HTTPConnectionPool]]:
    """Pools of connections that are made to one of the addresses that the function returns."""

    class Plain(connection.HTTPConnection):
        response_class = Reply

        def _new_conn(self) -> socket.socket:
            return _connected(self, addresses)

    class Secure(connection.HTTPSConnection):
        response_class = Reply

        @property
        def is_connected(self) -> bool:
            # What came after one answer would be taken for the beginning of the next.
            return super().is_connected and not holds_more(self.sock)

        def _new_conn(self) -> socket.socket:
            return _connected(self, addresses)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connected(new: connection.HTTPConnection, addresses: Addresses) -> socket.socket:
    """Connect to the first address that answers, all of them within one timeout; errors are urllib3's.

    Each has its share of the time: one that swallows packets, as of a network whose IPv6 leads nowhere, would
    leave none for the next.
    """
    limit = new.timeout if isinstance(new.timeout, int | float) else _CONNECT_SECONDS
    deadline = time.monotonic() + limit
    try:
        found = addresses(new.host, new.port or 0)
    except socket.gaierror as error:
        raise exceptions.NameResolutionError(new.host, new, error) from error
    problem: OSError = TimeoutError()
    for tried, address in enumerate(found):
        share = (deadline - time.monotonic()) / (len(found) - tried)
        if share <= 0:
            break
        try:
            return create_connection(
                (address, new.port or 0), share, new.source_address, socket_options=new.socket_options
            )
        except OSError as error:
            problem = error
    if isinstance(problem, TimeoutError):
        raise exceptions.ConnectTimeoutError(new, f"{new.host} did not answer in {limit:g} s") from problem
    raise exceptions.NewConnectionError(new, f"can't connect: {problem}") from problem
