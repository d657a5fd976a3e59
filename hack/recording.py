"""docs/assets/demo.svg: `make demo` on a terminal of 80 columns, as a moving picture.

Made from what the demo itself draws. It runs on a virtual clock here, so that the same code gives the same
picture, and `make check` can tell when it is out of date. Called by generate.py; stills.py draws with it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from html import escape
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from msgspec.structs import replace
from rich.console import Console, RenderableType
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from aim_operator.cli import quickstart
from aim_operator.cli.demo_ending import verdict
from aim_operator.cli.demo_sandbox import TITLE, run_in_sandbox
from aim_operator.cli.demo_snapshot import Snapshot
from aim_operator.cli.demo_view import draw

# A test's clock, and the only one that stands still until nothing else can happen.
from tests.support.virtual_clock import VirtualClock

# Of the repository's own folder, so that it comes to the same from everywhere.
SOURCE = Path(__file__).resolve().parent.parent / "examples" / quickstart.DEFAULT
WIDTH, HEIGHT = 80, 26
"""Of the terminal, in columns and rows. As in any terminal of this height, events become one line."""
TIMEOUT_SECONDS = 60.0
SLOWER, STILL_SECONDS = 3.0, 8.0
"""How much slower it is shown than it was, to be followed; how long the end stays."""

CELL, ROW, FONT = 8.4, 18.0, 14.0
MARGIN, BAR = 16.0, 30.0
INK, GROUND, EDGE = "#d6dde6", "#10161e", "#333f4d"
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
COLORS = {
    "green": "#56d07f",
    "cyan": "#56c4dd",
    "red": "#ff7b72",
    "yellow": "#e8c15a",
    "magenta": "#d59bf6",
    "bright_black": "#7d8a99",
}

Line = tuple[tuple[str, str], ...]
"""A row of the screen: texts, and the CSS classes of each."""


class Frame(NamedTuple):
    seconds: float
    lines: tuple[Line, ...]


class Shown(NamedTuple):
    """A row that stays the same from frame `first` up to `end`."""

    row: int
    line: Line
    first: int
    end: int


class Recorder:
    """A display that keeps what it is given, without what only moves: the clock and the spinner."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, snapshot: Snapshot) -> None:
        previous = self.snapshots[-1] if self.snapshots else None
        if previous is None or replace(previous, seconds=snapshot.seconds) != snapshot:
            self.snapshots.append(snapshot)


def text() -> str:
    """Return the picture."""
    frames = record()
    end = "".join(part for part, _ in frames[-1].lines[-1]).strip()
    return svg(frames, title="make demo", words=f"{TITLE}. It ends with: {end}")


def record() -> list[Frame]:
    """Run the quickstart. Returns the command, what is on the screen at each change, and the verdict."""
    recorder, clock = Recorder(), VirtualClock()
    examples = quickstart.load(SOURCE)
    ending = asyncio.run(clock.run(run_in_sandbox(clock, SOURCE, examples, TIMEOUT_SECONDS, recorder)))
    if not ending.good:
        raise ValueError(f"the demo went wrong: {verdict(ending).plain}")
    frames = []
    for snapshot in recorder.snapshots:
        screen: list[RenderableType] = [Text("$ make demo", style="bold")]
        screen.append(draw(snapshot, title=TITLE, width=WIDTH, height=HEIGHT))
        if snapshot is recorder.snapshots[-1]:
            screen += [Text(), Text.assemble(" ", verdict(ending))]
        frames.append(Frame(snapshot.seconds, tuple(line for part in screen for line in lines_of(part))))
    return frames


def lines_of(part: RenderableType, width: int = WIDTH) -> Iterator[Line]:
    """Yield the rows that a terminal shows of something drawn."""
    console = Console(
        width=width, file=io.StringIO(), force_terminal=True, color_system="standard", _environ={}
    )
    for segments in console.render_lines(part, pad=False):
        joined = Segment.simplify(segments)
        yield tuple((segment.text, _classes(segment.style)) for segment in joined if segment.text.strip("\n"))


