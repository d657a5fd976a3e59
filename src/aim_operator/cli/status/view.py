"""Draws a Status as tables, and below them what is not ready. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from aim_operator.cli.printing import Column, age, size, table
from aim_operator.cli.status.rows import CacheRow, Row, Status, TemplateRow

CLUSTER = "(cluster)"
"""What stands for the namespace of an object that has none."""
BAR_CELLS = 10
BAR_COLUMNS = 80
"""Of a screen that has room for bars; on a narrower one names would be cut for them."""


def draw(
    status: Status, *, namespace: str, now: datetime, wide: bool = False, bars: bool = False
) -> RenderableType:
    """Return all tables that have rows. `bars`: draw progress, where a screen shows it."""
    parts: list[RenderableType] = [Text(summary(status, namespace), style="bold")]
    for title, columns, rows in _tables(status, now, bars=bars):
        if rows:
            parts += [Text(), Text(title, style="bold"), table(columns, rows, wide=wide)]
    problems = [line for row in status.rows for line in _problem(row)]
    if problems:
        parts += [Text(), Text("NOT READY", style="bold"), *problems]
    if status.unseen:
        parts += [Text(), Text("NOT SHOWN", style="bold")]
        parts += [Text(f"{each.kind}: {each.why}", no_wrap=False) for each in status.unseen]
    return Group(*parts)


def summary(status: Status, namespace: str) -> str:
    """Return one line: how many services there are in which state, and how many GPUs they ask for."""
    where = f"namespace {namespace}" if namespace else "all namespaces"
    if not status.services:
        return f"{where}: no services"
    states = Counter(row.status for row in status.services)
    gpus = sum(row.gpus or 0 for row in status.services)
    count = len(status.services)
    parts = [f"{count} service{'' if count == 1 else 's'}"]
    parts.append(", ".join(f"{number} {state}" for state, number in states.most_common()))
    if gpus:
        parts.append(f"{gpus} GPU{'' if gpus == 1 else 's'}")
    return f"{where}: {'; '.join(parts)}"


def _tables(
    status: Status, now: datetime, *, bars: bool
) -> Iterator[tuple[str, Sequence[Column], list[list[str]]]]:
    yield (
        "SERVICES",
        (
            Column("NAMESPACE"),
            Column("NAME", grows=True),
            Column("STATUS"),
            Column("REPLICAS"),
            Column("GPUS"),
            Column("PATH", grows=True),
            Column("AGE"),
            Column("MODEL", wide=True),
            Column("TEMPLATE", wide=True),
            Column("GPU", wide=True),
        ),
        [
            [
                *_shared(row),
                str(row.replicas),
                "" if row.gpus is None else str(row.gpus),
                row.path,
                age(row.created, now),
                row.model,
                row.template,
                row.gpu_model,
            ]
            for row in status.services
        ],
    )
    yield (
        "TEMPLATES",
        (
            Column("NAMESPACE"),
            Column("NAME", grows=True),
            Column("STATUS"),
            Column("PROFILE", grows=True),
            Column("AGE"),
            Column("IMAGE", wide=True),
            Column("DERIVED", wide=True),
        ),
        [
            [
                *_shared(row),
                profile(row),
                age(row.created, now),
                row.image,
                "yes" if row.derived else "no",
            ]
            for row in status.templates
        ],
    )
    yield (
        "MODEL CACHES",
        (
            Column("NAMESPACE"),
            Column("NAME", grows=True),
            Column("STATUS"),
            Column("PROGRESS"),
            Column("SIZE"),
            Column("AGE"),
            Column("SOURCE", wide=True),
            Column("CLAIM", wide=True),
            Column("UNUSED", wide=True),
        ),
        [
            [
                *_shared(row),
                progress(row, bars=bars),
                "" if row.size_bytes is None else size(row.size_bytes),
                age(row.created, now),
                row.source,
                row.claim,
                age(row.unused_since, now),
            ]
            for row in status.caches
        ],
    )
    yield (
        "CATALOG",
        (
            Column("NAMESPACE"),
            Column("MODEL", grows=True),
            Column("STATUS"),
            Column("IMAGE", grows=True),
            Column("AGE"),
            Column("DEFAULT TEMPLATE", wide=True),
        ),
        [[*_shared(row), row.image, age(row.created, now), row.default_template] for row in status.images],
    )
    yield (
        "RUNTIME CONFIGURATIONS",
        (
            Column("NAMESPACE"),
            Column("NAME", grows=True),
            Column("STATUS"),
            Column("ROUTING"),
            Column("GATEWAY", grows=True),
            Column("AGE"),
        ),
        [
            [*_shared(row), "on" if row.routing else "off", row.gateway, age(row.created, now)]
            for row in status.runtime_configs
        ],
    )


def _shared(row: Row) -> list[str]:
    return [row.namespace or CLUSTER, row.name, row.status]


def profile(row: TemplateRow) -> str:
    """Return metric, precision and GPUs in a few words; "" before they are known."""
    count = "" if row.gpu_count is None else f"{row.gpu_count} {row.gpu_model}".strip()
    return " ".join(part for part in (row.engine, row.metric, row.precision, count) if part)


def progress(row: CacheRow, *, bars: bool) -> str:
    """Return how far a download is: always in words, with a bar before them where a screen shows it."""
    if row.percentage is None:
        return ""
    words = f"{row.percentage} %"
    if not bars:
        return words
    full = BAR_CELLS * row.percentage // 100
    return f"{'━' * full}{'╌' * (BAR_CELLS - full)} {words:>5}"


def _problem(row: Row) -> Iterator[RenderableType]:
    """Yield the lines that say why an object is not ready; none where it is."""
    if row.paused:
        yield Text(f"{_named(row)}: paused by its annotation; nothing is done to it", style="yellow")
    if row.good or not row.reason:
        return
    waiting = row.status not in ("Failed", "Degraded")
    yield Text(f"{_named(row)}: {row.reason}", style="" if waiting else "red")
    yield Padding.indent(Text(" ".join(row.message.split())), 2)


def _named(row: Row) -> str:
    where = f"{row.namespace}/" if row.namespace else ""
    return f"{row.kind} {where}{row.name}"
