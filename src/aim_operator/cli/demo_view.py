"""Draws a Snapshot with rich: panels that fit the terminal's width and height.

Pure: the same snapshot, width and height give the same picture. Called by demo_show.py.
"""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from aim_operator.api.v1alpha1.conditions import State
from aim_operator.cli.demo_snapshot import (
    COMPLETE,
    RUNNING_JOB,
    ServiceRow,
    Snapshot,
    counted,
    gibibytes,
    qualified,
)

WIDE = 110
"""Columns from which a template's profile gets one column each, under headings."""
NEWEST_EVENTS = 5
HEADING_LINES = 2
FRAME_LINES = 2

_GOOD, _BUSY, _WRONG, _WAITING = "green", "cyan", "red", "bright_black"
_SIGNS = {
    State.AVAILABLE: ("✔", _GOOD),
    State.RUNNING: ("✔", _GOOD),
    State.READY: ("✔", _GOOD),
    COMPLETE: ("✔", _GOOD),
    State.STARTING: ("◐", _BUSY),
    State.PROGRESSING: ("◐", _BUSY),
    State.FAILED: ("✖", _WRONG),
    State.DEGRADED: ("✖", _WRONG),
}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS_PER_SECOND = 10


def draw(snapshot: Snapshot, *, title: str, width: int, height: int | None = None) -> RenderableType:
    """Return the picture. With a `height`, the panels that matter least become one line, until it fits."""
    wide = width >= WIDE
    panels = {
        "Catalog": _images(snapshot),
        "Templates": _templates(snapshot, wide=wide),
        "Discovery jobs": _jobs(snapshot),
        "Services": _services(snapshot),
        "Events": _events(snapshot),
    }
    sources = len(_distinct_sources(snapshot))
    lines = {
        "Catalog": len(snapshot.images),
        "Templates": len(snapshot.templates) + (sources + 1 if sources else 0) + wide,
        "Discovery jobs": max(len(snapshot.jobs), 1),
        "Services": sum(len(_below(row)) + 1 for row in snapshot.services),
        "Events": max(min(len(snapshot.events), NEWEST_EVENTS), 1),
    }
    folded: list[str] = []
    for least in ("Events", "Catalog", "Discovery jobs"):
        rows = HEADING_LINES + bool(folded) + sum(lines.values()) + FRAME_LINES * len(lines)
        if height is None or rows < height:
            break
        del panels[least], lines[least]
        folded.append(least)
    parts: list[RenderableType] = [_heading(snapshot, title, width)]
    if folded:
        parts.append(_folded(snapshot, folded))
    return Group(*parts, *(_panel(name, body) for name, body in panels.items()))


def _folded(snapshot: Snapshot, panels: list[str]) -> Text:
    """One line for the panels that there is no room for."""
    ready = sum(row.state == State.READY for row in snapshot.images)
    complete = sum(row.state == COMPLETE for row in snapshot.jobs)
    summaries = {
        "Catalog": f"{counted(ready, len(snapshot.images), 'image')} ready",
        "Discovery jobs": f"{counted(complete, len(snapshot.jobs), 'discovery job')} complete",
        "Events": f"{len(snapshot.events)} events",
    }
    line = " · ".join(summaries[name] for name in summaries if name in panels)
    return Text(f"   {line}", style="dim", no_wrap=True, overflow="ellipsis")


def _heading(snapshot: Snapshot, title: str, width: int) -> Text:
    if snapshot.done:
        sign = Text("✔ ", style=f"bold {_GOOD}")
    else:
        turn = _SPINNER[int(snapshot.seconds * _TURNS_PER_SECOND) % len(_SPINNER)]
        sign = Text(f"{turn} ", style=_BUSY)
    name, _, more = title.partition(": ")
    seconds = f"{snapshot.seconds:.1f} s "
    room = max(width - len(seconds) - 1, 1)
    parts = more.split(", ")
    while True:
        left = Text.assemble(" ", sign, (name, "bold"), f"  {', '.join(parts)}")
        if left.cell_len <= room or len(parts) == 1:
            break
        parts.pop()
    left.truncate(room, overflow="ellipsis")
    return Text.assemble("\n", left, " " * (width - left.cell_len - len(seconds)), seconds)


