"""Sets the scene: a control plane, a catalog with Available templates, services, and their children's status.

No node, KServe or gateway runs: what they would write is written here, in the way they do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    CLUSTER_RUNTIME_CONFIGS,
    CLUSTER_TEMPLATES,
    SERVICES,
    AIMClusterImage,
    AIMClusterServiceTemplate,
)
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.discovery_output import parse
from aim_operator.core.template.discovery import digest
from aim_operator.sandbox.profiles import read_profiles
from bench.api import Api, each
from hack.cluster.build import yaml_to_json
from hack.cluster.cluster import Cluster
from hack.cluster.manifests import crd_manifests
from hack.cluster.progress import Progress

REPOSITORY = Path(__file__).parents[1]
OPERATOR_NAMESPACE = "kaiwo-system"
GATEWAY = {"name": "inference-gateway", "namespace": "gateways"}
WHEN = "2026-01-01T00:00:00Z"
AVAILABLE_SECONDS = 120
"""How long templates with a result may take: a busy machine needs some seconds."""

SERVICES_PATH = SERVICES.collection_path()
INFERENCE_SERVICES_PATH = INFERENCE_SERVICES.collection_path()
HTTP_ROUTES_PATH = HTTP_ROUTES.collection_path()


Plain = dict[str, Any]
"""An object as plain JSON."""


class Name(NamedTuple):
    """A service: its namespace, name, and the model it asks for."""

    namespace: str
    name: str
    model: str


class Catalog(NamedTuple):
    """How large a scene is."""

    images: int = 1
    templates: int = 1


@contextmanager
def control_plane(progress: Progress) -> Iterator[Cluster]:
    """Yield etcd, API server and controllers, with our CRDs and those of KServe and Gateway API."""
    crds = [*crd_manifests("kserve"), *crd_manifests("gateway"), *aim_crds()]
    with Cluster.start(crds=crds, progress=progress) as cluster:
        allow_everything(cluster)
        yield cluster


def aim_crds() -> list[dict[str, Any]]:
    paths = sorted((REPOSITORY / "deploy" / "crds").glob("*.yaml"))
    return [crd for path in paths for crd in yaml_to_json(path.read_text())]


def allow_everything(cluster: Cluster) -> None:
    """Give the operator its namespace and all rights: RBAC is asked for every request, as in production."""
    cluster.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    cluster.api.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "operator"},
            "roleRef": role,
            "subjects": [cluster.operator_subject],
        }
    )


async def publish(api: Api, size: Catalog) -> None:
    """Create images, templates and a default configuration; the templates have been discovered already.

    The first template of an image is its default.
    """
    await publish_config(api)
    images = await each(range(size.images), lambda number: _image(api, number))
    by_name = {image.metadata.name: image for image in images}
    await each(
        range(size.templates),
        lambda number: _template(api, number, by_name[f"model-{number % size.images}"]),
    )


async def publish_config(api: Api) -> None:
    """Create the configuration by which all services are routed, each under a path of its own."""
    await api.create(
        CLUSTER_RUNTIME_CONFIGS.collection_path(),
        {
            "apiVersion": CLUSTER_RUNTIME_CONFIGS.api_version,
            "kind": CLUSTER_RUNTIME_CONFIGS.kind,
            "metadata": {"name": "default"},
            "spec": config_spec(),
        },
    )


def config_spec() -> Plain:
    routing = {
        "enabled": True,
        "gatewayRef": GATEWAY,
        "routeTemplate": "/{.metadata.namespace}/{.metadata.name}/",
    }
    return {"routing": routing}


def image_spec(number: int) -> Plain:
    return {
        "image": f"ghcr.io/example/model-{number}:v1.2.0",
        "defaultServiceTemplate": f"template-{number}",
        "resources": {
            "limits": {"cpu": "8", "memory": "64Gi"},
            "requests": {"cpu": "4", "memory": "32Gi"},
        },
    }


def node(number: int) -> Plain:
    """Return the metadata of a node with GPUs: fifty labels, most of them about its CPU."""
    features = {f"feature.node.kubernetes.io/cpu-cpuid.FEATURE{bit}": "true" for bit in range(44)}
    labels = {
        "kubernetes.io/hostname": f"node-{number}",
        "topology.kubernetes.io/zone": f"zone-{number % 3}",
        "amd.com/gpu.family": "AI",
        "amd.com/gpu.vram": "192G",
        "amd.com/gpu.device-id": "74a1",
        "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
    }
    return {
        "apiVersion": "meta.k8s.io/v1",
        "kind": "PartialObjectMetadata",
        "metadata": {"name": f"node-{number}", "labels": features | labels},
    }


def template_spec(image: str) -> Plain:
    return {
        "aimImageName": image,
        "metric": "latency",
        "precision": "fp16",
        "gpuSelector": {"count": 1, "model": "MI300X"},
    }


async def _image(api: Api, number: int) -> AIMClusterImage:
    created = await api.create(
        CLUSTER_IMAGES.collection_path(),
        {
            "apiVersion": CLUSTER_IMAGES.api_version,
            "kind": CLUSTER_IMAGES.kind,
            "metadata": {"name": f"model-{number}"},
            "spec": image_spec(number),
        },
    )
    return msgspec.convert(created, AIMClusterImage)


async def _template(api: Api, number: int, image: AIMClusterImage) -> None:
    created = await api.create(
        CLUSTER_TEMPLATES.collection_path(),
        {
            "apiVersion": CLUSTER_TEMPLATES.api_version,
            "kind": CLUSTER_TEMPLATES.kind,
            "metadata": {"name": f"template-{number}"},
            "spec": template_spec(image.metadata.name),
        },
    )
    template = msgspec.convert(created, AIMClusterServiceTemplate)
    path = CLUSTER_TEMPLATES.object_path(template.metadata.name)
    await api.merge(f"{path}/status", {"status": discovered(template, image)})


def discovered(template: AIMClusterServiceTemplate, image: AIMClusterImage) -> Plain:
    """Return the status of a discovered template: the operator has only its runtime to make."""
    found = parse(discovery_output())
    return {
        "modelSources": msgspec.to_builtins(found.model_sources),
        "profile": found.profile,
        "discovery": {
            "specHash": digest(template, image, RuntimeConfig()),
            "attempts": 0,
            "lastAttemptTime": WHEN,
        },
    }


def discovery_output() -> bytes:
    """Return what the quickstart's image prints."""
    (image, *_) = read_profiles(REPOSITORY / "examples" / "quickstart" / "profiles").values()
    return image.dry_run({"AIM_GPU_MODEL": "MI300X"}).log


