"""What a live HTTPRoute takes, and how a service stands on the path that it wants.

A live HTTPRoute counts by itself, whatever the spec of its service says by now, and after a restart too.
So no service takes a path that is still routed: a younger service gives it up first. Shapes and readings;
controllers/route_owners.py looks up who is concerned.
"""

from __future__ import annotations

from itertools import islice

import msgspec
from msgspec import Struct

from aim_operator.api.external import HTTPRoute, ParentReference
from aim_operator.api.meta import UNREADABLE, Wire
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core.routing import WELL_KNOWN, covers
from aim_operator.core.service.path_claims import Claim, Contender
from aim_operator.core.service.route import ListenerPath, gateway_key, is_gateway

MAX_PATHS = 16
"""Of a live HTTPRoute. Ours have one; one that was edited may have 4,096, which all would be looked up."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a service stands on the path that it wants, and on the one that its HTTPRoute has."""

    rival: Claim | None = None
    """The claim of an older service that the wanted path conflicts with."""
    held_by: Claim | None = None
    """That of a service whose HTTPRoute is still in the way of the wanted path, which belongs to this one."""
    yields: bool = False
    """The path of this one's HTTPRoute, which it does not want any more, belongs to an older service."""


def contender(service: AIMService) -> Contender:
    metadata = service.metadata
    return Contender(metadata.creation_timestamp or "", metadata.namespace, metadata.name)


class _Path(Wire):
    type: str = "PathPrefix"
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
    """Return the prefixes that a live HTTPRoute takes, Gateway by Gateway. None, if its spec is not readable.

    `/` is none: every other route overrides it, so it takes only what nobody wants.
    """
    spec = _spec_of(route)
    paths = (
        ListenerPath(gateway_key(parent, route.metadata.namespace), match.path.value.rstrip("/"))
        for parent in spec.parent_refs
        if is_gateway(parent)
        for rule in spec.rules
        for match in rule.matches
        if match.path.type == "PathPrefix" and match.path.value.rstrip("/")
    )
    return tuple(islice(paths, MAX_PATHS))


def breaks_limits(route: HTTPRoute, prefix: str | None) -> bool:
    """Whether a live HTTPRoute attaches to what is no Gateway, or takes what its namespace may not have.

    `prefix` is what its paths must lie below, as rendered for its namespace; None leaves them free.
    """
    spec = _spec_of(route)
    return any(not is_gateway(parent) for parent in spec.parent_refs) or any(
        covers(WELL_KNOWN, at.path) or (prefix is not None and not covers(prefix, at.path))
        for at in routed_paths(route)
    )


def _spec_of(route: HTTPRoute) -> _Spec:
    try:
        return _SPECS.decode(route.spec)
    except UNREADABLE:
        return _Spec()