def _panel(name: str, body: RenderableType) -> Panel:
    return Panel(
        body, title=f"[bold]{name}[/]", title_align="left", box=box.ROUNDED, border_style="bright_black"
    )


def _grid(*columns: str, headings: bool = False) -> Table:
    """A borderless table; a column's name starts with `+` where it takes the room that is left."""
    table = Table(
        box=None, show_header=headings, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False, expand=True
    )
    for name in columns:
        grows = name.startswith("+")
        table.add_column(
            name.removeprefix("+"),
            ratio=1 if grows else None,
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _images(snapshot: Snapshot) -> Table:
    table = _grid("sign", "model", "+image")
    for row in snapshot.images:
        scope = "" if row.namespace else "cluster-wide"
        model = Text.assemble(qualified(row), (f" {scope}" if scope else "", "dim"))
        table.add_row(_state(row.state, word=False), model, Text(row.message or row.image, style="dim"))
    return table


def _templates(snapshot: Snapshot, *, wide: bool) -> RenderableType:
    if not wide:
        table = _grid("status", "+template", "profile")
    else:
        table = _grid("status", "+template", "engine", "metric", "precision", "GPUs", headings=True)
    for row in snapshot.templates:
        columns = (row.engine, row.metric, row.precision, row.gpus)
        table.add_row(
            _state(row.state), qualified(row), *(columns if wide else (" ".join(filter(None, columns)),))
        )
    sources = _distinct_sources(snapshot)
    if not sources:
        return table
    source_table = _grid("what", "+uri", "size")
    for index, (uri, size) in enumerate(sources.items()):
        what = "model sources" if index == 0 else ""
        source_table.add_row(Text(what, style="dim"), Text(uri, style="magenta"), gibibytes(size))
    return Group(table, Text(), source_table)


def _distinct_sources(snapshot: Snapshot) -> dict[str, int]:
    """URIs and sizes: templates of one model mostly share them."""
    return {source.uri: source.size_bytes for row in snapshot.templates for source in row.sources}


def _jobs(snapshot: Snapshot) -> RenderableType:
    if not snapshot.jobs:
        return Text("none yet", style="dim")
    table = _grid("status", "+job", "namespace")
    for row in snapshot.jobs:
        busy = row.state == RUNNING_JOB
        status = Text(f"◐ {row.state}", style=_BUSY) if busy else _state(row.state)
        table.add_row(status, row.name, Text(row.namespace, style="dim"))
    return table


def _services(snapshot: Snapshot) -> RenderableType:
    lines: list[RenderableType] = []
    for row in snapshot.services:
        table = _grid("status", "+service", "template")
        table.add_row(_state(row.state), qualified(row), Text(row.template, style="dim"))
        lines += [table, *_below(row)]
    return Group(*lines)


def _below(row: ServiceRow) -> list[Text]:
    """Return the line under a service: where it is reached, or why it is not."""
    if row.state == State.RUNNING:
        message, style = f"→ {row.path}" if row.path else "", f"bold {_GOOD}"
    else:
        message, style = row.message, _WRONG if row.state in (State.FAILED, State.DEGRADED) else "dim"
    return [Text(f"  {message}", style=style, no_wrap=True, overflow="ellipsis")] if message else []


def _events(snapshot: Snapshot) -> RenderableType:
    if not snapshot.events:
        return Text("none yet", style="dim")
    table = _grid("when", "reason", "about", "+message")
    for row in snapshot.events[-NEWEST_EVENTS:]:
        style = "yellow" if row.warning else ""
        table.add_row(
            Text(f"{row.seconds:.1f} s", style="dim"),
            Text(row.reason, style=style),
            row.about,
            Text(row.message, style="dim"),
        )
    return table


def _state(state: str, *, word: bool = True) -> Text:
    sign, style = _SIGNS.get(state, ("○", _WAITING))
    return Text(f"{sign} {state or State.PENDING}" if word else sign, style=style)
