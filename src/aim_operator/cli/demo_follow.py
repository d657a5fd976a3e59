"""Follows the objects of a quickstart in the operator's own caches, and takes Snapshots of them.

Asks the server for nothing that the operator does not watch anyway, but for events. Called by demo_show.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from aim_operator.api.external import Job
from aim_operator.api.meta import Condition, KubeObject, ObjectRef, Wire
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import AIMImageStatus, AIMService, AIMServiceStatus, AIMServiceTemplateStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.api.v1alpha1.services import RoutingStatus
from aim_operator.app import Operator
from aim_operator.cli.demo_snapshot import (
    COMPLETE,
    RUNNING_JOB,
    EventRow,
    ImageRow,
    JobRow,
    ServiceRow,
    Snapshot,
    Source,
    TemplateRow,
)
from aim_operator.core.catalog import Image, Template
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.informer import Informer


class Regarding(Wire):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class ShownEvent(KubeObject):
    """An events.k8s.io Event, as far as it is shown."""

    regarding: Regarding = msgspec.field(default_factory=Regarding)
    reason: str = ""
    note: str = ""
    type: str = ""


EVENTS = Resource(
    group="events.k8s.io", version="v1", plural="events", kind="Event", namespaced=True, type=ShownEvent
)


class Follower:
    """`refs` are the objects to follow. `changed` is set whenever a new snapshot may differ."""

    def __init__(
        self, operator: Operator, client: KubeClient, clock: Clock, refs: Iterable[ObjectRef]
    ) -> None:
        self._watched = operator.watched
        self._clock = clock
        self._refs = dict.fromkeys(refs)
        self._began = clock.monotonic()
        self._events: dict[str, EventRow] = {}
        self.changed = asyncio.Event()
        self.events = Informer(client, EVENTS, clock=clock)
        """To be run beside the operator."""
        self.events.add_handler(self._event)
        watched = self._watched
        for informer in (
            watched.images,
            watched.cluster_images,
            watched.templates,
            watched.cluster_templates,
            watched.services,
            watched.jobs,
        ):
            informer.add_handler(self._note)

    def snapshot(self) -> Snapshot:
        watched = self._watched
        templates = self._followed(watched.cluster_templates, watched.templates)
        uids = {template.metadata.uid for _, template in templates if template is not None}
        jobs = [job for job in watched.jobs.store.all() if _owner(job) in uids]
        return Snapshot(
            seconds=self._seconds(),
            images=tuple(
                _image(ref, obj) for ref, obj in self._followed(watched.cluster_images, watched.images)
            ),
            templates=tuple(_template(ref, obj) for ref, obj in templates),
            jobs=tuple(_job(job) for job in sorted(jobs, key=lambda job: job.metadata.name)),
            services=tuple(_service(ref, obj) for ref, obj in self._followed(watched.services)),
            events=tuple(self._events.values()),
        )

    def _followed(self, *informers: Informer[Any]) -> list[tuple[ObjectRef, Any]]:
        """The objects of these kinds that are followed, in the quickstart's order; None if not seen yet."""
        kinds = {informer.resource.kind: informer for informer in informers}
        return [
            (ref, kinds[ref.kind].store.get(ref.namespace, ref.name))
            for ref in self._refs
            if ref.kind in kinds
        ]

    def _note(self, old: KubeObject | None, new: KubeObject | None) -> None:
        del old, new
        self.changed.set()

    def _event(self, old: ShownEvent | None, new: ShownEvent | None) -> None:
        del old
        if new is None or new.metadata.uid in self._events:
            return
        about = new.regarding
        if ObjectRef(about.kind, about.namespace, about.name) not in self._refs:
            return
        self._events[new.metadata.uid] = EventRow(
            uid=new.metadata.uid,
            seconds=self._seconds(),
            warning=new.type == "Warning",
            reason=new.reason,
            about=about.name,
            message=new.note,
        )
        self.changed.set()

    def _seconds(self) -> float:
        return self._clock.monotonic() - self._began


def _owner(obj: KubeObject) -> str:
    owner = obj.metadata.controller()
    return owner.uid if owner is not None else ""


def _image(ref: ObjectRef, image: Image | None) -> ImageRow:
    if image is None:
        return ImageRow(name=ref.name, namespace=ref.namespace)
    status = image.status or AIMImageStatus()
    state = status.status or ""
    return ImageRow(
        name=ref.name,
        namespace=ref.namespace,
        image=image.spec.image,
        state=state,
        message=why(status.conditions or ()) if state == State.DEGRADED else "",
    )


def _template(ref: ObjectRef, template: Template | None) -> TemplateRow:
    if template is None:
        return TemplateRow(name=ref.name, namespace=ref.namespace)
    status = template.status or AIMServiceTemplateStatus()
    current = (status.observed_generation or 0) == template.metadata.generation
    state = (status.status or "") if current else ""
    metadata = (status.profile or {}).get("metadata") or {}
    count, gpu = metadata.get("gpu_count"), metadata.get("gpu", "")
    return TemplateRow(
        name=ref.name,
        namespace=ref.namespace,
        state=state,
        message="" if state == State.AVAILABLE else why(status.conditions or ()),
        engine=metadata.get("engine", ""),
        metric=metadata.get("metric", ""),
        precision=metadata.get("precision", ""),
        gpus=f"{count} {gpu}".strip() if count is not None else gpu,
        sources=tuple(
            Source(source.source_uri, int(source.size) if source.size is not None else 0)
            for source in status.model_sources or ()
        ),
    )


def _job(job: Job) -> JobRow:
    conditions = {entry.type: entry for entry in job.status.conditions or ()}
    state = State.PENDING if job.status.start_time is None else RUNNING_JOB
    if "Complete" in conditions:
        state = COMPLETE
    elif "Failed" in conditions:
        state = State.FAILED
    owner = job.metadata.controller()
    return JobRow(
        name=job.metadata.name,
        namespace=job.metadata.namespace,
        template=owner.name if owner is not None else "",
        state=state,
    )


def _service(ref: ObjectRef, service: AIMService | None) -> ServiceRow:
    if service is None:
        return ServiceRow(name=ref.name, namespace=ref.namespace)
    status = service.status or AIMServiceStatus()
    current = (status.observed_generation or 0) == service.metadata.generation
    state = (status.status or "") if current else ""
    template = status.resolved_template
    return ServiceRow(
        name=ref.name,
        namespace=ref.namespace,
        state=state,
        message="" if state == State.RUNNING else why(status.conditions or ()),
        template=template.name if template is not None else "",
        path=(status.routing or RoutingStatus()).path or "",
    )


def why(conditions: Iterable[Condition]) -> str:
    """Return why an object is not ready: its failure if there is one, else what Ready says."""
    by_type = {condition.type: condition for condition in conditions}
    failure, ready = by_type.get(c.FAILURE), by_type.get(c.READY)
    decisive = failure if failure is not None and failure.status == "True" else ready
    return f"{decisive.reason}: {decisive.message}" if decisive is not None else ""
