"""Kubernetes' JSONPath templates: split into text and expressions, and one expression evaluated.

Owns the Kubernetes spelling (kubectl's: `{.a.b}`, escaped dots, quoted keys), which it translates to
RFC 9535 for python-jsonpath to evaluate. Filters keep to one comparison and there are no functions
and no regular expressions: templates come from users. Does not know what is made of the values.
Called by core.routing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from jsonpath import CompoundJSONPath, JSONPath, JSONPathEnvironment, JSONPathError
from jsonpath.selectors import IndexSelector, NameSelector
from msgspec import Struct

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.messages import quote
from aim_operator.errors import SpecError

MAX_TEMPLATE = 1024
MAX_EXPRESSIONS = 16
MAX_EXPRESSION = 256
REMEMBERED = 256
"""Templates, and expressions: a cluster has few, and each reconcile of each service asks for one."""

_RFC9535 = JSONPathEnvironment(strict=True)

_NAME_END = frozenset(" \t\r\n.,[]$@{}")
_FILTER_NAME_END = _NAME_END | frozenset("()=!<>")
_INDEX = re.compile(r"-?[0-9]{0,9}(?::-?[0-9]{0,9}){0,2}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", re.ASCII)
_OPERATOR = re.compile(r"==|!=|<=|>=|<|>")
_WORD = re.compile(r"\w*")


class Text(Struct, frozen=True):
    """The template's own text, or what a quoted string between braces says."""

    text: str
    quoted: bool = False


class Expression(Struct, frozen=True):
    """A JSONPath: as the template spells it, braces included, and as RFC 9535 does."""

    source: str
    query: str


@lru_cache(REMEMBERED)
def parse(template: str) -> tuple[Text | Expression, ...]:
    """Split a template. Raises SpecError(RouteTemplateInvalid) that quotes the expression."""
    if len(template) > MAX_TEMPLATE:
        raise _invalid(template, f"has {len(template)} characters", f"use at most {MAX_TEMPLATE}")
    return _Scanner(template).template()


def evaluate(expression: Expression, document: dict[str, Any]) -> str:
    """Select the one scalar that the expression means, as text; booleans and numbers as JSON writes them.

    Raises SpecError(RouteTemplateInvalid) for none, several, null, a map or a list.
    """
    source = expression.source
    found = _found(expression, document)
    if not found or found[0] is None:
        raise _invalid(
            source, "selects nothing", "set that field on the AIMService, or select one that is set"
        )
    if len(found) > 1:
        raise _invalid(source, "selects several values", "select exactly one, such as with an index [0]")
    (value,) = found
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    kind = "a map" if isinstance(value, Mapping) else "a list"
    raise _invalid(source, f"selects {kind}", "select a single text, number or boolean inside it")


def _found(expression: Expression, document: dict[str, Any]) -> list[Any]:
    """Return what is selected; of several the first two, which are enough to know that it is not one."""
    try:
        query, steps = _compiled(expression.query)
        if steps is not None:
            return _walk(document, steps)
        return [match.obj for match in islice(query.finditer(document), 2)]
    except (JSONPathError, RecursionError) as error:
        raise _invalid(
            expression.source, "can't be evaluated", "select one field, such as {.metadata.name}"
        ) from error


_Steps = tuple[str | int, ...]


@lru_cache(REMEMBERED)
def _compiled(query: str) -> tuple[JSONPath | CompoundJSONPath, _Steps | None]:
    """Compile a query, and tell the names and indexes that it steps through if it does nothing else."""
    compiled = _RFC9535.compile(query)
    if not isinstance(compiled, JSONPath) or not compiled.singular_query():
        return compiled, None
    selectors = [selector for segment in compiled.segments for selector in segment.selectors]
    return compiled, tuple(
        selector.name if isinstance(selector, NameSelector) else selector.index
        for selector in selectors
        if isinstance(selector, NameSelector | IndexSelector)
    )


def _walk(document: dict[str, Any], steps: _Steps) -> list[Any]:
    """Select as the library does, thirty times faster: nearly every expression is of this kind."""
    found: Any = document
    step: Any
    for step in steps:
        if type(found) is not (dict if isinstance(step, str) else list):
            return []
        try:
            found = found[step]
        except LookupError:
            return []
    return [found]


def _invalid(source: str, problem: str, remedy: str) -> SpecError:
    return SpecError(Reason.ROUTE_TEMPLATE_INVALID, f"routeTemplate: {quote(source)} {problem}; {remedy}")


