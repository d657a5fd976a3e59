"""AIMRuntimeConfig and AIMClusterRuntimeConfig: woken by themselves only."""

from __future__ import annotations

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import (
    CLUSTER_RUNTIME_CONFIGS,
    RUNTIME_CONFIGS,
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
)
from aim_operator.controllers.carry_out import CarryOut
from aim_operator.controllers.paused import paused
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.core import runtime_configs
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class RuntimeConfigReconciler:
    """Both scopes: a cluster configuration is skipped by an instance limited to namespaces."""

    def __init__(self, *, catalog: StoreCatalog, carry_out: CarryOut, clock: Clock, cluster: bool) -> None:
        self._catalog, self._carry_out, self._clock = catalog, carry_out, clock
        self._cluster = cluster

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one configuration's status up to date."""
        config: AIMRuntimeConfig | AIMClusterRuntimeConfig | None = (
            self._catalog.runtime_config(ref.namespace, ref.name)
            if ref.namespace
            else self._catalog.cluster_runtime_config(ref.name)
        )
        if config is None or paused(config) or not (ref.namespace or self._cluster):
            return Result()
        plan = runtime_configs.decide(config, now=self._clock.now())
        resource = RUNTIME_CONFIGS if ref.namespace else CLUSTER_RUNTIME_CONFIGS
        return await self._carry_out.finish(ref, resource, config, plan)
