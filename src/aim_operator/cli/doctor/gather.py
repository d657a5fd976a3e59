"""Reads what `aimctl doctor` judges, with the rights of whoever asks. Called by command.py.

What may not be read is None, and the reason is kept; what is not installed is empty.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from aim_operator.api.external import (
    DEPLOYMENTS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    INFERENCE_SERVICES_CRD,
    SCALED_OBJECTS,
    STORAGE_CLASSES,
    Deployment,
    InferenceServicesCrd,
    StorageClass,
)
from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    CLUSTER_RUNTIME_CONFIGS,
    RUNTIME_CONFIGS,
    SERVICES,
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
)
from aim_operator.cli import versions
from aim_operator.cli.connect import everything
from aim_operator.cli.doctor import policies, rendered
from aim_operator.cli.everyday.addresses import GATEWAYS, Gateway
from aim_operator.cli.sight import Sight
from aim_operator.errors import Forbidden, NotInstalled
from aim_operator.kube.protocol import KubeClient

T = TypeVar("T")


class NodeInfo(Wire):
    kubelet_version: str = ""


class NodeStatus(Wire):
    allocatable: dict[str, str | int] | None = None
    node_info: NodeInfo = msgspec.field(default_factory=NodeInfo)


class Node(KubeObject):
    """A node with what it has to give."""

    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


NODES = Resource(group="", version="v1", plural="nodes", kind="Node", namespaced=False, type=Node)


class Surroundings(Struct, frozen=True, kw_only=True):
    """A cluster; each is None where it may not be read, which `unseen` then tells by the field's name."""

    installed: versions.Versions
    down: tuple[str, ...] = ()
    """NAMESPACE/NAME of the operators of which no Pod is ready."""
    kserve: bool | None = None
    kserve_crd: InferenceServicesCrd | None = None
    routes: bool | None = None
    bundle_version: str = ""
    """Of the Gateway API, as its CRDs are annotated; "" where that is not known."""
    gateways: tuple[Gateway, ...] | None = None
    keda: bool | None = None
    storage_classes: tuple[StorageClass, ...] | None = None
    nodes: tuple[Node, ...] | None = None
    access_modes: tuple[str, ...] | None = None
    """Of the claims of model caches, as the cluster's runtime configuration says; None where it doesn't."""
    cache_class: str | None = None
    """Storage class of model caches, as the cluster's runtime configuration says; None where it doesn't."""
    serving: frozenset[str] = frozenset()
    """Namespaces with services, and the one that is asked for."""
    homes: frozenset[str] = frozenset()
    """Namespaces of operators."""
    namespaces: tuple[policies.Namespace, ...] | None = None
    configured: frozenset[str] | None = None
    """Namespaces whose configuration has servers run as a user who is not root; "" is the whole cluster."""
    quotas: tuple[policies.Quota, ...] | None = None
    limit_ranges: tuple[policies.LimitRange, ...] | None = None
    pods: tuple[rendered.Pod, ...] | None = None
    """What the operator makes, or would: by services and configurations."""
    priority_class: str | None = None
    """That of Pods that name none, "" where there is no such class."""
    network_policies: tuple[policies.Policy, ...] | None = None
    """NetworkPolicies that are about the operator's Pods, whoever made them."""
    endpoints: tuple[policies.Endpoints, ...] | None = None
    """Of the API server."""
    accounts: tuple[str, ...] = ()
    """NAMESPACE/NAME of the operators whose rights were asked for."""
    denied: tuple[policies.Denied, ...] | None = None
    unseen: dict[str, str] = {}

    def why(self, *fields: str) -> str:
        """Return why a field is None: why the first of these could not be read that couldn't."""
        return next((self.unseen[each] for each in fields if each in self.unseen), "it could not be read")


