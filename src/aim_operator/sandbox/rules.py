"""CEL rules of CRDs (x-kubernetes-validations), evaluated where the `cel` package is installed.

Where it is missing, objects are checked against their schemas alone, and `AVAILABLE` says so. Kubernetes'
quantity library is provided here. Called by server.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from types import ModuleType
from typing import Any

import msgspec

from aim_operator.api import quantity
from aim_operator.sandbox.refusals import Cause
from aim_operator.sandbox.schema import Node, shown
from aim_operator.sandbox.validation import compiled

AVAILABLE = importlib.util.find_spec("cel") is not None

_REASONS = {
    "": "Invalid value: ",
    "FieldValueInvalid": "Invalid value: ",
    "FieldValueRequired": "Required value: ",
    "FieldValueForbidden": "Forbidden: ",
}
# `self.name` is a member, unless it is called: `self.all(...)`.
_MEMBER = re.compile(r"\bself\b(?:[.](\w+)(?!\w|\())?")
UNSET = object()


def broken_rules(node: Node, value: Any, old: Any = UNSET, path: str = "") -> Iterator[Cause]:
    """The rules that `value` breaks. Those about `oldSelf` hold only between `old` and `value`.

    What did not change is not looked at again: an object that an older rule let in stays writable.
    """
    if not node.ruled or value == old:
        return
    for rule in node.rules:
        text = rule["rule"]
        transition = "oldSelf" in text
        if transition and old is UNSET:
            continue
        message = _verdict(
            text,
            rule.get("message", f"failed rule: {text}"),
            rule.get("messageExpression", ""),
            msgspec.json.encode(_seen(text + rule.get("messageExpression", ""), value)),
            msgspec.json.encode(old) if transition else b"",
        )
        if message:
            yield _cause(rule, message, value, path)
    if isinstance(value, dict):
        before = old if isinstance(old, dict) else {}
        for name, member in value.items():
            schema = node.properties.get(name)
            below = f"{path}.{name}" if path else name
            if schema is None:
                schema, below = node.values, f"{path}[{name}]"
            if schema is not None:
                yield from broken_rules(schema, member, before.get(name, UNSET), below)
    elif isinstance(value, list) and node.items is not None:
        matched = _matched(node, old)
        for index, member in enumerate(value):
            former = matched.get(node.key_of(member), UNSET)
            yield from broken_rules(node.items, member, former, f"{path}[{index}]")


def _seen(text: str, value: Any) -> Any:
    """What a rule sees of `value`, as far as its text tells: the less, the more often a verdict is known."""
    members = _members(text)
    if not members or not isinstance(value, dict):
        return value
    seen = {name: value[name] for name in members if name in value}
    if "metadata" in seen:
        # Rules see no more of it.
        seen["metadata"] = {"name": seen["metadata"]["name"]}
    return seen


@lru_cache
def _members(text: str) -> tuple[str, ...]:
    """The members of `self` that a rule names; none where it looks at `self` as a whole."""
    names = _MEMBER.findall(text)
    return () if "" in names or "oldSelf" in text else tuple(dict.fromkeys(names))


def _cause(rule: dict[str, str], message: str, value: Any, path: str) -> Cause:
    kind = _REASONS[rule.get("reason", "")]
    where = rule.get("fieldPath", "")
    if where:
        return Cause(f"{path}{where}" if path else where.removeprefix("."), f"{kind}{message}")
    if kind != _REASONS[""]:
        return Cause(path, f"{kind}{message}")
    quoted = shown(value) if not isinstance(value, dict | list) else f'"{_json_type(value)}"'
    return Cause(path, f"{kind}{quoted}: {message}")


def _json_type(value: Any) -> str:
    return "object" if isinstance(value, dict) else "array"


def _matched(node: Node, old: Any) -> dict[Any, Any]:
    """Items of the old list by merge key: only those of maps can be told to be the same."""
    if node.list_type != "map" or not isinstance(old, list):
        return {}
    return {node.key_of(item): item for item in old}


@lru_cache(maxsize=65536)
def _verdict(rule: str, message: str, message_expression: str, value: bytes, old: bytes) -> str:
    """Nothing where the rule holds, else its message. Cached: the same few values come again and again."""
    context = _context()
    context.add_variable("self", msgspec.json.decode(value))
    context.add_variable("oldSelf", msgspec.json.decode(old) if old else None)
    try:
        if _program(rule).execute(context) is True:
            return ""
        if message_expression:
            return str(_program(message_expression).execute(context))
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        return f"rule {rule!r} could not be evaluated: {error}"
    return message


@lru_cache
def _program(text: str) -> Any:
    cel = _library()
    # The library's own `matches` has Rust's syntax, which reads [[] otherwise than Kubernetes' RE2.
    return cel.compile(text.replace(".matches(", ".matchesRE2("))


@lru_cache
def _library() -> Any:
    """Import CEL without the command line that its package brings: 0.05 s instead of 0.5 s."""
    without = {"cel.cli": ModuleType("cel.cli")}
    before = {name: sys.modules.get(name) for name in without}
    sys.modules.update(without)
    try:
        return importlib.import_module("cel")
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _amount(text: str) -> Decimal:
    amount = quantity.parse(text)
    if amount is None:
        raise ValueError(f"{text!r} is no quantity")
    return amount


@lru_cache
def _context() -> Any:
    """The one context of all evaluations, which only lends its variables to each."""
    cel = _library()
    # A quantity is its own text to CEL; the methods below read it again.
    functions: dict[str, Callable[..., Any]] = {
        "matchesRE2": lambda text, pattern: compiled(pattern).search(text) is not None,
        "quantity": lambda text: text,
        "isQuantity": lambda text: quantity.parse(text) is not None,
        "isLessThan": lambda one, other: _amount(one) < _amount(other),
        "isGreaterThan": lambda one, other: _amount(one) > _amount(other),
        "sum": sum,
        "isInteger": lambda text: _amount(text) == _amount(text).to_integral_value(),
    }
    context = cel.Context()
    for name, function in functions.items():
        context.add_function(name, function)
    return context
