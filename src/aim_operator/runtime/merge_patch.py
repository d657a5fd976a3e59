"""What makes one document of another: JSON merge patches (RFC 7386), and JSON patches (RFC 6902) for nulls.

Pure. Called by runtime.apply.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

_SCALARS = (str, int, float)


def document(value: Any, *, unlike: Any = None) -> dict[str, Any]:
    """Return a Struct (or nothing) as plain JSON values, without the members that `unlike` has just so.

    A field without a value is left out. A null inside a free-form value, such as a profile, is part of it.
    """
    if value is None:
        return {}
    return {
        name: _plain(member)
        for field, name in _fields(value)
        if (member := getattr(value, field)) is not None
        and not _is_same(member, getattr(unlike, field, None))
    }


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
    return b"null" in msgspec.json.encode(new) and any(
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


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (other is not None and msgspec.json.encode(one) == msgspec.json.encode(other))


def _plain(value: Any) -> Any:
    # Not by msgspec, which leaves out what has its default: a condition must have a message, if an empty one.
    if isinstance(value, Struct):
        members = ((name, getattr(value, field)) for field, name in _fields(value))
        return {
            name: member if isinstance(member, _SCALARS) else _plain(member)
            for name, member in members
            if member is not None
        }
    if isinstance(value, dict):
        return {key: inner if isinstance(inner, _SCALARS) else _plain(inner) for key, inner in value.items()}
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
