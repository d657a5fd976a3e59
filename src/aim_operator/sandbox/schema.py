"""Structural schemas: compiled once from OpenAPI, then pruning and defaulting of whole objects.

Also answers what server-side apply asks: how a list or map merges. Validation is in validation.py.
Called by server.py, and by validation.py and ownership.py, which walk the same nodes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.refusals import bad_request


class Node:
    """The schema of one value. `properties`, `values` and `items` lead to the values below.

    `ruled`: there are CEL rules at or below it. `open`: it lets unknown fields through.
    """

    __slots__ = (
        "atomic",
        "default",
        "has_default",
        "int_or_string",
        "items",
        "keys",
        "list_type",
        "nullable",
        "open",
        "properties",
        "raw",
        "required",
        "ruled",
        "rules",
        "type",
        "values",
    )

    def __init__(self, raw: Manifest) -> None:
        self.raw = raw
        self.type: str = raw.get("type", "")
        self.properties = {name: Node(child) for name, child in raw.get("properties", {}).items()}
        additional = raw.get("additionalProperties")
        self.values = Node(additional) if isinstance(additional, dict) else None
        self.items = Node(raw["items"]) if isinstance(raw.get("items"), dict) else None
        self.open: bool = (
            raw.get("x-kubernetes-preserve-unknown-fields", False) or additional is True or not raw
        )
        self.list_type: str = raw.get("x-kubernetes-list-type", "atomic")
        self.keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        self.atomic: bool = raw.get("x-kubernetes-map-type") == "atomic"
        self.int_or_string: bool = raw.get("x-kubernetes-int-or-string", False)
        self.nullable: bool = raw.get("nullable", False)
        self.required: tuple[str, ...] = tuple(raw.get("required", ()))
        self.rules: tuple[Manifest, ...] = tuple(raw.get("x-kubernetes-validations", ()))
        below = (*self.properties.values(), self.values, self.items)
        self.ruled: bool = bool(self.rules) or any(child is not None and child.ruled for child in below)
        self.has_default = "default" in raw
        self.default = raw.get("default")

    def child(self, name: str) -> Node:
        """The schema of a map's member; ANY where nothing is known of it."""
        return self.properties.get(name) or self.values or ANY

    def item(self) -> Node:
        return self.items or ANY

    def key_of(self, item: Any) -> tuple[tuple[str, Any], ...] | None:
        """The merge key of an item of a list of type map; None where the item has none of its fields."""
        if not isinstance(item, dict) or not any(key in item for key in self.keys):
            return None
        # A key field with a default (a port's protocol) may be left out.
        return tuple(
            [(key, item[key] if key in item else self.item().child(key).default) for key in self.keys]
        )


ANY = Node({})
_CONTAINERS = (dict, list)


def admitted(node: Node, value: Any, before: Any = None) -> Any:
    """A copy of `value` without unknown fields and with defaults filled in. Wrong types stay as they are.

    Parts that are those of `before`, which was admitted by the same schema, are taken over and not copied.
    """
    if isinstance(value, dict):
        return _admitted_map(node, value, before if isinstance(before, dict) else _NOTHING)
    if isinstance(value, list):
        item = node.item()
        return [admitted(item, member) for member in value]
    return value if value.__class__ is not int else _read(value)


def _read(number: int) -> int | float:
    """As the API server reads JSON: as a float where 64 bits don't hold it. Raises BadRequest beyond that."""
    if -(2**63) <= number < 2**63:
        return number
    try:
        return float(number)
    except OverflowError:
        raise bad_request("json: cannot unmarshal number: value out of range") from None


_NOTHING: Manifest = {}


def _admitted_map(node: Node, value: Manifest, before: Manifest) -> Manifest:
    out: Manifest = {}
    properties, values = node.properties, node.values
    for name, member in value.items():
        if member is not None and before.get(name) is member:
            out[name] = member
            continue
        schema = properties.get(name) or values
        if schema is None:
            if not node.open:
                continue
            schema = ANY
        if member is None and schema is not ANY and not schema.nullable:
            # As `key:` without a value is in YAML: a field that nobody set, which may have a default.
            continue
        if isinstance(member, _CONTAINERS):
            out[name] = admitted(schema, member, before.get(name))
        else:
            out[name] = member if member.__class__ is not int else _read(member)
    for name, schema in properties.items():
        if schema.has_default and name not in out:
            out[name] = copied(schema.default)
    return out


def without_nulls(value: Any, before: Any = None) -> Any:
    """A copy without null members: typed built-in kinds read a null as absent. `before` as in `admitted`."""
    if isinstance(value, dict):
        known = before if isinstance(before, dict) else _NOTHING
        return {
            name: member
            if not isinstance(member, _CONTAINERS) or known.get(name) is member
            else without_nulls(member, known.get(name))
            for name, member in value.items()
            if member is not None
        }
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def copied(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {
            name: copied(member) if isinstance(member, _CONTAINERS) else member
            for name, member in value.items()
        }
    if isinstance(value, list):
        return [copied(member) if isinstance(member, _CONTAINERS) else member for member in value]
    return value


def shown(value: Any) -> str:
    """A value as refusals quote it."""
    return msgspec.json.encode(value).decode()
