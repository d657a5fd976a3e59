"""Volumes of a model server beside those that the operator adds: merged level by level, and rendered."""

from __future__ import annotations

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import Volume
from aim_operator.core import canonical
from aim_operator.core.manifests import plain

_PREFIX = "of-"
"""Before each name, so that none is taken for one of the operator's (dshm, model-...) or KServe's."""


def layered(*layers: tuple[Volume, ...] | None) -> tuple[Volume, ...] | None:
    """Lay volumes over each other, the first on top: one replaces those of its name, and of its mountPath.

    None if no level has any. Sorted by name: an order says nothing.
    """
    if all(layer is None for layer in layers):
        return None
    merged: list[Volume] = []
    for layer in layers:
        names, paths = {each.name for each in merged}, {each.mount_path for each in merged}
        merged += (each for each in layer or () if each.name not in names and each.mount_path not in paths)
    return tuple(sorted(merged, key=lambda each: each.name))


def pod_volumes(volumes: tuple[Volume, ...]) -> list[Manifest]:
    """Return the Pod's volumes."""
    return [{"name": _PREFIX + each.name, **_source(each)} for each in volumes]


def mounts(volumes: tuple[Volume, ...]) -> list[Manifest]:
    """Return the mounts of the serving container."""
    return [_mount(each) for each in volumes]


def _source(volume: Volume) -> Manifest:
    sources = {
        "configMap": volume.config_map,
        "secret": volume.secret,
        "persistentVolumeClaim": volume.persistent_volume_claim,
    }
    return {kind: canonical.fields(plain(source)) for kind, source in sources.items() if source is not None}


def _mount(volume: Volume) -> Manifest:
    mount: Manifest = {"name": _PREFIX + volume.name, "mountPath": volume.mount_path}
    if volume.persistent_volume_claim is None or volume.read_only:
        mount["readOnly"] = True
    return mount if volume.sub_path is None else {**mount, "subPath": volume.sub_path}