def _classes(style: Style | None) -> str:
    if style is None:
        return ""
    names = [style.color.name] if style.color is not None and style.color.name in COLORS else []
    names += ["bold"] if style.bold else []
    names += ["dim"] if style.dim else []
    return " ".join(names)


def shown(frames: list[Frame]) -> list[Shown]:
    """Return the rows of all frames, each once for as long as it does not change."""
    found = []
    for row in range(max(len(frame.lines) for frame in frames)):
        first = 0
        column = [frame.lines[row] if row < len(frame.lines) else () for frame in frames]
        for number, line in enumerate(column):
            if number + 1 == len(column) or column[number + 1] != line:
                if line:
                    found.append(Shown(row, line, first, number + 1))
                first = number + 1
    return found


def svg(frames: list[Frame], *, title: str, words: str, width: int = WIDTH) -> str:
    """Return the frames as a picture that plays; it stands still at its end for who wants no motion.

    `words` say what it shows to whoever does not see it; `width` is the terminal's, in columns.
    """
    starts = [frame.seconds * SLOWER for frame in frames]
    total = starts[-1] + STILL_SECONDS
    rows = max(len(frame.lines) for frame in frames)
    across, down = width * CELL + 2 * MARGIN, rows * ROW + BAR + MARGIN
    spans = {(each.first, each.end): f"t{each.first}-{each.end}" for each in shown(frames)}
    whole = (0, len(frames))
    spans.pop(whole, None)
    keyframes = [_keyframes(name, span, starts, total) for span, name in spans.items()]
    hidden = [f".{name}" for (_, end), name in spans.items() if end < len(frames)]
    colors = [f".{name} {{ fill: {color} }}" for name, color in COLORS.items()]
    body = [_row(each, spans.get((each.first, each.end), "")) for each in shown(frames)]
    box = f'viewBox="0 0 {across:g} {down:g}" width="{across:g}" height="{down:g}"'
    ground = f'width="{across - 1:g}" height="{down - 1:g}" rx="9" fill="{GROUND}" stroke="{EDGE}"'
    moving = [
        f"{', '.join(hidden)} {{ visibility: hidden }}",
        "@media (prefers-reduced-motion: no-preference) {",
        *keyframes,
        "}",
    ]
    buttons = [f'<circle cx="{18 + 18 * number}" cy="17" r="5" fill="{EDGE}"/>' for number in range(3)]
    lines = [
        "<!-- generated by `make generate`; do not edit -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(words)}</desc>',
        "<style>",
        f"text {{ font: {FONT:g}px {FONTS}; fill: {INK}; white-space: pre }}",
        *colors,
        ".bold { font-weight: 700 } .dim { opacity: .7 }",
        *(moving if keyframes else ()),
        "</style>",
        f'<rect x=".5" y=".5" {ground}/>',
        *buttons,
        *body,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _keyframes(name: str, span: tuple[int, int], starts: list[float], total: float) -> str:
    first, end = span
    begin = 100 * starts[first] / total if first else 0
    stop = f"{100 * starts[end] / total:.2f}% {{ visibility: hidden }} " if end < len(starts) else ""
    before = "0% { visibility: hidden } " if first else ""
    frames = f"{before}{begin:.2f}% {{ visibility: visible }} {stop}"
    return f"@keyframes {name} {{ {frames}}} .{name} {{ animation: {name} {total:.1f}s step-end infinite }}"


def _row(each: Shown, name: str) -> str:
    y = BAR + ROW * each.row + FONT
    column, parts = 0, []
    for part, classes in each.line:
        cells = Text(part).cell_len
        lead = len(part) - len(part.lstrip(" "))
        if word := part.strip(" "):
            about = f' class="{classes}"' if classes else ""
            length = Text(word).cell_len * CELL
            x = MARGIN + CELL * (column + lead)
            parts.append(f'<tspan x="{x:.1f}" textLength="{length:.1f}"{about}>{escape(word)}</tspan>')
        column += cells
    about = f' class="{name}"' if name else ""
    return f'<text y="{y:g}"{about}>{"".join(parts)}</text>'
