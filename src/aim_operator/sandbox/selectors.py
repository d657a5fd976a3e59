"""Label and field selectors, parsed as the API server parses them.

Called by server.py for lists and by watches.py for every change of a watched kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.refusals import bad_request

Match = Callable[[Manifest], bool]

_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_./]*[A-Za-z0-9])?"
_SET = re.compile(rf"^({_NAME})\s+(in|notin)\s+\(([^()]*)\)$")
_EQUALITY = re.compile(rf"^({_NAME})\s*(==|=|!=)\s*({_NAME}|)$")
_EXISTS = re.compile(rf"^(!?)\s*({_NAME})$")
_COMMA = re.compile(r",(?![^(]*\))")


def everything(obj: Manifest) -> bool:  # noqa: ARG001 - a Match
    return True


@lru_cache
def label_match(selector: str) -> Match:
    """Whether an object's labels fit. Raises Invalid for a selector that can't be read."""
    if not selector.strip():
        return everything
    requirements = [_requirement(part.strip()) for part in _COMMA.split(selector)]

    def match(obj: Manifest) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return match


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    if match := _SET.match(text):
        name, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda labels: labels.get(name) in values
        return lambda labels: labels.get(name) not in values
    if match := _EQUALITY.match(text):
        name, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(name) != value
        return lambda labels: labels.get(name) == value
    if match := _EXISTS.match(text):
        absent, name = match.groups()
        return lambda labels: (name in labels) != bool(absent)
    raise bad_request(f"unable to parse requirement: {text!r}")


def field_match(selector: str, supported: frozenset[str], *, batch_kind: str = "") -> Match:
    """Whether an object's fields fit. Raises Invalid for a field that its kind can't be selected by.

    The batch group words that in its own way; `batch_kind` is its kind, if it is one.
    """
    if not selector.strip():
        return everything
    terms = []
    for term in selector.split(","):
        path, operator, value = _field_term(term)
        if path not in supported:
            if batch_kind:
                raise bad_request(f'field label "{path}" not supported for {batch_kind}')
            raise bad_request(f"field label not supported: {path}")
        terms.append((tuple(path.split(".")), operator, value))

    def match(obj: Manifest) -> bool:
        return all((_text_at(obj, path) == value) == (operator != "!=") for path, operator, value in terms)

    return match


def _field_term(term: str) -> tuple[str, str, str]:
    for operator in ("!=", "==", "="):
        path, separator, value = term.partition(operator)
        if separator:
            return path.strip(), operator, value.strip()
    raise bad_request(f"invalid selector: '{term}'; can't understand '{term}'")


def _text_at(obj: Any, path: tuple[str, ...]) -> str:
    for name in path:
        obj = obj.get(name) if isinstance(obj, dict) else None
    if isinstance(obj, bool):
        return "true" if obj else "false"
    return "" if obj is None else str(obj)
