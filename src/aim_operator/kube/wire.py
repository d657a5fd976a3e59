"""Bytes to typed objects: pages, objects, watch lines.

Owns tolerance: one object that does not fit its type must not hide the others. Pure but for the decoders
it keeps. Called by kube.client.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, cast

import msgspec
from msgspec import Struct, structs

from aim_operator.api.meta import UNREADABLE, KubeObject, ObjectMeta, lenient_metadata
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.errors import ApiError, Unavailable
from aim_operator.kube.translate import Call, Status, status_failure

MAX_LINE_BYTES = 16 * 1024 * 1024
"""An object may be 1.5 MiB in etcd, some more as JSON; ten times that is no watch line."""
SERVER_LEVELS = 10_000
"""Kubernetes' JSON decoder (sigs.k8s.io/json) takes no more levels."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"


class _ListMeta(Struct):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    continue_token: str = msgspec.field(name="continue", default="")


class _Items(Struct, Generic[K]):
    metadata: _ListMeta
    items: tuple[K, ...] | None = None


class _RawItems(Struct):
    metadata: _ListMeta
    items: tuple[msgspec.Raw, ...] | None = None


class _Line(Struct, Generic[K]):
    type: str
    object: K


class _RawLine(Struct):
    type: str
    object: msgspec.Raw


class _ErrorLine(Struct):
    object: Status


class Codec(Generic[K]):
    """Decoders of one resource. `on_undecodable` is called for each that does not fit, with the reason."""

    def __init__(self, resource: Resource[K], on_undecodable: Callable[[str], None]) -> None:
        self._resource = resource
        self._on_undecodable = on_undecodable
        type_: Any = resource.type
        self._object: msgspec.json.Decoder[K] = msgspec.json.Decoder(type_)
        self._items: msgspec.json.Decoder[_Items[K]] = msgspec.json.Decoder(_Items[type_])
        self._line: msgspec.json.Decoder[_Line[K]] = msgspec.json.Decoder(_Line[type_])

    def object(self, body: bytes) -> K:
        """Decode one object. Raises Unavailable where it does not fit: our schema and the server's differ."""
        try:
            return self._with_kind(self._object.decode(body))
        except UNREADABLE as error:
            self._on_undecodable(str(error))
            raise Unavailable(f"{self._resource.qualified}: the answer cannot be decoded: {error}") from error

    def page(self, body: bytes) -> Page[K]:
        undecodable: tuple[ObjectMeta, ...] = ()
        try:
            decoded = self._items.decode(body)
            items, metadata = decoded.items or (), decoded.metadata
        except (msgspec.ValidationError, RecursionError):
            raw = self._raw(body)
            items, undecodable = self._each(raw.items or ())
            metadata = raw.metadata
        except msgspec.DecodeError as error:
            raise Unavailable(f"{self._resource.qualified}: the list is not JSON: {error}") from error
        return Page(
            items=tuple(map(self._with_kind, items)),
            resource_version=metadata.resource_version,
            continue_token=metadata.continue_token,
            undecodable=undecodable,
        )

    def _raw(self, body: bytes) -> _RawItems:
        """Return a page whose items do not all fit. Raises Unavailable for JSON that is no list at all."""
        try:
            with _deep():
                return msgspec.json.decode(body, type=_RawItems)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Unavailable(f"{self._resource.qualified}: the answer is no list: {error}") from error

    def event(self, line: bytes, call: Call) -> WatchEvent[K]:
        """Decode one watch line. Raises what an ERROR line means.

        The event of an object that does not fit carries its metadata only: that it exists or was deleted, and
        how far the server has come, which readers may be waiting for.
        """
        try:
            decoded = self._line.decode(line)
        except (msgspec.ValidationError, RecursionError) as error:
            return self._slow_event(line, call, error)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{call}: a watch line is not JSON: {error}") from error
        kind, obj = decoded.type, decoded.object
        if kind in {"ADDED", "MODIFIED", "DELETED"}:
            event_type = cast("Literal['ADDED', 'MODIFIED', 'DELETED']", kind)
            return WatchEvent(
                type=event_type, resource_version=obj.metadata.resource_version, object=self._with_kind(obj)
            )
        if kind == "BOOKMARK":
            return _bookmark(obj.metadata)
        raise _error_line(line, call)

    def _slow_event(self, line: bytes, call: Call, reason: Exception) -> WatchEvent[K]:
        try:
            with _deep():
                raw = msgspec.json.decode(line, type=_RawLine)
        except msgspec.DecodeError as error:
            raise Unavailable(f"{call}: a watch line is no event: {error}") from error
        if raw.type == "ERROR":
            raise _error_line(line, call)
        with _deep():
            metadata = lenient_metadata(raw.object)
        if raw.type not in {"ADDED", "MODIFIED", "DELETED"}:
            return _bookmark(metadata)
        self._left_out(metadata, reason)
        return WatchEvent(
            type=cast("Literal['ADDED', 'MODIFIED', 'DELETED']", raw.type),
            resource_version=metadata.resource_version,
            undecodable=metadata,
        )

    def _each(self, items: tuple[msgspec.Raw, ...]) -> tuple[tuple[K, ...], tuple[ObjectMeta, ...]]:
        """Decode one by one: what fits, and the metadata of what does not."""
        fitting: list[K] = []
        undecodable: list[ObjectMeta] = []
        for item in items:
            try:
                fitting.append(self._object.decode(item))
            except UNREADABLE as error:
                with _deep():
                    undecodable.append(lenient_metadata(item))
                self._left_out(undecodable[-1], error)
        return tuple(fitting), tuple(undecodable)

    def _left_out(self, metadata: ObjectMeta, reason: Exception) -> None:
        self._on_undecodable(f"{metadata.namespace}/{metadata.name}: {reason}")

    def _with_kind(self, obj: K) -> K:
        # Items of built-in lists, and metadata-only objects, do not carry their kind.
        if obj.kind and not self._resource.metadata_only:
            return obj
        return structs.replace(obj, api_version=self._resource.api_version, kind=self._resource.kind)


