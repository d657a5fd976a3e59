"""Reads the events of an object of ours and of its namesakes among KServe's and the gateway's objects."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.cli.objects import Named
from aim_operator.core.messages import one_line
from aim_operator.kube.protocol import KubeClient

CLUSTER_EVENTS = "default"
"""The namespace of events about objects that have none."""
NAMESAKES = ("InferenceService", "HTTPRoute")


class Regarding(Wire):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class Series(Wire):
    last_observed_time: str | None = None


class EventView(KubeObject):
    """An events.k8s.io Event; those of older clients have the deprecated times alone."""

    regarding: Regarding = msgspec.field(default_factory=Regarding)
    reason: str | None = None
    note: str | None = None
    type: str | None = None
    event_time: str | None = None
    deprecated_last_timestamp: str | None = None
    series: Series | None = None


EVENTS = Resource(
    group="events.k8s.io", version="v1", plural="events", kind="Event", namespaced=True, type=EventView
)


class Happening(Struct, frozen=True, order=True):
    """One event; `when` is the last time (RFC 3339), "" where it has none."""

    when: str
    type: str
    reason: str
    about: str
    message: str


async def read(client: KubeClient, named: Named) -> list[Happening]:
    """Return the events of an object, the oldest first."""
    namespace = named.namespace or CLUSTER_EVENTS
    kinds = (named.resource.kind, *(NAMESAKES if named.resource.kind == "AIMService" else ()))
    found: list[Happening] = []
    token = ""
    while True:
        selector = f"regarding.name={named.name}"
        page = await client.list(EVENTS, namespace=namespace, field_selector=selector, continue_token=token)
        found += [_happening(event) for event in page.items if event.regarding.kind in kinds]
        token = page.continue_token
        if not token:
            return sorted(found)


def _happening(event: EventView) -> Happening:
    series = event.series.last_observed_time if event.series is not None else None
    when = series or event.deprecated_last_timestamp or event.event_time or event.metadata.creation_timestamp
    return Happening(
        when=when or "",
        type=event.type or "Normal",
        reason=event.reason or "",
        about=f"{event.regarding.kind}/{event.regarding.name}",
        message=one_line(event.note),
    )
