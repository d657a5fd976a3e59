"""Equal parts of different objects, kept once, as far as a budget goes.

Thousands of services say the same: their conditions, references and labels differ in names and times at
most. Sharing them halves what a service costs in memory; objects are frozen, so nobody can tell. What is
shared stays after its objects are gone, hence the budget: a cache by count would hold whatever its largest
parts take. Called by controllers.slim.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LARGEST_PART = 8 * 1024
"""Bytes. A part that is larger is not worth looking for: its object is rare."""


class Shared:
    """Parts by what they are equal by. Beyond `most_bytes` all are let go, and collected anew."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._parts: dict[Any, Any] = {}
        self.bytes = 0
        """Of all parts that are kept here, as their `size` says."""

    def get(self, key: Any, size: Callable[[], int], make: Callable[[], T]) -> T:
        """Return the part that is kept for `key`, or the one that `make` returns now."""
        kept: T | None = self._parts.get(key)
        if kept is not None:
            return kept
        part, taken = make(), size()
        if taken > LARGEST_PART:
            return part
        if self.bytes + taken > self._most_bytes:
            self._parts.clear()
            self.bytes = 0
        self._parts[key] = part
        self.bytes += taken
        return part

    def __len__(self) -> int:
        return len(self._parts)
