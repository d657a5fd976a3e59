"""Who owns the object that has the name we want to write. Labels alone prove nothing: people copy them."""

from __future__ import annotations

from enum import Enum

from aim_operator.api.meta import KubeObject, Manifest, OwnerReference


class Ownership(Enum):
    OURS = "ours"
    GOING_AWAY = "going away"
    """It is being deleted, or its owner, a former object of our owner's name, is gone: it is waited for."""
    FOREIGN = "foreign"


def ownership(live: KubeObject, manifest: Manifest, applied_annotation: str) -> Ownership:
    """Return who owns `live`, for a caller that is about to apply `manifest`.

    Ours is what our owner controls. Where there is no controller (children without one, or a backup tool
    that dropped it), the labels that say what it is and the annotation that every apply of ours leaves. Those
    that say which version it is may be others: what is restored from a backup is of the day before.
    """
    owners = manifest["metadata"].get("ownerReferences") or []
    controller = live.metadata.controller()
    if live.metadata.deletion_timestamp is not None:
        return Ownership.GOING_AWAY
    if controller is None:
        marked = live.metadata.annotation(applied_annotation) is not None
        return Ownership.OURS if marked and _has_labels(live, manifest) else Ownership.FOREIGN
    if not owners:
        return Ownership.FOREIGN
    if controller.uid == owners[0]["uid"]:
        return Ownership.OURS
    return Ownership.GOING_AWAY if _is_former(controller, owners[0]) else Ownership.FOREIGN


_WHAT_IT_IS = "app.kubernetes.io/"
"""Recommended labels: name, component, managed-by."""


def _has_labels(live: KubeObject, manifest: Manifest) -> bool:
    every = manifest["metadata"].get("labels") or {}
    labels = {name: value for name, value in every.items() if name.startswith(_WHAT_IT_IS)} or every
    return bool(labels) and all(live.metadata.label(name) == value for name, value in labels.items())


def _is_former(controller: OwnerReference, owner: Manifest) -> bool:
    """Whether the controller is an earlier object of our owner's name; its children are garbage-collected."""
    same = controller.kind == owner["kind"] and controller.name == owner["name"]
    return bool(same and controller.api_version.partition("/")[0] == owner["apiVersion"].partition("/")[0])
