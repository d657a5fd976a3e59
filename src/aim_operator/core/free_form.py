"""Free-form JSON values of specs and statuses, which no schema bounds: how large they may be.

Bytes bound what is sent and stored, values what Python takes for it: a list takes 60 bytes, and 3 as JSON.
Levels bound what recursion takes: the API server lets in ten thousand. Pure.
Called by core.engine_args, core.discovery_output and the caches.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Bounds(Struct, frozen=True, kw_only=True):
    """What a value may have at most."""

    bytes: int
    """As JSON."""
    values: int
    """In it, at any depth; names are none."""
    levels: int
    """Of objects and lists within each other."""


def problem(value: Any, bounds: Bounds) -> str | None:
    """Return what is too much about a value, in words; None where nothing is.

    Looks at `bounds.values` values at the most.
    """
    values = 0
    pending = [(value, 1)]
    while pending:
        inner, level = pending.pop()
        children = inner.values() if isinstance(inner, dict) else inner if isinstance(inner, list) else None
        if children is None:
            continue
        if level > bounds.levels:
            return f"is nested deeper than {bounds.levels} levels; write fewer"
        values += len(children)
        if values > bounds.values:
            return f"has more than {bounds.values} values; write fewer"
        pending.extend((child, level + 1) for child in children)
    size = len(msgspec.json.encode(value))
    return f"has {size} bytes as JSON; at most {bounds.bytes} are taken" if size > bounds.bytes else None
