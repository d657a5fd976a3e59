"""Traces with OpenTelemetry's SDK: a span for each reconcile, and one for each API call that it makes.

The only module that imports OpenTelemetry (checked by import-linter). A collector that is away or hangs costs
dropped spans and a log line a while: spans wait in a bounded queue, and a thread of the SDK's sends them.
Made by runtime.tracing.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import logging
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from aim_operator.api.meta import ObjectRef
from aim_operator.runtime.clock import Clock, SystemClock
from aim_operator.runtime.tracing import WRITES, Trace, Tracer

log = structlog.get_logger("aim_operator.tracing")

EXPORT_SECONDS = 5.0
"""How long one batch is tried for."""
MOST_WAITING = 4096
"""Spans that wait to be sent; then they are dropped."""
BATCH = 512
BATCH_SECONDS = 2.0
MOST_CALLS = 200
"""Spans of one reconcile's calls; more are only counted."""
MOST_CHARACTERS = 1000
"""Of each attribute: what an error says may be as long as users like."""
CLOSE_SECONDS = 2.0
"""What the end of the process may be put off by, to send what is left."""
SILENCE_SECONDS = 300.0
"""Between two log lines about a collector that takes nothing."""
FAILED = frozenset({"throttled", "unavailable", "not_installed", "invalid", "forbidden", "error"})
"""Results that make a span an error. Conflicts are how caches catch up."""


def exporting(endpoint: str, sample_ratio: float, *, namespace: str, instance: str) -> OtelTracer:
    """Return a tracer that sends to an OTLP/HTTP `endpoint`, a whole URL.

    Headers and certificates come from OpenTelemetry's own variables: OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_CERTIFICATE and so on.
    """
    return OtelTracer(
        otlp_exporter(endpoint, EXPORT_SECONDS),
        SystemClock(),
        sample_ratio=sample_ratio,
        namespace=namespace,
        instance=instance,
    )


def otlp_exporter(endpoint: str, timeout_seconds: float) -> SpanExporter:
    """Return the SDK's, with redirects as failures: it follows none, and takes each for a success."""
    session = requests.Session()
    session.hooks["response"].append(_refuse_redirect)
    return OTLPSpanExporter(endpoint=endpoint, timeout=timeout_seconds, session=session)


def _refuse_redirect(response: requests.Response, **_: object) -> None:
    if 300 <= response.status_code < 400:
        elsewhere = response.headers.get("Location", "")
        response.close()  # its connection would stay open: nobody reads what follows
        raise requests.RequestException(
            f"{response.status_code} {response.reason}: it is at another address, {elsewhere!r}"
        )


class _Reconcile(Trace):
    """The span of one reconcile, with what is counted on the way. Times are wall nanoseconds."""

    __slots__ = ("_clock", "_instant", "_start", "calls", "context", "error", "over", "span", "writes")

    def __init__(self, span: Span, clock: Clock, start: int) -> None:
        self.span, self._clock, self._start = span, clock, start
        self._instant = clock.monotonic()
        self.context = set_span_in_context(span, Context())
        self.calls = self.writes = 0
        self.over = False
        self.error = ""

    @property
    def exemplar(self) -> Mapping[str, str]:
        return {"trace_id": format(self.span.get_span_context().trace_id, "032x")}

    def now(self) -> int:
        """A moment after the start, whatever was done to the machine's clock meanwhile."""
        return self._start + int((self._clock.monotonic() - self._instant) * 1e9)

    def end(self, outcome: str) -> None:
        self.over = True
        span = self.span
        span.set_attributes({"aim.outcome": outcome, "aim.requests": self.calls, "aim.writes": self.writes})
        if outcome in FAILED:
            span.set_status(StatusCode.ERROR, self.error or outcome)
        span.end(self.now())


_NOT_SAMPLED = Trace()
_current: ContextVar[_Reconcile | None] = ContextVar("reconcile", default=None)
"""That of the task, and of those that it starts: they may outlive it."""


