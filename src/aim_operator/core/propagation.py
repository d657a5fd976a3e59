"""Labels and annotations that an object hands on to what is made for it: those whose keys a prefix chooses.

Never those by which other programs know what is theirs: Argo CD, Flux, Helm and the like would take a child
that carries them for one of their own, and prune it. Nor those by which KServe, Kubernetes and the operator
find and switch things. Called for Jobs and caches by their desired modules, for Pods by core/serving.
"""

from __future__ import annotations

from collections.abc import Mapping

from aim_operator.api.meta import Manifest, ObjectMeta
from aim_operator.api.v1alpha1 import Propagate
from aim_operator.api.v1alpha1.propagation import NEVER, NEVER_KEYS
from aim_operator.api.v1alpha1.scheduling import MOST_ANNOTATION_BYTES

MOST = 16
"""Labels, and annotations, that one object hands on: the first by their keys."""


def handed_on(metadata: ObjectMeta, chosen: Propagate | None) -> Manifest:
    """Return the labels and annotations that `chosen` takes from an object; no key where there are none."""
    if chosen is None:
        return {}
    fields = {
        "labels": _matching(metadata.labels, chosen.labels),
        "annotations": _bounded(_matching(metadata.annotations, chosen.annotations)),
    }
    return {name: value for name, value in fields.items() if value}


def merged(*layers: Manifest) -> Manifest:
    """Lay labels and annotations over each other, the last on top; no key where there are none."""
    out: Manifest = {}
    for name in ("labels", "annotations"):
        if value := {key: text for layer in layers for key, text in (layer.get(name) or {}).items()}:
            out[name] = value
    return out


def _matching(have: Mapping[str, str] | None, prefixes: tuple[str, ...] | None) -> dict[str, str]:
    if not have or not prefixes:
        return {}
    keys = sorted(key for key in have if key.startswith(prefixes) and not _is_never(key))
    return {key: have[key] for key in keys[:MOST]}


def _is_never(key: str) -> bool:
    return key in NEVER_KEYS or key.startswith(NEVER)


def _bounded(annotations: dict[str, str]) -> dict[str, str]:
    """Leave out what is too much: an annotation may have 256 KiB; and what KServe would execute."""
    left, out = MOST_ANNOTATION_BYTES, {}
    for key, text in annotations.items():
        size = len(text.encode())
        if size <= left and "{{" not in text:
            left -= size
            out[key] = text
    return out
