"""The steps of a JSONPath, and what each selects of a JSON value.

No step selects a value twice, so each looks at every value of the object at most once: the work of a
path is bounded by its steps times the size of the object, and without '..' by a few times the size
alone. Order is not kept: one value is wanted, or none. Called by core.jsonpath.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

Scalar = str | int | float | bool | None
COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Name(Struct, frozen=True):
    """`.name` and `['name']`."""

    name: str

    def select(self, value: Any) -> Sequence[Any]:
        return (value[self.name],) if isinstance(value, dict) and self.name in value else ()


class Index(Struct, frozen=True):
    """`[0]`, and `[-1]` for the last item."""

    index: int

    def select(self, value: Any) -> Sequence[Any]:
        if isinstance(value, list) and -len(value) <= self.index < len(value):
            return (value[self.index],)
        return ()


class Slice(Struct, frozen=True):
    """`[0:1]`, clamped to the list. `step` is positive."""

    start: int | None
    stop: int | None
    step: int | None

    def select(self, value: Any) -> Sequence[Any]:
        return value[self.start : self.stop : self.step] if isinstance(value, list) else ()


class Each(Struct, frozen=True):
    """`.*` and `[*]`: the items of a list, the values of a map."""

    def select(self, value: Any) -> Sequence[Any]:
        return _children(value)


class Descendants(Struct, frozen=True):
    """`..name`: the fields of that name in the value itself and in everything inside it."""

    name: str

    def select(self, value: Any) -> Sequence[Any]:
        selected = []
        # No recursion: objects may be deeper than Python's stack.
        pending = [value]
        while pending:
            inner = pending.pop()
            if isinstance(inner, dict) and self.name in inner:
                selected.append(inner[self.name])
            pending.extend(_children(inner))
        return selected


class Filter(Struct, frozen=True):
    """`[?(@.name=='A')]`: the children whose field compares so; without a comparison, that have the field.

    As in kubectl, a child without the field is never selected. Values of different types are unequal,
    and have no order.
    """

    field: tuple[Name | Index, ...]
    comparison: str
    literal: Scalar

    def select(self, value: Any) -> Sequence[Any]:
        return [child for child in _children(value) if self._selects(child)]

    def _selects(self, child: Any) -> bool:
        compared = select(child, self.field)
        if not compared or not self.comparison:
            return bool(compared)
        (left,) = compared
        if _type(left) != _type(self.literal):
            return self.comparison == "!="
        if self.comparison not in ("==", "!=") and _type(left) not in (str, float):
            return False
        return COMPARISONS[self.comparison](left, self.literal)


Step = Name | Index | Slice | Each | Descendants | Filter


def select(document: Any, steps: Sequence[Step]) -> Sequence[Any]:
    """Return all values that the steps lead to, in any order."""
    values: Sequence[Any] = (document,)
    for step in steps:
        if len(values) == 1:
            values = step.select(values[0])
        else:
            values = [selected for value in values for selected in step.select(value)]
    return values


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _type(value: Any) -> type:
    """The JSON type: integers and fractions are both numbers, True and False are none."""
    return float if isinstance(value, int) and not isinstance(value, bool) else type(value)
