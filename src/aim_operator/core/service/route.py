"""Where a service wants to be reached: switch, gateway and path, from service and configuration.

And where it may not be: outside what the cluster's configuration leaves to its namespace.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from aim_operator.api.external import ParentReference
from aim_operator.api.v1alpha1 import AIMService, ConfigRouting, GatewayRef, ServiceRouting
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.hosts import of_namespace, outside
from aim_operator.core.messages import quote
from aim_operator.core.routing import covers, document, render_path, render_prefix
from aim_operator.errors import SpecError

NO_LIMIT = "0s"
"""Gateway API, GEP-1742: no timeout. Envoy cuts a request after 15 seconds where a route says nothing."""
GATEWAY_GROUP, GATEWAY_KIND = "gateway.networking.k8s.io", "Gateway"

T = TypeVar("T")


class GatewayKey(NamedTuple):
    """Listeners of a Gateway: those of one name ("": of any) on one port (0: on any)."""

    gateway: tuple[str, str]
    """Namespace and name."""
    section: str
    port: int


class ListenerPath(NamedTuple):
    """A path on listeners of a Gateway, for some hosts or (where there are none) for all of them."""

    gateway: GatewayKey
    path: str
    hosts: tuple[str, ...] = ()
    """Sorted, each once."""


class Route(Struct, frozen=True, kw_only=True):
    """The route that a service asks for. `gateways` are no less than one, each once."""

    gateways: tuple[GatewayRef, ...]
    path: str
    listener_paths: tuple[ListenerPath, ...]
    """One for each of the gateways."""
    hosts: tuple[str, ...] = ()
    request_timeout: str = NO_LIMIT
    annotations: dict[str, str] = {}


class RouteProblem(Struct, frozen=True, kw_only=True):
    """Why there can be no route. `reason` is one of Routing, such as PathNotAllowed."""

    reason: str
    message: str


def enabled(service: AIMService, config: RuntimeConfig) -> bool:
    """Whether routing is on: the service says so, or leaves it to its configuration, which does."""
    own = (service.spec.routing or ServiceRouting()).enabled
    return (own if own is not None else config.routing.enabled) or False


def wanted_route(
    service: AIMService,
    config: RuntimeConfig,
    *,
    path_prefix: str | None = None,
    allowed_hostnames: tuple[str, ...] | None = None,
) -> Route | RouteProblem | None:
    """Return the wanted route, what is wrong with it, or None where routing is off.

    `path_prefix` and `allowed_hostnames` are those of the cluster's default configuration, whatever `config`
    is.
    """
    if not enabled(service, config):
        return None
    routing = service.spec.routing or ServiceRouting()
    gateways = _gateways(routing, config.routing)
    if not gateways:
        return RouteProblem(
            reason=Reason.ROUTE_FAILED,
            message=(
                "routing is on, but no gateway is named; set spec.routing.gatewayRef on the service "
                "or in its runtime configuration"
            ),
        )
    if (other := next((ref for ref in gateways if not is_gateway(ref)), None)) is not None:
        return RouteProblem(reason=Reason.ROUTE_FAILED, message=_no_gateway(other))
    namespace = service.metadata.namespace
    try:
        prefix = None if path_prefix is None else render_prefix(path_prefix, namespace)
        path = render_path(
            routing.route_template or config.routing.route_template,
            document(service),
            namespace=namespace,
            uid=service.metadata.uid,
            prefix=prefix,
        )
    except SpecError as error:
        return RouteProblem(reason=error.reason, message=error.message)
    if path_prefix is not None and prefix is not None and not covers(prefix, path):
        message = _outside(path, prefix, path_prefix, namespace)
        return RouteProblem(reason=Reason.PATH_NOT_ALLOWED, message=message)
    hosts = hosts_of(_first(routing.hostnames, config.routing.hostnames) or ())
    allowed = None if allowed_hostnames is None else of_namespace(allowed_hostnames, namespace)
    if allowed is not None and (host := outside(hosts, allowed)):
        return RouteProblem(reason=Reason.HOSTNAME_NOT_ALLOWED, message=_strange(host, allowed, namespace))
    by_key = {gateway_key(ref, namespace): ref for ref in gateways}
    return Route(
        gateways=tuple(by_key.values()),
        path=path,
        listener_paths=tuple(ListenerPath(key, path, hosts) for key in by_key),
        hosts=hosts,
        request_timeout=_first(routing.request_timeout, config.routing.request_timeout) or NO_LIMIT,
        annotations={**(config.routing.annotations or {}), **(routing.annotations or {})},
    )


def hosts_of(hostnames: Iterable[str]) -> tuple[str, ...]:
    """Return hostnames in the one order in which they are compared; they know no case."""
    return tuple(sorted({name.lower() for name in hostnames}))


def _gateways(own: ServiceRouting, configured: ConfigRouting) -> tuple[GatewayRef, ...]:
    """Return the one gateway and those beside it, each of the two from the nearest level that says it."""
    first = _first(own.gateway_ref, configured.gateway_ref)
    return (
        *((first,) if first is not None else ()),
        *(_first(own.gateway_refs, configured.gateway_refs) or ()),
    )


def _first(own: T | None, configured: T | None) -> T | None:
    return configured if own is None else own


def _no_gateway(ref: GatewayRef) -> str:
    group = GATEWAY_GROUP if ref.group is None else ref.group
    return (
        f"gatewayRef: {quote(ref.kind or GATEWAY_KIND)} of group {quote(group)} is no Gateway, and routes "
        f"are attached to nothing else; leave out kind and group, or write {GATEWAY_KIND} and {GATEWAY_GROUP}"
    )


def _outside(path: str, prefix: str, path_prefix: str, namespace: str) -> str:
    return (
        f"routeTemplate: path {quote(path)} is not below {quote(prefix)}, where namespace {quote(namespace)} "
        f'has its paths by routing.pathPrefix of AIMClusterRuntimeConfig "default"; begin the template with '
        f"{path_prefix.rstrip('/')}/"
    )


def _strange(host: str, allowed: tuple[str, ...], namespace: str) -> str:
    return (
        f"hostnames: {quote(host)} is none of those that namespace {quote(namespace)} may name by "
        f'routing.allowedHostnames of AIMClusterRuntimeConfig "default"; write one of {", ".join(allowed)}'
    )


def is_gateway(ref: GatewayRef | ParentReference) -> bool:
    """Whether a reference is to a Gateway, not to a Service (of a mesh) or whatever else routes attach to."""
    return (ref.group, ref.kind) in _GATEWAYS


_GATEWAYS = {(group, kind) for group in (None, GATEWAY_GROUP) for kind in (None, GATEWAY_KIND)}


def gateway_key(ref: GatewayRef | ParentReference, namespace: str) -> GatewayKey:
    """Return which listeners a reference from an object in `namespace` selects, if it is to a Gateway."""
    home = namespace if ref.namespace is None else ref.namespace
    return _gateway_key((home, ref.name), ref.section_name or "", ref.port or 0)


@lru_cache(1024)
def _gateway_key(*parts: Any) -> GatewayKey:
    """Return the key that is there already: thousands of routes share a gateway."""
    return GatewayKey(*parts)
