"""What commands print: tables that fit the screen, JSON and YAML. Called by the commands for users.

A table is plain text: words carry the meaning, so that neither colour nor a wide screen is needed. To a file
or a pipe nothing is cut, as with kubectl.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from aim_operator.api.v1alpha1.conditions import State
from aim_operator.cli import kubernetes_yaml

PIPED_COLUMNS = 100_000
"""Of output that no screen shows: lines are as long as they are."""
STRUCTURED = ("json", "yaml")

_STYLES = {
    State.AVAILABLE: "green",
    State.RUNNING: "green",
    State.READY: "green",
    State.STARTING: "cyan",
    State.PROGRESSING: "cyan",
    State.FAILED: "red",
    State.DEGRADED: "red",
}


_CONTROLS = dict.fromkeys(set(range(0x20)) - {ord("\n"), ord("\t")} | set(range(0x7F, 0xA0)))
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


class _Console(Console):
    """Leaves out what would control the terminal: messages have words of images, tenants and files."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(text.translate(_CONTROLS), style)


def console(width: int | None = None) -> Console:
    """Return the console for standard output."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A sign that the encoding of the terminal has not becomes a `?`, not a traceback.
        sys.stdout.reconfigure(errors="replace")
    made = _Console(width=width, highlight=False, markup=False, emoji=False)
    if width is None and not made.is_terminal:
        made.width = PIPED_COLUMNS
    return made


def structured(value: Any, form: str) -> str:
    """Return `value`, made of Structs and plain values, as JSON or YAML."""
    plain = msgspec.to_builtins(value)
    if form == "json":
        # Of what controls a terminal JSON escapes only what is below a space.
        text = msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()
        return text.translate(_ESCAPED) + "\n"
    return kubernetes_yaml.written(plain)


class Column(Struct, frozen=True):
    """A heading; `grows` takes what room is left and is cut first, `wide` is shown with -o wide only.

    `wraps` is for sentences: they are not cut, but go on below in their column, the last.
    """

    name: str
    grows: bool = False
    wide: bool = False
    wraps: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], *, wide: bool) -> RenderableType:
    """Return a table without lines. A cell that is a state gets its colour; empty cells show a dash."""
    drawn = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    shown = [index for index, column in enumerate(columns) if wide or not column.wide]
    for index in shown:
        column = columns[index]
        drawn.add_column(
            column.name,
            # Those that may wrap are the first that shrink; their cells are cut all the same.
            no_wrap=not (column.grows or column.wraps),
            overflow="fold" if column.wraps else "ellipsis",
        )
    for row in rows:
        drawn.add_row(*(_cell(row[index], wraps=columns[index].wraps) for index in shown))
    return drawn


def _cell(text: str, *, wraps: bool) -> Text:
    overflow: Literal["fold", "ellipsis"] = "fold" if wraps else "ellipsis"
    return Text(text or "-", style=_STYLES.get(text, ""), no_wrap=not wraps, overflow=overflow)


def age(timestamp: str | None, now: datetime) -> str:
    """Return how long ago that was, as kubectl writes it: 45s, 12m, 5h, 3d; "" where it is not known."""
    if not timestamp:
        return ""
    try:
        seconds = max(int((now - datetime.fromisoformat(timestamp)).total_seconds()), 0)
    except (ValueError, TypeError):
        return ""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86_400}d"


def size(size_bytes: int) -> str:
    """Return an amount of bytes for people."""
    gib = size_bytes / 1024**3
    return f"{gib:.1f} GiB" if gib >= 0.1 else f"{size_bytes / 1024**2:.1f} MiB"
