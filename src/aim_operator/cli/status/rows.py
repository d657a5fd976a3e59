"""What `aimctl status` shows: frozen rows, made of the objects as the API server returns them. Pure.

The rows are also what `-o json` and `-o yaml` print; names and units are therefore kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import Condition, KubeObject
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.core.catalog import is_derived
from aim_operator.core.pause import is_paused

UNJUDGED = "Unknown"
"""The state of an object that no operator has looked at, or not since its last change."""
_GOOD = (State.AVAILABLE, State.RUNNING, State.READY, State.STOPPED)


class Row(Struct, frozen=True, kw_only=True, rename="camel"):
    """`namespace` is "" for a cluster object; `reason` and `message` say why it is not ready, else ""."""

    kind: str
    namespace: str
    name: str
    status: str
    reason: str = ""
    message: str = ""
    since: str | None = None
    """When the status became so."""
    created: str | None = None
    paused: bool = False

    @property
    def good(self) -> bool:
        return is_good(self.status)


class ServiceRow(Row, frozen=True, kw_only=True, rename="camel"):
    model: str = ""
    replicas: int = 1
    gpus: int | None = None
    """Of all replicas; None before a profile is known."""
    gpu_model: str = ""
    template: str = ""
    path: str = ""


class TemplateRow(Row, frozen=True, kw_only=True, rename="camel"):
    """The profile's fields are "" until discovery has answered."""

    image: str = ""
    engine: str = ""
    metric: str = ""
    precision: str = ""
    gpu_count: int | None = None
    gpu_model: str = ""
    derived: bool = False


class ImageRow(Row, frozen=True, kw_only=True, rename="camel"):
    image: str = ""
    default_template: str = ""


class CacheRow(Row, frozen=True, kw_only=True, rename="camel"):
    source: str = ""
    size_bytes: int | None = None
    downloaded_bytes: int | None = None
    percentage: int | None = None
    claim: str = ""
    unused_since: str | None = None


class ConfigRow(Row, frozen=True, kw_only=True, rename="camel"):
    routing: bool = False
    gateway: str = ""


class Unseen(Struct, frozen=True):
    """A kind that could not be read, and why."""

    kind: str
    why: str


class Status(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything, in the order in which it is shown."""

    services: tuple[ServiceRow, ...] = ()
    templates: tuple[TemplateRow, ...] = ()
    caches: tuple[CacheRow, ...] = ()
    images: tuple[ImageRow, ...] = ()
    runtime_configs: tuple[ConfigRow, ...] = ()
    unseen: tuple[Unseen, ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        return (*self.services, *self.templates, *self.caches, *self.images, *self.runtime_configs)


def is_good(state: str) -> bool:
    """Whether an object in this state has all that it is to have."""
    return state in _GOOD


def collected(objects: Iterable[KubeObject], unseen: Iterable[Unseen] = ()) -> Status:
    """Return the rows of all objects, by namespace and name; cluster objects come first."""
    rows = sorted(map(_row, objects), key=lambda row: (row.namespace, row.name))
    return Status(
        services=tuple(row for row in rows if isinstance(row, ServiceRow)),
        templates=tuple(row for row in rows if isinstance(row, TemplateRow)),
        caches=tuple(row for row in rows if isinstance(row, CacheRow)),
        images=tuple(row for row in rows if isinstance(row, ImageRow)),
        runtime_configs=tuple(row for row in rows if isinstance(row, ConfigRow)),
        unseen=tuple(unseen),
    )


def _row(obj: KubeObject) -> Row:
    if isinstance(obj, aim.AIMService):
        return _service(obj)
    if isinstance(obj, aim.AIMServiceTemplate | aim.AIMClusterServiceTemplate):
        return _template(obj)
    if isinstance(obj, aim.AIMModelCache):
        return _cache(obj)
    if isinstance(obj, aim.AIMImage | aim.AIMClusterImage):
        return ImageRow(
            **_shared(obj),
            image=obj.spec.image,
            default_template=obj.spec.default_service_template or "",
        )
    assert isinstance(obj, aim.AIMRuntimeConfig | aim.AIMClusterRuntimeConfig)  # noqa: S101 - all is listed
    routing = obj.spec.routing
    gateway = routing.gateway_ref if routing is not None else None
    where = f"{gateway.namespace}/" if gateway is not None and gateway.namespace else ""
    return ConfigRow(
        **_shared(obj),
        routing=bool(routing and routing.enabled),
        gateway=f"{where}{gateway.name}" if gateway is not None else "",
    )


def _service(service: aim.AIMService) -> ServiceRow:
    status = service.status or aim.AIMServiceStatus()
    active = status.active
    replicas = service.spec.replicas
    template = status.resolved_template
    return ServiceRow(
        **_shared(service),
        model=service.spec.model or service.spec.aim_image_name or "",
        replicas=replicas,
        gpus=active.gpu_count * replicas if active is not None else None,
        gpu_model=(active.gpu_model or "") if active is not None else "",
        template=template.name if template is not None else "",
        path=(status.routing or aim.RoutingStatus()).path or "",
    )


def _template(template: aim.AIMServiceTemplate | aim.AIMClusterServiceTemplate) -> TemplateRow:
    status = template.status or aim.AIMServiceTemplateStatus()
    metadata = (status.profile or {}).get("metadata") or {}
    count = metadata.get("gpu_count")
    return TemplateRow(
        **_shared(template),
        image=template.spec.aim_image_name,
        engine=str(metadata.get("engine") or ""),
        metric=str(metadata.get("metric") or ""),
        precision=str(metadata.get("precision") or ""),
        gpu_count=count if isinstance(count, int) else None,
        gpu_model=str(metadata.get("gpu") or ""),
        derived=is_derived(template),
    )


def _cache(cache: aim.AIMModelCache) -> CacheRow:
    status = cache.status or aim.AIMModelCacheStatus()
    progress = status.progress or aim.CacheProgress()
    size = quantity.parse(status.size) if status.size else None
    return CacheRow(
        **_shared(cache),
        source=cache.spec.source_uri,
        size_bytes=int(size) if size is not None else progress.total_bytes,
        downloaded_bytes=progress.downloaded_bytes,
        percentage=progress.percentage,
        claim=status.persistent_volume_claim or "",
        unused_since=status.unused_since,
    )


def _shared(obj: Any) -> dict[str, Any]:
    """Return what every row has."""
    metadata, status = obj.metadata, obj.status
    current = status is not None and (status.observed_generation or 0) == metadata.generation
    state = (status.status or UNJUDGED) if current else UNJUDGED
    conditions = (status.conditions or ()) if current else ()
    decisive = decisive_condition(conditions)
    explained = None if is_good(state) else decisive
    return {
        "kind": type(obj).__name__,
        "namespace": metadata.namespace,
        "name": metadata.name,
        "status": state,
        "reason": explained.reason if explained is not None else "",
        "message": explained.message if explained is not None else "",
        "since": decisive.last_transition_time if decisive is not None else None,
        "created": metadata.creation_timestamp,
        "paused": is_paused(obj),
    }


def decisive_condition(conditions: Iterable[Condition]) -> Condition | None:
    """Return the condition that says why an object is as it is: its failure, else Ready."""
    by_type = {condition.type: condition for condition in conditions}
    failure = by_type.get(c.FAILURE)
    return failure if failure is not None and failure.status == "True" else by_type.get(c.READY)
