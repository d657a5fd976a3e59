"""Stored objects as a client of the API server gets them. Called by client.py."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from aim_operator.api.meta import ObjectMeta, lenient_metadata
from aim_operator.api.resource import K, Resource
from aim_operator.errors import Unavailable
from aim_operator.sandbox.kinds import ServedKind
from aim_operator.sandbox.storage import Stored


@lru_cache
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def decode(resource: Resource[K], kind: ServedKind, stored: Stored) -> K:
    obj = tolerant(resource, kind, stored)
    if isinstance(obj, ObjectMeta):
        raise Unavailable(f"{resource.qualified} {obj.name}: the answer cannot be decoded")
    return obj


def tolerant(resource: Resource[K], kind: ServedKind, stored: Stored) -> K | ObjectMeta:
    """Return the object, or where it does not fit its type, its metadata."""
    raw = msgspec.json.encode(kind.from_stored(stored.obj)) if kind.renamed else stored.raw
    try:
        obj: K = _decoder(resource.type).decode(raw)
    except msgspec.ValidationError:
        return lenient_metadata(raw)
    return obj
