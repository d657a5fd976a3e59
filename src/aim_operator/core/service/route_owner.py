"""What a live HTTPRoute takes, and how a service stands on the path that it wants.

A live HTTPRoute counts by itself, whatever the spec of its service says by now, and after a restart too.
So no service takes a path that is still routed: a younger service gives it up first. Shapes and readings;
controllers/route_owners.py looks up who is concerned.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec
from msgspec import Struct

from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    HTTPRoute,
    HTTPRouteSpec,
    OtherHTTPRoute,
)
from aim_operator.api.meta import UNREADABLE
from aim_operator.api.v1alpha1 import SERVICES, AIMService
from aim_operator.core.hosts import outside
from aim_operator.core.manifests import is_applied
from aim_operator.core.routing import MAX_PATH, WELL_KNOWN, covers
from aim_operator.core.service.path_claims import Claim, Contender
from aim_operator.core.service.route import ListenerPath, gateway_key, hosts_of, is_gateway

MAX_PATHS = 16
"""Of a live HTTPRoute. Ours have one; one that was edited may have 4,096, which all would be looked up."""
MAX_HOSTS = 16
"""As many as Gateway API allows."""
MAX_OTHER_PATHS = 128
"""Of one that the operator did not make: as many as there can be on one Gateway."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a service stands on the path that it wants, and on the one that its HTTPRoute has."""

    rival: Claim | None = None
    """The older claim that the wanted path conflicts with."""
    held_by: Claim | None = None
    """That of an HTTPRoute which is still in the way of the wanted path, though that belongs to this one."""
    yields: bool = False
    """The path of this one's HTTPRoute, which it does not want any more, belongs to an older service."""


def contender(service: AIMService) -> Contender:
    metadata = service.metadata
    return Contender(metadata.creation_timestamp or "", metadata.namespace, metadata.name)


_SPECS = msgspec.json.Decoder(HTTPRouteSpec)


def routed_paths(route: HTTPRoute) -> tuple[ListenerPath, ...]:
    """Return the prefixes that a live HTTPRoute takes, Gateway by Gateway; none if its spec is unreadable."""
    return tuple(islice(_prefixes(_spec_of(route), route.metadata.namespace), MAX_PATHS))


def is_strange(route: HTTPRoute) -> bool:
    """Whether a live HTTPRoute with the operator's label is nobody's that the operator knows.

    Ours are controlled by an AIMService, or have been applied by the operator; KServe, which copies labels,
    makes those of an InferenceService. The label of any other was put there by somebody.
    """
    owner = route.metadata.controller()
    if owner is None:
        return not is_applied(route)
    group = owner.api_version.partition("/")[0]
    return (group, owner.kind) not in _ROUTE_OWNERS


_ROUTE_OWNERS = {(resource.group, resource.kind) for resource in (SERVICES, INFERENCE_SERVICES)}


def other_claims(route: OtherHTTPRoute | HTTPRoute) -> tuple[Claim, ...]:
    """Return the prefixes that an HTTPRoute takes which the operator did not make: since it was created."""
    metadata = route.metadata
    owner = Contender(metadata.creation_timestamp or "", metadata.namespace, metadata.name)
    spec = _spec_of(route) if isinstance(route, HTTPRoute) else route.spec
    paths = islice(_prefixes(spec, metadata.namespace, roots=True), MAX_OTHER_PATHS)
    return tuple(Claim(owner, path, HTTP_ROUTES.kind) for path in paths)


def _prefixes(spec: HTTPRouteSpec, namespace: str, *, roots: bool = False) -> Iterator[ListenerPath]:
    """Return all that are prefixes but `/`, which every other route overrides: it takes what nobody wants.

    With `roots`, also that as "", where the route has hosts of its own: nobody else is to be at home there.
    No prefix of ours takes what an exact path matches; regular expressions can't be compared.
    """
    hosts = hosts_of(spec.hostnames[:MAX_HOSTS])
    shortest = 0 if roots and hosts else 1
    for parent in filter(is_gateway, spec.parent_refs):
        for rule in spec.rules:
            for match in rule.matches:
                path = match.path.value.rstrip("/")
                if match.path.type == "PathPrefix" and shortest <= len(path) <= MAX_PATH:
                    yield ListenerPath(gateway_key(parent, namespace), path, hosts)


def breaks_limits(route: HTTPRoute, prefix: str | None, allowed: tuple[str, ...] | None = None) -> bool:
    """Whether a live HTTPRoute attaches to what is no Gateway, or takes what its namespace may not have.

    `prefix` is what its paths must lie below, and `allowed` the hosts that it may name, as rendered for its
    namespace; None leaves them free.
    """
    spec = _spec_of(route)
    return (
        bool(outside(spec.hostnames, allowed))
        or any(not is_gateway(parent) for parent in spec.parent_refs)
        or any(
            covers(WELL_KNOWN, at.path) or (prefix is not None and not covers(prefix, at.path))
            for at in routed_paths(route)
        )
    )


def _spec_of(route: HTTPRoute) -> HTTPRouteSpec:
    try:
        return _SPECS.decode(route.spec)
    except UNREADABLE:
        return HTTPRouteSpec()
