"""Builders for decisions about services: objects from plain specs, a catalog of dicts, and snapshots.

Specs are written as users write them (camelCase keywords), so that a test reads like a manifest.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from aim_operator.api.external import (
    HTTPRoute,
    HTTPRouteStatus,
    InferenceService,
    InferenceServiceStatus,
    Pod,
    PodDisruptionBudget,
)
from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1 import (
    ActiveMount,
    ActiveWorkload,
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterServiceTemplate,
    AIMImage,
    AIMRuntimeConfig,
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplate,
    AIMServiceTemplateStatus,
)
from aim_operator.core import hardware, labels
from aim_operator.core.catalog import Template, is_derived
from aim_operator.core.service.meaning import digest_of
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.resolution import resolve
from aim_operator.core.service.route import wanted_route
from aim_operator.core.serving.pin import pinned_config, workload
from aim_operator.core.serving.workload import inference_service, revision_of

NAMESPACE = "team"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
GATEWAY = {"name": "inference-gateway", "namespace": "gateways"}
ROUTED = {"enabled": True, "gatewayRef": GATEWAY, "routeTemplate": "/models/{.metadata.name}"}

K = TypeVar("K", bound=KubeObject)
Wanted = dict[str, Any]


def make_service(
    name: str = "chat",
    *,
    namespace: str = NAMESPACE,
    status: AIMServiceStatus | None = None,
    metadata: Wanted | None = None,
    **spec: Any,
) -> AIMService:
    """Return a service of model `model`, unless told otherwise."""
    service = _build(AIMService, name, namespace, {"model": "model", **spec}, metadata)
    return service if status is None else structs.replace(service, status=status)


def make_image(name: str = "model", *, namespace: str = NAMESPACE, **spec: Any) -> AIMImage:
    return _build(AIMImage, name, namespace, {"image": "ghcr.io/example/model:v1", **spec})


def make_cluster_image(name: str = "model", **spec: Any) -> AIMClusterImage:
    return _build(AIMClusterImage, name, "", {"image": "ghcr.io/example/model:v1", **spec})


def make_template(
    name: str = "fast",
    *,
    namespace: str = NAMESPACE,
    status: AIMServiceTemplateStatus | None = None,
    metadata: Wanted | None = None,
    **spec: Any,
) -> AIMServiceTemplate:
    """Return an available template of image `model`."""
    template = _build(AIMServiceTemplate, name, namespace, {"aimImageName": "model", **spec}, metadata)
    return structs.replace(template, status=make_template_status() if status is None else status)


def make_cluster_template(
    name: str = "fast",
    *,
    status: AIMServiceTemplateStatus | None = None,
    metadata: Wanted | None = None,
    **spec: Any,
) -> AIMClusterServiceTemplate:
    """Return an available cluster template of image `model`."""
    template = _build(AIMClusterServiceTemplate, name, "", {"aimImageName": "model", **spec}, metadata)
    return structs.replace(template, status=make_template_status() if status is None else status)


def make_template_status(
    state: str = "Available",
    *,
    reason: str = "",
    message: str = "",
    sources: Iterable[str] = ("hf://example/model",),
    discovered_image: str = "",
    **metadata: Any,
) -> AIMServiceTemplateStatus:
    """Return a status with a discovered profile; `reason` is that of Failure where the state is one."""
    failing = state in {"Failed", "Degraded"}
    conditions = [
        {
            "type": "Ready",
            "status": _word(state == "Available"),
            "reason": reason or state,
            "message": message,
        },
        {"type": "Failure", "status": _word(failing), "reason": reason or state, "message": message},
    ]
    return msgspec.convert(
        {
            "status": state,
            "conditions": conditions,
            "modelSources": [
                {"name": uri.partition("://")[2], "sourceUri": uri, "size": "1073741824"} for uri in sources
            ],
            "profile": {
                "filename": "vllm-a-profile.yaml",
                "aim_id": "example/model",
                "model_id": "example/model",
                "metadata": {
                    "engine": "vllm",
                    "gpu": "MI300X",
                    "gpu_count": 1,
                    "metric": "latency",
                    "precision": "fp16",
                    **metadata,
                },
            },
            **({"discovery": {"image": discovered_image}} if discovered_image else {}),
        },
        AIMServiceTemplateStatus,
    )


def make_runtime_config(
    name: str = "default", *, namespace: str = NAMESPACE, **spec: Any
) -> AIMRuntimeConfig:
    return _build(AIMRuntimeConfig, name, namespace, spec)


def make_cluster_runtime_config(name: str = "default", **spec: Any) -> AIMClusterRuntimeConfig:
    return _build(AIMClusterRuntimeConfig, name, "", spec)


def make_inference_service(
    *,
    ready: bool | None = None,
    generation: int = 1,
    observed_generation: int | None = None,
    conditions: Iterable[Wanted] = (),
    model_status: Wanted | None = None,
) -> InferenceService:
    """Return the live InferenceService; KServe has not looked at it yet where `ready` is None."""
    known = list(conditions)
    if ready is not None:
        known.append({"type": "Ready", "status": _word(ready)})
    status: Wanted = {
        "conditions": known,
        "observedGeneration": generation if observed_generation is None else observed_generation,
    }
    if model_status is not None:
        status["modelStatus"] = model_status
    live = _build(InferenceService, "chat", NAMESPACE, {}, {"generation": generation})
    return structs.replace(live, status=msgspec.convert(status, type=InferenceServiceStatus))


def make_disruption_budget() -> PodDisruptionBudget:
    return _build(PodDisruptionBudget, "chat", NAMESPACE, {})


def make_http_route(
    *, conditions: Iterable[Wanted] | None = None, parent: Wanted | None = None, generation: int = 1
) -> HTTPRoute:
    """Return the live HTTPRoute; no gateway has looked at it where `conditions` is None."""
    parents = (
        []
        if conditions is None
        else [
            {
                "parentRef": GATEWAY if parent is None else parent,
                "controllerName": "example.com/gateway",
                "conditions": list(conditions),
            }
        ]
    )
    live = _build(HTTPRoute, "chat", NAMESPACE, {}, {"generation": generation})
    return structs.replace(live, status=msgspec.convert({"parents": parents}, type=HTTPRouteStatus))


def make_route_conditions(
    *,
    accepted: str = "True",
    resolved: str = "True",
    reason: str = "Said",
    message: str = "",
    generation: int = 1,
) -> list[Wanted]:
    """Return Accepted and ResolvedRefs, as a gateway says them."""
    return [
        {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": generation,
        }
        for type_, status in (("Accepted", accepted), ("ResolvedRefs", resolved))
    ]


REVISION = "0a1b2c3d"


def make_pod(
    *,
    waiting: Wanted | None = None,
    ended: Wanted | None = None,
    unschedulable: str = "",
    ready: bool = False,
    revision: str = REVISION,
    name: str = "chat-0",
    created: str = "2026-01-31T12:00:00Z",
    **more: Any,
) -> Pod:
    """Return a Pod of the model server that serves, waits, crashed before (`ended`), or fits no node."""
    status: Wanted = dict(more)
    if ready:
        status["conditions"] = [{"type": "Ready", "status": "True"}]
    if waiting is not None:
        container: Wanted = {"name": "kserve-container", "state": {"waiting": waiting}}
        if ended is not None:
            container["lastState"] = {"terminated": ended}
        status["containerStatuses"] = [container]
    if unschedulable:
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": unschedulable,
            }
        ]
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "creationTimestamp": created,
        "labels": {labels.REVISION: revision} if revision else {},
    }
    return msgspec.convert({"metadata": metadata, "status": status}, Pod)


class FakeCatalog:
    """core.catalog.Catalog over plain dicts, keyed by type, namespace and name."""

    def __init__(self, *objects: KubeObject, gpu_models: Iterable[str] = (), runtime: str = "") -> None:
        """`runtime` is what the live InferenceService of any service runs on."""
        self._runtime = runtime
        self._objects = {(type(o), o.metadata.namespace, o.metadata.name): o for o in objects}
        products = ({"amd.com/gpu.product-name": f"AMD_Instinct_{model}"} for model in gpu_models)
        self._gpu_models = frozenset(map(hardware.node_gpus, products))

    def image(self, namespace: str, name: str) -> AIMImage | None:
        return self._get(AIMImage, namespace, name)

    def cluster_image(self, name: str) -> AIMClusterImage | None:
        return self._get(AIMClusterImage, "", name)

    def template(self, namespace: str, name: str) -> AIMServiceTemplate | None:
        return self._get(AIMServiceTemplate, namespace, name)

    def cluster_template(self, name: str) -> AIMClusterServiceTemplate | None:
        return self._get(AIMClusterServiceTemplate, "", name)

    def templates_of(self, namespace: str, image_name: str) -> Iterable[AIMServiceTemplate]:
        return [
            t
            for t in self._objects.values()
            if isinstance(t, AIMServiceTemplate)
            and (t.metadata.namespace, t.spec.aim_image_name) == (namespace, image_name)
        ]

    def cluster_templates_of(self, image_name: str) -> Iterable[AIMClusterServiceTemplate]:
        return [
            t
            for t in self._objects.values()
            if isinstance(t, AIMClusterServiceTemplate) and t.spec.aim_image_name == image_name
        ]

    def templates_that_mean(self, namespace: str, digest: str) -> Iterable[Template]:
        return [
            t
            for t in self._objects.values()
            if isinstance(t, AIMServiceTemplate | AIMClusterServiceTemplate)
            and t.metadata.namespace == namespace
            and not is_derived(t)
            and digest_of(t) == digest
        ]

    def runtime_config(self, namespace: str, name: str) -> AIMRuntimeConfig | None:
        return self._get(AIMRuntimeConfig, namespace, name)

    def cluster_runtime_config(self, name: str) -> AIMClusterRuntimeConfig | None:
        return self._get(AIMClusterRuntimeConfig, "", name)

    def gpu_models(self) -> frozenset[hardware.NodeGpus]:
        return self._gpu_models

    def runtime_of(self, service: AIMService) -> str:
        del service
        return self._runtime

    def _get(self, type_: type[K], namespace: str, name: str) -> K | None:
        found = self._objects.get((type_, namespace, name))
        return found if isinstance(found, type_) else None


def make_service_observed(
    service: AIMService | None = None, catalog: FakeCatalog | None = None, **seen: Any
) -> ServiceObserved:
    """Return the snapshot that the controller would gather; `seen` are fields of ServiceObserved."""
    service = service or make_service()
    resolution = resolve(
        service, catalog or FakeCatalog(make_image(), make_template(), make_runtime_config())
    )
    config = resolution.config
    route = wanted_route(service, config) if config is not None else None
    return ServiceObserved(
        **{"service": service, "resolution": resolution, "config": config, "route": route} | seen
    )


def make_workload(observed: ServiceObserved | None = None, *mounts: ActiveMount) -> ActiveWorkload:
    """Return what a resolved service, by default one of model `model`, runs on."""
    found = (observed or make_service_observed()).resolution
    assert found.image is not None
    assert found.template is not None
    assert found.config is not None
    return workload(found.image, found.template, found.config, mounts)


def revision_of_service(service: AIMService | None = None, active: ActiveWorkload | None = None) -> str:
    """Return the revision of Pods of a service, by default one of model `model`, on what it runs on."""
    return revision_of(
        inference_service(service or make_service(), active or make_workload(), runtime="fast")
    )


def with_status(observed: ServiceObserved, status: AIMServiceStatus | None) -> ServiceObserved:
    """Return the same snapshot a moment later, when `status` has been written."""
    written = None if status is None else status
    service, config, route = (
        structs.replace(observed.service, status=written),
        observed.config,
        observed.route,
    )
    if config is None and status is not None and status.active is not None:
        config = pinned_config(status.active)
        route = wanted_route(service, config)
    return structs.replace(observed, service=service, config=config, route=route)


def _build(type_: type[K], name: str, namespace: str, spec: Wanted, metadata: Wanted | None = None) -> K:
    kind = type_.__name__
    document = {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": f"uid-{kind.lower()}-{namespace or 'cluster'}-{name}",
            "generation": 1,
            **(metadata or {}),
        },
        "spec": spec,
    }
    # Through JSON, as the API server's answers come: that is what fills Raw fields too.
    return msgspec.json.decode(msgspec.json.encode(document), type=type_)


def _word(holds: bool) -> str:  # noqa: FBT001 - the API's word for a truth value
    return "True" if holds else "False"
