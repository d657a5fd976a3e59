"""Markers that turn a Struct into a CRD schema: `Annotated[str, Field(...)]` and `RULES` on a class.

Only data; `crd.py` reads it. msgspec ignores these markers when it decodes: the API server has
already validated what we watch, and an object that an older schema let in must stay readable.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType


class Rule(Struct, frozen=True, kw_only=True):
    """One CEL rule (x-kubernetes-validations). `message` names the field and says what to write instead.

    `field_path` points the error at a child (".spec.x"); `message_expression` is CEL that yields the message
    (`message` is the fall-back). `reason` is what the API server calls the error: FieldValueInvalid if "".
    """

    rule: str
    message: str
    field_path: str = ""
    message_expression: str = ""
    reason: Literal["", "FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"] = ""


def at_most_bytes(limit: int, each: str, message: str) -> Rule:
    """Bound the texts of a list or map together; `each` is the CEL of the text of one item, `e`.

    Lengths of single texts do not bound an object: 128 values of 32 KiB are 4 MiB.
    """
    size = f"bytes({each}).size()"
    if each.startswith("e."):
        size = f"has({each}) ? {size} : 0"
    return Rule(rule=f"self.map(e, {size}).sum() <= {limit}", message=message)


class Field(Struct, frozen=True, kw_only=True):
    """Schema of one field. `doc` becomes its description; the rest are the OpenAPI keywords of that name."""

    doc: str = ""
    default: Any = UNSET
    min_length: int | UnsetType = UNSET
    max_length: int | UnsetType = UNSET
    minimum: int | UnsetType = UNSET
    maximum: int | UnsetType = UNSET
    min_items: int | UnsetType = UNSET
    max_items: int | UnsetType = UNSET
    max_properties: int | UnsetType = UNSET
    enum: tuple[str, ...] | UnsetType = UNSET
    """Allowed values. The type is text, no Literal: what a newer version wrote must stay readable."""
    pattern: str | UnsetType = UNSET
    format: str | UnsetType = UNSET
    list_type: str | UnsetType = UNSET
    list_map_keys: tuple[str, ...] | UnsetType = UNSET
    int_or_string: bool = False
    preserve_unknown_fields: bool = False
    required: bool = False
    """Required on the wire although the Struct has a default, to read what others wrote without it."""
    value: Field | None = None
    """Schema of a map's values or a list's items, where their type alone does not say it."""
    rules: tuple[Rule, ...] = ()


class Column(Struct, frozen=True, kw_only=True):
    """A printer column. `priority` 1 shows it only with `-o wide`."""

    name: str
    json_path: str
    type: str = "string"
    format: str = ""
    priority: int = 0
    doc: str = ""


class Scale(Struct, frozen=True, kw_only=True):
    """Where the scale subresource, which `kubectl scale` and autoscalers use, reads and writes."""

    replicas: str
    status_replicas: str
    selector: str
    """In status: labels of the Pods that count, as text."""


class Kind(Struct, frozen=True, kw_only=True):
    """What a CRD says beside the schema."""

    kind: str
    plural: str
    short_name: str
    namespaced: bool
    doc: str
    columns: tuple[Column, ...] = ()
    scale: Scale | None = None
    name_rules: tuple[Rule, ...] = ()
    """Rules at the root of the object, where `self.metadata.name` can be read."""
