"""A few endpoints of an API server, in this process: N converged services among nodes, and what is written.

For what needs many objects and no admission: filling caches, memory, the operator's own part of a reaction.
Versions count up, watches tell every write. Everything else of an API server is left out, so speeds of
writing are not measured on it.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import structs

from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    NODES,
    HTTPRoute,
    InferenceService,
)
from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    CLUSTER_RUNTIME_CONFIGS,
    CLUSTER_TEMPLATES,
    SERVICES,
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterServiceTemplate,
    AIMImageStatus,
    AIMRuntimeConfigStatus,
    AIMService,
    AIMServiceTemplateStatus,
)
from aim_operator.core import labels
from aim_operator.core.discovery_output import parse
from aim_operator.core.pause import paused_report
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.plan import decide
from aim_operator.core.service.resolution import resolve
from aim_operator.core.service.route import wanted_route
from aim_operator.runtime.apply import digest_of
from bench import scene
from bench.floor import OneOfEach
from bench.scene import Name, Plain
from hack.cluster.ports import pick_ports

T = TypeVar("T")

_PAUSED = {"annotations": {labels.PAUSED: "true"}}
"""The catalog is given as it is: nobody is to write about it."""
_STATUSES: dict[str, msgspec.Struct] = {
    CLUSTER_IMAGES.kind: AIMImageStatus(),
    CLUSTER_TEMPLATES.kind: AIMServiceTemplateStatus(),
    CLUSTER_RUNTIME_CONFIGS.kind: AIMRuntimeConfigStatus(),
}
_BOOKMARK = {"annotations": {"k8s.io/initial-events-end": "true"}}


def catalog() -> dict[str, Plain]:
    """Return one image, one Available template and a configuration that routes, by collection path."""
    found = parse(scene.discovery_output())
    objects: dict[str, tuple[Any, str, Plain]] = {
        "image": (
            CLUSTER_IMAGES,
            "model-0",
            {"spec": scene.image_spec(0)},
        ),
        "template": (
            CLUSTER_TEMPLATES,
            "template-0",
            {
                "spec": scene.template_spec("model-0"),
                "status": {
                    "status": "Available",
                    "observedGeneration": 1,
                    "modelSources": msgspec.to_builtins(found.model_sources),
                    "profile": found.profile,
                },
            },
        ),
        "config": (CLUSTER_RUNTIME_CONFIGS, "default", {"spec": scene.config_spec()}),
    }
    return {
        resource.collection_path(): _told_to_be_paused(
            resource.type,
            {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "metadata": _metadata(resource.kind, name, "") | _PAUSED,
                **body,
            },
        )
        for resource, name, body in objects.values()
    }


def _told_to_be_paused(type_: type[KubeObject], obj: Plain) -> Plain:
    """Return the object with the condition that says it is paused: nobody has to write it."""
    report = paused_report(msgspec.convert(obj, type_), _STATUSES[obj["kind"]], datetime.now(UTC))
    assert report is not None
    return {**obj, "status": msgspec.to_builtins(report.status)}


def _metadata(kind: str, name: str, namespace: str, version: int = 1) -> Plain:
    where = {"namespace": namespace} if namespace else {}
    # A service and its children have one name, and no uid in common: verdicts are kept by uid.
    uid = f"{abs(hash((kind, namespace, name))):032x}"
    return {
        "name": name,
        **where,
        "uid": f"{uid[:8]}-{uid[8:12]}-{uid[12:16]}-{uid[16:20]}-{uid[20:]}",
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": scene.WHEN,
    }


class Server:
    """Objects by path of their collection and by (namespace, name)."""

    def __init__(self, services: Sequence[Name], nodes: int = 0) -> None:
        self._objects: dict[str, dict[tuple[str, str], Plain]] = defaultdict(dict)
        self._watches: dict[str, list[asyncio.Queue[bytes]]] = defaultdict(list)
        self._version = 1000
        self._awaited: dict[str, asyncio.Future[float]] = {}
        self.writes = 0
        parts = catalog()
        for path, obj in parts.items():
            self._objects[path]["", obj["metadata"]["name"]] = obj
        one = OneOfEach(
            msgspec.convert(parts[CLUSTER_IMAGES.collection_path()], AIMClusterImage),
            msgspec.convert(parts[CLUSTER_TEMPLATES.collection_path()], AIMClusterServiceTemplate),
            msgspec.convert(parts[CLUSTER_RUNTIME_CONFIGS.collection_path()], AIMClusterRuntimeConfig),
        )
        for name in services:
            self._add(name, one)
        for number in range(nodes):
            node = scene.node(number)
            metadata = node["metadata"] | _metadata(NODES.kind, node["metadata"]["name"], "")
            self._objects[NODES.collection_path()]["", metadata["name"]] = {**node, "metadata": metadata}

    def _add(self, name: Name, one: OneOfEach) -> None:
        """Put in a service and its children as they are once all is well: decide has nothing to add."""
        key = (name.namespace, name.name)
        manifest = scene.service_manifest(name)
        manifest["metadata"] |= _metadata(SERVICES.kind, name.name, name.namespace)
        service = msgspec.convert(manifest, AIMService)
        resolution = resolve(service, one)
        assert resolution.config is not None
        observed = ServiceObserved(
            service=service, resolution=resolution, route=wanted_route(service, resolution.config)
        )
        now = datetime.now(UTC)
        children = {child.resource.kind: child.manifest for child in decide(observed, now=now).children}
        live: dict[str, Plain] = {}
        for resource, status in ((INFERENCE_SERVICES, scene.READY), (HTTP_ROUTES, scene.ACCEPTED)):
            child = children[resource.kind]
            metadata = _metadata(resource.kind, name.name, name.namespace) | child["metadata"]
            metadata["annotations"] = (metadata.get("annotations") or {}) | {labels.APPLIED: digest_of(child)}
            live[resource.kind] = {**child, "metadata": metadata, **status}
            self._objects[resource.collection_path()][key] = live[resource.kind]
        converged = structs.replace(
            observed,
            inference_service=_typed(live[INFERENCE_SERVICES.kind], InferenceService),
            http_route=_typed(live[HTTP_ROUTES.kind], HTTPRoute),
        )
        manifest["status"] = msgspec.to_builtins(decide(converged, now=now).status)
        self._objects[SERVICES.collection_path()][key] = manifest

    async def change(self, name: Name, replicas: int) -> float:
        """Change a service; the seconds until the operator's apply of its InferenceService is here."""
        path = SERVICES.collection_path()
        obj = self._objects[path][name.namespace, name.name]
        metadata = obj["metadata"] | {"generation": obj["metadata"]["generation"] + 1}
        child = INFERENCE_SERVICES.object_path(name.name, name.namespace)
        self._awaited[child] = asyncio.get_running_loop().create_future()
        began = time.monotonic()
        self._store(path, {**obj, "metadata": metadata, "spec": obj["spec"] | {"replicas": replicas}})
        return await asyncio.wait_for(self._awaited[child], 30) - began

    def _store(self, collection: str, obj: Plain) -> Plain:
        self._version += 1
        metadata = obj["metadata"] | {"resourceVersion": str(self._version)}
        obj = {**obj, "metadata": metadata}
        self._objects[collection][metadata.get("namespace", ""), metadata["name"]] = obj
        self._tell(collection, "MODIFIED", obj)
        return obj

    def _tell(self, collection: str, type_: str, obj: Plain) -> None:
        line = msgspec.json.encode({"type": type_, "object": obj}) + b"\n"
        for queue in self._watches[collection]:
            queue.put_nowait(line)

    # HTTP

    async def read(self, request: web.Request) -> web.StreamResponse:
        """Answer a list with nothing, and a watch with all there is and then what changes."""
        version = {"resourceVersion": str(self._version)}
        if request.query.get("watch") != "true":
            return web.json_response({"kind": "List", "apiVersion": "v1", "metadata": version, "items": []})
        path = request.path
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        # All objects here are the operator's; who asks for the others is told of none, also not of changes.
        selects_others = "!=" in request.query.get("labelSelector", "")
        if not selects_others:
            self._watches[path].append(queue)
        for obj in () if selects_others else list(self._objects[path].values()):
            await response.write(msgspec.json.encode({"type": "ADDED", "object": obj}) + b"\n")
        mark = {"kind": "Bookmark", "apiVersion": "v1", "metadata": version | _BOOKMARK}
        await response.write(msgspec.json.encode({"type": "BOOKMARK", "object": mark}) + b"\n")
        while True:
            await response.write(await queue.get())

    async def write(self, request: web.Request) -> web.Response:
        """Take a change of an object that exists: an apply of its spec, or a patch of its status."""
        self.writes += 1
        arrived = time.monotonic()
        parts = request.path.removesuffix("/status").split("/")
        collection = "/".join([*parts[:4], parts[-2]])
        obj = self._objects[collection][parts[-3], parts[-1]]
        patch = msgspec.json.decode(await request.read())
        if request.path.endswith("/status"):
            status = {**obj.get("status", {}), **patch["status"]}
            obj = {**obj, "status": {field: value for field, value in status.items() if value is not None}}
        else:
            metadata = obj["metadata"] | {"annotations": patch["metadata"]["annotations"]}
            obj = {**obj, "metadata": metadata, "spec": patch["spec"]}
        waiting = self._awaited.pop(request.path, None)
        if waiting is not None:
            waiting.set_result(arrived)
        return web.json_response(body=msgspec.json.encode(self._store(collection, obj)))


def _typed(obj: Plain, type_: type[T]) -> T:
    return msgspec.json.decode(msgspec.json.encode(obj), type=type_)


@asynccontextmanager
async def serving(server: Server, directory: Path) -> AsyncIterator[Path]:
    """Yield a kubeconfig for it."""
    port = pick_ports(["replay"])["replay"]
    app = web.Application(client_max_size=2**24)
    app.router.add_get("/{path:.*}", server.read)
    app.router.add_patch("/{path:.*}", server.write)
    # Events of the changes: taken, and not kept.
    app.router.add_post("/{path:.*}", _echo)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "replay", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "replay", "user": {}}],
        "contexts": [{"name": "replay", "context": {"cluster": "replay", "user": "replay"}}],
        "current-context": "replay",
    }
    path = directory / "kubeconfig"
    path.write_bytes(msgspec.json.encode(config))
    try:
        yield path
    finally:
        await runner.cleanup()


async def _echo(request: web.Request) -> web.Response:
    return web.json_response(body=await request.read(), status=201)