class _Scanner:
    """One pass from left to right; each method consumes what it is named after."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._start = 0
        self._descents = 0
        self._in_filter = False

    def template(self) -> tuple[Text | Expression, ...]:
        parts: list[Text | Expression] = []
        while self._at < len(self._text):
            self._start = self._at
            if self._take("{"):
                parts.append(self._expression())
            elif self._peek() == "}":
                raise _invalid(
                    self._text, "has a '}' without a '{'", "remove it, or write %7D for a literal brace"
                )
            else:
                while self._peek() not in ("", "{", "}"):
                    self._at += 1
                parts.append(Text(self._text[self._start : self._at]))
        if sum(isinstance(part, Expression) for part in parts) > MAX_EXPRESSIONS:
            raise _invalid(self._text, "has too many expressions", f"use at most {MAX_EXPRESSIONS}")
        return tuple(parts)

    def _expression(self) -> Text | Expression:
        self._descents = 0
        self._blanks()
        quoted = self._quoted() if self._peek() in ("'", '"') else None
        query = "" if quoted is not None else self._path()
        self._blanks()
        if not self._take("}"):
            raise self._unclosed()
        source = self._text[self._start : self._at]
        if len(source) > MAX_EXPRESSION:
            raise _invalid(source, f"has {len(source)} characters", f"use at most {MAX_EXPRESSION}")
        return Expression(source, query) if quoted is None else Text(quoted, quoted=True)

    def _path(self) -> str:
        if self._take("$") or self._take("@") or self._peek() in (".", "["):
            return "$" + self._segments()
        word = self._match(_WORD)
        if word in ("range", "end"):
            raise self._error(
                "is a loop, and a path has one value", "select one, such as {.spec.env[0].name}"
            )
        if self._peek() == "}" and not word:
            raise self._error("selects nothing", "write a JSONPath between the braces, such as {.spec.model}")
        raise self._error("does not start with '.'", "write a JSONPath such as {.spec.model}")

    def _segments(self) -> str:
        segments = []
        while True:
            if self._take(".."):
                self._descents += 1
                if self._descents > 1 or self._in_filter:
                    # Each more multiplies the work by the size of the object.
                    raise self._error("descends more than once", "use '..' at most once, outside of filters")
                segments.append(".." + self._child())
            elif self._take(".") or self._peek() == "[":
                segments.append(self._child())
            else:
                return "".join(segments)

    def _child(self) -> str:
        if self._take("["):
            return f"[{self._filter() if self._take('?(') else self._selectors()}]"
        ends = _FILTER_NAME_END if self._in_filter else _NAME_END
        start = self._at
        name = ""
        while self._peek() and self._peek() not in ends:
            name += self._character()
        if not name:
            raise self._error("has a '.' with no field name after it", "name a field, such as {.spec.model}")
        return "[*]" if self._text[start : self._at] == "*" else f"[{json.dumps(name)}]"

    def _selectors(self) -> str:
        selectors = []
        while True:
            self._blanks()
            selectors.append(self._selector())
            self._blanks()
            if self._take("]"):
                return ",".join(selectors)
            if not self._take(","):
                raise self._error(
                    "has a '[' that is not closed", "write an index [0] or a quoted key ['team']"
                )

    def _selector(self) -> str:
        if self._peek() in ("'", '"'):
            return json.dumps(self._quoted())
        if self._take("*"):
            return "*"
        index = self._match(_INDEX)
        numbers = index.split(":")
        if not index or "-" in numbers:
            raise self._error("has a bracket that is no index and no quoted key", "write [0] or ['team']")
        # int drops leading zeros and the sign of -0, which RFC 9535 refuses.
        return ":".join(str(int(number)) if number else "" for number in numbers)

    def _filter(self) -> str:
        if self._in_filter:
            raise self._error("has a filter in a filter", "filter by one field, such as [?(@.name=='A')]")
        self._in_filter = True
        self._blanks()
        comparison = self._operand()
        self._blanks()
        if operator := self._match(_OPERATOR):
            self._blanks()
            comparison += operator + self._operand()
            self._blanks()
        closed = self._take(")")
        self._blanks()
        if not (closed and self._take("]")):
            raise self._error(
                "has a filter that can't be read", "write one comparison, such as [?(@.name=='A')]"
            )
        self._in_filter = False
        return f"?{comparison}"

    def _operand(self) -> str:
        for root in ("@", "$"):
            if self._take(root):
                return root + self._segments()
        if self._peek() in ("'", '"'):
            return json.dumps(self._quoted())
        if number := self._match(_NUMBER):
            return repr(float(number)) if "." in number else str(int(number))
        for word in ("true", "false", "null"):
            if self._take(word):
                return word
        raise self._error(
            "has a filter that can't be read", "compare with a quoted text, such as [?(@.name=='A')]"
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
        self._at += self._take("\\")
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
        found = self._text.startswith(token, self._at)
        self._at += len(token) * found
        return found

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        text = match.group() if match else ""
        self._at += len(text)
        return text

    def _blanks(self) -> None:
        while self._take(" "):
            pass
