"""Validation of an object against its structural schema, with the API server's messages.

Lengths count characters, patterns are searched, formats are not checked (the real server checks few, and
date-time only). CEL rules are rules.py's. Called by server.py before anything is stored.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from aim_operator.sandbox.refusals import Cause
from aim_operator.sandbox.schema import Node, shown

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
}


# An escape, a bracket expression (which may begin with "]"), or any other character.
_PIECES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]])*\]|.", re.DOTALL)


def violations(node: Node, value: Any, path: str = "", old: Any = None) -> Iterator[Cause]:
    """Every way in which `value` breaks its schema.

    What is as it was in `old` is not looked at again: what an older schema let in stays writable.
    """
    if value is None and node.nullable:
        return
    if old is not None and (value is old or value == old):
        return
    if not _type_fits(node, value):
        actual = _json_type(value)
        expected = "integer,string" if node.int_or_string else node.type
        yield Cause(path, f'Invalid value: "{actual}": {path} in body must be of type {expected}: "{actual}"')
        return
    if isinstance(value, str):
        yield from _string(node, value, path)
    elif isinstance(value, dict):
        yield from _map(node, value, path, old if isinstance(old, dict) else {})
    elif isinstance(value, list):
        yield from _list(node, value, path)
    elif not isinstance(value, bool) and value is not None:
        yield from _number(node, value, path)
    choices = node.raw.get("enum")
    if choices is not None and value not in choices:
        allowed = ", ".join(shown(choice) for choice in choices)
        yield Cause(path, f"Unsupported value: {shown(value)}: supported values: {allowed}")


def _type_fits(node: Node, value: Any) -> bool:
    if node.int_or_string:
        return isinstance(value, int | str) and not isinstance(value, bool)
    if not node.type:
        return True
    if isinstance(value, bool):
        return node.type == "boolean"
    if isinstance(value, float) and node.type == "integer":
        return value.is_integer()
    return isinstance(value, _TYPES[node.type])


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    kinds = (("string", str), ("integer", int), ("number", float), ("object", dict), ("array", list))
    return next(name for name, kind in kinds if isinstance(value, kind))


def _string(node: Node, value: str, path: str) -> Iterator[Cause]:
    raw = node.raw
    if "minLength" in raw and len(value) < raw["minLength"]:
        least = raw["minLength"]
        yield Cause(
            path, f"Invalid value: {shown(value)}: {path} in body should be at least {least} chars long"
        )
    if "maxLength" in raw and len(value) > raw["maxLength"]:
        yield Cause(path, f"Too long: may not be more than {raw['maxLength']} bytes")
    if "pattern" in raw and not compiled(raw["pattern"]).search(value):
        pattern = raw["pattern"]
        yield Cause(path, f"Invalid value: {shown(value)}: {path} in body should match '{pattern}'")


@lru_cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of Kubernetes (Go's RE2 syntax) as Python's."""
    with warnings.catch_warnings():
        # Python warns of "[[]", which it reads as RE2 does.
        warnings.simplefilter("ignore", FutureWarning)
        # Go's $ matches only at the very end of the text, Python's also before a last newline.
        return re.compile(_PIECES.sub(lambda piece: r"\Z" if piece[0] == "$" else piece[0], pattern))


def _number(node: Node, value: float, path: str) -> Iterator[Cause]:
    raw = node.raw
    if "minimum" in raw and value < raw["minimum"]:
        bound = f"greater than or equal to {raw['minimum']}"
        yield Cause(path, f"Invalid value: {shown(value)}: {path} in body should be {bound}")
    if "maximum" in raw and value > raw["maximum"]:
        bound = f"less than or equal to {raw['maximum']}"
        yield Cause(path, f"Invalid value: {shown(value)}: {path} in body should be {bound}")


def _map(node: Node, value: dict[str, Any], path: str, old: dict[str, Any]) -> Iterator[Cause]:
    for name in node.required:
        if name not in value:
            yield Cause(_below(path, name), "Required value")
    most = node.raw.get("maxProperties")
    if most is not None and len(value) > most:
        yield Cause(path, f"Too many: {len(value)}: must have at most {most} items")
    properties, values = node.properties, node.values
    for name, member in value.items():
        schema = properties.get(name) or values
        if schema is None:
            continue
        # Most of an update is as it was.
        before = old.get(name)
        if before is None or not (member is before or member == before):
            yield from violations(schema, member, _below(path, name), before)


def _list(node: Node, value: list[Any], path: str) -> Iterator[Cause]:
    raw = node.raw
    if "minItems" in raw and len(value) < raw["minItems"]:
        bound = f"should have at least {raw['minItems']} items"
        yield Cause(path, f"Invalid value: {len(value)}: {path} in body {bound}")
    if "maxItems" in raw and len(value) > raw["maxItems"]:
        yield Cause(path, f"Too many: {len(value)}: must have at most {raw['maxItems']} items")
    seen = set()
    for index, member in enumerate(value):
        yield from violations(node.item(), member, f"{path}[{index}]")
        if node.list_type == "atomic":
            continue
        identity = node.key_of(member) if node.list_type == "map" else shown(member)
        # A key may be of any type here: that it is of a wrong one is said besides.
        identity = shown(dict(identity)) if isinstance(identity, tuple) else identity
        if identity is not None and identity in seen:
            yield Cause(f"{path}[{index}]", f"Duplicate value: {identity}")
        seen.add(identity)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
