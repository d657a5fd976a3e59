"""The seam between reconciles and whoever traces them. Here nothing is traced, which is the default.

runtime/otel.py implements it with OpenTelemetry's SDK; nothing else imports that, and nothing imports it
while traces are off. Called by runtime.controller (begin, end), runtime.reconcile (what was found) and, as an
observer, by kube.transport (each API call).
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from aim_operator.api.meta import ObjectRef
from aim_operator.errors import UserError
from aim_operator.kube.transport import Observer

WRITES = frozenset({"create", "patch", "update", "delete"})
"""Verbs that change something, in RBAC's words."""


class Trace:
    """One reconcile, from when its key was taken. This one forgets it."""

    __slots__ = ()

    @property
    def exemplar(self) -> Mapping[str, str] | None:
        """Labels that lead from a measurement to this trace; None where it is not kept."""
        return None

    def end(self, outcome: str) -> None:
        """The reconcile is over; `outcome` is one of runtime.metrics.RESULTS."""


_FORGOTTEN = Trace()


class Tracer:
    """Traces nothing. All methods but `close` are for the event loop, cost little and never raise."""

    tracing = False
    """Whether anything is kept: what costs more than a call is left out otherwise."""

    def begin(self, controller: str, ref: ObjectRef, waited_seconds: float) -> Trace:
        """Begin the trace of a reconcile in the current task; the key waited so long for it."""
        del controller, ref, waited_seconds
        return _FORGOTTEN

    def found(self, generation: int) -> None:
        """The current task reconciles an object of this generation."""

    def failed(self, error: str) -> None:
        """What the current task's reconcile failed with."""

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        """The current task had an answer of the API server; `code` is 0 where none came."""

    def correlate(
        self, logger: object, method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Add to a log line which trace it belongs to. A processor of structlog."""
        del logger, method
        return line

    async def close(self) -> None:
        """Send what is left, for a bounded time."""


class TracedCalls:
    """An observer of a client that has the tracer hear of calls, and the metrics of everything."""

    def __init__(self, metrics: Observer, tracer: Tracer) -> None:
        self._metrics, self._tracer = metrics, tracer
        self.undecodable = metrics.undecodable
        self.warned = metrics.warned

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        self._metrics.called(verb, resource, code, seconds)
        self._tracer.called(verb, resource, code, seconds)


def open_tracer(endpoint: str, sample_ratio: float, *, namespace: str, instance: str) -> Tracer:
    """Return the tracer that sends to an OTLP/HTTP `endpoint`; the one that traces nothing for "".

    Raises UserError where OpenTelemetry's SDK is not installed.
    """
    if not endpoint:
        return Tracer()
    try:
        # A quarter of a second and 27 MiB, only where it is used.
        from aim_operator.runtime import otel  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"--tracing-endpoint needs OpenTelemetry's SDK ({error}): pip install 'aim-operator[otel]', "
            "or use the container image, which has it"
        ) from error
    return otel.exporting(endpoint, sample_ratio, namespace=namespace, instance=instance)
