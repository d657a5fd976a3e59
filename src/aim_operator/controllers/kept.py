"""How much the caches keep of an object, where no schema bounds it.

Anybody may put 1.5 MB into labels, owner references or a free-form field, as far as the CRDs go. What is
beyond the bounds here is left out as an object arrives: nothing that we decide follows from it. Called by
controllers.slim.
"""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import Raw, structs

from aim_operator.api.external import Event
from aim_operator.api.meta import MOST_MESSAGE, KubeObject, ObjectMeta, OwnerReference
from aim_operator.api.v1alpha1.common import GROUP
from aim_operator.core import engine_args
from aim_operator.core.discovery_output import PROFILE_BOUNDS
from aim_operator.core.free_form import Bounds, problem

K = TypeVar("K", bound=KubeObject)

MOST_METADATA = 16 * 1024
"""Characters of an object's labels, and of its annotations."""
MOST_ROUTE_METADATA = 128 * 1024
"""The same of an HTTPRoute, which carries the annotations that its service asks for."""
MOST_REFERENCES = 64
"""Owner references, and finalizers."""
MOST_SPEC = 512 * 1024
"""Bytes of the spec of a child. What is larger is none that we rendered, or is not worth its memory."""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""A copy of the object, which only kubectl reads."""
_ENTRY = 8
"""Characters that an entry counts beside its name and its value: it takes memory without any."""
_MODEL_STATUS = Bounds(bytes=16 * 1024, values=256, levels=8)
_OUR_PREFIX = f"{GROUP}/"
_NO_SPEC = Raw(b"{}")


def metadata(found: ObjectMeta, most: int = MOST_METADATA) -> ObjectMeta:
    """Return metadata of bounded size. Labels and annotations of ours are the last to be left out."""
    labels, annotations = _words(found.labels, most), _words(found.annotations, most)
    owners, finalizers = _owners(found.owner_references), _first(found.finalizers)
    same = (
        labels is found.labels
        and annotations is found.annotations
        and owners is found.owner_references
        and finalizers is found.finalizers
    )
    if same:
        return found
    return structs.replace(
        found, labels=labels, annotations=annotations, owner_references=owners, finalizers=finalizers
    )


def object_of(found: K) -> K:
    """Return an object with bounded metadata."""
    kept = metadata(found.metadata)
    return found if kept is found.metadata else structs.replace(found, metadata=kept)


def event(found: Event) -> Event:
    """Return an event with a bounded message."""
    message = found.message[:MOST_MESSAGE] if found.message is not None else None
    return object_of(structs.replace(found, message=message))


def spec(found: Raw) -> bytes:
    """Return a copy of the bytes of a spec; those of an empty one where it is too large."""
    return bytes(found if len(memoryview(found)) <= MOST_SPEC else _NO_SPEC)


def arguments(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return engine arguments; of those that are too large, what gets the same refusal."""
    return engine_args.kept(found) if found else found


def profile(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a profile, if discovery could have brought it."""
    return found if not found or problem(found, PROFILE_BOUNDS) is None else None


def model_status(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what KServe says of a model; nothing where that is more than KServe says."""
    return found if not found or problem(found, _MODEL_STATUS) is None else None


def _words(words: dict[str, str] | None, most: int) -> dict[str, str] | None:
    if not words:
        return words
    if LAST_APPLIED in words:
        words = {name: value for name, value in words.items() if name != LAST_APPLIED}
    if _ENTRY * len(words) + sum(map(len, words)) + sum(map(len, words.values())) <= most:
        return words
    return _within(words, most)


def _within(words: dict[str, str], most: int) -> dict[str, str]:
    kept: dict[str, str] = {}
    for ours in (True, False):
        for name, value in words.items():
            size = _ENTRY + len(name) + len(value)
            if name.startswith(_OUR_PREFIX) is ours and size <= most:
                kept[name] = value
                most -= size
    return kept


def _owners(references: tuple[OwnerReference, ...] | None) -> tuple[OwnerReference, ...] | None:
    if not references or len(references) <= MOST_REFERENCES:
        return references
    controllers = tuple(reference for reference in references if reference.controller is True)
    return (*controllers[:1], *references[:MOST_REFERENCES])


def _first(finalizers: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return (
        finalizers if not finalizers or len(finalizers) <= MOST_REFERENCES else finalizers[:MOST_REFERENCES]
    )
