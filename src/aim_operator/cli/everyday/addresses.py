"""Finds the address of a service: its path, and its route's host, else that of the Gateway that it is on."""

from __future__ import annotations

import msgspec

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, HTTPRoute, HTTPRouteSpec
from aim_operator.api.meta import Condition, KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.core.manifests import controlled_by
from aim_operator.core.service.route_name import beside
from aim_operator.errors import NotFound, UserError
from aim_operator.kube.protocol import KubeClient

PORTS = {"HTTP": 80, "HTTPS": 443}


class Listener(Wire):
    name: str = ""
    port: int = 0
    protocol: str = ""
    hostname: str | None = None


class GatewaySpec(Wire):
    listeners: tuple[Listener, ...] = ()


class GatewayAddress(Wire):
    value: str = ""


class GatewayStatus(Wire):
    addresses: tuple[GatewayAddress, ...] | None = None
    conditions: tuple[Condition, ...] | None = None


class Gateway(KubeObject):
    spec: GatewaySpec = msgspec.field(default_factory=GatewaySpec)
    status: GatewayStatus = msgspec.field(default_factory=GatewayStatus)


GATEWAYS = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="gateways",
    kind="Gateway",
    namespaced=True,
    type=Gateway,
)


async def base_url(client: KubeClient, namespace: str, name: str, *, origin: str | None = None) -> str:
    """Return the URL below which a service answers the OpenAI API. Raises UserError for what is missing.

    `origin` is where the gateway is reached, if not at its address.
    """
    try:
        service = await client.get(aim.SERVICES, name, namespace=namespace)
    except NotFound as error:
        raise UserError(f"there is no AIMService {name} in namespace {namespace}") from error
    path = ((service.status or aim.AIMServiceStatus()).routing or aim.RoutingStatus()).path
    route = await _route_of(client, service) if path else None
    if not path or route is None:
        raise UserError(
            f"AIMService {namespace}/{name} has no route; set routing.enabled, or see aimctl why {name}"
        )
    return f"{(origin or await _origin(client, route)).rstrip('/')}{path.rstrip('/')}/v1"


async def _route_of(client: KubeClient, service: aim.AIMService) -> HTTPRoute | None:
    """Return the service's own route: one of its name may be KServe's, or somebody else's."""
    for name in (service.metadata.name, beside(service.metadata.name)):
        try:
            route = await client.get(HTTP_ROUTES, name, namespace=service.metadata.namespace)
        except NotFound:
            continue
        if controlled_by(route, service.metadata):
            return route
    return None


async def _origin(client: KubeClient, route: HTTPRoute) -> str:
    parents = (route.status.parents or ()) if route.status is not None else ()
    if not parents:
        raise UserError(f"no gateway has taken the route of {route.metadata.name} yet; see aimctl why")
    parent = parents[0].parent_ref
    where = parent.namespace or route.metadata.namespace
    try:
        gateway = await client.get(GATEWAYS, parent.name, namespace=where)
    except NotFound as error:
        raise UserError(
            f"there is no Gateway {where}/{parent.name}; the route of the service names it"
        ) from error
    fits = [
        each
        for each in gateway.spec.listeners
        if parent.section_name in (None, each.name)
        and parent.port in (None, each.port)
        and each.protocol in PORTS
    ]
    if not fits:
        raise UserError(f"Gateway {where}/{parent.name} has no listener for HTTP that the route is on")
    hosts = msgspec.json.decode(route.spec, type=HTTPRouteSpec).hostnames
    return _written(gateway, fits[0], hosts, f"{where}/{parent.name}")


def _written(gateway: Gateway, listener: Listener, hosts: tuple[str, ...], named: str) -> str:
    """Return scheme, host and port. A host name with a star stands for many, and is none to call.

    `hosts` are the route's: it answers to no other, nor to the Gateway's address.
    """
    own = listener.hostname or "*"
    callable_hosts = (own, *hosts) if "*" in own else (own,)
    plain = (each for each in callable_hosts if "*" not in each and each.endswith(own.lstrip("*")))
    host = next(plain, "")
    if not host:
        addresses = gateway.status.addresses or ()
        if not addresses:
            raise UserError(f"Gateway {named} has no address yet; its controller gives it one")
        host = addresses[0].value
    host = f"[{host}]" if ":" in host else host
    port = "" if listener.port == PORTS[listener.protocol] else f":{listener.port}"
    return f"{listener.protocol.lower()}://{host}{port}"
