"""Runs an operator and shows what becomes of a quickstart: a live view on a terminal, else plain lines.

Owns when a demo is over: all done, nothing more to come, or out of time. Called by demo_sandbox.py and
demo_cluster.py.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol

from msgspec import Struct
from rich.console import Console
from rich.live import Live

from aim_operator.app import Operator
from aim_operator.cli.demo_ending import Ending, How
from aim_operator.cli.demo_follow import Follower
from aim_operator.cli.demo_snapshot import Snapshot, headings, transitions
from aim_operator.cli.demo_view import draw
from aim_operator.cli.quickstart import Example
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime import logs
from aim_operator.runtime.clock import Clock, within

FRAME_SECONDS = 0.1
ERROR_LINES = 4
"""What a demo that failed says besides a line for each object: the verdict, with room around it."""


class Patience(Struct, frozen=True):
    """How long a demo may take, and how long nothing may happen once everything is done or has failed."""

    timeout_seconds: float
    settle_seconds: float


class Display(Protocol):
    def show(self, snapshot: Snapshot) -> None: ...


async def show(
    operator: Operator,
    client: KubeClient,
    clock: Clock,
    examples: tuple[Example, ...],
    *,
    patience: Patience,
    logs_so_far: io.StringIO,
    display: AbstractContextManager[Display],
) -> Ending:
    """Run `operator` until the demo is over, and show it. Returns how it ended, also after Ctrl-C."""
    follower = Follower(operator, client, clock, [example.ref for example in examples if example.is_ours])
    running = asyncio.create_task(operator.run(), name="operator")
    events = asyncio.create_task(follower.events.run(), name="demo events")
    try:
        with display as shown_on:
            last, how = await _until_over(follower, clock, running, patience, shown_on)
    finally:
        operator.stop()
        events.cancel()
        with suppress(asyncio.CancelledError):
            await events
        await running
    return Ending(
        last=last,
        how=how,
        timeout_seconds=patience.timeout_seconds,
        logs=tuple(logs_so_far.getvalue().splitlines()),
    )


def keep_logs() -> io.StringIO:
    """Keep what is logged from now on: on the screen it would tear the view apart.

    To be called before the operator is made; some of its parts bind their loggers then.
    """
    kept = io.StringIO()
    logs.configure("console", "warning", stream=kept)
    return kept


async def _until_over(
    follower: Follower,
    clock: Clock,
    running: asyncio.Task[None],
    patience: Patience,
    display: Display,
) -> tuple[Snapshot, How]:
    shown, changed_at = follower.snapshot(), 0.0
    display.show(shown)
    while True:
        try:
            with suppress(TimeoutError):
                await within(clock, FRAME_SECONDS, follower.changed.wait())
                follower.changed.clear()
                changed_at = shown.seconds
        except asyncio.CancelledError:
            _stay()
            return shown, How.INTERRUPTED
        shown = follower.snapshot()
        display.show(shown)
        idle = shown.seconds - changed_at
        if shown.done or running.done() or (shown.settled and idle > patience.settle_seconds):
            return shown, How.OVER
        if shown.seconds > patience.timeout_seconds:
            return shown, How.TIMED_OUT


def _stay() -> None:
    """Take back the cancellation by which asyncio.run tells of Ctrl-C: there is an ending to show."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()


def on_console(console: Console, title: str, *, below: int) -> AbstractContextManager[Display]:
    """Return a live view on a terminal, else lines.

    The live view leaves its last frame there, with room for `below` more lines if it ended well.
    """
    return _live(console, title, below) if console.is_terminal else _plain(console, title)


class _Lines:
    """One line per transition."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = Snapshot(seconds=0.0)

    def show(self, snapshot: Snapshot) -> None:
        for line in transitions(self._last, snapshot):
            self._console.out(line, highlight=False)
        self._last = snapshot


@contextmanager
def _plain(console: Console, title: str) -> Iterator[Display]:
    console.out(title, highlight=False)
    console.out(headings(), highlight=False)
    yield _Lines(console)


class _Screen:
    """The live view."""

    def __init__(self, live: Live, title: str) -> None:
        self._live = live
        self._title = title
        self.last: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        size = self._live.console.size
        self._live.update(
            draw(snapshot, title=self._title, width=size.width, height=size.height), refresh=True
        )
        self.last = snapshot


@contextmanager
def _live(console: Console, title: str, below: int) -> Iterator[Display]:
    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        screen = _Screen(live, title)
        yield screen
    last = screen.last
    if last is not None:
        room = console.height - (below if last.done else len(last.unfinished) + ERROR_LINES)
        console.print(draw(last, title=title, width=console.width, height=room))
