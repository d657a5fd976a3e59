"""One way to write what can be written in several: so that equal inputs are equal texts, hashes and Pods.

Of lists that are sets to Kubernetes the order, of quantities the unit, and of fields a default that is
written out say nothing. A rewrite of these must neither discover again, nor derive another template, nor
replace a Pod. What an image takes where it is asked for nothing is not known here, and no default.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

import msgspec

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import EnvVar, LocalObjectReference
from aim_operator.core.manifests import plain

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
"""As the kubelet expands them: of two dollars, one is left and nothing else happens."""
_DEFAULTS: Manifest = {
    "operator": "Equal",  # of a toleration
    "nodeAffinityPolicy": "Honor",
    "nodeTaintsPolicy": "Ignore",
    "schedulerName": "default-scheduler",
    "apiVersion": "v1",  # of a field reference
    "optional": False,
    "fsGroupChangePolicy": "Always",
    "runAsNonRoot": False,
    "readOnlyRootFilesystem": False,
    "privileged": False,
}
_NO_VALUE = ("value", "")
"""Of a toleration: without a value it is the empty one."""
_MAPS = frozenset({"nodeSelector", "matchLabels", "labels", "annotations"})
"""With keys that somebody chose, and values that are to be equal, also to nothing."""
_SAYS_SOMETHING_EMPTY = frozenset({"labelSelector"})
"""Where it is empty it is about every Pod, and where it is absent about none, or the service's own."""
_ADDED_UP = frozenset({"preferredDuringSchedulingIgnoredDuringExecution"})
"""Lists whose equal items count each: the scheduler adds their weights up."""
_OF_BYTES = ("memory", "memoryLimit", "ephemeral-storage", "hugepages-", "size", "sharedMemorySize")


def env(variables: Sequence[EnvVar]) -> tuple[EnvVar, ...]:
    """Return variables sorted by name, each behind those of the others that it refers to, as before."""
    names = [variable.name for variable in variables]
    place = {name: index for index, name in enumerate(names)}
    if len(place) < len(names):
        return tuple(variables)
    followers: list[list[int]] = [[] for _ in names]
    waits_for = [0] * len(names)
    for index, variable in enumerate(variables):
        for name in dict.fromkeys(match[1] for match in _REFERENCE.finditer(variable.value or "")):
            other = place.get(name, index)
            if other != index:
                # One that stands behind is no reference: the text stays as it is.
                first, second = (other, index) if other < index else (index, other)
                followers[first].append(second)
                waits_for[second] += 1
    ready = [(name, index) for index, name in enumerate(names) if not waits_for[index]]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, index = heapq.heappop(ready)
        ordered.append(_variable(variables[index]))
        for follower in followers[index]:
            waits_for[follower] -= 1
            if not waits_for[follower]:
                heapq.heappush(ready, (names[follower], follower))
    return tuple(ordered)


def pod_env(variables: Iterable[Manifest]) -> list[Manifest]:
    """Return the environment of a container in the one order; an empty value is as good as none."""
    variables = list(variables)
    if all(map(_is_literal, variables)) and len({each["name"] for each in variables}) == len(variables):
        # Nothing refers to anything, as a rule: this is rendered with each reconcile.
        return [
            {k: v for k, v in each.items() if k != "value" or v}
            for each in sorted(variables, key=itemgetter("name"))
        ]
    typed = env(msgspec.convert(variables, tuple[EnvVar, ...]))
    return [{k: v for k, v in plain(each).items() if k != "value" or v} for each in typed]


def _is_literal(variable: Manifest) -> bool:
    return not variable.keys() - {"name", "value"} and "$" not in (variable.get("value") or "")


def secret_names(secrets: Iterable[LocalObjectReference]) -> list[str]:
    """Return the names of pull secrets, each once: the kubelet tries them all."""
    return sorted({secret.name for secret in secrets})


def amount(name: str, value: Any) -> Any:
    """Write a quantity by its value: bytes in powers of 1024 if that is exact, the rest in those of ten."""
    return _amount(value, name.startswith(_OF_BYTES)) if isinstance(value, str | int | float) else value


@lru_cache(quantity.REMEMBERED, typed=True)
def _amount(value: str | float, of_bytes: bool) -> Any:  # noqa: FBT001 - called above only
    parsed = quantity.parse(value)
    if parsed is None or abs(parsed) > quantity.MAX:
        return value
    if of_bytes and parsed == parsed.to_integral_value() and parsed % 1024 == 0:
        return quantity.canonical(f"{int(parsed) // 1024}Ki")
    return quantity.canonical(format(parsed.normalize(), "f"))


def amounts(quantities: Manifest) -> Manifest:
    return {name: amount(name, value) for name, value in quantities.items()}


def fields(value: Any, name: str = "") -> Any:
    """Return plain fields of a Pod in one form: lists as sets, no defaults, and no empty lists and objects.

    `name` is that of the field whose value it is.

    For what is final, or merged by its keys: an empty list of a nearer level may say that there is none.
    """
    if isinstance(value, dict):
        members = {name: inner if name in _MAPS else fields(inner, name) for name, inner in value.items()}
        return {
            name: inner
            for name, inner in members.items()
            if (inner not in (None, [], {}) or (inner == {} and name in _SAYS_SOMETHING_EMPTY))
            and (name not in _DEFAULTS or inner != _DEFAULTS[name])
            and (name, inner) != _NO_VALUE
        }
    if isinstance(value, list):
        if all(isinstance(item, int) for item in value):
            return sorted(set(value))
        each = [(msgspec.json.encode(item, order="sorted"), item) for item in map(fields, value)]
        ordered = sorted(each if name in _ADDED_UP else dict(each).items(), key=itemgetter(0))
        return [item for _, item in ordered]
    return value


def _variable(variable: EnvVar) -> EnvVar:
    source = plain(variable.value_from)
    if source is None:
        return variable
    resource = source.get("resourceFieldRef", {})
    if "divisor" in resource:
        divisor = amount("size", resource.pop("divisor"))
        resource |= {} if divisor in ("0", "1") else {"divisor": divisor}
    kept = {kind: fields(reference) for kind, reference in source.items()}
    return msgspec.convert({"name": variable.name, "valueFrom": kept}, EnvVar)