class _Named(Struct):
    name: str
    namespace: str = ""


class _Condition(Struct):
    type: str
    message: str = ""


class _Status(Struct):
    status: str = ""
    conditions: list[_Condition] = []


class Seen(Struct):
    """An object's name and summary."""

    metadata: _Named
    status: _Status = msgspec.field(default_factory=_Status)


async def templates_available(api: Api, number: int) -> None:
    """Wait until the operator has published a runtime for each template.

    Raises RuntimeError where they stay otherwise: nothing here runs Pods, so a template that is to be
    discovered again, because the scene's result is for other inputs, would be waited for without end.
    """
    for _ in range(AVAILABLE_SECONDS):
        seen = await api.list(CLUSTER_TEMPLATES.collection_path(), Seen)
        late = [template for template in seen if template.status.status != "Available"]
        if len(seen) - len(late) == number:
            return
        await asyncio.sleep(1)
    raise RuntimeError(f"{len(late)} of {number} templates are not available, such as {late[:1]}")


async def make_namespaces(api: Api, names: Sequence[str]) -> None:
    await each(names, lambda name: api.create("/api/v1/namespaces", {"metadata": {"name": name}}))


def names(
    prefix: str, numbers: range, namespaces: Sequence[str], images: int = 1, *, popular: int = 0
) -> list[Name]:
    """Spread services over namespaces and models; every `popular`-th has model-0, the others the rest."""

    def model(number: int) -> int:
        if not popular or images == 1:
            return number % images
        return 0 if number % popular == 0 else 1 + number % (images - 1)

    return [Name(namespaces[i % len(namespaces)], f"{prefix}-{i:05}", f"model-{model(i)}") for i in numbers]


def service_manifest(name: Name) -> dict[str, Any]:
    return {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {"name": name.name, "namespace": name.namespace, "labels": {"team": "research"}},
        "spec": {"model": name.model, "replicas": 1},
    }


async def create_service(api: Api, name: Name) -> bytes:
    body = msgspec.json.encode(service_manifest(name))
    return await api.send("POST", SERVICES.collection_path(name.namespace), body)


def _true(type_: str, **more: Any) -> dict[str, Any]:
    return {
        "type": type_,
        "status": "True",
        "reason": type_,
        "message": "",
        "lastTransitionTime": WHEN,
        **more,
    }


READY = {
    "status": {
        "observedGeneration": 1,
        "url": "http://example.invalid",
        "conditions": [
            {"type": type_, "status": "True", "lastTransitionTime": WHEN}
            for type_ in ("IngressReady", "PredictorReady", "Ready")
        ],
        "modelStatus": {
            "transitionStatus": "UpToDate",
            "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        },
    }
}
ACCEPTED = {
    "status": {
        "parents": [
            {
                "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", **GATEWAY},
                "controllerName": "example.com/gateway",
                "conditions": [
                    _true("Accepted", observedGeneration=1),
                    _true("ResolvedRefs", observedGeneration=1),
                ],
            }
        ]
    }
}


async def accept_route(api: Api, name: Name) -> None:
    """Write what a gateway does to a route."""
    await api.merge(f"{HTTP_ROUTES.object_path(name.name, name.namespace)}/status", ACCEPTED)


async def start_model(api: Api, name: Name) -> None:
    """Write what KServe does once the model server is up."""
    await api.merge(f"{INFERENCE_SERVICES.object_path(name.name, name.namespace)}/status", READY)


async def make_ready(api: Api, name: Name) -> None:
    await accept_route(api, name)
    await start_model(api, name)
