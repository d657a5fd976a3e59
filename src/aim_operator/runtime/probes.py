"""/healthz, /readyz and /metrics over HTTP, on one address or two.

Answers from what its callbacks say at that moment; checks nothing itself. What it may cost is bounded, by
runtime.listener and by generating the exposition once for all who ask within a second. Run by app.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from aim_operator.errors import UserError
from aim_operator.runtime.certificate import ServingCertificate
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.scrapers import ScrapeAuthorizer

if TYPE_CHECKING:
    from aiohttp import web

    from aim_operator.runtime.listener import Limits, Listener

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

log = structlog.get_logger("aim_operator.probes")

Check = Callable[[], Sequence[str]]
"""What is wrong, a line each; nothing means well."""

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
EXPOSITION_SECONDS = 1.0
"""How long an exposition is handed out before another one is generated."""
EXPOSITION_SHARE = 20
"""At least so many times as long as generating it took: at most a twentieth of the time goes into it."""


class Probes:
    """Addresses are host:port; ":8080" is every interface, "" serves nothing. Both may be the same.

    With `certificate` metrics are served over TLS, with `scrapers` only to whom they allow; neither concerns
    the probes, which the kubelet sends without either.
    """

    def __init__(
        self,
        *,
        healthy: Check,
        ready: Check,
        metrics: MetricSink,
        probe_address: str,
        metrics_address: str,
        certificate: Callable[[], ServingCertificate] | None = None,
        scrapers: ScrapeAuthorizer | None = None,
        limits: Limits | None = None,
        exemplars: bool = False,
    ) -> None:
        self._checks = {"/healthz": healthy, "/readyz": ready}
        self._exposition = _Exposition(metrics)
        # In its own format only, which Prometheus asks for first.
        self._exemplars = exemplars
        self._probe_address = probe_address
        self._metrics_address = metrics_address
        self._certificate = certificate
        self._scrapers = scrapers
        self._limits = limits
        self.listeners: dict[str, Listener] = {}
        """By address."""
        self.ports: dict[str, int] = {}
        """Which port each path is served on: for those who asked for port 0."""

    async def start(self) -> None:
        """Listen. Raises UserError for addresses and certificates that cannot be used."""
        served: dict[str, dict[str, Handler]] = {}
        if self._probe_address:
            paths = served.setdefault(self._probe_address, {})
            paths.update({path: _answering(check) for path, check in self._checks.items()})
        if self._metrics_address:
            served.setdefault(self._metrics_address, {})["/metrics"] = self._scraped
        for address, handlers in served.items():
            await self._listen(address, handlers)

    async def close(self) -> None:
        for listener in self.listeners.values():
            await listener.close()
        self.listeners.clear()
        if self._scrapers is not None:
            await self._scrapers.close()

    async def _listen(self, address: str, handlers: dict[str, Handler]) -> None:
        # The server half of aiohttp, only where it is used.
        from aim_operator.runtime.listener import Listener  # noqa: PLC0415

        host, port = _parse(address)
        secured = self._certificate is not None and "/metrics" in handlers
        if secured and len(handlers) > 1:
            raise UserError(f"{address} is for probes and metrics: over TLS, metrics need their own address")
        certificate = self._certificate() if self._certificate is not None and secured else None
        listener = Listener(
            _by_path(handlers),
            limits=self._limits,
            tls=certificate.context if certificate is not None else None,
        )
        try:
            bound = await listener.listen(host, port)
        except OSError as error:
            raise UserError(f"cannot listen on {address}: {error.strerror or error}") from error
        self.listeners[address] = listener
        self.ports.update(dict.fromkeys(handlers, bound))
        log.info("listening", address=f"{host or '*'}:{bound}", paths=" ".join(handlers), tls=secured)

    async def _scraped(self, request: web.BaseRequest) -> web.StreamResponse:
        from aiohttp import web  # noqa: PLC0415

        if self._scrapers is not None:
            verdict = await self._scrapers.verdict(request.headers.get("Authorization", ""))
            if verdict is not HTTPStatus.OK:
                headers = {"WWW-Authenticate": "Bearer"} if verdict is HTTPStatus.UNAUTHORIZED else {}
                return web.Response(status=verdict, text=f"{verdict.phrase}\n", headers=headers)
        openmetrics = self._exemplars and _accepts_openmetrics(request.headers.get("Accept", ""))
        return web.Response(
            body=self._exposition.current(openmetrics=openmetrics),
            headers={"Content-Type": OPENMETRICS if openmetrics else TEXT},
        )


class _Exposition:
    """Generated once for all who ask for one format at about the same time."""

    def __init__(self, metrics: MetricSink) -> None:
        self._metrics = metrics
        self._contents: dict[bool, bytes] = {}
        self._good_until: dict[bool, float] = {}

    def current(self, *, openmetrics: bool) -> bytes:
        now = asyncio.get_running_loop().time
        began = now()
        if began >= self._good_until.get(openmetrics, float("-inf")):
            # Before, so that one which fails is not tried for each of many who ask.
            self._good_until[openmetrics] = began + EXPOSITION_SECONDS
            self._contents[openmetrics] = b""
            self._contents[openmetrics] = self._metrics.exposition(openmetrics=openmetrics)
            ended = now()
            self._good_until[openmetrics] = ended + max(
                EXPOSITION_SECONDS, EXPOSITION_SHARE * (ended - began)
            )
        return self._contents[openmetrics]


def _accepts_openmetrics(accept: str) -> bool:
    return any(each.partition(";")[0].strip() == "application/openmetrics-text" for each in accept.split(","))


def _by_path(handlers: dict[str, Handler]) -> Handler:
    from aiohttp import web  # noqa: PLC0415

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        handler = handlers.get(request.path)
        if handler is None:
            return web.Response(status=404, text="not found\n")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, text="only GET\n", headers={"Allow": "GET, HEAD"})
        return await handler(request)

    return answer


def _answering(check: Check) -> Handler:
    from aiohttp import web  # noqa: PLC0415

    async def answer(request: web.BaseRequest) -> web.Response:
        del request
        wrong = check()
        return web.Response(status=503 if wrong else 200, text="\n".join(wrong or ("ok",)) + "\n")

    return answer


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"address {address!r}: write host:port, such as 127.0.0.1:8080 or :8080")
    return host.removeprefix("[").removesuffix("]"), int(port)
