"""Pieces of the manifests that core renders: children, owner references, environments, plain JSON values."""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta, OwnerReference
from aim_operator.api.plan import Child
from aim_operator.api.resource import Resource
from aim_operator.core import labels


def child(resource: Resource[Any], *, metadata: Manifest, spec: Manifest, after: str = "") -> Child:
    """Make a child of what is its own: everything else of a manifest follows from its resource."""
    manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": spec,
    }
    return Child(resource=resource, manifest=manifest, after=after)


def owner_reference(api_version: str, kind: str, metadata: ObjectMeta) -> Manifest:
    """Return a controller owner reference, as a manifest holds it."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": metadata.name,
        "uid": metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def controlled_by(obj: KubeObject, owner: ObjectMeta) -> bool:
    """Whether `owner` controls `obj`."""
    reference: OwnerReference | None = obj.metadata.controller()
    return reference is not None and reference.uid == owner.uid


def is_marked(obj: KubeObject, manager: str = labels.CONTROLLER) -> bool:
    """Whether an object has the operator's label, and what only an apply of the operator leaves.

    Anybody puts the label: a person, a tool, an example that was copied. Alone it proves nothing.
    """
    return obj.metadata.label(labels.MANAGED_BY) == manager and is_applied(obj)


def is_applied(obj: KubeObject) -> bool:
    """Whether the operator has written an object, or what it is a copy of."""
    return obj.metadata.annotation(labels.APPLIED) is not None


def plain(value: Any) -> Any:
    """Return Structs as plain JSON values; to_builtins would leave tuples, which are no JSON lists."""
    return msgspec.json.decode(msgspec.json.encode(value))


def merge_env(*layers: tuple[Manifest, ...] | list[Manifest]) -> list[Manifest]:
    """Lay environments over each other by name: a later layer wins, the order of first mention stays."""
    merged: dict[str, Manifest] = {}
    for layer in layers:
        for variable in layer:
            merged[variable["name"]] = variable
    return list(merged.values())
