"""Kubernetes' JSONPath templates: split into text and paths, and the one value that a path selects.

Owns the spelling, which is kubectl's (`{.a.b}`, escaped dots, quoted keys), and what of it one value
needs: no loops, no unions, no functions, no regular expressions. Templates come from users, so their
length, their steps and their searches are bounded. What steps select is core.jsonpath_steps'. Does not
know what is made of the values. Called by core.routing.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.jsonpath_steps import (
    Descendants,
    Each,
    Filter,
    Index,
    Name,
    Scalar,
    Slice,
    Step,
    select,
)
from aim_operator.core.messages import quote
from aim_operator.errors import SpecError

MAX_TEMPLATE = 1024
MAX_EXPRESSIONS = 16
MAX_EXPRESSION = 256
MAX_STEPS = 16
"""In one expression, its filters' included. An AIMService is less than ten levels deep."""
MAX_SEARCHES = 4
"""Steps of a template that look at more than one child: filters, wildcards, slices and '..'."""
REMEMBERED = 256
"""Templates: a cluster has few, and each reconcile of each service asks for one."""

_NAME_END = frozenset(" \t\r\n.,[]$@{}")
_FILTER_NAME_END = _NAME_END | frozenset("()=!<>&|")
_TEXT = re.compile(r"[^{}]+")
_INDEX = re.compile(r"-?[0-9]{0,9}(?::-?[0-9]{0,9}){0,2}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>")
_WORD = re.compile(r"\w*")
_BLANKS = re.compile(r" *")
_KEYWORDS: dict[str, Scalar] = {"true": True, "false": False, "null": None}

_EXAMPLE_FILTER = "such as [?(@.name=='A')]"


class Text(Struct, frozen=True):
    """The template's own text, or what a quoted string between braces says."""

    text: str
    quoted: bool = False


class Expression(Struct, frozen=True):
    """A JSONPath: as the template spells it, braces included, and its steps."""

    source: str
    steps: tuple[Step, ...]


@lru_cache(REMEMBERED)
def parse(template: str) -> tuple[Text | Expression, ...]:
    """Split a template. Raises SpecError(RouteTemplateInvalid) that quotes the expression."""
    if len(template) > MAX_TEMPLATE:
        raise _invalid(template, f"has {len(template)} characters", f"use at most {MAX_TEMPLATE}")
    return _Parser(template).template()


def evaluate(expression: Expression, document: dict[str, Any]) -> str:
    """Select the one scalar that the expression means, as text; booleans and numbers as JSON writes them.

    Raises SpecError(RouteTemplateInvalid) for none, several, null, a map or a list.
    """
    source = expression.source
    values = select(document, expression.steps)
    if len(values) > 1:
        raise _invalid(source, "selects several values", "select exactly one, such as with an index [0]")
    if not values or values[0] is None:
        raise _invalid(
            source, "selects nothing", "set that field on the AIMService, or select one that is set"
        )
    (value,) = values
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    kind = "a map" if isinstance(value, dict) else "a list"
    raise _invalid(source, f"selects {kind}", "select a single text, number or boolean inside it")


def _invalid(source: str, problem: str, remedy: str) -> SpecError:
    return SpecError(Reason.ROUTE_TEMPLATE_INVALID, f"routeTemplate: {quote(source)} {problem}; {remedy}")


