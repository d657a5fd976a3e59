"""No regular expression of the operator takes more than linear time to fail, but where its text is short.

A backtracking engine tries a repetition within a repetition in exponentially many ways where the inner one
can end at many places. Patterns are read as Python parses them; no clock is needed.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import aim_operator

REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT)
ASCII = [chr(code) for code in range(128)]
CATEGORIES = {
    op.CATEGORY_SPACE: r"\s",
    op.CATEGORY_NOT_SPACE: r"\S",
    op.CATEGORY_DIGIT: r"\d",
    op.CATEGORY_NOT_DIGIT: r"\D",
    op.CATEGORY_WORD: r"\w",
    op.CATEGORY_NOT_WORD: r"\W",
}
MANY = 64
"""Repetitions of more than that count as unbounded."""


def compiled() -> dict[str, re.Pattern[Any]]:
    """Every pattern that a module keeps, by where it is."""
    found: dict[str, re.Pattern[Any]] = {}
    for module in pkgutil.walk_packages(aim_operator.__path__, "aim_operator."):
        if "__main__" in module.name:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
    return found


PATTERNS = compiled()


def characters(node: Any) -> set[str]:
    """The ASCII characters that one element of a pattern takes first."""
    code, argument = node
    if code in (op.LITERAL, op.NOT_LITERAL):
        return {char for char in ASCII if (ord(char) == argument) is (code is op.LITERAL)}
    if code is op.ANY:
        return set(ASCII)
    if code is op.IN:
        return taken_by_set(argument)
    if code in (*REPEATS, op.POSSESSIVE_REPEAT):
        return first(argument[2])
    if code is op.SUBPATTERN:
        return first(argument[3])
    if code is op.ATOMIC_GROUP:
        return first(argument)
    if code is op.BRANCH:
        return set().union(*(first(branch) for branch in argument[1]))
    return set()


def taken_by_set(members: list[Any]) -> set[str]:
    taken: set[str] = set()
    for code, argument in members:
        if code is op.LITERAL:
            taken.add(chr(argument))
        elif code is op.RANGE:
            taken |= {char for char in ASCII if argument[0] <= ord(char) <= argument[1]}
        elif code is op.CATEGORY:
            matcher = re.compile(CATEGORIES[argument])
            taken |= {char for char in ASCII if matcher.match(char)}
    return set(ASCII) - taken if members[0][0] is op.NEGATE else taken


def first(sequence: Any) -> set[str]:
    """The characters with which a sequence may begin; beyond elements that may be absent too."""
    begins: set[str] = set()
    for node in sequence:
        begins |= characters(node)
        code, argument = node
        if code is op.AT or (code in (*REPEATS, op.POSSESSIVE_REPEAT) and argument[0] == 0):
            continue
        return begins
    return begins


def unbounded(node: Any) -> bool:
    code, argument = node
    return code in REPEATS and (argument[1] is op.MAXREPEAT or argument[1] > MANY)


def inner_sequences(node: Any) -> Iterator[Any]:
    code, argument = node
    if code in REPEATS:
        yield argument[2]
    elif code is op.SUBPATTERN:
        yield argument[3]
    elif code is op.BRANCH:
        yield from argument[1]
    # What is atomic or possessive is never tried again: nothing within it can multiply.


def exponential(sequence: Any) -> bool:
    """Whether a repetition holds another one that can give up characters to the next round."""
    for node in sequence:
        if unbounded(node) and can_share(node[1][2]):
            return True
        if any(exponential(inner) for inner in inner_sequences(node)):
            return True
    return False


def can_share(body: Any) -> bool:
    """Whether what an inner repetition of `body` takes can also begin the next round of `body`."""
    begins = first(body)
    return any(repeats & begins for repeats in repeated_at_the_end(body))


def repeated_at_the_end(body: Any) -> Iterator[set[str]]:
    for node in reversed(list(body)):
        if unbounded(node):
            yield first(node[1][2])
        for inner in inner_sequences(node):
            yield from repeated_at_the_end(inner)
        if not (node[0] in REPEATS and node[1][0] == 0):
            return


@pytest.mark.parametrize("where", sorted(PATTERNS))
def test_a_pattern_does_not_try_exponentially_many_ways(where: str) -> None:
    pattern = PATTERNS[where]
    assert not exponential(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE)), pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "want"),
    [
        (r"(a+)+b", True),
        (r"(a*)*b", True),
        (r"([a-z]+)*[0-9]", True),
        (r"(?:[a-z]|[a-f]+)*x", True),
        (r"([a-z]+/)*x", False),
        (r"[a-z]+(/[a-z]+)*", False),
        (r"(?:a++)*b", False),
        (r"a+b+", False),
    ],
)
def test_what_counts_as_exponential(pattern: str, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert exponential(parser.parse(pattern)) is want


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 30
    assert "aim_operator.core.json_arrays._TOKEN" in PATTERNS
