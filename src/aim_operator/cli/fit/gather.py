"""Reads what `aimctl fit` judges, with the rights of whoever asks. Called by command.py.

What a service asks for is read off its InferenceService. Where there is none yet, or the service is in a
file, the real operator makes it, on a copy of the cluster in memory, as `aimctl plan` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES, PERSISTENT_VOLUME_CLAIMS, PODS, STORAGE_CLASSES
from aim_operator.api.meta import KubeObject, Manifest, Wire
from aim_operator.api.resource import K, Resource
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.cli.connect import in_the_users_words
from aim_operator.cli.doctor.gather import NODES
from aim_operator.cli.fit import nodes as on
from aim_operator.cli.fit.demand import Demand
from aim_operator.cli.fit.judge import Surroundings
from aim_operator.cli.plan import problems, snapshot
from aim_operator.cli.plan.documents import Document
from aim_operator.cli.plan.snapshot import Snapshot, Whole
from aim_operator.cli.plan.sparse import filled
from aim_operator.cli.plan.world import World
from aim_operator.cli.sight import Sight
from aim_operator.core import conditions, hardware
from aim_operator.core.service.fits import size_bytes
from aim_operator.errors import Forbidden, NotFound, NotInstalled, UserError
from aim_operator.kube.protocol import KubeClient


class Volume(KubeObject):
    """A PersistentVolume, as far as it says where it is."""

    spec: dict[str, Any] | None = None


class PodSpec(Wire):
    node_name: str | None = None
    containers: tuple[dict[str, Any], ...] = ()
    init_containers: tuple[dict[str, Any], ...] = ()
    overhead: dict[str, Any] | None = None
    volumes: tuple[dict[str, Any], ...] = ()


class Pod(KubeObject):
    """Where it runs, what it asks for and which claims it mounts."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: snapshot.PodStatus = msgspec.field(default_factory=snapshot.PodStatus)


def _core(plural: str, kind: str, type_: type[Any], *, namespaced: bool) -> Resource[Any]:
    return Resource(group="", version="v1", plural=plural, kind=kind, namespaced=namespaced, type=type_)


def _as(resource: Resource[Any], type_: type[K]) -> Resource[K]:
    """Return a kind as it is looked at here."""
    return msgspec.structs.replace(resource, type=type_, metadata_only=False)


