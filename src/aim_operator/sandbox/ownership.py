"""Who owns which fields: the field sets behind server-side apply, and the merge of what is applied.

A path is a tuple of steps: a map's key, or an Item of an associative list. Maps are owned member by member,
atomic lists whole, items of associative lists by their key (KEP-555). Called by apply.py and server.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.schema import ANY, Node, shown


class Item(NamedTuple):
    """A step into an associative list: to the item with this key, or (of a set) with this value."""

    key: tuple[tuple[str, Any], ...] | str

    def __str__(self) -> str:
        if isinstance(self.key, str):
            return f"[={self.key}]"
        return f"[{','.join(f'{name}={shown(value)}' for name, value in self.key)}]"


Path = tuple[str | Item, ...]
Fields = frozenset[Path]


class Manager(NamedTuple):
    """An owner of fields. One name that applies and one that updates are two owners."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def __str__(self) -> str:
        text = f'"{self.name}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        return text if self.operation == "Apply" else f"{text} using {self.api_version}"


Managers = Mapping[Manager, Fields]
CONTAINER = object()

# What the server itself writes belongs to nobody.
_NOT_OWNED = frozenset(
    {
        "name",
        "generateName",
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "managedFields",
        "selfLink",
    }
)


def shown_path(path: Path) -> str:
    """A path as conflicts spell it: .spec.env[name="A"].value."""
    return "".join(f".{step}" if isinstance(step, str) else str(step) for step in path)


def fields_of(
    node: Node, obj: Manifest, *, without: Iterable[str] = (), containers: bool = False
) -> dict[Path, Any]:
    """The fields that `obj` sets, with their values; the value of what only holds others is CONTAINER.

    Leaves out the server's own fields and the members named in `without`. Whoever applies owns leaves and
    list items; whoever updates owns the containers that it made too.
    """
    out: dict[Path, Any] = {}
    for name, member in obj.items():
        if name in ("apiVersion", "kind") or name in without:
            continue
        if name == "metadata":
            metadata = node.child(name)
            for key, value in member.items():
                if key not in _NOT_OWNED:
                    _collect(metadata.child(key), value, (name, key), out, containers=containers)
        else:
            _collect(node.child(name), member, (name,), out, containers=containers)
    return out


def _collect(node: Node, value: Any, path: Path, out: dict[Path, Any], *, containers: bool) -> None:
    if isinstance(value, dict) and value and not node.atomic:
        if containers:
            out[path] = CONTAINER
        properties, values = node.properties, node.values or ANY
        for name, member in value.items():
            below = (*path, name)
            if isinstance(member, dict | list):
                _collect(properties.get(name) or values, member, below, out, containers=containers)
            else:
                out[below] = member
    elif isinstance(value, list) and value and node.list_type != "atomic":
        if containers:
            out[path] = CONTAINER
        for member in value:
            item = (*path, _item(node, member))
            out[item] = CONTAINER
            if isinstance(member, dict):
                for name, leaf in member.items():
                    _collect(node.item().child(name), leaf, (*item, name), out, containers=containers)
    else:
        out[path] = value


def _item(node: Node, member: Any) -> Item:
    if node.list_type == "map":
        return Item(node.key_of(member) or ())
    return Item(shown(member))


def merged(node: Node, live: Any, applied: Any) -> Any:
    """`live` with `applied` laid over it, by the merge rules of the schema."""
    if isinstance(applied, dict) and isinstance(live, dict) and not node.atomic:
        out = dict(live)
        for name, member in applied.items():
            out[name] = merged(node.child(name), live[name], member) if name in live else member
        return out
    if isinstance(applied, list) and isinstance(live, list) and node.list_type in ("map", "set"):
        return _merged_items(node, live, applied)
    return applied


def _merged_items(node: Node, live: list[Any], applied: list[Any]) -> list[Any]:
    """What is applied comes in its own order; items of others stay before what followed them."""
    before = {_item(node, member): member for member in live}
    applied_by_item = {_item(node, member): member for member in applied}
    out: list[Any] = []
    done: set[Item] = set()
    waiting = list(before)
    for key, member in applied_by_item.items():
        while waiting and waiting[0] not in applied_by_item:
            out.append(before[waiting.pop(0)])
        out.append(merged(node.item(), before[key], member) if key in before else member)
        done.add(key)
        while waiting and waiting[0] in done:
            waiting.pop(0)
    out.extend(before[key] for key in waiting if key not in applied_by_item)
    return out


_NOTHING = object()


def removed(node: Node, value: Any, paths: Iterable[Path]) -> Any:
    """`value` without `paths`; maps and lists that this empties go too. The argument stays as it is."""
    left = _removed(node, value, [path for path in paths if path])
    return None if left is _NOTHING else left


def _removed(node: Node, value: Any, paths: list[Path]) -> Any:
    below: dict[str | Item, list[Path]] = {}
    gone: set[str | Item] = set()
    for path in paths:
        if len(path) == 1:
            gone.add(path[0])
        else:
            below.setdefault(path[0], []).append(path[1:])
    if isinstance(value, dict):
        out: Manifest = {}
        for name, member in value.items():
            if name in gone:
                continue
            left = _removed(node.child(name), member, below[name]) if name in below else member
            if left is not _NOTHING:
                out[name] = left
        return out or _NOTHING
    if isinstance(value, list):
        items: list[Any] = []
        for member in value:
            key = _item(node, member)
            if key in gone:
                continue
            left = _removed(node.item(), member, below[key]) if key in below else member
            if left is not _NOTHING:
                items.append(left)
        return items or _NOTHING
    return value


def after_update(
    managers: Managers, node: Node, old: Manifest, new: Manifest, manager: Manager, *, without: Iterable[str]
) -> dict[Manager, Fields]:
    """The owners after `manager` updated `old` to `new`: it owns what it changed, others lose that."""
    # Most updates touch the status alone: what is equal needs no second look.
    touched = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    old = {name: old[name] for name in touched if name in old}
    new = {name: new[name] for name in touched if name in new}
    before = fields_of(node, old, without=without, containers=True)
    after = fields_of(node, new, without=without, containers=True)
    changed = frozenset(path for path, value in after.items() if path not in before or before[path] != value)
    gone = before.keys() - after.keys()
    out: dict[Manager, Fields] = {}
    for owner, fields in managers.items():
        kept = fields - gone if owner == manager else fields - gone - changed
        if kept:
            out[owner] = kept
    if changed:
        out[manager] = out.get(manager, frozenset()) | changed
    return out
