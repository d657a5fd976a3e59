"""Which object a user means: `chat`, `service/chat`, `aimmc/llama`, `AIMServiceTemplate/fast`.

Called by the commands that take an object.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.kinds import KINDS
from aim_operator.errors import UserError

_SHORT: dict[str, Resource[Any]] = {
    "service": aim.SERVICES,
    "template": aim.TEMPLATES,
    "clustertemplate": aim.CLUSTER_TEMPLATES,
    "image": aim.IMAGES,
    "clusterimage": aim.CLUSTER_IMAGES,
    "cache": aim.MODEL_CACHES,
    "modelcache": aim.MODEL_CACHES,
    "templatecache": aim.TEMPLATE_CACHES,
    "config": aim.RUNTIME_CONFIGS,
    "clusterconfig": aim.CLUSTER_RUNTIME_CONFIGS,
}
"""Words for people, beside the names that kubectl knows."""


class Named(Struct, frozen=True):
    """An object as it was named; `namespace` is "" for a cluster object."""

    resource: Resource[Any]
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.resource.kind} {where}{self.name}"


def find(text: str, namespace: str, default: Resource[Any] = aim.SERVICES) -> Named:
    """Return the object that `text` names, in `namespace` if its kind has them. Raises UserError."""
    kind, slash, name = text.partition("/")
    if not slash:
        return _named(default, namespace, kind)
    resource = _spellings().get(kind.lower())
    if resource is None:
        close = difflib.get_close_matches(kind.lower(), _spellings(), n=1)
        meant = f"did you mean {close[0]}?" if close else f"write one of {', '.join(_SHORT)}"
        raise UserError(f"{text}: there is no kind {kind!r}; {meant}")
    return _named(resource, namespace, name)


def find_of(text: str, namespace: str, kinds: Sequence[Resource[Any]]) -> Named:
    """Return the object that `text` names, of one of `kinds`. Raises UserError."""
    named = find(text, namespace, kinds[0])
    if named.resource not in kinds:
        names = " or ".join(dict.fromkeys(kind.kind for kind in kinds))
        raise UserError(f"{text} is an {named.resource.kind}; this is for {names}")
    return named


def _named(resource: Resource[Any], namespace: str, name: str) -> Named:
    if not name or "/" in name:
        raise UserError(f"{name!r} is no name; write NAME or KIND/NAME, and the namespace with -n")
    return Named(resource, namespace if resource.namespaced else "", name)


def _spellings() -> dict[str, Resource[Any]]:
    spelled: dict[str, Resource[Any]] = dict(_SHORT)
    short = {kind.plural: kind.short_name for kind in KINDS.values()}
    for resource in aim.ALL_KINDS:
        for name in (resource.kind.lower(), resource.plural, short[resource.plural]):
            spelled[name] = resource
    spelled |= {f"{name}s": resource for name, resource in _SHORT.items()}
    return spelled