class _Parser:
    """One pass from left to right; each method consumes what it is named after."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0
        self._steps = 0
        self._searches = 0
        self._descends = False

    def template(self) -> tuple[Text | Expression, ...]:
        parts: list[Text | Expression] = []
        expressions = 0
        while self._at < len(self._text):
            self._start = self._at
            if self._take("{"):
                expressions += 1
                if expressions > MAX_EXPRESSIONS:
                    raise _invalid(self._text, "has too many expressions", f"use at most {MAX_EXPRESSIONS}")
                parts.append(self._expression())
            elif text := self._match(_TEXT):
                parts.append(Text(text))
            else:
                raise _invalid(
                    self._text, "has a '}' without a '{'", "remove it, or write %7D for a literal brace"
                )
        return tuple(parts)

    def _expression(self) -> Text | Expression:
        self._steps = 0
        self._descends = False
        self._blanks()
        quoted = self._quoted() if self._peek() in ("'", '"') else None
        steps = self._path() if quoted is None else ()
        self._blanks()
        if not self._take("}"):
            raise self._unclosed()
        source = self._text[self._start : self._at]
        if len(source) > MAX_EXPRESSION:
            raise _invalid(source, f"has {len(source)} characters", f"use at most {MAX_EXPRESSION}")
        return Expression(source, steps) if quoted is None else Text(quoted, quoted=True)

    def _path(self) -> tuple[Step, ...]:
        if not (self._take("$") or self._take("@") or self._peek() in (".", "[")):
            word = self._match(_WORD)
            if word in ("range", "end"):
                raise self._error(
                    "is a loop, and a path has one value", "select one, such as {.spec.env[0].name}"
                )
            if self._peek() == "}" and not word:
                raise self._error(
                    "selects nothing", "write a JSONPath between the braces, such as {.spec.model}"
                )
            raise self._error("does not start with '.'", "write a JSONPath such as {.spec.model}")
        steps = []
        while step := self._step():
            steps.append(step)
        return tuple(steps)

    def _step(self) -> Step | None:
        """One step, counted; None at the end of the path."""
        if self._take(".."):
            step: Step = self._descendants()
        elif self._take("[?("):
            step = self._filter()
        elif self._take(".") or self._peek() == "[":
            step = self._child()
        else:
            return None
        self._count(step)
        return step

    def _count(self, step: Step) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise self._error(f"has more than {MAX_STEPS} steps", "name a field that is less deep")
        self._searches += not isinstance(step, Name | Index)
        if self._searches > MAX_SEARCHES:
            raise self._error(
                f"is more than the {MAX_SEARCHES} searches of a template ('[*]', '..', slices, filters)",
                "name fields, or use an index [0]",
            )

    def _descendants(self) -> Descendants:
        if self._descends:
            raise self._error("descends more than once", "use '..' once, and name the fields between")
        self._descends = True
        step = self._child()
        if not isinstance(step, Name):
            raise self._error("has a '..' with no field name after it", "name a field, such as {..team}")
        return Descendants(step.name)

    def _child(self, ends: frozenset[str] = _NAME_END) -> Step:
        if self._take("["):
            return self._bracket()
        start = self._at
        name = ""
        while self._peek() and self._peek() not in ends:
            name += self._character()
        if not name:
            raise self._error("has a '.' with no field name after it", "name a field, such as {.spec.model}")
        return Each() if self._text[start : self._at] == "*" else Name(name)

    def _bracket(self) -> Step:
        """A quoted key, an index, a slice or a star, and the bracket that closes it."""
        self._blanks()
        step: Step
        if self._peek() in ("'", '"'):
            step = Name(self._quoted())
        else:
            step = Each() if self._take("*") else self._index()
        self._blanks()
        if self._peek() == ",":
            raise self._error(
                "selects by several keys, and a path has one value", "keep one, such as [0] or ['team']"
            )
        if not self._take("]"):
            raise self._error("has a '[' that is not closed", "write an index [0] or a quoted key ['team']")
        return step

    def _index(self) -> Index | Slice:
        text = self._match(_INDEX)
        numbers = text.split(":")
        if not text or "-" in numbers:
            raise self._error("has a bracket that is no index and no quoted key", "write [0] or ['team']")
        if len(numbers) == 1:
            return Index(int(text))
        start, stop, step, *_ = [int(number) if number else None for number in numbers] + [None]
        if step is not None and step < 1:
            raise self._error("has a slice that does not advance", "use a step of 1 or more, or none")
        return Slice(start, stop, step)

    def _filter(self) -> Filter:
        """The rest of a filter: one field, and what it is compared with."""
        self._blanks()
        if not self._take("@"):
            raise self._error(
                "has a filter that does not start with '@'", f"filter by a field, {_EXAMPLE_FILTER}"
            )
        field = []
        while self._peek() in (".", "["):
            field.append(self._filter_step())
        self._blanks()
        comparison = self._match(_COMPARISON)
        self._blanks()
        literal = self._literal() if comparison else None
        self._blanks()
        closed = self._take(")")
        self._blanks()
        if not (closed and self._take("]")):
            raise self._unreadable_filter()
        return Filter(tuple(field), comparison, literal)

    def _filter_step(self) -> Name | Index:
        dot = self._take(".")
        searches = (dot and self._peek() == ".") or self._text.startswith("[?(", self._at)
        step = None if searches else self._child(_FILTER_NAME_END)
        if not isinstance(step, Name | Index):
            raise self._error("has a filter that searches", f"filter by one field, {_EXAMPLE_FILTER}")
        self._count(step)
        return step

    def _literal(self) -> Scalar:
        if self._peek() in ("'", '"'):
            return self._quoted()
        if number := self._match(_NUMBER):
            return float(number) if "." in number else int(number)
        word = self._match(_WORD)
        if word not in _KEYWORDS:
            raise self._unreadable_filter()
        return _KEYWORDS[word]

    def _unreadable_filter(self) -> SpecError:
        return self._error(
            "has a filter that can't be read", f"compare one field with a text or number, {_EXAMPLE_FILTER}"
        )

    def _quoted(self) -> str:
        mark = self._peek()
        self._at += 1
        content = ""
        while self._peek() != mark:
            if not self._peek():
                raise self._error("has a quote that is not closed", f"close it with {mark}")
            content += self._character()
        self._at += 1
        return content

    def _character(self) -> str:
        """One character of a name or string; a backslash makes the next one stand for itself."""
        self._take("\\")
        if not self._peek():
            raise self._error("ends in a backslash", "write \\\\ for a backslash")
        self._at += 1
        return self._text[self._at - 1]

    def _unclosed(self) -> SpecError:
        if not self._peek():
            return self._error(
                "has a '{' that is not closed", "close it with '}', or write %7B for a literal brace"
            )
        rest = quote(self._text[self._at : self._at + 10])
        return self._error(f"can't be read from {rest} on", "quote keys with such characters, as in ['team']")

    def _error(self, problem: str, remedy: str) -> SpecError:
        end = self._text.find("}", self._at) + 1 or len(self._text)
        return _invalid(self._text[self._start : end], problem, remedy)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self, token: str) -> bool:
        taken = self._text.startswith(token, self._at)
        self._at += len(token) * taken
        return taken

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        text = match.group() if match else ""
        self._at += len(text)
        return text

    def _blanks(self) -> None:
        self._match(_BLANKS)
