"""Runs the operator against an API server until a signal, and refuses to start where that has no sense.

Owns signals and what must be right at the start: a server that answers, credentials that it takes, the right
to read what is watched. What goes wrong later is app.py's, which continues and reports it. Called by run.py.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import socket
from typing import NamedTuple

import uvloop

from aim_operator.app import Operator
from aim_operator.cli.access import check_access, refused_watch
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import Connection
from aim_operator.runtime.clock import Clock, SystemClock
from aim_operator.runtime.metrics import Metrics
from aim_operator.runtime.tracing import TracedCalls, Tracer
from aim_operator.settings import Settings

GC_THRESHOLD = 10_000
START_CHECK_SECONDS = 0.2


class Ended(NamedTuple):
    """Why serving ended: by Ctrl-C, or else by SIGTERM."""

    interrupted: bool


def serve(connection: Connection, settings: Settings, tracer: Tracer) -> Ended:
    """Run the operator until SIGTERM or Ctrl-C; a second one does not wait for what is under way.

    `tracer` is closed at the end.

    Raises UserError where the cluster can't be used as it is.
    """
    return uvloop.run(_serve(connection, settings, tracer))


async def _serve(connection: Connection, settings: Settings, tracer: Tracer) -> Ended:
    stop = asyncio.Event()
    interrupted = _stop_on_signals(stop)
    clock, metrics = SystemClock(), Metrics()
    client = Client(connection, observer=TracedCalls(metrics, tracer) if tracer.tracing else metrics)
    # Unlike a Pod's name, this differs before and after a restart of the container.
    identity = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    try:
        operator = Operator(client, settings, clock=clock, identity=identity, metrics=metrics, tracer=tracer)
        await check_access(client, connection, operator.watched.all, settings.namespaces)
        # Modules and decoders stay: no collection has to go through them again.
        gc.freeze()
        # Reconciles make many plain dicts and no cycles: looking for some at each 700 of them took a tenth of
        # the CPU (docs/performance.md).
        gc.set_threshold(GC_THRESHOLD, 10, 10)
        await _until_stopped(operator, clock, stop)
    finally:
        await client.close()
        await tracer.close()
    return Ended(interrupted.is_set())


async def _until_stopped(operator: Operator, clock: Clock, stop: asyncio.Event) -> None:
    running = asyncio.create_task(operator.run(), name="operator")
    stopping = asyncio.create_task(stop.wait(), name="signals")
    try:
        # RBAC may grant list and refuse watch, which only shows now.
        while not (operator.ready or running.done() or stopping.done()):
            refused = refused_watch(operator.watched.all)
            if refused is not None:
                raise refused
            await clock.sleep(START_CHECK_SECONDS)
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        operator.stop()
        stopping.cancel()
        await running


def _stop_on_signals(stop: asyncio.Event) -> asyncio.Event:
    """Set `stop` at the first signal, and the returned event if that was Ctrl-C."""
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def received(number: signal.Signals) -> None:
        stop.set()
        if number is signal.SIGINT:
            interrupted.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    return interrupted
