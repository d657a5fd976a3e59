"""JSON merge patches (RFC 7386): what makes one document of another. Pure. Called by runtime.apply."""

from __future__ import annotations

from typing import Any

import msgspec


def document(value: Any) -> dict[str, Any]:
    """Return a Struct (or nothing) as plain JSON values, without nulls: in a patch they mean removal."""
    if value is None or value is msgspec.UNSET:
        return {}
    plain: dict[str, Any] = _without_nulls(msgspec.json.decode(msgspec.json.encode(value)))
    return plain


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest patch that turns `old` into `new`; {} if they are equal. Lists go whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        had = old.get(key)
        if isinstance(value, dict) and isinstance(had, dict):
            inner = merge_patch(had, value)
            if inner:
                patch[key] = inner
        elif key not in old or not _identical(had, value):
            patch[key] = value
    return patch


def _identical(one: Any, other: Any) -> bool:
    # Compared as JSON: Python takes True for 1 and 1.0 for 1.
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