_NODES = _as(NODES, snapshot.Node)
_PODS = _as(PODS, Pod)
_CLAIMS = _as(PERSISTENT_VOLUME_CLAIMS, Whole)
_CLASSES = _as(STORAGE_CLASSES, snapshot.StorageClass)
_VOLUMES = _core("persistentvolumes", "PersistentVolume", Volume, namespaced=False)
_QUOTAS = _core("resourcequotas", "ResourceQuota", Whole, namespaced=True)
_SERVED = _as(INFERENCE_SERVICES, Whole)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A service, and what it asks for; `words` say why that is not known."""

    namespace: str
    name: str
    demand: Demand | None = None
    words: str = ""


async def of_service(
    client: KubeClient, namespace: str, name: str, server: str, now: datetime
) -> tuple[Asked, ...]:
    """Return a service of the cluster. Raises UserError where there is none."""
    try:
        service = await client.get(aim.SERVICES, name, namespace=namespace)
    except NotFound as error:
        raise UserError(f"there is no AIMService {name} in namespace {namespace}") from error
    try:
        live = await client.get(_SERVED, name, namespace=namespace)
    except (NotFound, NotInstalled):
        try:
            seen = await snapshot.take(client, server, now)
        except Forbidden as error:
            words = in_the_users_words(error)
            return (
                Asked(namespace=namespace, name=name, words=f"it has no InferenceService yet, and {words}"),
            )
        objects, _ = await _settled(seen, (), namespace)
        return tuple(_of_objects(objects, [(namespace, name)]))
    return (await _live(client, service, live),)


async def _live(client: KubeClient, service: aim.AIMService, live: Whole) -> Asked:
    """Return what a service asks for whose InferenceService is there."""
    reference = (service.status or aim.AIMServiceStatus()).resolved_template
    template: Any = None
    if reference is not None:
        of_namespace = reference.kind == aim.TEMPLATES.kind
        resource: Resource[Any] = aim.TEMPLATES if of_namespace else aim.CLUSTER_TEMPLATES
        try:
            template = await client.get(resource, reference.name, namespace=reference.namespace or "")
        except (NotFound, Forbidden):
            template = None
    plain = msgspec.to_builtins(live) | {"kind": INFERENCE_SERVICES.kind}
    return _asked(service, filled(plain), template)


async def of_documents(seen: Snapshot, documents: Sequence[Document], namespace: str) -> tuple[Asked, ...]:
    """Return the services of files, on a copy of the cluster. Raises UserError for what is not right."""
    services = [each for each in documents if each.kind == aim.SERVICES.kind]
    if not services:
        raise UserError("there is no AIMService in it")
    objects, wrong = await _settled(seen, documents, namespace)
    if wrong:
        raise UserError("; ".join(wrong))
    return tuple(_of_objects(objects, [(each.namespace or namespace, each.name) for each in services]))


async def _settled(
    seen: Snapshot, documents: Sequence[Document], namespace: str
) -> tuple[list[Manifest], list[str]]:
    """Return all objects once the operator has done what it can, and what is wrong with documents."""
    world = World({}, seen)
    async with world.running():
        await world.rest()
        loaded = problems.load(world.sandbox, documents, namespace)
        stored = await world.rest()
    wrong = [f"{each.subject}: {each.message}" for each in loaded.problems if each.severity == "error"]
    return [each.obj for each in stored], wrong


def _of_objects(objects: Sequence[Manifest], names: Iterable[tuple[str, str]]) -> Iterable[Asked]:
    by_key = {(o["kind"], o["metadata"].get("namespace") or "", o["metadata"]["name"]): o for o in objects}
    for namespace, name in names:
        service = msgspec.convert(by_key[aim.SERVICES.kind, namespace, name], aim.AIMService)
        live = by_key.get((INFERENCE_SERVICES.kind, namespace, name))
        status = service.status or aim.AIMServiceStatus()
        if live is None:
            ready = conditions.find(status.conditions or (), c.READY)
            why = f": {ready.reason}: {ready.message}" if ready is not None else ""
            yield Asked(namespace=namespace, name=name, words=f"it is {status.status or 'Pending'}{why}")
            continue
        reference = status.resolved_template
        found = reference and by_key.get((reference.kind, reference.namespace or "", reference.name))
        template = None
        if found:
            of_namespace = found["kind"] == aim.TEMPLATES.kind
            template = msgspec.convert(
                found, aim.AIMServiceTemplate if of_namespace else aim.AIMClusterServiceTemplate
            )
        yield _asked(service, live, template)


def _asked(service: aim.AIMService, live: Manifest, template: Any) -> Asked:
    active = (service.status or aim.AIMServiceStatus()).active
    predictor = live["spec"]["predictor"]
    replicas = predictor.get("minReplicas")
    model = active.gpu_model if active is not None else None
    resource = active.gpu_resource if active is not None else None
    demand = Demand(
        namespace=service.metadata.namespace,
        name=service.metadata.name,
        replicas=1 if replicas is None else int(replicas),
        predictor=predictor,
        gpu_model=model,
        gpu_count=active.gpu_count if active is not None else 0,
        partition=model is not None and resource not in (None, hardware.gpu_resource(model)),
        size_bytes=size_bytes(template) if template is not None else None,
    )
    return Asked(namespace=demand.namespace, name=demand.name, demand=demand)


async def around(client: KubeClient, namespace: str) -> Surroundings:
    """Return what there is around the Pods of a namespace."""
    sight = Sight(client)

    async def seen(field: str, resource: Resource[Any], where: str = "") -> list[Manifest] | None:
        found = await sight.of(field, lambda: sight.all_of(resource, where))
        return None if found is None else [msgspec.to_builtins(each) for each in found]

    nodes = await seen("nodes", _NODES)
    pods = await seen("pods", _PODS)
    quotas = await seen("quotas", _QUOTAS, namespace)
    claims = await seen("claims", _CLAIMS, namespace)
    volumes = await seen("volumes", _VOLUMES)
    classes = await seen("classes", _CLASSES)
    return Surroundings(
        room=on.room(nodes, pods) if nodes is not None else None,
        quotas=tuple(quotas) if quotas is not None else None,
        claims=_by_name(claims) if claims is not None else None,
        volumes=_by_name(volumes or ()),
        classes=_by_name(classes or ()),
        unseen=sight.unseen,
    )


def _by_name(objects: Iterable[Manifest]) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in objects}
