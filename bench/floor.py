"""The floor: the writes that a service needs, by a client that does nothing else.

Per service: create the AIMService, apply InferenceService and HTTPRoute at once, patch the status. The
bodies are the operator's own, rendered once, with name and uid put in as bytes. As many at once as the
operator has workers. What is left out is everything that makes it an operator: watching, deciding, reading.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    CLUSTER_RUNTIME_CONFIGS,
    CLUSTER_TEMPLATES,
    SERVICES,
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterServiceTemplate,
    AIMImage,
    AIMRuntimeConfig,
    AIMService,
    AIMServiceTemplate,
)
from aim_operator.core import labels
from aim_operator.core.catalog import Template
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import resolve
from aim_operator.core.service.route import wanted_route
from bench import scene
from bench.api import APPLY, MERGE, Api, each
from bench.scene import Name

_NAME, _NAMESPACE, _UID, _VERSION = "the-name", "the-namespace", "the-uid", "the-version"
_WRITE = "?fieldManager=aim-operator&fieldValidation=Warn"


class _Meta(msgspec.Struct, rename="camel"):
    uid: str
    resource_version: str


class _Created(msgspec.Struct):
    metadata: _Meta


class OneOfEach:
    """A catalog of the first image, template and configuration of a scene."""

    def __init__(
        self, image: AIMClusterImage, template: AIMClusterServiceTemplate, config: AIMClusterRuntimeConfig
    ) -> None:
        self._image, self._template, self._config = image, template, config

    def image(self, namespace: str, name: str) -> AIMImage | None:
        del namespace, name
        return None

    def cluster_image(self, name: str) -> AIMClusterImage | None:
        del name
        return self._image

    def template(self, namespace: str, name: str) -> AIMServiceTemplate | None:
        del namespace, name
        return None

    def cluster_template(self, name: str) -> AIMClusterServiceTemplate | None:
        del name
        return self._template

    def templates_of(self, namespace: str, image_name: str) -> Iterable[AIMServiceTemplate]:
        del namespace, image_name
        return ()

    def templates_that_mean(self, namespace: str, digest: str) -> Iterable[Template]:
        del namespace, digest
        return ()

    def cluster_templates_of(self, image_name: str) -> Iterable[AIMClusterServiceTemplate]:
        del image_name
        return (self._template,)

    def runtime_config(self, namespace: str, name: str) -> AIMRuntimeConfig | None:
        del namespace, name
        return None

    def cluster_runtime_config(self, name: str) -> AIMClusterRuntimeConfig | None:
        del name
        return self._config

    def gpu_models(self) -> frozenset[NodeGpus]:
        return frozenset()

    def runtime_of(self, service: AIMService) -> str:
        del service
        return ""


class Floor:
    """The bodies, ready to be sent. `prepare` asks the API server for the catalog's objects."""

    def __init__(self, inference_service: bytes, http_route: bytes, status: bytes) -> None:
        self._inference_service, self._http_route, self._status = inference_service, http_route, status

    @classmethod
    async def prepare(cls, api: Api) -> Floor:
        catalog = OneOfEach(
            msgspec.convert(await api.get(CLUSTER_IMAGES.object_path("model-0")), AIMClusterImage),
            msgspec.convert(
                await api.get(CLUSTER_TEMPLATES.object_path("template-0")), AIMClusterServiceTemplate
            ),
            msgspec.convert(
                await api.get(CLUSTER_RUNTIME_CONFIGS.object_path("default")), AIMClusterRuntimeConfig
            ),
        )
        manifest = scene.service_manifest(Name(_NAMESPACE, _NAME, "model-0"))
        manifest["metadata"] |= {"uid": _UID, "resourceVersion": _VERSION, "generation": 1}
        service = msgspec.convert(manifest, AIMService)
        resolution = resolve(service, catalog)
        assert resolution.config is not None
        route = wanted_route(service, resolution.config)
        observed = ServiceObserved(service=service, resolution=resolution, route=route)
        plan = decide(observed, now=datetime.now(UTC))
        bodies = {child.resource.kind: _stamped(child.manifest) for child in plan.children}
        status = {"metadata": {"resourceVersion": _VERSION}, "status": plan.status}
        return cls(bodies[INFERENCE_SERVICES.kind], bodies[HTTP_ROUTES.kind], msgspec.json.encode(status))

    async def run(self, creator: Api, writer: Api, services: Sequence[Name]) -> float:
        """Return services per second."""
        began = time.monotonic()
        await each(services, lambda name: self._write(creator, writer, name))
        return len(services) / (time.monotonic() - began)

    async def _write(self, creator: Api, writer: Api, name: Name) -> None:
        created = msgspec.json.decode(await scene.create_service(creator, name), type=_Created).metadata

        def filled(body: bytes) -> bytes:
            for mark, value in (
                (_NAMESPACE, name.namespace),
                (_NAME, name.name),
                (_UID, created.uid),
                (_VERSION, created.resource_version),
            ):
                body = body.replace(mark.encode(), value.encode())
            return body

        where = name.name, name.namespace
        await asyncio.gather(
            writer.send(
                "PATCH",
                INFERENCE_SERVICES.object_path(*where) + _WRITE,
                filled(self._inference_service),
                APPLY,
            ),
            writer.send("PATCH", HTTP_ROUTES.object_path(*where) + _WRITE, filled(self._http_route), APPLY),
        )
        path = SERVICES.object_path(*where, "status")
        await writer.send("PATCH", path + _WRITE, filled(self._status), MERGE)


async def clear(api: Api, namespaces: Sequence[str]) -> None:
    """Take away what a floor left, so that an operator does not find it."""
    for resource in (SERVICES, INFERENCE_SERVICES, HTTP_ROUTES):
        await each(namespaces, lambda ns, r=resource: api.send("DELETE", r.collection_path(ns)))  # type: ignore[misc]
    for path in (scene.SERVICES_PATH, scene.INFERENCE_SERVICES_PATH, scene.HTTP_ROUTES_PATH):
        while await api.count(path):
            await asyncio.sleep(0.2)


def _stamped(manifest: dict[str, object]) -> bytes:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    annotations = {**metadata.get("annotations", {}), labels.APPLIED: "0" * 16}
    return msgspec.json.encode({**manifest, "metadata": {**metadata, "annotations": annotations}})
