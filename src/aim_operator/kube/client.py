"""The API server over HTTP: kube.protocol.KubeClient, spoken with aiohttp.

Owns paths, parameters and content types. Retries are kube.transport's, decoding kube.wire's, errors
kube.translate's. Made by app.py, used by runtime/.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Literal

import msgspec

from aim_operator.api.external import PODS
from aim_operator.api.meta import Manifest, Patch
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.kube.credentials import Connection
from aim_operator.kube.protocol import FIELD_MANAGER
from aim_operator.kube.translate import Call
from aim_operator.kube.transport import MOST_ANSWER_BYTES, Observer, Request, SilentObserver, Transport
from aim_operator.kube.wire import Codec, split_lines

_JSON = {"Content-Type": "application/json"}
_JSON_PATCH = {"Content-Type": "application/json-patch+json"}
_MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}
# JSON is YAML; no other spelling of an apply patch is accepted by every served version.
_APPLY_PATCH = {"Content-Type": "application/apply-patch+yaml"}
_METADATA = "application/json;as={kind};g=meta.k8s.io;v=v1"
# Unknown fields are dropped with a warning, which is logged: an older KServe must not stop everything.
_WRITE = {"fieldValidation": "Warn"}

MOST_PAGE_BYTES = 4 * 1024 * 1024
"""Of a page of several objects. Decoded it may take twenty times that: an empty list takes three bytes."""
PAGES_AT_ONCE = 2
"""Pages that are read and decoded at a time: twenty kinds are listed when the operator starts."""
SILENCE_GRACE_SECONDS = 15.0
"""How long after its own timeout a silent watch is given up."""


class Client:
    """See KubeClient for what each method promises. Made in and used by one event loop."""

    def __init__(
        self,
        connection: Connection,
        *,
        observer: Observer | None = None,
        timeout_seconds: float = 30.0,
        field_manager: str = FIELD_MANAGER,
    ) -> None:
        self._write = _WRITE | {"fieldManager": field_manager}
        self._observer = observer or SilentObserver()
        self._transport = Transport(connection, self._observer, timeout_seconds)
        self._codecs: dict[Resource[Any], Codec[Any]] = {}
        self._pages = asyncio.Semaphore(PAGES_AT_ONCE)

    async def list(
        self,
        resource: Resource[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        continue_token: str = "",
        resource_version: str = "",
    ) -> Page[K]:
        query = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            # The token carries the resourceVersion of the first page; both together are refused.
            resourceVersion="" if continue_token else resource_version,
        )
        query |= _given(**{"continue": continue_token})
        request = Request(
            call=_call("list", resource, namespace),
            method="GET",
            path=resource.collection_path(namespace),
            query=query,
            headers=_accept(resource, "PartialObjectMetadataList"),
            most_bytes=MOST_ANSWER_BYTES if limit == 1 else MOST_PAGE_BYTES,
        )
        async with self._pages:
            return self._codec(resource).page(await self._transport.send(request))

    async def watch(
        self,
        resource: Resource[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        send_initial_events: bool = False,
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent[K]]:
        call = _call("watch", resource, namespace)
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout_seconds)}
        query |= _given(
            labelSelector=label_selector, fieldSelector=field_selector, resourceVersion=resource_version
        )
        if send_initial_events:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
        request = Request(
            call=call,
            method="GET",
            path=resource.collection_path(namespace),
            query=query,
            headers=_accept(resource, "PartialObjectMetadata"),
        )
        decode = self._codec(resource).event
        silence_seconds = timeout_seconds + SILENCE_GRACE_SECONDS
        async with self._transport.stream(request, silence_seconds=silence_seconds) as chunks:
            async for line in split_lines(chunks):
                yield decode(line, call)

    async def get(self, resource: Resource[K], name: str, *, namespace: str = "") -> K:
        return await self._object(
            resource,
            Request(
                call=_call("get", resource, namespace, name),
                method="GET",
                path=resource.object_path(name, namespace),
                headers=_accept(resource, "PartialObjectMetadata"),
            ),
        )

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K:
        return await self._object(
            resource,
            Request(
                call=_call("create", resource, namespace, _name(manifest)),
                method="POST",
                path=resource.collection_path(namespace),
                query=self._write,
                headers=_JSON | _accept(resource, "PartialObjectMetadata"),
                body=msgspec.json.encode(manifest),
                idempotent=False,
            ),
        )

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        namespace, name = manifest["metadata"].get("namespace", ""), _name(manifest)
        return await self._object(
            resource,
            Request(
                call=_call("patch", resource, namespace, name),
                method="PATCH",
                path=resource.object_path(name, namespace),
                query=self._write | {"force": "true" if force else "false"},
                headers=_APPLY_PATCH | _accept(resource, "PartialObjectMetadata"),
                body=msgspec.json.encode(manifest),
            ),
        )

    async def replace(self, resource: Resource[K], manifest: Manifest) -> K:
        namespace, name = manifest["metadata"].get("namespace", ""), _name(manifest)
        return await self._object(
            resource,
            Request(
                call=_call("update", resource, namespace, name),
                method="PUT",
                path=resource.object_path(name, namespace),
                query=self._write,
                headers=_JSON | _accept(resource, "PartialObjectMetadata"),
                body=msgspec.json.encode(manifest),
            ),
        )

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        return await self._patch(resource, name, patch, namespace, "status")

    async def patch(self, resource: Resource[K], name: str, patch: Manifest, *, namespace: str = "") -> K:
        return await self._patch(resource, name, patch, namespace, "")

    async def delete(
        self,
        resource: Resource[K],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        options: Manifest = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation,
        }
        preconditions = _given(uid=uid, resourceVersion=resource_version)
        if preconditions:
            options["preconditions"] = preconditions
        await self._transport.send(
            Request(
                call=_call("delete", resource, namespace, name),
                method="DELETE",
                path=resource.object_path(name, namespace),
                headers=_JSON,
                body=msgspec.json.encode(options),
                # By name alone, a repetition could hit a successor.
                idempotent=bool(preconditions),
            )
        )

    async def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        limit_seconds: float = 30.0,
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncIterator[bytes]:
        query = {"container": container}
        if follow:
            query["follow"] = "true"
        if tail_lines is not None:
            query["tailLines"] = str(tail_lines)
        request = Request(
            call=Call("get", "pods/log", namespace, pod),
            method="GET",
            path=PODS.object_path(pod, namespace, "log"),
            query=query,
            headers={"Accept": "*/*"},
        )
        async with self._transport.stream(request, total_seconds=limit_seconds) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        await self._transport.close()

    async def _patch(
        self,
        resource: Resource[K],
        name: str,
        patch: Patch,
        namespace: str,
        subresource: str,
    ) -> K:
        return await self._object(
            resource,
            Request(
                call=_call("patch", resource, namespace, name, subresource),
                method="PATCH",
                path=resource.object_path(name, namespace, subresource),
                query=self._write,
                headers=(_JSON_PATCH if isinstance(patch, list) else _MERGE_PATCH)
                | _accept(resource, "PartialObjectMetadata"),
                body=msgspec.json.encode(patch),
            ),
        )

    async def _object(self, resource: Resource[K], request: Request) -> K:
        return self._codec(resource).object(await self._transport.send(request))

    def _codec(self, resource: Resource[K]) -> Codec[K]:
        codec = self._codecs.get(resource)
        if codec is None:
            codec = Codec(resource, partial(self._observer.undecodable, resource.qualified))
            self._codecs[resource] = codec
        return codec


def _call(verb: str, resource: Resource[Any], namespace: str, name: str = "", subresource: str = "") -> Call:
    tail = f"/{subresource}" if subresource else ""
    return Call(verb, resource.qualified + tail, namespace if resource.namespaced else "", name)


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"].get("name", ""))


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _accept(resource: Resource[Any], kind: str) -> dict[str, str]:
    return {"Accept": _METADATA.format(kind=kind)} if resource.metadata_only else {}
