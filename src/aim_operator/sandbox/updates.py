"""What an update may change: patches, and which parts of an object an endpoint leaves alone. Pure.

Called by server.py.
"""

from __future__ import annotations

from typing import Any

from aim_operator.api.meta import Manifest
from aim_operator.errors import Invalid
from aim_operator.sandbox.kinds import NAMESPACE, ServedKind
from aim_operator.sandbox.schema import copied

# What an update can't change, whatever it says.
_FIXED = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
SERVERS_OWN = (*_FIXED, "resourceVersion", "generation", "managedFields", "selfLink")


def not_owned(kind: ServedKind) -> tuple[str, ...]:
    return ("status",) if kind.has_status else ()


def holds_content(kind: ServedKind, obj: Manifest) -> bool:
    return kind.id == NAMESPACE and bool(obj.get("spec", {}).get("finalizers"))


def counted(kind: ServedKind, obj: Manifest) -> Manifest:
    """What a generation counts: all but metadata, and status where that is a subresource."""
    if kind.builtin:
        return {"spec": obj.get("spec")}
    ignored = {"metadata", *not_owned(kind)}
    return {name: member for name, member in obj.items() if name not in ignored}


def confined(kind: ServedKind, old: Manifest, new: Manifest, subresource: str) -> Manifest:
    """`new`, with everything that this endpoint does not write as it was."""
    if subresource:
        kept = dict(old)
        kept.pop("status", None)
        return kept | ({"status": new["status"]} if new.get("status") is not None else {})
    fixed = {name: old["metadata"][name] for name in SERVERS_OWN if name in old["metadata"]}
    writable = {name: value for name, value in new["metadata"].items() if name not in SERVERS_OWN}
    out = new | {"metadata": writable | fixed}
    if kind.has_status:
        out.pop("status", None)
        if "status" in old:
            out["status"] = old["status"]
    return out


def merge_patched(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copied(patch)
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, dict):
            out[name] = merge_patched(out.get(name), value)
        else:
            out[name] = copied(value) if isinstance(value, list) else value
    return out


def json_patched(target: Manifest, operations: list[Manifest]) -> Manifest:
    """Apply a JSON patch, as far as it adds and removes members of objects. Raises Invalid as servers do."""
    out: Manifest = copied(target)
    for operation in operations:
        *parents, last = operation["path"].lstrip("/").split("/")
        holder = out
        for name in parents:
            if name not in holder:
                raise Invalid(f"the server rejected our request: no member {name!r}", code=422)
            holder = holder[name]
        if operation["op"] == "add":
            holder[last] = copied(operation["value"])
        elif operation["op"] == "remove" and last in holder:
            del holder[last]
        else:
            raise Invalid(f"the server rejected our request: can't {operation['op']} {last!r}", code=422)
    return out
