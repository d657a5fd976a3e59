"""AIMRuntimeConfig and AIMClusterRuntimeConfig: a status that says what they do to services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    CLUSTER_RUNTIME_CONFIGS,
    RUNTIME_CONFIGS,
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
    AIMRuntimeConfigStatus,
)
from aim_operator.controllers.index import BY_NAME
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import itself, spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core import runtime_configs
from aim_operator.core.runtime_configs import ObservedConfig
from aim_operator.runtime.triggers import Trigger

Config = AIMRuntimeConfig | AIMClusterRuntimeConfig


class RuntimeConfigs(AimKind):
    """Both scopes: a cluster configuration is skipped by an instance limited to namespaces."""

    status_type = AIMRuntimeConfigStatus

    def __init__(self, *, catalog: StoreCatalog, cluster: bool) -> None:
        self._catalog, self._cluster = catalog, cluster

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], Config] | None:
        if ref.namespace:
            config: Config | None = self._catalog.runtime_config(ref.namespace, ref.name)
            return (RUNTIME_CONFIGS, config) if config is not None else None
        config = self._catalog.cluster_runtime_config(ref.name) if self._cluster else None
        return (CLUSTER_RUNTIME_CONFIGS, config) if config is not None else None

    async def gather(self, ref: ObjectRef, obj: Config, now: datetime) -> ObservedConfig:
        del now
        cluster = self._catalog.cluster_runtime_config(ref.name) if ref.namespace else None
        return ObservedConfig(config=obj, cluster=cluster)

    def decide(self, observed: ObservedConfig, now: datetime) -> Plan[AIMRuntimeConfigStatus]:
        return runtime_configs.decide(observed, now=now)


def runtime_config_wakes(watched: Watched) -> list[Trigger[Any]]:
    """Return what wakes configurations: themselves, and the cluster's those that are laid over it."""

    def of_the_name(cluster: AIMClusterRuntimeConfig) -> Iterator[ObjectRef]:
        named = watched.runtime_configs.store.by_index(BY_NAME, cluster.metadata.name)
        yield from map(RUNTIME_CONFIGS.ref, named)

    return [
        Trigger(watched.runtime_configs, itself(RUNTIME_CONFIGS), own=True),
        Trigger(watched.cluster_runtime_configs, itself(CLUSTER_RUNTIME_CONFIGS), own=True),
        Trigger(watched.cluster_runtime_configs, of_the_name, when=spec_changed),
    ]
