"""What makes one document of another: JSON merge patches (RFC 7386), and JSON patches (RFC 6902) for nulls.

Pure. Called by runtime.apply.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


def document(value: Any) -> dict[str, Any]:
    """Return a Struct (or nothing) as plain JSON values.

    A field without a value is left out. A null inside a free-form value, such as a profile, is part of it.
    """
    if value is None or value is None:
        return {}
    plain: dict[str, Any] = _plain(value)
    return plain


def merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Return the smallest patch that turns `old` into `new`; {} if they are equal. Lists go whole.

    In a merge patch null means removal: see `sets_null`.
    """
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


def sets_null(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether a member that changes has a null in it, which no merge patch can set."""
    return any(
        _has_null(value) and (key not in old or not _identical(old[key], value)) for key, value in new.items()
    )


def json_patch(path: str, old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations that turn `old` into `new`, both at `path`, member by member.

    The names of members must have no `/` and no `~`.
    """
    gone = [{"op": "remove", "path": f"{path}/{key}"} for key in old if key not in new]
    changed = [
        {"op": "add", "path": f"{path}/{key}", "value": value}
        for key, value in new.items()
        if key not in old or not _identical(old[key], value)
    ]
    return gone + changed


def _identical(one: Any, other: Any) -> bool:
    # Compared as JSON: Python takes True for 1 and 1.0 for 1.
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _plain(value: Any) -> Any:
    if isinstance(value, Struct):
        members = ((name, getattr(value, field)) for field, name in _fields(value))
        return {name: _plain(member) for name, member in members if member is not None and member is not None}
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _fields(value: Struct) -> zip[tuple[str, str]]:
    return zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    if isinstance(value, list):
        return any(map(_has_null, value))
    return value is None
