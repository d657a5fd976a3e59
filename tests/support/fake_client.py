"""A client over plain dicts, for tests of runtime/: what it is told to do wrong, it does wrong.

No schemas, no defaults, no ownership between managers: the sandbox has those. Every call is kept in `calls`.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, NamedTuple

import msgspec

from aim_operator import errors
from aim_operator.api.meta import Manifest, ObjectMeta, Patch, lenient_metadata
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.sandbox.updates import json_patched

Name = tuple[str, str]


class Call(NamedTuple):
    verb: str
    resource: str
    namespace: str
    name: str
    body: Any = None


class _Stored(NamedTuple):
    version: int
    type: Literal["ADDED", "MODIFIED", "DELETED"]
    old: Manifest | None
    new: Manifest


class _Watch(NamedTuple):
    resource: str
    queue: asyncio.Queue[_Stored | Exception | int | None]


class FakeClient:
    """`streams_lists` False is a server that knows paginated lists only."""

    def __init__(self, *, streams_lists: bool = True, page_size: int = 0) -> None:
        self.calls: list[Call] = []
        self.streams_lists = streams_lists
        self.page_size = page_size
        self.version = 100
        self.compacted = 0
        self.missing: set[str] = set()
        """Qualified resources that are not installed."""
        self.webhook: Callable[[Manifest], Manifest] = lambda manifest: manifest
        """Rewrites what an apply is about to store."""
        self.muted: set[str] = set()
        """Resources whose watches stay silent."""
        self._objects: dict[str, dict[Name, Manifest]] = defaultdict(dict)
        self._applied: dict[tuple[str, Name], Manifest] = {}
        self._history: dict[str, list[_Stored]] = defaultdict(list)
        self._watches: list[_Watch] = []
        self._failures: dict[tuple[str, str], list[errors.ApiError]] = defaultdict(list)
        self._uids = 0
        self.gate: Callable[[Call], Any] | None = None
        """Awaited before every call: where tests delay, count or interrupt."""

    # What tests do to it

    def put(self, resource: Resource[Any], manifest: Manifest) -> Manifest:
        """Store an object as somebody else would; returns it with what the server adds."""
        stored = copy.deepcopy(manifest)
        metadata = stored.setdefault("metadata", {})
        stored.setdefault("apiVersion", resource.api_version)
        stored.setdefault("kind", resource.kind)
        name = (metadata.get("namespace", ""), metadata["name"])
        old = self._objects[resource.qualified].get(name)
        if old is None:
            self._uids += 1
            metadata.setdefault("uid", f"uid-{self._uids}")
        else:
            metadata.setdefault("uid", old["metadata"]["uid"])
        self._store(resource.qualified, name, old, stored)
        return stored

    def remove(self, resource: Resource[Any], name: str, namespace: str = "") -> None:
        old = self._objects[resource.qualified].pop((namespace, name))
        self._applied.pop((resource.qualified, (namespace, name)), None)
        self.version += 1
        gone = copy.deepcopy(old)
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell(resource.qualified, _Stored(self.version, "DELETED", old, gone))

    def manifest(self, resource: Resource[Any], name: str, namespace: str = "") -> Manifest | None:
        return self._objects[resource.qualified].get((namespace, name))

    def manifests(self, resource: Resource[Any]) -> list[Manifest]:
        return list(self._objects[resource.qualified].values())

    def fail(self, verb: str, resource: Resource[Any], *failures: errors.ApiError) -> None:
        """Have the next calls of that verb fail, one by one."""
        self._failures[verb, resource.qualified].extend(failures)

    def end_watches(self, resource: Resource[Any], error: errors.ApiError | None = None) -> None:
        """End the open watches of a resource: as a server does, or with an error."""
        for watch in self._watches:
            if watch.resource == resource.qualified:
                watch.queue.put_nowait(error)

    def bookmark(self, resource: Resource[Any]) -> None:
        """Tell all watches of a resource how far the server has come."""
        for watch in self._watches:
            if watch.resource == resource.qualified and resource.qualified not in self.muted:
                watch.queue.put_nowait(self.version)

    def compact(self) -> None:
        """Forget history: watches from before now get 410."""
        self.compacted = self.version
        self._history.clear()

    def open_watches(self, resource: Resource[Any]) -> int:
        return sum(watch.resource == resource.qualified for watch in self._watches)

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.verb not in {"get", "list", "watch"}]

    # KubeClient

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
        await self._called("list", resource, namespace, continue_token)
        found = [
            obj
            for obj in self._objects[resource.qualified].values()
            if _selected(obj, namespace, label_selector, field_selector)
        ]
        size = self.page_size or limit
        start = int(continue_token or 0)
        rest = str(start + size) if start + size < len(found) else ""
        each = [_tolerant(resource, obj) for obj in found[start : start + size]]
        return Page(
            items=tuple(obj for obj in each if not isinstance(obj, ObjectMeta)),
            resource_version=str(self.version),
            continue_token=rest,
            undecodable=tuple(obj for obj in each if isinstance(obj, ObjectMeta)),
        )

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
        if send_initial_events and not self.streams_lists:
            raise errors.Invalid("sendInitialEvents is forbidden for watch", code=422)
        await self._called("watch", resource, namespace, resource_version or "initial")
        queue: asyncio.Queue[_Stored | Exception | int | None] = asyncio.Queue()
        watch = _Watch(resource.qualified, queue)
        self._watches.append(watch)
        try:
            if send_initial_events:
                for obj in list(self._objects[resource.qualified].values()):
                    if _selected(obj, namespace, label_selector, field_selector):
                        version = obj["metadata"]["resourceVersion"]
                        yield _event(resource, "ADDED", version, obj)
                yield WatchEvent(type="BOOKMARK", resource_version=str(self.version), initial_events_end=True)
            else:
                since = int(resource_version)
                if since < self.compacted:
                    raise errors.Expired("too old resource version", code=410)
                for stored in self._history[resource.qualified]:
                    if stored.version > since:
                        queue.put_nowait(stored)
            while True:
                item = await queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                if isinstance(item, int):
                    yield WatchEvent(type="BOOKMARK", resource_version=str(item))
                    continue
                event = _as_seen(item, lambda obj: _selected(obj, namespace, label_selector, field_selector))
                if event is not None:
                    yield _event(resource, event, str(item.version), item.new)
        finally:
            self._watches.remove(watch)

    async def get(self, resource: Resource[K], name: str, *, namespace: str = "") -> K:
        await self._called("get", resource, namespace, name)
        return _decoded(resource, self._existing(resource, namespace, name))

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K:
        name = manifest["metadata"]["name"]
        await self._called("create", resource, namespace, name, manifest)
        if (namespace, name) in self._objects[resource.qualified]:
            raise errors.AlreadyExists(f"{name} already exists", code=409)
        body = copy.deepcopy(manifest)
        if namespace:
            body["metadata"]["namespace"] = namespace
        return _decoded(resource, self.put(resource, body))

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        await self._called("apply", resource, namespace, name, {"force": force, **manifest})
        key = (namespace, name)
        old = self._objects[resource.qualified].get(key)
        wanted_uid = metadata.get("uid")
        if wanted_uid and (old is None or old["metadata"]["uid"] != wanted_uid):
            raise errors.Conflict("uid mismatch", code=409)
        if old is not None:
            self._check_version(old, metadata)
        unbound = {name: value for name, value in metadata.items() if name != "resourceVersion"}
        manifest = {**manifest, "metadata": unbound}
        before = self._applied.get((resource.qualified, key), {})
        merged = _merged(copy.deepcopy(old or {}), before, manifest)
        self._applied[resource.qualified, key] = copy.deepcopy(manifest)
        merged = self.webhook(merged)
        if old is not None and _content(old) == _content(merged):
            return _decoded(resource, old)
        return _decoded(resource, self.put(resource, merged))

    async def replace(self, resource: Resource[K], manifest: Manifest) -> K:
        metadata = manifest["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        await self._called("replace", resource, namespace, name, manifest)
        self._check_version(self._existing(resource, namespace, name), metadata)
        return _decoded(resource, self.put(resource, manifest))

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        await self._called("patch_status", resource, namespace, name, patch)
        return self._patched(resource, name, patch, namespace)

    async def patch(self, resource: Resource[K], name: str, patch: Manifest, *, namespace: str = "") -> K:
        await self._called("patch", resource, namespace, name, patch)
        return self._patched(resource, name, patch, namespace, webhook=self.webhook)

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
        await self._called("delete", resource, namespace, name, {"uid": uid, "propagation": propagation})
        old = self._existing(resource, namespace, name)
        self._check_version(old, {"resourceVersion": resource_version, "uid": uid})
        if old["metadata"].get("finalizers"):
            self.put(resource, _with_metadata(old, deletionTimestamp="2026-01-31T12:00:00Z"))
            return
        self.remove(resource, name, namespace)

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
        yield f"{namespace}/{pod}/{container}".encode()

    async def close(self) -> None:
        self._watches.clear()

    # Inside

    async def _called(
        self, verb: str, resource: Resource[Any], namespace: str, name: str, body: Any = None
    ) -> None:
        call = Call(verb, resource.qualified, namespace, name, copy.deepcopy(body))
        self.calls.append(call)
        if self.gate is not None:
            await self.gate(call)
        if resource.qualified in self.missing:
            raise errors.NotInstalled(f"{resource.qualified} is not installed", code=404)
        failures = self._failures[verb, resource.qualified]
        if failures:
            raise failures.pop(0)

    def _existing(self, resource: Resource[Any], namespace: str, name: str) -> Manifest:
        obj = self._objects[resource.qualified].get((namespace, name))
        if obj is None:
            raise errors.NotFound(f"{resource.qualified} {name!r} not found", code=404)
        return obj

    def _check_version(self, old: Manifest, wanted: Manifest) -> None:
        for field in ("resourceVersion", "uid"):
            if wanted.get(field) and wanted[field] != old["metadata"][field]:
                raise errors.Conflict(f"the object has another {field}", code=409)

    def _patched(
        self,
        resource: Resource[K],
        name: str,
        patch: Patch,
        namespace: str,
        *,
        webhook: Callable[[Manifest], Manifest] = lambda manifest: manifest,
    ) -> K:
        old = self._existing(resource, namespace, name)
        if isinstance(patch, list):
            new = json_patched(old, patch)
            self._check_version(old, new["metadata"])
            return _decoded(resource, self.put(resource, new))
        metadata = patch.get("metadata", {})
        self._check_version(old, metadata)
        changed = {key: value for key, value in metadata.items() if key not in ("uid", "resourceVersion")}
        new = webhook(merge_patched(old, {**patch, "metadata": changed}))
        return _decoded(resource, self.put(resource, new))

    def _store(self, resource: str, name: Name, old: Manifest | None, new: Manifest) -> None:
        self.version += 1
        new["metadata"]["resourceVersion"] = str(self.version)
        self._objects[resource][name] = new
        kind: Literal["ADDED", "MODIFIED"] = "ADDED" if old is None else "MODIFIED"
        self._tell(resource, _Stored(self.version, kind, old, new))

    def _tell(self, resource: str, stored: _Stored) -> None:
        self._history[resource].append(stored)
        if resource in self.muted:
            return
        for watch in self._watches:
            if watch.resource == resource:
                watch.queue.put_nowait(stored)


def _decoded(resource: Resource[K], obj: Manifest) -> K:
    return msgspec.json.decode(msgspec.json.encode(obj), type=resource.type)


def _tolerant(resource: Resource[K], obj: Manifest) -> K | ObjectMeta:
    try:
        return _decoded(resource, obj)
    except msgspec.ValidationError:
        return lenient_metadata(msgspec.json.encode(obj))


def _event(
    resource: Resource[K], kind: Literal["ADDED", "MODIFIED", "DELETED"], version: str, obj: Manifest
) -> WatchEvent[K]:
    decoded = _tolerant(resource, obj)
    if isinstance(decoded, ObjectMeta):
        return WatchEvent(type=kind, resource_version=version, undecodable=decoded)
    return WatchEvent(type=kind, resource_version=version, object=decoded)


def _selected(obj: Manifest, namespace: str, label_selector: str, field_selector: str) -> bool:
    metadata = obj["metadata"]
    if namespace and metadata.get("namespace", "") != namespace:
        return False
    labels = metadata.get("labels") or {}
    wanted = [pair.split("=", 1) for pair in label_selector.split(",") if pair]
    if any(labels.get(name) != value for name, value in wanted):
        return False
    fields = [pair.split("=", 1) for pair in field_selector.split(",") if pair]
    return all(metadata.get(path.removeprefix("metadata.")) == value for path, value in fields)


def _as_seen(
    stored: _Stored, selected: Callable[[Manifest], bool]
) -> Literal["ADDED", "MODIFIED", "DELETED"] | None:
    was = stored.old is not None and selected(stored.old)
    if stored.type == "DELETED":
        return "DELETED" if was else None
    if selected(stored.new):
        return "MODIFIED" if was else "ADDED"
    return "DELETED" if was else None


def _content(obj: Manifest) -> Manifest:
    metadata = {key: value for key, value in obj["metadata"].items() if key not in {"resourceVersion", "uid"}}
    return {**obj, "metadata": metadata}


def _merged(live: Manifest, before: Manifest, wanted: Manifest) -> Manifest:
    """Server-side apply in little: maps merge, the rest is set, and what was ours and is not goes."""
    for key in before:
        if key not in wanted:
            live.pop(key, None)
    for key, value in wanted.items():
        if isinstance(value, dict):
            had, past = live.get(key), before.get(key)
            live[key] = _merged(
                had if isinstance(had, dict) else {}, past if isinstance(past, dict) else {}, value
            )
        else:
            live[key] = copy.deepcopy(value)
    return live


def merge_patched(old: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = dict(copy.deepcopy(old)) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merge_patched(new.get(key), value)
    return new


def _with_metadata(obj: Manifest, **fields: Any) -> Manifest:
    changed = copy.deepcopy(obj)
    changed["metadata"].update(fields)
    return changed
