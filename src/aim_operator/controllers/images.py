"""AIMImage and AIMClusterImage: whether what the catalog entry refers to exists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, IMAGES, AIMImageStatus
from aim_operator.controllers.dependents import Dependents
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import came_or_went, itself
from aim_operator.controllers.watched import Watched
from aim_operator.core import images
from aim_operator.core.catalog import Image
from aim_operator.runtime.triggers import Trigger


class Images(AimKind):
    """Both scopes: a cluster image is skipped by an instance limited to namespaces."""

    status_type = AIMImageStatus

    def __init__(self, *, catalog: StoreCatalog, cluster: bool) -> None:
        self._catalog, self._cluster = catalog, cluster

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], Image] | None:
        if ref.namespace:
            image: Image | None = self._catalog.image(ref.namespace, ref.name)
            return (IMAGES, image) if image is not None else None
        image = self._catalog.cluster_image(ref.name) if self._cluster else None
        return (CLUSTER_IMAGES, image) if image is not None else None

    async def gather(self, ref: ObjectRef, obj: Image, now: datetime) -> Image:
        del ref, now
        return obj

    def decide(self, observed: Image, now: datetime) -> Plan[AIMImageStatus]:
        return images.decide(observed, self._catalog, now=now)


def image_wakes(watched: Watched, depend: Dependents) -> list[Trigger[Any]]:
    """Return what wakes images: themselves, their default template, their configuration."""
    return [
        Trigger(watched.images, itself(IMAGES), own=True),
        Trigger(watched.cluster_images, itself(CLUSTER_IMAGES), own=True),
        Trigger(watched.templates, depend.images_of_template, when=came_or_went),
        Trigger(watched.cluster_templates, depend.images_of_template, when=came_or_went),
        Trigger(watched.runtime_configs, depend.images_of_config, when=came_or_went),
        Trigger(watched.cluster_runtime_configs, depend.images_of_config, when=came_or_went),
    ]
