"""The cluster itself: its nodes and kinds, and what its controllers say in events."""

from __future__ import annotations

import msgspec

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource


class InvolvedObject(Wire):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Event(KubeObject):
    """core/v1 Event, as controllers write them where no status tells: refused Pods, failing volumes."""

    involved_object: InvolvedObject = msgspec.field(default_factory=InvolvedObject)
    reason: str | None = None
    message: str | None = None
    type: str | None = None
    last_timestamp: str | None = None
    """When it was seen last: a recorder counts the same one up."""


EVENTS = Resource(group="", version="v1", plural="events", kind="Event", namespaced=True, type=Event)
NODES = Resource(
    group="", version="v1", plural="nodes", kind="Node", namespaced=False, type=KubeObject, metadata_only=True
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    type=KubeObject,
    metadata_only=True,
)
