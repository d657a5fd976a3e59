"""What the watches keep of an object: equal parts of different objects once.

Thousands of services say the same: their conditions, references and labels differ in names and times at
most. Sharing them halves what a service costs in memory; objects are frozen, so nobody can tell.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from aim_operator.api.external import HTTPRoute, InferenceService, OwnedObject
from aim_operator.api.meta import KubeObject, ObjectMeta
from aim_operator.api.v1alpha1 import AIMService, AIMServiceStatus
from aim_operator.core import hardware

T = TypeVar("T")
O = TypeVar("O", bound=OwnedObject)  # noqa: E741 - an Owned object

REMEMBERED = 8192
"""Parts that are looked for among what is kept already; a rarer one is kept twice, no harm."""
REMEMBERED_SPECS = 1024
"""The same of whole specs, which are a hundred times as large."""


def own_bytes(obj: O) -> O:
    """Copy the spec's bytes out of the event's buffer, which they would keep alive whole."""
    return structs.replace(obj, spec=obj.spec.copy(), metadata=_metadata(obj.metadata))


def inference_service(obj: InferenceService) -> InferenceService:
    """Keep one of equal specs, of 2 to 5 KB each: nothing in them names the service."""
    own = structs.replace(obj, spec=_raw(bytes(obj.spec)), metadata=_metadata(obj.metadata))
    return _with_shared_status(own, obj.status, "conditions")


def http_route(obj: HTTPRoute) -> HTTPRoute:
    return _with_shared_status(own_bytes(obj), obj.status, "parents")


def node(obj: KubeObject) -> KubeObject:
    """Keep the name and the labels about GPUs: nodes carry fifty labels, and change every minute."""
    kept = {name: value for name, value in (obj.metadata.labels or {}).items() if hardware.is_gpu_label(name)}
    metadata = structs.replace(
        obj.metadata, labels=_words(kept), annotations=None, owner_references=None, finalizers=None
    )
    return structs.replace(obj, metadata=metadata)


def service(obj: AIMService) -> AIMService:
    status = obj.status
    if isinstance(status, AIMServiceStatus):
        status = structs.replace(
            status,
            conditions=_each(status.conditions),
            resolved_image=_shared(status.resolved_image),
            resolved_template=_shared(status.resolved_template),
            resolved_runtime_config=_shared(status.resolved_runtime_config),
            active=_shared_by_content(status.active),
        )
    return structs.replace(obj, status=status, metadata=_metadata(obj.metadata))


def _with_shared_status(obj: O, status: Any, field: str) -> O:
    if status is None or status is None:
        return obj
    return structs.replace(obj, status=structs.replace(status, **{field: _each(getattr(status, field))}))


def _metadata(metadata: ObjectMeta) -> ObjectMeta:
    return structs.replace(metadata, labels=_words(metadata.labels), annotations=_words(metadata.annotations))


def _words(words: Any) -> Any:
    return {_shared(name): _shared(value) for name, value in words.items()} if words else words


def _each(parts: Any) -> Any:
    return tuple(map(_shared, parts)) if parts else parts


def _shared_by_content(part: T) -> T:
    """Return an equal part that is kept already; for one that holds maps, which have no hash."""
    if not isinstance(part, Struct):
        return part
    shared: T = _decoded(type(part), msgspec.json.encode(part))
    return shared


@lru_cache(REMEMBERED)
def _decoded(type_: type[Any], encoded: bytes) -> Any:
    return msgspec.json.decode(encoded, type=type_)


@lru_cache(REMEMBERED_SPECS)
def _raw(encoded: bytes) -> Raw:
    return Raw(encoded)


@lru_cache(REMEMBERED)
def _shared(part: T) -> T:
    """Return an equal part that is kept already, or this one."""
    return part
