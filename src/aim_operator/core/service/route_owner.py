"""Who owns a path: of the services that want it or have a live HTTPRoute on it, the oldest one.

A live HTTPRoute counts by itself, whatever the spec of its service says by now, and after a restart too.
So no service takes a path that is still routed: a younger service gives it up first. Decides only;
controllers/route_owners.py looks up who is concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct

from aim_operator.api.external import HTTPRoute, ParentReference
from aim_operator.api.meta import Wire
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core.service.route import ListenerPath, gateway_key


class Contender(NamedTuple):
    """A service, in the order in which services get paths: by age, then by name."""

    created: str
    namespace: str
    name: str


class PathUse(Struct, frozen=True, kw_only=True):
    """What is known about one path."""

    contenders: Sequence[Contender]
    """Services that want it or have a live HTTPRoute on it, except those that are being deleted.

    Of those that want it the oldest will do.
    """
    routed: Sequence[tuple[str, str]]
    """Namespace and name of the services that have an HTTPRoute on it, or may be writing one just now."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a service stands on the path that it wants, and on the one that its HTTPRoute has."""

    rival: Contender | None = None
    """The older service that the wanted path belongs to."""
    held_by: tuple[str, str] | None = None
    """The service whose HTTPRoute is still on the wanted path, which belongs to this one."""
    yields_to: Contender | None = None
    """The older service that the path of this one's HTTPRoute belongs to."""


def contender(service: AIMService) -> Contender:
    metadata = service.metadata
    return Contender(metadata.creation_timestamp or "", metadata.namespace, metadata.name)


def owner(use: PathUse) -> Contender | None:
    """Return whose the path is."""
    return min(use.contenders, default=None)


def standing(own: Contender, desired: PathUse | None, routed: Sequence[PathUse]) -> Standing:
    """Return how `own` stands on the path it wants, and on those that its HTTPRoute has."""
    yields_to = next(
        (first_owner for use in routed if (first_owner := owner(use)) is not None and first_owner < own), None
    )
    if desired is None:
        return Standing(yields_to=yields_to)
    first = owner(desired)
    if first is not None and first < own:
        return Standing(rival=first, yields_to=yields_to)
    name = (own.namespace, own.name)
    others = [other for other in desired.routed if other != name]
    # Where both have a route on it, which nothing here brings about, the younger one goes.
    blocked = bool(others) and name not in desired.routed
    return Standing(held_by=min(others) if blocked else None, yields_to=yields_to)


class _Path(Wire):
    value: str = "/"


class _Match(Wire):
    path: _Path = msgspec.field(default_factory=_Path)


class _Rule(Wire):
    matches: tuple[_Match, ...] = ()


class _Spec(Wire):
    parent_refs: tuple[ParentReference, ...] = ()
    rules: tuple[_Rule, ...] = ()


_SPECS = msgspec.json.Decoder(_Spec)


def routed_paths(route: HTTPRoute) -> tuple[ListenerPath, ...]:
    """Return the paths that a live HTTPRoute has, listener by listener. None, if its spec is not readable."""
    try:
        spec = _SPECS.decode(route.spec)
    except msgspec.DecodeError:
        return ()
    return tuple(
        ListenerPath(gateway_key(parent, route.metadata.namespace), match.path.value)
        for parent in spec.parent_refs or ()
        for rule in spec.rules
        for match in rule.matches
    )
