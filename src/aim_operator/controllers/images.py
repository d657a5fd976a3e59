"""AIMImage and AIMClusterImage: woken by themselves, their default template, their configuration."""

from __future__ import annotations

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, IMAGES
from aim_operator.controllers.carry_out import CarryOut
from aim_operator.controllers.paused import paused
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.core import images
from aim_operator.core.catalog import Image
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class ImageReconciler:
    """Both scopes: a cluster image is skipped by an instance limited to namespaces."""

    def __init__(self, *, catalog: StoreCatalog, carry_out: CarryOut, clock: Clock, cluster: bool) -> None:
        self._catalog, self._carry_out, self._clock = catalog, carry_out, clock
        self._cluster = cluster

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one image's status up to date."""
        image: Image | None = (
            self._catalog.image(ref.namespace, ref.name)
            if ref.namespace
            else self._catalog.cluster_image(ref.name)
        )
        if image is None or paused(image) or not (ref.namespace or self._cluster):
            return Result()
        plan = images.decide(image, self._catalog, now=self._clock.now())
        return await self._carry_out.finish(ref, IMAGES if ref.namespace else CLUSTER_IMAGES, image, plan)
