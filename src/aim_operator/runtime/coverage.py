"""Whether a live object still is what we want, as far as we can see and said.

The server adds defaults, webhooks add fields, and Go drops what is empty: so wanted is compared as a part of
live, in the way Kubernetes merges. Pure. Called by runtime.apply.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs

from aim_operator.api.meta import UNREADABLE, KubeObject, Manifest
from aim_operator.api.quantity import parse as parse_quantity

ENVELOPE = frozenset({"apiVersion", "kind", "metadata", "status"})
_QUANTITY_FIELDS = frozenset({"requests", "limits", "sizeLimit", "capacity", "hard"})


def object_covers(live: KubeObject, manifest: Manifest) -> bool:
    """Whether everything `manifest` says is so in `live`, in the fields that its type shows."""
    metadata = manifest["metadata"]
    have = live.metadata
    if not _covers(have.labels or {}, metadata.get("labels") or {}):
        return False
    if not _covers(have.annotations or {}, metadata.get("annotations") or {}):
        return False
    if not set(metadata.get("finalizers") or ()) <= set(have.finalizers or ()):
        return False
    owners = {owner.uid: msgspec.to_builtins(owner) for owner in have.owner_references or ()}
    if not all(_covers(owners.get(o["uid"]), o) for o in metadata.get("ownerReferences") or ()):
        return False
    return all(_covers(seen, desired) for seen, desired in _visible(live, manifest))


def visible_content(live: KubeObject, manifest: Manifest) -> bytes:
    """Return all of `live` that `manifest` is about, as bytes that are equal for equal content.

    Whole sections, and of the shared maps of metadata what the manifest names.
    """
    metadata = manifest["metadata"]
    labels, annotations = live.metadata.labels or {}, live.metadata.annotations or {}
    content = {
        "labels": {name: labels.get(name) for name in metadata.get("labels") or ()},
        "annotations": {name: annotations.get(name) for name in metadata.get("annotations") or ()},
        "owners": sorted(owner.uid for owner in live.metadata.owner_references or ()),
        "sections": [seen for seen, _ in _visible(live, manifest)],
    }
    return msgspec.json.encode(content, order="deterministic")


def fingerprint(live: KubeObject) -> int:
    """Return a number that stays while nothing but status, versions and times of `live` changes.

    Equal for different content once in 2^64, and nobody can look for such a case: Python's hash is keyed.
    """
    metadata = live.metadata
    sections = [getattr(live, name) for name, _ in _sections(type(live))]
    shared = [metadata.labels, metadata.annotations, metadata.owner_references, metadata.finalizers]
    return hash(msgspec.json.encode([shared, sections]))


def _visible(live: KubeObject, manifest: Manifest) -> list[tuple[Any, Any]]:
    """Pairs of what `live` has and what `manifest` wants, for each section that the type of `live` shows.

    A partial view shows the desired section through the same view: what it leaves out can't be compared.
    """
    pairs: list[tuple[Any, Any]] = []
    for name, encoded in _sections(type(live)):
        if encoded not in manifest:
            continue
        seen, desired = getattr(live, name), manifest[encoded]
        if isinstance(seen, Raw):
            pairs.append((_decoded(seen), desired))
        elif isinstance(seen, Struct):
            pairs.append((_plain(seen), _through(type(seen), desired)))
        elif seen is None:
            pairs.append((None, desired))
        else:
            pairs.append((_plain(seen), desired))
    return pairs


def _decoded(seen: Raw) -> Any:
    """Return what is in a raw section; None, which covers nothing, for what only others can have written."""
    try:
        return msgspec.json.decode(seen) if bytes(seen) else {}
    except UNREADABLE:
        return None


@cache
def _sections(view: type[KubeObject]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a view beside the envelope, by attribute and by JSON name."""
    fields = structs.fields(view)  # evaluates the annotations anew each time
    return tuple((field.name, field.encode_name) for field in fields if field.encode_name not in ENVELOPE)


def _through(view: type[Struct], desired: Any) -> Any:
    try:
        return _plain(msgspec.convert(desired, view))
    except msgspec.ValidationError:
        return desired


def _plain(value: Any) -> Any:
    """Return plain JSON values: lists, not tuples."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _covers(live: Any, desired: Any, *, quantity: bool = False) -> bool:
    if isinstance(desired, str) and live == desired:
        return True
    if isinstance(desired, dict):
        if not desired:
            return live is None or isinstance(live, dict)
        if live is None:
            return all(_empty(value) for value in desired.values())
        return isinstance(live, dict) and all(
            _covers(live.get(key), value, quantity=quantity or key in _QUANTITY_FIELDS)
            for key, value in desired.items()
        )
    if isinstance(desired, list):
        return _list_covers(live, desired, quantity=quantity)
    if live is None:
        return _empty(desired)
    if _equal(live, desired):
        return True
    return quantity and _same_quantity(live, desired)


def _list_covers(live: Any, desired: list[Any], *, quantity: bool) -> bool:
    if not desired:
        return not live
    if not isinstance(live, list):
        return False
    # Mostly they are equal, an affinity of 90 values too: 2 µs to see as JSON, 30 value by value.
    if _encoded(live) == _encoded(desired):
        return True
    ours, theirs = _by_name(desired), _by_name(live)
    if ours is not None and theirs is not None:
        return all(_covers(theirs.get(name), item, quantity=quantity) for name, item in ours.items())
    return len(live) == len(desired) and all(
        _covers(have, want, quantity=quantity) for have, want in zip(live, desired, strict=True)
    )


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """Return the items by their names; None where they are no named items, or names repeat."""
    named = {
        item["name"]: item for item in items if isinstance(item, dict) and isinstance(item.get("name"), str)
    }
    return named if len(named) == len(items) else None


def _empty(desired: Any) -> bool:
    """Whether Go's omitempty may have dropped `desired`; a default would stand there otherwise."""
    if isinstance(desired, dict):
        return all(_empty(value) for value in desired.values())
    return desired is None or desired in ("", [], 0, False)


def _equal(live: Any, desired: Any) -> bool:
    # In Python True is 1; in JSON it is not.
    return isinstance(live, bool) == isinstance(desired, bool) and bool(live == desired)


def _same_quantity(live: Any, desired: Any) -> bool:
    amount = parse_quantity(live)
    return amount is not None and amount == parse_quantity(desired)
