"""SandboxClient: kube/protocol.py's client interface over a SandboxServer in memory.

Decodes to the same types, raises the same errors, and goes through a Network that tests can break. Every
request is written to the server's audit log. Called by whoever would hold a kube.client.Client.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Literal, TypeVar

import msgspec

from aim_operator.api.external import PODS
from aim_operator.api.meta import Manifest, ObjectMeta, Patch
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.errors import ApiError, Invalid, Unavailable
from aim_operator.sandbox.audit import AuditEntry
from aim_operator.sandbox.decoding import decode, tolerant
from aim_operator.sandbox.kinds import KindId, ServedKind
from aim_operator.sandbox.lists import listed, matcher
from aim_operator.sandbox.network import Network
from aim_operator.sandbox.refusals import Cause, bad_request, invalid
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.storage import Key, Stored
from aim_operator.sandbox.watches import Event, Watch

T = TypeVar("T")

_READS = frozenset({"get", "list"})
_STREAMS = frozenset({"watch", "logs"})
# How much longer than its timeout a silent watch is believed to be alive, as in kube/client.py.
_GRACE_SECONDS = 15.0
_LAST_BOOKMARK_SECONDS = 2.0
_CHUNK_BYTES = 16 * 1024
_FOLLOW_SECONDS = 0.5
_NO_STREAMING = Cause(
    "sendInitialEvents",
    "Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
)


class SandboxClient:
    """One user's connection. `field_manager` is the name under which it owns fields."""

    def __init__(
        self,
        server: SandboxServer,
        *,
        user: str = "operator",
        field_manager: str = "aim-operator",
        network: Network | None = None,
    ) -> None:
        self.network = network or Network(server.clock)
        self._server, self._user, self._manager = server, user, field_manager

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
        def call(kind: ServedKind) -> Page[K]:
            match = matcher(kind, label_selector, field_selector)
            items, revision, token = listed(
                self._server.storage,
                kind,
                namespace,
                match,
                limit=limit,
                continue_token=continue_token,
                resource_version=resource_version,
            )
            each = [tolerant(resource, kind, stored) for stored in items]
            return Page(
                items=tuple(item for item in each if not isinstance(item, ObjectMeta)),
                resource_version=str(revision),
                continue_token=token,
                undecodable=tuple(item for item in each if isinstance(item, ObjectMeta)),
            )

        page: Page[K] = await self._call("list", resource, namespace, "", call)
        return page

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
        def call(kind: ServedKind) -> tuple[ServedKind, Watch]:
            match = matcher(kind, label_selector, field_selector)
            watch = self._opened(kind, match, namespace, resource_version, initial=send_initial_events)
            return kind, watch

        kind, watch = await self._call("watch", resource, namespace, "", call)
        self.network.opened(watch)
        try:
            async for event in self._events(watch, timeout_seconds):
                obj = tolerant(resource, kind, event.stored) if event.stored else None
                yield WatchEvent(
                    type=event.type,
                    resource_version=str(event.revision),
                    object=None if isinstance(obj, ObjectMeta) else obj,
                    undecodable=obj if isinstance(obj, ObjectMeta) else None,
                    initial_events_end=event.initial_events_end,
                )
        finally:
            self.network.closed(watch)
            watch.close()

    async def get(self, resource: Resource[K], name: str, *, namespace: str = "") -> K:
        return await self._write(
            "get", resource, namespace, name, lambda kind: self._server.read(kind, name, namespace)
        )

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K:
        sent = _sent(manifest)
        metadata = sent.get("metadata", {})
        namespace = namespace or metadata.get("namespace", "")
        return await self._write(
            "create",
            resource,
            namespace,
            metadata.get("name", ""),
            lambda kind: self._server.create(kind, sent, namespace=namespace, manager=self._manager),
            idempotent=False,
        )

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        sent = _sent(manifest)
        metadata = sent["metadata"]
        return await self._write(
            "apply",
            resource,
            metadata.get("namespace", ""),
            metadata["name"],
            lambda kind: self._server.apply(kind, sent, manager=self._manager, force=force),
        )

    async def replace(self, resource: Resource[K], manifest: Manifest) -> K:
        sent = _sent(manifest)
        metadata = sent["metadata"]
        return await self._write(
            "replace",
            resource,
            metadata.get("namespace", ""),
            metadata["name"],
            lambda kind: self._server.replace(kind, sent, manager=self._manager),
        )

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        return await self._write(
            "patch_status",
            resource,
            namespace,
            name,
            lambda kind: self._server.patch(
                kind, name, _sent(patch), namespace=namespace, subresource="status", manager=self._manager
            ),
        )

    async def patch(self, resource: Resource[K], name: str, patch: Manifest, *, namespace: str = "") -> K:
        return await self._write(
            "patch",
            resource,
            namespace,
            name,
            lambda kind: self._server.patch(
                kind, name, _sent(patch), namespace=namespace, manager=self._manager
            ),
        )

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
        await self._call(
            "delete",
            resource,
            namespace,
            name,
            lambda kind: self._server.delete(
                kind,
                name,
                namespace=namespace,
                uid=uid,
                resource_version=resource_version,
                propagation=propagation,
            ),
            # By name alone, a repetition could hit a successor.
            idempotent=bool(uid or resource_version),
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
        log: bytes = await self._call(
            "logs", PODS, namespace, pod, lambda kind: self._log(kind, namespace, pod, container)
        )
        if tail_lines is not None:
            log = b"".join(log.splitlines(keepends=True)[-tail_lines:])
        for start in range(0, len(log), _CHUNK_BYTES):
            yield log[start : start + _CHUNK_BYTES]
        if follow:
            async for chunk in self._followed(namespace, pod, container, limit_seconds):
                yield chunk

    async def _followed(
        self, namespace: str, pod: str, container: str, limit_seconds: float
    ) -> AsyncIterator[bytes]:
        """What is written to a log from now on, until its container has ended."""
        server, clock = self._server, self._server.clock
        place, end = (namespace, pod, container), clock.monotonic() + limit_seconds
        key = Key(KindId("", "Pod"), namespace, pod)
        read = len(server.log(place))
        while (stored := server.storage.get(key)) is not None:
            log = server.log(place)
            if len(log) > read:
                yield log[read:]
                read = len(log)
            elif _has_ended(stored.obj["status"], container):
                return
            elif clock.monotonic() >= end:
                raise Unavailable(f"the log of {pod} was followed for {limit_seconds:g} s")
            else:
                await clock.sleep(_FOLLOW_SECONDS)

    async def close(self) -> None:
        """Nothing is held open but watches, which their readers close."""

    def _opened(self, kind: ServedKind, match: Any, namespace: str, version: str, *, initial: bool) -> Watch:
        server = self._server
        if initial and not server.streaming_lists:
            raise invalid("ListOptions", "", [_NO_STREAMING])
        storage = server.storage
        watch = Watch(storage, kind, match, namespace)
        try:
            if initial or version in ("", "0"):
                watch.begin(storage.at(kind.id, storage.revision), storage.revision, bookmark=initial)
            else:
                if not version.isdecimal():
                    raise bad_request(f'invalid resource version "{version}"')
                for change in storage.since(kind.id, int(version)):
                    watch.push(change)
        except ApiError:
            watch.close()
            raise
        return watch

    async def _events(self, watch: Watch, timeout_seconds: float) -> AsyncIterator[Event]:
        """Events and bookmarks until the server's time is up."""
        server, clock = self._server, self._server.clock
        end = clock.monotonic() + timeout_seconds
        # One comes in time for the end, so that the next watch starts late.
        last = end - _LAST_BOOKMARK_SECONDS
        bookmark = min(clock.monotonic() + server.bookmark_seconds, last)
        while True:
            event = watch.take()
            if event is not None:
                await self.network.deliver(watch)
                yield event
                continue
            now = clock.monotonic()
            if watch.stalled:
                # Nothing arrives, not even the end of the stream.
                if now >= end + _GRACE_SECONDS:
                    raise Unavailable(f"the watch of {watch.resource} was silent for too long")
                await watch.wait(clock, end + _GRACE_SECONDS)
            elif watch.over or now >= end:
                return
            elif now >= bookmark:
                bookmark = end if now >= last else min(now + server.bookmark_seconds, last)
                yield Event("BOOKMARK", server.storage.revision)
            else:
                await watch.wait(clock, min(end, bookmark))

    def _log(self, kind: ServedKind, namespace: str, pod: str, container: str) -> bytes:
        stored = self._server.read(kind, pod, namespace)
        names = [each["name"] for each in stored.obj["spec"]["containers"]]
        if container not in names:
            raise bad_request(f"container {container} is not valid for pod {pod}")
        if (namespace, pod, container) not in self._server.logs:
            message = f'container "{container}" in pod "{pod}" is waiting to start: ContainerCreating'
            raise bad_request(message)
        return self._server.log((namespace, pod, container))

    async def _write(
        self,
        verb: str,
        resource: Resource[K],
        namespace: str,
        name: str,
        call: Callable[[ServedKind], Stored],
        *,
        idempotent: bool = True,
    ) -> K:
        """A call that answers with one object."""

        def decoded(kind: ServedKind) -> K:
            return decode(resource, kind, call(kind))

        obj: K = await self._call(verb, resource, namespace, name, decoded, idempotent=idempotent)
        return obj

    async def _call(
        self,
        verb: str,
        resource: Resource[Any],
        namespace: str,
        name: str,
        call: Callable[[ServedKind], Any],
        *,
        idempotent: bool = True,
    ) -> Any:
        async def once(_: float) -> Any:
            return await self._once(verb, resource, namespace, name, call)

        if self.network.repeats is None or verb in _STREAMS:
            return await once(0.0)
        return await self.network.repeats.send(once, idempotent=idempotent)

    async def _once(
        self, verb: str, resource: Resource[Any], namespace: str, name: str, call: Callable[[ServedKind], Any]
    ) -> Any:
        try:
            await self.network.request(verb, resource.plural, name)
        except asyncio.CancelledError:
            if self.network.arrives(verb):
                with suppress(ApiError):
                    self._carry_out(verb, resource, namespace, name, call)
            raise
        result = self._carry_out(verb, resource, namespace, name, call)
        await self.network.answer(verb, resource.plural, name)
        return result

    def _carry_out(
        self, verb: str, resource: Resource[Any], namespace: str, name: str, call: Callable[[ServedKind], Any]
    ) -> Any:
        """What the server does with a call that has arrived."""
        server = self._server
        before, code = server.storage.revision, 200
        try:
            return call(server.kinds.served(resource))
        except Invalid as error:
            code = error.code
            if verb in _READS:
                # As kube/translate.py: a refused read says nothing about an object, and is tried again.
                raise Unavailable(str(error), code=error.code, reason=error.reason) from error
            raise
        except ApiError as error:
            code = error.code
            raise
        finally:
            changed = server.storage.revision != before
            server.audit.append(
                AuditEntry(self._user, verb, resource.qualified, namespace, name, code, changed)
            )


def _has_ended(pod_status: Manifest, container: str) -> bool:
    statuses = pod_status.get("containerStatuses") or ()
    ended = any(each["name"] == container and "terminated" in each["state"] for each in statuses)
    return ended or pod_status.get("phase") in ("Succeeded", "Failed")


def _sent(manifest: T) -> T:
    """The manifest as it arrives over a wire: plain JSON, and nobody else's to change."""
    arrived: T = msgspec.json.decode(msgspec.json.encode(manifest))
    return arrived