async def read(client: KubeClient, namespace: str, own: str) -> Surroundings:
    """Return what the cluster has. `own` is this program's version."""
    sight = Sight(client)
    seen, all_of = sight.of, sight.all_of

    async def served(resource: Resource[Any]) -> bool:
        try:
            await client.list(resource, namespace=namespace, limit=1)
        except NotInstalled:
            return False
        return True

    async def pods() -> tuple[rendered.Pod, ...]:
        defaults = {each.metadata.namespace or "": each.spec for each in configs}
        live = await all_of(rendered.SERVERS)
        names = [(each.metadata.namespace, each.metadata.name) for each in services or ()]
        return (
            *rendered.of_jobs(accounts or (), serving, homes, defaults),
            *rendered.of_servers(live, names),
        )

    async def default_class() -> str:
        classes = await all_of(policies.PRIORITY_CLASSES)
        return next((each.metadata.name for each in classes if each.global_default), "")

    async def definition(resource: Resource[Any], name: str) -> Any:
        page = await client.list(resource, field_selector=f"metadata.name={name}", limit=1)
        return next(iter(page.items), None)

    async def operators() -> tuple[Deployment, ...]:
        return tuple(await everything(client, DEPLOYMENTS, label_selector=versions.NAME_LABEL))

    async def of_operators() -> tuple[policies.Policy, ...]:
        return tuple(
            policy
            for policy in await all_of(policies.POLICIES)
            if any(each.is_selected_by(policy) for each in accounts or ())
        )

    async def denied() -> tuple[policies.Denied, ...]:
        try:
            return await policies.denied(client, accounts or ())
        except NotInstalled:
            raise Forbidden("this server answers no questions about what others may do") from None

    installed = await versions.read(client, own)
    deployed = await seen("operators", operators) if installed.operators else ()
    kserve = await seen("kserve", lambda: served(INFERENCE_SERVICES))
    crd = await seen("kserve_crd", lambda: definition(INFERENCE_SERVICES_CRD, INFERENCE_SERVICES.qualified))
    route_crd = await seen("bundle", lambda: definition(versions.DEFINITIONS, HTTP_ROUTES.qualified))
    bundle = route_crd.metadata.annotation("gateway.networking.k8s.io/bundle-version") if route_crd else None
    accounts = await seen("denied", lambda: all_of(policies.OPERATORS, selector=policies.OF_THE_OPERATOR))
    homes = frozenset(each.metadata.namespace for each in accounts or ())
    services = await seen("services", lambda: all_of(SERVICES))
    own_configs = await seen("configured", lambda: all_of(RUNTIME_CONFIGS))
    cluster_configs = await seen("configured", lambda: all_of(CLUSTER_RUNTIME_CONFIGS))
    configs: list[AIMRuntimeConfig | AIMClusterRuntimeConfig] = []
    configs += [each for each in own_configs or () if _is_default(each)]
    configs += [each for each in cluster_configs or () if _is_default(each)]
    serving = frozenset(each.metadata.namespace for each in services or ()) | ({namespace} - homes)
    known = None not in (services, own_configs, cluster_configs)
    general = next((each.spec for each in configs if not each.metadata.namespace), None)
    return Surroundings(
        installed=installed,
        down=tuple(
            f"{each.metadata.namespace}/{each.metadata.name}"
            for each in deployed or ()
            if each.spec.replicas and not each.status.ready_replicas
        ),
        kserve=kserve,
        kserve_crd=crd,
        routes=await seen("routes", lambda: served(HTTP_ROUTES)),
        bundle_version=bundle or "",
        gateways=await seen("gateways", lambda: all_of(GATEWAYS)),
        keda=await seen("keda", lambda: served(SCALED_OBJECTS)),
        storage_classes=await seen("storage_classes", lambda: all_of(STORAGE_CLASSES)),
        nodes=await seen("nodes", lambda: all_of(NODES)),
        access_modes=general.storage.access_modes if general is not None and general.storage else None,
        cache_class=general.default_storage_class_name if general is not None else None,
        serving=serving,
        homes=homes,
        namespaces=await seen("namespaces", lambda: all_of(policies.NAMESPACES)),
        configured=None
        if own_configs is None or cluster_configs is None
        else frozenset(each.metadata.namespace or "" for each in configs if _is_no_root(each)),
        quotas=await seen("quotas", lambda: all_of(policies.QUOTAS)),
        limit_ranges=await seen("limit_ranges", lambda: all_of(policies.LIMIT_RANGES)),
        pods=await seen("pods", pods) if known else None,
        priority_class=await seen("priority_class", default_class),
        network_policies=await seen("network_policies", of_operators),
        endpoints=await seen(
            "endpoints", lambda: all_of(policies.ENDPOINTS, "default", selector=policies.OF_THE_API_SERVER)
        ),
        accounts=tuple(f"{each.metadata.namespace}/{each.metadata.name}" for each in accounts or ()),
        denied=None if accounts is None else await seen("denied", denied),
        unseen=sight.unseen,
    )


def _is_default(config: AIMRuntimeConfig | AIMClusterRuntimeConfig) -> bool:
    return config.metadata.name == "default"


def _is_no_root(config: AIMRuntimeConfig | AIMClusterRuntimeConfig) -> bool:
    context = config.spec.security_context
    return context is not None and context.run_as_non_root is True
