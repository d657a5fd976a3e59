"""Gateway API: routes, ours and those of others."""

from __future__ import annotations

import msgspec

from aim_operator.api.external.shapes import Conditions, OwnedObject
from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource


class ParentReference(Wire):
    name: str = ""
    namespace: str | None = None
    group: str | None = None
    kind: str | None = None
    section_name: str | None = None
    port: int | None = None


class HTTPPathMatch(Wire):
    type: str = "PathPrefix"
    value: str = "/"


class HTTPRouteMatch(Wire):
    path: HTTPPathMatch = msgspec.field(default_factory=HTTPPathMatch)


class HTTPRouteRule(Wire):
    matches: tuple[HTTPRouteMatch, ...] = ()


class HTTPRouteSpec(Wire):
    """Where a route takes requests; what it does with them is nothing that we decide by."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = ()


class RouteParentStatus(Wire):
    parent_ref: ParentReference = msgspec.field(default_factory=ParentReference)
    controller_name: str = ""
    conditions: Conditions = None


class HTTPRouteStatus(Wire):
    parents: tuple[RouteParentStatus, ...] | None = None


class OtherHTTPRoute(KubeObject):
    """One that the operator did not make."""

    spec: HTTPRouteSpec = msgspec.field(default_factory=HTTPRouteSpec)


class HTTPRoute(OwnedObject):
    status: HTTPRouteStatus | None = None


HTTP_ROUTES = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="httproutes",
    kind="HTTPRoute",
    namespaced=True,
    type=HTTPRoute,
)
OTHER_HTTP_ROUTES = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="httproutes",
    kind="HTTPRoute",
    namespaced=True,
    type=OtherHTTPRoute,
)
