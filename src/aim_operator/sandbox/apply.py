"""Server-side apply: what an object and its owners become when a manager applies a manifest. Pure.

KEP-555: conflicts on what others own with another value, removal of what the manager no longer applies,
shared ownership of equal values. Called by server.py, which validates and stores the outcome.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.ownership import (
    CONTAINER,
    Fields,
    Manager,
    Managers,
    Path,
    fields_of,
    merged,
    removed,
    shown_path,
)
from aim_operator.sandbox.refusals import internal, owned_by_others
from aim_operator.sandbox.schema import Node, shown


def applied(
    node: Node,
    live: Manifest,
    managers: Managers,
    manifest: Manifest,
    manager: Manager,
    *,
    force: bool,
    without: tuple[str, ...],
) -> tuple[Manifest, dict[Manager, Fields]]:
    """The object and its owners after the apply; `without` names members that this endpoint can't set.

    Raises Conflict where others own a field with another value and `force` is false.
    """
    manifest = {name: member for name, member in manifest.items() if name not in without}
    desired = fields_of(node, manifest, without=without)
    before = fields_of(node, live, without=without)
    owners = dict(managers)
    conflicts = _conflicts(owners, manager, desired, before)
    if conflicts and not force:
        raise owned_by_others(
            [(str(owner), sorted(shown_path(path) for path in paths)) for owner, paths in conflicts.items()]
        )
    for owner, paths in conflicts.items():
        owners[owner] -= paths

    formerly = owners.pop(manager, frozenset())
    out = merged(node, live, manifest)
    kept = frozenset(desired).union(*owners.values())
    dropped = _without_parents(formerly - desired.keys() - kept, kept)
    if dropped:
        metadata = out["metadata"]
        out = removed(node, out, dropped) or {}
        # Emptied labels are gone, the rest of the metadata is the server's and stays.
        out["metadata"] = metadata | {"labels": None, "annotations": None} | out.get("metadata", {})
    owners = {owner: fields for owner, fields in owners.items() if fields}
    if desired:
        owners[manager] = frozenset(desired)
    return out, owners


def _conflicts(
    managers: Managers, manager: Manager, desired: dict[Path, Any], before: dict[Path, Any]
) -> dict[Manager, Fields]:
    changed = {
        path
        for path, value in desired.items()
        if value is not CONTAINER and before.get(path, CONTAINER) != value
    }
    conflicts: dict[Manager, Fields] = {}
    for owner, fields in managers.items():
        taken = fields & changed
        if owner != manager and taken:
            conflicts[owner] = taken
    return conflicts


def _without_parents(paths: Fields, kept: Fields) -> list[Path]:
    """Those of `paths` below which nothing is kept: a list item goes only when nobody owns a part of it."""
    if not paths:
        return []
    needed = {path[:length] for path in kept for length in range(1, len(path))}
    return [path for path in paths if path not in needed]


def untyped(node: Node, value: Any, path: str = "") -> Iterator[str]:
    """Why a manifest can't be merged by its schema: apply refuses these before it validates anything."""
    if value is None or node.int_or_string:
        return
    if isinstance(value, dict) and node.type in ("object", ""):
        for name, member in value.items():
            below = node.properties.get(name) or node.values
            if below is not None:
                yield from untyped(below, member, f"{path}.{name}")
            elif not node.open:
                yield f"{path}.{name}: field not declared in schema"
        return
    if isinstance(value, list) and node.type in ("array", ""):
        yield from _items(node, value, path)
        return
    expected = {
        "integer": "numeric (int or float)",
        "number": "numeric (int or float)",
        "array": "list",
        "object": "map",
    }
    type_names = {bool: "boolean", str: "string", int: "int", float: "float", dict: "map", list: "list"}
    if node.type and not _fits(node.type, value):
        yield f"{path}: expected {expected.get(node.type, node.type)}, got {type_names[type(value)]}"


def _items(node: Node, value: list[Any], path: str) -> Iterator[str]:
    seen = set()
    for index, member in enumerate(value):
        if node.list_type == "map":
            key = node.key_of(member)
            if key is None:
                names = " ".join(shown(name) for name in node.keys)
                yield (
                    f"{path}: element {index}: associative list with keys has an element that omits all key "
                    f"fields [{names}] (and doesn't have default values for any key fields)"
                )
            elif key in seen:
                identity = ",".join(f"{name}={shown(part)}" for name, part in key)
                yield f"{path}: duplicate entries for key [{identity}]"
            seen.add(key)
        yield from untyped(node.item(), member, f"{path}[{index}]")


def _fits(type_: str, value: Any) -> bool:
    if isinstance(value, bool):
        return type_ == "boolean"
    kinds = {"string": str, "integer": int, "number": (int, float), "object": dict, "array": list}
    return isinstance(value, kinds.get(type_, ()))  # type: ignore[arg-type]


def refuse_untyped(node: Node, manifest: Manifest, api_version: str, kind: str) -> None:
    """Raises what the real server answers to a manifest that does not fit its schema: a bare 500."""
    problems = list(untyped(node, manifest))
    if problems:
        name = manifest["metadata"]["name"]
        where = manifest["metadata"].get("namespace", "")
        message = f"failed to create typed patch object ({where}/{name}; {api_version}, Kind={kind}): "
        raise internal(message + "\n".join(problems))
