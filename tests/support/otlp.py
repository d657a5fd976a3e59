"""A collector of tests: takes OTLP over HTTP, and decodes it with OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.support.http_serving import Serving


class Received(NamedTuple):
    """One span as a collector sees it; ids in hex, times in nanoseconds."""

    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]
    error: str | None
    """What its status says; None where it is not an error."""

    @property
    def is_reconcile(self) -> bool:
        return not self.parent


class Collector:
    """Keeps what comes. `answers` is what it says next, by status; then 200."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.resource: dict[str, Any] = {}
        self.requests = 0
        self.answers: list[int] = []
        self.hangs = asyncio.Event()
        """Set: nobody is answered any more."""
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        body = await request.read()
        if self.hangs.is_set():
            await asyncio.Event().wait()
        if self.answers and (status := self.answers.pop(0)) != 200:
            return web.Response(status=status, headers={"Location": "https://elsewhere/"})
        assert request.path == "/v1/traces"
        assert request.headers["Content-Type"] == "application/x-protobuf"
        self.headers.append(dict(request.headers))
        self.take(body)
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def take(self, body: bytes) -> None:
        decoded = ExportTraceServiceRequest.FromString(body)
        for of_resource in decoded.resource_spans:
            self.resource = _attributes(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.spans += [_received(span) for span in of_scope.spans]

    @property
    def reconciles(self) -> list[Received]:
        return [span for span in self.spans if span.is_reconcile]

    def calls_of(self, reconcile: Received) -> list[Received]:
        return [span for span in self.spans if span.parent == reconcile.id]

    async def until(self, holds: Callable[[Collector], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds(self):  # noqa: ASYNC110 - it comes from another process or thread
                await asyncio.sleep(0.02)


@asynccontextmanager
async def collecting(
    port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Collector, str]]:
    """Serve a collector. Yields it and the URL to post to."""
    collector = Collector()
    serving = await Serving.start(web.Server(collector.handle), port=port, tls=tls)
    try:
        scheme, host = ("http", "127.0.0.1") if tls is None else ("https", "localhost")
        yield collector, f"{scheme}://{host}:{serving.port}/v1/traces"
    finally:
        await serving.close()


def _received(span: Any) -> Received:
    failed = span.status.code == span.status.STATUS_CODE_ERROR
    return Received(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_attributes(span.attributes),
        error=span.status.message if failed else None,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
