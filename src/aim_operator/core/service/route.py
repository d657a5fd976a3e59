"""Where a service wants to be reached: switch, gateway and path, from service and configuration."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import UNSET, Struct

from aim_operator.api.external import ParentReference
from aim_operator.api.meta import given
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
    own = given(service.spec.routing, ServiceRouting()).enabled
    return given(own if own is not UNSET else config.routing.enabled, False)


def wanted_route(service: AIMService, config: RuntimeConfig) -> Route | RouteProblem | None:
    """Return the wanted route, what is wrong with it, or None where routing is off."""
    if not enabled(service, config):
        return None
    routing = given(service.spec.routing, ServiceRouting())
    gateway = given(routing.gateway_ref, None) or given(config.routing.gateway_ref, None)
    if gateway is None:
        return RouteProblem(
            reason=Reason.ROUTE_FAILED,
            message=(
                "routing is on, but no gateway is named; set spec.routing.gatewayRef on the service "
                "or in its runtime configuration"
            ),
        )
    template = given(routing.route_template, None) or given(config.routing.route_template, None)
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
        given(ref.group, _GATEWAY_GROUP),
        given(ref.kind, "Gateway"),
        given(ref.namespace, namespace),
        ref.name,
        given(ref.section_name, ""),
        given(ref.port, 0),
    )


@lru_cache(1024)
def _gateway_key(*parts: Any) -> GatewayKey:
    """Return the key that is there already: thousands of routes share a gateway."""
    return GatewayKey(*parts)
