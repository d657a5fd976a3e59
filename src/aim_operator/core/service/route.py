"""Where a service wants to be reached: switch, gateway and path, from service and configuration."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Struct

from aim_operator.api.external import ParentReference
from aim_operator.api.v1alpha1 import AIMService, GatewayRef, ServiceRouting
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.routing import document, render_path
from aim_operator.errors import SpecError

_GATEWAY_GROUP = "gateway.networking.k8s.io"


class GatewayKey(NamedTuple):
    """A Gateway listener, as far as two routes can get into each other's way on it."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str
    port: int


class ListenerPath(NamedTuple):
    """A path on a Gateway listener: what at most one service may have."""

    gateway: GatewayKey
    path: str


class Route(Struct, frozen=True, kw_only=True):
    """The route that a service asks for."""

    gateway: GatewayRef
    path: str
    listener_path: ListenerPath


class RouteProblem(Struct, frozen=True, kw_only=True):
    """Why there can be no route. `reason` is RouteFailed or RouteTemplateInvalid."""

    reason: str
    message: str


def enabled(service: AIMService, config: RuntimeConfig) -> bool:
    """Whether routing is on: the service says so, or leaves it to its configuration, which does."""
    own = (service.spec.routing or ServiceRouting()).enabled
    return (own if own is not None else config.routing.enabled) or False


def wanted_route(service: AIMService, config: RuntimeConfig) -> Route | RouteProblem | None:
    """Return the wanted route, what is wrong with it, or None where routing is off."""
    if not enabled(service, config):
        return None
    routing = service.spec.routing or ServiceRouting()
    gateway = routing.gateway_ref or config.routing.gateway_ref
    if gateway is None:
        return RouteProblem(
            reason=Reason.ROUTE_FAILED,
            message=(
                "routing is on, but no gateway is named; set spec.routing.gatewayRef on the service "
                "or in its runtime configuration"
            ),
        )
    template = routing.route_template or config.routing.route_template
    try:
        path = render_path(
            template,
            document(service),
            namespace=service.metadata.namespace,
            uid=service.metadata.uid,
        )
    except SpecError as error:
        return RouteProblem(reason=error.reason, message=error.message)
    key = gateway_key(gateway, service.metadata.namespace)
    return Route(gateway=gateway, path=path, listener_path=ListenerPath(key, path))


def gateway_key(ref: GatewayRef | ParentReference, namespace: str) -> GatewayKey:
    """Return what a reference from an object in `namespace` means."""
    return _gateway_key(
        (_GATEWAY_GROUP if ref.group is None else ref.group),
        ("Gateway" if ref.kind is None else ref.kind),
        (namespace if ref.namespace is None else ref.namespace),
        ref.name,
        ref.section_name or "",
        ref.port or 0,
    )


@lru_cache(1024)
def _gateway_key(*parts: Any) -> GatewayKey:
    """Return the key that is there already: thousands of routes share a gateway."""
    return GatewayKey(*parts)
