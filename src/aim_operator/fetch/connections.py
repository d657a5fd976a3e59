"""Connections for the transfer: pools of urllib3, which certificates are trusted, which proxy is used.

Makes one request and hands out its answer unread: no retries, no redirects. Errors are urllib3's.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass

import urllib3

_CERTIFICATES = ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")
_CONNECT_SECONDS = 30


class Connections:
    """Kept open between requests, `count` to a host. `idle_seconds` without a byte end a request."""

    def __init__(self, *, count: int, idle_seconds: float, environment: Mapping[str, str]) -> None:
        self._count = count
        self._timeout = urllib3.Timeout(connect=min(_CONNECT_SECONDS, idle_seconds), read=idle_seconds)
        self._environment = environment
        self._lock = threading.Lock()
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close those that nobody uses; the others follow when their answers are closed."""
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def get(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """Send a GET; returns once the answer's headers are there."""
        parts = urlsplit(url)
        manager = self._manager(
            proxy_for(parts.scheme, parts.netloc, self._environment), secure=parts.scheme == "https"
        )
        return manager.request(
            "GET",
            url,
            headers={"Accept-Encoding": "identity", "User-Agent": "aim-operator-fetch", **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
            retries=False,
        )

    def _manager(self, proxy: str, *, secure: bool) -> urllib3.PoolManager:
        with self._lock:
            if (proxy, secure) not in self._managers:
                self._managers[proxy, secure] = self._new_manager(proxy, secure=secure)
            return self._managers[proxy, secure]

    def _new_manager(self, proxy: str, *, secure: bool) -> urllib3.PoolManager:
        # Reading all of a system's certificates takes a while: only where they are needed.
        tls = _trusted(self._environment) if secure or proxy.startswith("https:") else None
        if not proxy:
            return urllib3.PoolManager(maxsize=self._count, timeout=self._timeout, ssl_context=tls)
        user = urlsplit(proxy).netloc.rpartition("@")[0]
        return urllib3.ProxyManager(
            proxy,
            maxsize=self._count,
            timeout=self._timeout,
            ssl_context=tls,
            proxy_ssl_context=tls,
            proxy_headers=urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None,
        )


def proxy_for(scheme: str, netloc: str, environment: Mapping[str, str]) -> str:
    """Return the proxy that HTTPS_PROXY or HTTP_PROXY name, unless NO_PROXY has the host; "" for none."""
    # Upper case first, so that lower case wins, as everywhere.
    names = sorted(name for name in environment if name.lower().endswith("_proxy"))
    proxies = {name.lower().removesuffix("_proxy"): environment[name] for name in names}
    if proxy_bypass(netloc.rpartition("@")[2], proxies):
        return ""
    proxy = proxies.get(scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _trusted(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Trust what the first of these variables names, else the system's certificates."""
    files = [environment[name] for name in _CERTIFICATES if environment.get(name)]
    return ssl.create_default_context(cafile=files[0] if files else None)
