"""Connections for the transfer: pools of urllib3, which certificates are trusted, which proxy is used.

Makes one request and hands out its answer unread: no retries, no redirects. Errors are urllib3's.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

import urllib3

from aim_operator.fetch import certificates, proxies
from aim_operator.fetch.proxies import Proxy

_CONNECT_SECONDS = 30


class Connections:
    """Kept open between requests, `count` to a host. `idle_seconds` without a byte end a request."""

    def __init__(self, *, count: int, idle_seconds: float, environment: Mapping[str, str]) -> None:
        self._count = count
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, idle_seconds), read=idle_seconds)
        self._environment = environment
        self._lock = threading.Lock()
        self._managers: dict[tuple[Proxy | None, bool], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close those that nobody uses; the others follow when their answers are closed."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def get(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a GET; returns once the answer's headers are there."""
        proxy = proxies.for_url(url, self._environment)
        manager = self._manager(proxy, secure=urlsplit(url).scheme == "https")
        return manager.request(
            "GET",
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "aim-operator-fetch", **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
        )

    def _manager(self, proxy: Proxy | None, *, secure: bool) -> urllib3.PoolManager:
        with self._lock:
            if (proxy, secure) not in self._managers:
                self._managers[proxy, secure] = self._new_manager(proxy, secure=secure)
            return self._managers[proxy, secure]

    def _new_manager(self, proxy: Proxy | None, *, secure: bool) -> urllib3.PoolManager:
        # Reading all of a system's certificates takes a while: only where they are needed.
        needed = secure or (proxy is not None and proxy.url.startswith("https:"))
        tls = certificates.trusted(self._environment) if needed else None
        if proxy is None:
            return urllib3.PoolManager(maxsize=self._count, timeout=self._timeout, ssl_context=tls)
        user = proxy.credentials
        return urllib3.ProxyManager(
            proxy.url,
            maxsize=self._count,
            timeout=self._timeout,
            ssl_context=tls,
            proxy_ssl_context=tls,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=user) if user else None,
        )
