"""How a demo ended: the reasons where something is not done, then the verdict, one line.

Made by demo_show.py, printed for demo.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from enum import Enum

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from aim_operator.api.v1alpha1.conditions import State
from aim_operator.cli.demo_snapshot import ServiceRow, Snapshot, counted, qualified

FAILED, INTERRUPTED = 1, 130
LOGGED_LINES = 10


class How(Enum):
    """Why the demo stopped watching."""

    OVER = "over"
    """All is done, or what is not done will not change by itself."""
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"


class Ending(Struct, frozen=True, kw_only=True):
    """`timeout_seconds` is what the demo was given; `logs` are the operator's warnings and errors."""

    last: Snapshot
    how: How
    timeout_seconds: float
    logs: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.how is How.OVER and self.last.done


def tell(
    ending: Ending, console: Console, *, problems: Sequence[str] = (), simulated: Sequence[str] = ()
) -> int:
    """Print why it ended badly, if so, and the verdict. Returns the exit code.

    `problems` are of requests to what runs, `simulated` the images whose discovery was made up.
    """
    if not ending.good and ending.how is not How.INTERRUPTED:
        for line in ending.logs[-LOGGED_LINES:]:
            console.print(line, style="dim", highlight=False, markup=False)
    for line in (*explain(ending), *problems):
        print(f"error: {line}", file=sys.stderr)  # noqa: T201
    if simulated:
        note = f"\n simulated: no profile for {', '.join(simulated)}; what discovery found is made up"
        console.print(Text(note, style="yellow"), soft_wrap=True)
    console.print(Text.assemble("\n ", verdict(ending, failed=bool(problems), simulated=bool(simulated))))
    if ending.how is How.INTERRUPTED:
        return INTERRUPTED
    return FAILED if problems or not ending.good else 0


def verdict(ending: Ending, *, failed: bool = False, simulated: bool = False) -> Text:
    """Return the verdict: what runs, what was discovered, and after how many seconds.

    `failed` if something that runs does not answer.
    """
    last = ending.last
    reached = ", ".join(_reached(last, simulated=simulated)) or "no template and no service to watch"
    if ending.how is How.INTERRUPTED:
        return Text(f"■ stopped after {last.seconds:.1f} s: {reached}", style="bold yellow")
    if failed or not ending.good:
        return Text(f"✖ {reached}, {last.seconds:.1f} s", style="bold red")
    return Text(f"✔ {reached}, {last.seconds:.1f} s", style="bold green")


def explain(ending: Ending) -> Iterator[str]:
    """Yield what is not done and why, a line each; nothing where somebody stopped the demo."""
    if ending.how is How.INTERRUPTED:
        return
    if ending.how is How.TIMED_OUT:
        yield f"timed out after {ending.timeout_seconds:g} s; not ready:"
    for row in ending.last.unfinished:
        what = "service" if isinstance(row, ServiceRow) else "template"
        because = f": {row.message}" if row.message else ""
        yield f"{what} {qualified(row)} is {row.state or State.PENDING}{because}"


def _reached(last: Snapshot, *, simulated: bool) -> Iterator[str]:
    running = sum(row.state == State.RUNNING for row in last.services)
    available = sum(row.state == State.AVAILABLE for row in last.templates)
    if last.services:
        yield f"{counted(running, len(last.services), 'service')} running"
    if last.templates:
        by = " (simulated)" if simulated else ""
        yield f"{counted(available, len(last.templates), 'template')} discovered{by}"
