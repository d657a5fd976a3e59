"""Where files are: claims and their classes."""

from __future__ import annotations

import msgspec

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource


class ClaimResources(Wire):
    requests: dict[str, str | int] | None = None


class ClaimSpec(Wire):
    access_modes: tuple[str, ...] | None = None
    storage_class_name: str | None = None
    resources: ClaimResources = msgspec.field(default_factory=ClaimResources)


class ClaimCondition(Wire):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class ClaimStatus(Wire):
    phase: str | None = None
    capacity: dict[str, str | int] | None = None
    conditions: tuple[ClaimCondition, ...] | None = None


class PersistentVolumeClaim(KubeObject):
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)


class StorageClass(KubeObject):
    provisioner: str = ""
    volume_binding_mode: str | None = None
    allow_volume_expansion: bool | None = None


PERSISTENT_VOLUME_CLAIMS = Resource(
    group="",
    version="v1",
    plural="persistentvolumeclaims",
    kind="PersistentVolumeClaim",
    namespaced=True,
    type=PersistentVolumeClaim,
)
STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    plural="storageclasses",
    kind="StorageClass",
    namespaced=False,
    type=StorageClass,
)
