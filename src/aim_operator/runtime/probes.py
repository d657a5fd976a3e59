"""/healthz, /readyz and /metrics over HTTP, on one address or two.

Answers from what its callbacks say at that moment; checks nothing itself. Run by app.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from aim_operator.errors import UserError
from aim_operator.runtime.metrics import MetricSink

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger("aim_operator.probes")

Check = Callable[[], Sequence[str]]
"""What is wrong, a line each; nothing means well."""


class Probes:
    """Addresses are host:port; ":8080" is every interface, "" serves nothing. Both may be the same."""

    def __init__(
        self, *, healthy: Check, ready: Check, metrics: MetricSink, probe_address: str, metrics_address: str
    ) -> None:
        self._checks = {"/healthz": healthy, "/readyz": ready}
        self._metrics = metrics
        self._probe_address = probe_address
        self._metrics_address = metrics_address
        self._runners: list[web.AppRunner] = []
        self.ports: dict[str, int] = {}
        """Which port each path is served on: for those who asked for port 0."""

    async def start(self) -> None:
        """Listen. Raises UserError for addresses that cannot be used."""
        served: dict[str, dict[str, Handler]] = {}
        if self._probe_address:
            paths = served.setdefault(self._probe_address, {})
            paths.update({path: _answering(check) for path, check in self._checks.items()})
        if self._metrics_address:
            served.setdefault(self._metrics_address, {})["/metrics"] = self._exposition
        for address, handlers in served.items():
            await self._listen(address, handlers)

    async def close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _listen(self, address: str, handlers: dict[str, Handler]) -> None:
        from aiohttp import web  # noqa: PLC0415 - the server half of aiohttp, only where it is used

        host, port = _parse(address)
        app = web.Application()
        for path, handler in handlers.items():
            app.router.add_get(path, handler)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, host or None, port).start()
        except OSError as error:
            raise UserError(f"cannot listen on {address}: {error.strerror or error}") from error
        bound = runner.addresses[0][1]
        self.ports.update(dict.fromkeys(handlers, bound))
        log.info("listening", address=f"{host or '*'}:{bound}", paths=" ".join(handlers))

    async def _exposition(self, request: web.Request) -> web.Response:
        from aiohttp import web  # noqa: PLC0415

        del request
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )


def _answering(check: Check) -> Handler:
    from aiohttp import web  # noqa: PLC0415

    async def answer(request: web.Request) -> web.Response:
        del request
        wrong = check()
        return web.Response(status=503 if wrong else 200, text="\n".join(wrong or ("ok",)) + "\n")

    return answer


def _parse(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UserError(f"address {address!r}: write host:port, such as 127.0.0.1:8080 or :8080")
    return host.removeprefix("[").removesuffix("]"), int(port)
