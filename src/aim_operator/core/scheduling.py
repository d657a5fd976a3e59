"""Where Pods run: settings laid over each other, and the fields of a Pod that they become.

The nearest level is on top: a service's over its template's over the runtime configuration's. Node selectors,
labels and annotations are merged by key, tolerations are added up; everything else is taken from the nearest
level that says it. Called by core/serving for model servers, by core/jobs for Jobs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import PodSettings, Scheduling
from aim_operator.core import canonical
from aim_operator.core.manifests import plain

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_TERMS = "nodeSelectorTerms"

S = TypeVar("S", Scheduling, PodSettings)
T = TypeVar("T")


def layered(*layers: Scheduling | None) -> Scheduling | None:
    """Lay settings over each other, the first on top; None if no layer says anything."""
    present = [layer for layer in layers if layer is not None]
    if not present:
        return None
    tolerations = (one for layer in present for one in layer.tolerations or ())
    out = Scheduling(
        node_selector=_merged(layer.node_selector for layer in present),
        tolerations=tuple(dict.fromkeys(tolerations)) or None,
        affinity=_first(layer.affinity for layer in present),
        priority_class_name=_first(layer.priority_class_name for layer in present),
        runtime_class_name=_first(layer.runtime_class_name for layer in present),
        topology_spread_constraints=_first(layer.topology_spread_constraints for layer in present),
        scheduler_name=_first(layer.scheduler_name for layer in present),
    )
    return None if out == Scheduling() else out


def layered_pods(*layers: PodSettings | None) -> PodSettings | None:
    """Lay settings over each other, the first on top; None if no layer says anything."""
    present = [layer for layer in layers if layer is not None]
    if not present:
        return None
    out = PodSettings(
        labels=_merged(layer.labels for layer in present),
        annotations=_merged(layer.annotations for layer in present),
        image_pull_policy=_first(layer.image_pull_policy for layer in present),
        enable_service_links=_first(layer.enable_service_links for layer in present),
    )
    return None if out == PodSettings() else out


def recorded(settings: Scheduling | PodSettings | None) -> Manifest | None:
    """Return settings as a status holds them. Merged, they may have more entries than any single level."""
    return None if settings is None else plain(settings)


def read(record: Manifest | None, type_: type[S]) -> S | None:
    """Return what `recorded` has written; None for what somebody else has written instead."""
    try:
        return None if record is None else msgspec.convert(record, type_)
    except msgspec.ValidationError:
        return None


def pod_fields(
    settings: Scheduling | None,
    *required: Manifest | None,
    same: Mapping[str, str],
    form: Callable[[Manifest], Manifest] = canonical.fields,
) -> Manifest:
    """Return the fields of a Pod's spec that say where it runs.

    A node must fit the settings and each of the affinities in `required`, which are about nodes only. A term
    about Pods that names none is about those with the labels `same`. `form` is how they are written.
    """
    fields: Manifest = {} if settings is None else plain(settings)
    affinity = fields.pop("affinity", {})
    for kind in ("podAffinity", "podAntiAffinity"):
        for term in _pod_terms(affinity.get(kind, {})):
            term.setdefault("labelSelector", {"matchLabels": dict(same)})
    for constraint in fields.get("topologySpreadConstraints", ()):
        constraint.setdefault("labelSelector", {"matchLabels": dict(same)})
    fields = form(fields | ({"affinity": affinity} if affinity else {}))
    affinity = fields.pop("affinity", {})
    for more in required:
        if more is not None:
            affinity = with_nodes(affinity, more)
    return fields | ({"affinity": affinity} if affinity else {})


def with_nodes(affinity: Manifest, required: Manifest) -> Manifest:
    """Return an affinity that admits the nodes that fit both: `required` is about nodes, by required terms.

    A node fits if it fits one term, and a term if it fits all expressions: so each term of the one is joined
    with each of the other.
    """
    node = affinity.get("nodeAffinity", {})
    terms = required["nodeAffinity"][REQUIRED][_TERMS]
    if own := node.get(REQUIRED, {}).get(_TERMS):
        terms = [_joined(mine, other) for mine, other in itertools.product(own, terms)]
    return {**affinity, "nodeAffinity": {**node, REQUIRED: {_TERMS: terms}}}


def service_links(pods: PodSettings) -> Manifest:
    """Return the field of a Pod's spec that keeps Services out of its environment, if they are to be."""
    return {"enableServiceLinks": False} if pods.enable_service_links is False else {}


def metadata(pods: PodSettings) -> Manifest:
    """Return the labels and annotations of Pods, where there are any."""
    fields: Manifest = {"labels": pods.labels, "annotations": pods.annotations}
    return {name: dict(value) for name, value in fields.items() if value}


def _pod_terms(affinity: Manifest) -> list[Manifest]:
    required: list[Manifest] = affinity.get(REQUIRED, [])
    return [*required, *(each["podAffinityTerm"] for each in affinity.get(_PREFERRED, []))]


def _joined(one: Manifest, other: Manifest) -> Manifest:
    return {
        name: [*one.get(name, ()), *other.get(name, ())]
        for name in (*one, *(n for n in other if n not in one))
    }


def _merged(layers: Iterable[Mapping[str, str] | None]) -> dict[str, str] | None:
    """Merge maps by key; the first that has a key decides."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = {**(layer or {}), **merged}
    return merged or None


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
