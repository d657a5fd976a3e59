"""Builders for the tests of runtime/: one small kind, and the parts around it."""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.meta import Condition, KubeObject, Manifest, ObjectRef, Wire
from aim_operator.api.resource import Resource


class WidgetStatus(Wire):
    phase: str | None = None
    conditions: tuple[Condition, ...] | None = None
    counts: dict[str, int] | None = None
    free: dict[str, Any] | None = None


class Widget(KubeObject):
    """A kind of which everything is seen."""

    spec: msgspec.Raw = msgspec.Raw(b"")
    status: WidgetStatus | None = None


WIDGETS = Resource(
    group="example.com", version="v1", plural="widgets", kind="Widget", namespaced=True, type=Widget
)
KEY = ObjectRef("Owner", "team", "owner")
APPLIED = "example.com/applied"


def make_widget(name: str = "a", namespace: str = "team", **fields: Any) -> Manifest:
    """A manifest; `labels` go into metadata, the rest stays."""
    metadata: Manifest = {"name": name, "namespace": namespace}
    for field in ("labels", "annotations", "finalizers", "ownerReferences", "uid", "deletionTimestamp"):
        if field in fields:
            metadata[field] = fields.pop(field)
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": metadata, **fields}


def decode(manifest: Manifest) -> Widget:
    return msgspec.json.decode(msgspec.json.encode(manifest), type=Widget)


def make_stored(name: str = "a", version: str = "1", uid: str = "", **fields: Any) -> Widget:
    """A typed widget, as a store holds it."""
    manifest = make_widget(name, uid=uid or f"uid-{name}", **fields)
    manifest["metadata"]["resourceVersion"] = version
    return decode(manifest)
