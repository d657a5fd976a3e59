"""What a decision is made of: the wanted status, children, removals, events. Carried out by controllers/."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta, OwnerReference
from aim_operator.api.resource import Resource

S = TypeVar("S")


class Child(Struct, frozen=True, kw_only=True):
    """An object to be as `manifest` says, by server-side apply.

    One that `follows` points at the others: it is applied once they are there and known to be ours.
    """

    resource: Resource[Any]
    manifest: Manifest
    follows: bool = False


def child(resource: Resource[Any], *, metadata: Manifest, spec: Manifest, follows: bool = False) -> Child:
    """Make a child of what is its own: everything else of a manifest follows from its resource."""
    manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": metadata,
        "spec": spec,
    }
    return Child(resource=resource, manifest=manifest, follows=follows)


class Removal(Struct, frozen=True, kw_only=True):
    """A live object to delete, with its uid (and, on request, its resourceVersion) as precondition."""

    resource: Resource[Any]
    live: KubeObject
    unchanged: bool = False


class EventNote(Struct, frozen=True, kw_only=True):
    """One event about the reconciled object. `action` is what the operator did or tried."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    action: str = "Reconcile"


class Plan(Struct, Generic[S], frozen=True, kw_only=True):
    """`status` None leaves the status alone (the object is going away)."""

    status: S | None = None
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    events: tuple[EventNote, ...] = ()
    requeue_after_seconds: float | None = None


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