@contextmanager
def _deep() -> Iterator[None]:
    """Let a decoder pass over what is nested as deep as the API server lets in.

    With Python's own limit of a thousand levels, one such object would hide all others of its kind. A level
    that is passed over takes some fifty bytes of the stack, no Python frame.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + SERVER_LEVELS)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _bookmark(metadata: ObjectMeta) -> WatchEvent[Any]:
    return WatchEvent(
        type="BOOKMARK",
        resource_version=metadata.resource_version,
        initial_events_end=metadata.annotation(INITIAL_EVENTS_END) == "true",
    )


def _error_line(line: bytes, call: Call) -> ApiError:
    try:
        status = msgspec.json.decode(line, type=_ErrorLine).object
    except UNREADABLE:
        return Unavailable(f"{call}: the watch ended with {line[:200]!r}")
    return status_failure(call, status.code, status, {})


async def split_lines(chunks: AsyncIterator[bytes], limit: int = MAX_LINE_BYTES) -> AsyncIterator[bytes]:
    """Lines of a stream of chunks, each its own bytes; an unfinished last line is dropped.

    Raises Unavailable for a line over `limit`: readline() of aiohttp would raise long before.
    """
    pending: list[bytes] = []
    size = 0
    async for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            line = chunk[start:end]
            if pending:
                pending.append(line)
                line = b"".join(pending)
                pending.clear()
                size = 0
            start = end + 1
            if line:
                yield line
        if start < len(chunk):
            pending.append(chunk[start:])
            size += len(chunk) - start
            if size > limit:
                raise Unavailable(f"a watch line is longer than {limit} bytes")


def metadata_view(resource: Resource[Any]) -> Resource[KubeObject]:
    """Return `resource` with only its metadata asked for."""
    return Resource(
        group=resource.group,
        version=resource.version,
        plural=resource.plural,
        kind=resource.kind,
        namespaced=resource.namespaced,
        type=KubeObject,
        metadata_only=True,
    )
