"""A cluster in a file: what `aimctl plan` needs of it, and no Secret, for none is ever asked for.

Which kinds are read, and which of their fields, is said here and nowhere else. Called by command.py and
snapshot_command.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SCALED_OBJECTS,
    SERVING_RUNTIMES,
    STORAGE_CLASSES,
)
from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta, Wire
from aim_operator.api.resource import Resource
from aim_operator.cli.connect import everything, in_the_users_words
from aim_operator.cli.doctor.gather import NODES
from aim_operator.cli.everyday.addresses import GATEWAYS
from aim_operator.cli.plan.sparse import filled
from aim_operator.errors import Forbidden, NotInstalled, UserError
from aim_operator.kube.protocol import KubeClient

VERSION = 1
MOST_BYTES = 1024**3
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
NEEDED = (aim.SERVICES, aim.CLUSTER_TEMPLATES, aim.CLUSTER_IMAGES, INFERENCE_SERVICES)
"""Without these a difference would be wrong, not only incomplete."""


class Whole(KubeObject):
    """An object with its spec and status as they are; metadata.managedFields is not read."""

    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


class StorageClass(KubeObject):
    provisioner: str | None = None
    volume_binding_mode: str | None = None
    allow_volume_expansion: bool | None = None


class NodeSpec(Wire):
    taints: tuple[dict[str, Any], ...] | None = None
    unschedulable: bool | None = None


class NodeStatus(Wire):
    allocatable: dict[str, str | int] | None = None
    capacity: dict[str, str | int] | None = None
    conditions: tuple[dict[str, Any], ...] | None = None


class Node(KubeObject):
    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class Resources(Wire):
    limits: dict[str, str | int] | None = None
    requests: dict[str, str | int] | None = None


class Container(Wire):
    name: str = ""
    resources: Resources | None = None


class PodSpec(Wire):
    node_name: str | None = None
    containers: tuple[Container, ...] = ()


class PodStatus(Wire):
    phase: str | None = None


class Pod(KubeObject):
    """Where it runs and what it asks for; neither its environment nor its volumes."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


def _seen_as(resource: Resource[Any], type_: type[KubeObject]) -> Resource[Any]:
    return msgspec.structs.replace(resource, type=type_, metadata_only=False)


NAMESPACES = Resource(
    group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False, type=Whole
)
KINDS: tuple[Resource[Any], ...] = (
    NAMESPACES,
    *(_seen_as(resource, Whole) for resource in aim.ALL_KINDS),
    *(
        _seen_as(resource, Whole)
        for resource in (
            CLUSTER_SERVING_RUNTIMES,
            SERVING_RUNTIMES,
            INFERENCE_SERVICES,
            GATEWAYS,
            HTTP_ROUTES,
            SCALED_OBJECTS,
            PERSISTENT_VOLUME_CLAIMS,
        )
    ),
    _seen_as(STORAGE_CLASSES, StorageClass),
    _seen_as(NODES, Node),
    _seen_as(PODS, Pod),
)
"""Owners come before what they own."""


class _NamedMetadata(ObjectMeta):
    name: str
    uid: str


class _Named(Wire):
    """What every object of a snapshot has."""

    api_version: str
    kind: str
    metadata: _NamedMetadata
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


_SHAPES: dict[str, type[KubeObject]] = {"StorageClass": StorageClass, "Node": Node, "Pod": Pod}


class Snapshot(Struct, frozen=True, kw_only=True, rename="camel"):
    """`missing` are the kinds that are not installed, `unseen` says of others why they were not read."""

    version: int
    taken_at: Annotated[datetime, msgspec.Meta(tz=True)]
    server: str
    missing: tuple[str, ...] = ()
    unseen: dict[str, str] = {}
    objects: tuple[Manifest, ...] = ()


async def take(client: KubeClient, server: str, now: datetime) -> Snapshot:
    """Return the cluster as it is now. Raises Forbidden where what a difference needs may not be read."""
    objects: list[Manifest] = []
    missing: list[str] = []
    unseen: dict[str, str] = {}
    for resource in KINDS:
        try:
            objects += [_plain(resource, each) for each in await everything(client, resource)]
        except NotInstalled:
            missing.append(resource.kind)
        except Forbidden as error:
            if resource.kind in {each.kind for each in NEEDED}:
                raise
            unseen[resource.kind] = in_the_users_words(error)
    if aim.SERVICES.kind in missing:
        raise NotInstalled("aimservices.aim.silogen.ai is not installed")
    return Snapshot(
        version=VERSION,
        taken_at=now,
        server=server,
        missing=tuple(missing),
        unseen=unseen,
        objects=tuple(objects),
    )


def read(path: Path) -> Snapshot:
    """Return the snapshot in a file. Raises UserError."""
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        found = msgspec.json.decode(text, type=Snapshot)
    except OSError as error:
        raise UserError(f"--snapshot {path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"--snapshot {path} is none of `aimctl snapshot`: {error}") from error
    if found.version != VERSION:
        raise UserError(
            f"--snapshot {path} is of version {found.version}, this aimctl reads {VERSION}: take it again"
        )
    found = msgspec.structs.replace(found, objects=tuple(map(filled, found.objects)))
    for number, obj in enumerate(found.objects, 1):
        try:
            named = msgspec.convert(obj, _Named)
            msgspec.convert(obj, _SHAPES.get(named.kind, _Named))
        except msgspec.ValidationError as error:
            raise UserError(
                f"--snapshot {path} is none of `aimctl snapshot`: object {number}: {error}"
            ) from error
    return found


def written(snapshot: Snapshot) -> str:
    """Return the file's text: one object a line, so that two of them can be compared."""
    head = msgspec.json.encode(msgspec.structs.replace(snapshot, objects=())).decode()
    lines = ",\n".join(msgspec.json.encode(each).decode() for each in snapshot.objects)
    return f"{head.removesuffix('[]}')}[\n{lines}\n]}}\n"


def objects_of(objects: Iterable[Manifest], kind: str) -> list[Manifest]:
    return [each for each in objects if each["kind"] == kind]


def _plain(resource: Resource[Any], obj: KubeObject) -> Manifest:
    # As a file would have it: tuples are none of JSON's values, and no schema takes them.
    plain: Manifest = msgspec.json.decode(msgspec.json.encode(obj))
    notes = plain["metadata"].get("annotations") or {}
    notes.pop(_LAST_APPLIED, None)
    return filled(plain | {"apiVersion": resource.api_version, "kind": resource.kind})