class OtelTracer(Tracer):
    """Hands spans to `exporter`, on a thread, whose clock `monotonic` is: `clock` is the event loop's."""

    tracing = True

    def __init__(
        self,
        exporter: SpanExporter,
        clock: Clock,
        *,
        sample_ratio: float = 1.0,
        namespace: str = "",
        instance: str = "",
        close_seconds: float = CLOSE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        version = importlib.metadata.version("aim-operator")
        self._exporter = _Reporting(exporter, monotonic)
        self._clock = clock
        self._close_seconds = close_seconds
        # Our own bounds, and none from variables that were meant for other programs.
        self._processor = BatchSpanProcessor(
            self._exporter,
            max_queue_size=MOST_WAITING,
            schedule_delay_millis=BATCH_SECONDS * 1000,
            max_export_batch_size=BATCH,
        )
        self._provider = TracerProvider(
            sampler=TraceIdRatioBased(sample_ratio),
            resource=Resource.create(
                {
                    "service.name": "aim-operator",
                    "service.version": version,
                    "service.instance.id": instance,
                    "k8s.namespace.name": namespace,
                }
            ),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=MOST_CHARACTERS),
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("aim_operator", version)

    def begin(self, controller: str, ref: ObjectRef, waited_seconds: float) -> Trace:
        start = int(self._clock.now().timestamp() * 1e9)
        span = self._tracer.start_span(
            f"reconcile {ref.kind}",
            context=Context(),
            start_time=start,
            attributes={
                "aim.controller": controller,
                "aim.kind": ref.kind,
                "aim.name": ref.name,
                "aim.queue_seconds": waited_seconds,
                **({"aim.namespace": ref.namespace} if ref.namespace else {}),
            },
        )
        if not span.is_recording():
            _current.set(None)
            return _NOT_SAMPLED
        reconcile = _Reconcile(span, self._clock, start)
        _current.set(reconcile)
        return reconcile

    def found(self, generation: int) -> None:
        if (reconcile := _running()) is not None:
            reconcile.span.set_attribute("aim.generation", generation)

    def failed(self, error: str) -> None:
        if (reconcile := _running()) is not None:
            reconcile.error = error[:MOST_CHARACTERS]

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        reconcile = _running()
        if reconcile is None or verb == "watch":
            return
        reconcile.calls += 1
        reconcile.writes += verb in WRITES and 200 <= code < 300
        if reconcile.calls > MOST_CALLS:
            return
        end = reconcile.now()
        span = self._tracer.start_span(
            f"{verb} {resource}",
            context=reconcile.context,
            kind=SpanKind.CLIENT,
            start_time=end - int(seconds * 1e9),
            attributes={"aim.verb": verb, "aim.resource": resource, "http.response.status_code": code}
            if code
            else {"aim.verb": verb, "aim.resource": resource},
        )
        if not 200 <= code < 400:
            span.set_attribute("error.type", str(code) if code else "no answer")
            span.set_status(StatusCode.ERROR)
        span.end(end)

    def correlate(
        self, logger: object, method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        del logger, method
        if (reconcile := _running()) is not None:
            context = reconcile.span.get_span_context()
            line["trace_id"], line["span_id"] = (
                format(context.trace_id, "032x"),
                format(context.span_id, "016x"),
            )
        return line

    def flush(self) -> None:
        """Send what waits, on the calling thread, which is not the event loop's."""
        self._processor.force_flush()

    async def close(self) -> None:
        """Send what is left, for `close_seconds` at most; what is on its way then is left behind."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def shut_down() -> None:
            self._provider.shutdown()
            # The loop may be closed by then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(done.set)

        # No pool's thread: leaving the loop would wait for those.
        threading.Thread(target=shut_down, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), self._close_seconds)
        self._exporter.abandon()


def _running() -> _Reconcile | None:
    reconcile = _current.get()
    return None if reconcile is None or reconcile.over else reconcile


class _Reporting(SpanExporter):
    """Sends by another exporter, and logs that it does not work: once, then now and then, until it does.

    What the SDK says of itself, a line for each batch and each try, is not logged: its first is the reason.
    """

    def __init__(self, exporter: SpanExporter, monotonic: Callable[[], float]) -> None:
        self._exporter = exporter
        self._monotonic = monotonic
        self._words = _Words()
        self._dropped = 0
        self._failing = False
        self._silent_until = float("-inf")
        self._abandoned = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if self._abandoned.locked():
            return SpanExportResult.FAILURE
        self._words.first = ""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._failing:
                log.info("traces are sent again", dropped_spans=self._dropped)
            self._failing, self._dropped = False, 0
        else:
            self._dropped += len(spans)
            self._report()
        return result

    def _report(self) -> None:
        now = self._monotonic()
        # A collector that comes and goes gets no line for each time either.
        self._failing = True
        if now >= self._silent_until:
            self._silent_until = now + SILENCE_SECONDS
            log.warning(
                "traces can't be sent, and are dropped", dropped_spans=self._dropped, error=self._words.first
            )

    def shutdown(self) -> None:
        self.abandon()

    def abandon(self) -> None:
        """Try no more. Idempotent; what is on its way gets no second try."""
        if self._abandoned.acquire(blocking=False):
            self._exporter.shutdown()
            self._words.close()


class _Words(logging.Handler):
    """The first thing that the SDK's exporter says from when `first` was emptied."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.first = ""
        # For good, as a batch may still be on its way: without handlers, `logging` would print what it says.
        sdk = logging.getLogger("opentelemetry")
        sdk.propagate = False
        sdk.addHandler(logging.NullHandler())
        self._logger = logging.getLogger("opentelemetry.exporter")
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.first = self.first or record.getMessage()[:MOST_CHARACTERS]

    def close(self) -> None:
        self._logger.removeHandler(self)
        super().close()
