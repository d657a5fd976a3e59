"""What gateways say about an HTTPRoute."""

from __future__ import annotations

from msgspec import Struct, to_builtins

from aim_operator.api.external import HTTPRoute, HTTPRouteStatus, RouteParentStatus
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions
from aim_operator.core.messages import one_line
from aim_operator.core.service.route import GatewayKey, Route


class RouteState(Struct, frozen=True, kw_only=True):
    ready: bool
    reason: str
    message: str
    backend_missing: bool = False


def route_state(live: HTTPRoute | None, route: Route, *, backend_ready: bool) -> RouteState:
    """Judge the route by Accepted and ResolvedRefs of every parent; a refusal has the gateway's message.

    All of its gateways must have accepted it. While the model server is starting, its Service may not be
    there yet: that is no failure.
    """
    keys = [at.gateway for at in route.listener_paths]
    states = [_state(live, key, backend_ready=backend_ready) for key in keys]
    failed = next((state for state in states if state.reason == Reason.ROUTE_FAILED), None)
    unready = failed or next((state for state in states if not state.ready), None)
    if unready is not None:
        return unready
    names = ", ".join(dict.fromkeys(_name(key) for key in keys))
    return RouteState(ready=True, reason=Reason.ROUTE_READY, message=f"{names} accepted the route")


def _state(live: HTTPRoute | None, gateway: GatewayKey, *, backend_ready: bool) -> RouteState:
    waiting = RouteState(
        ready=False,
        reason=Reason.CONFIGURING_ROUTE,
        message=f"waiting for {_name(gateway)} to accept the route; check that it exists",
    )
    if live is None:
        return waiting
    verdicts = [_verdict(parent, live) for parent in _judged(live, gateway)]
    refused = next((v for v in verdicts if v is not None and not v.ready), None)
    if refused is not None and refused.backend_missing and not backend_ready:
        return RouteState(
            ready=False,
            reason=Reason.CONFIGURING_ROUTE,
            message="waiting for the Service of the model server, which KServe makes",
        )
    if refused is not None:
        return refused
    if not verdicts or None in verdicts:
        return waiting
    return RouteState(ready=True, reason=Reason.ROUTE_READY, message="")


def _name(gateway: GatewayKey) -> str:
    namespace, name = gateway.gateway
    return f"Gateway {namespace}/{name}"


def _judged(live: HTTPRoute, gateway: GatewayKey) -> list[RouteParentStatus]:
    """Return the entries that count, of those about one parent that we ask for.

    Gateway API has each controller write an entry of its own, and nobody removes that of one that is gone.
    Such an entry is about an older generation, or none: one about this generation overrides it.
    """
    parents = (live.status or HTTPRouteStatus()).parents or ()
    ours = [parent for parent in parents if _ours(parent, live, gateway)]
    current = [parent for parent in ours if _generation(parent) == live.metadata.generation]
    return current or ours


def _generation(parent: RouteParentStatus) -> int | None:
    accepted = conditions.find(parent.conditions or (), "Accepted")
    return accepted.observed_generation if accepted is not None else None


def _ours(parent: RouteParentStatus, live: HTTPRoute, gateway: GatewayKey) -> bool:
    """Whether this status is about a parent that we ask for, not one that the route had before."""
    reference = to_builtins(parent.parent_ref)
    home = reference.get("namespace") or live.metadata.namespace
    return (
        (home, reference.get("name")) == gateway.gateway
        and (reference.get("sectionName") or "") == gateway.section
        and (reference.get("port") or 0) == gateway.port
    )


def _verdict(parent: RouteParentStatus, live: HTTPRoute) -> RouteState | None:
    """Return ready, refused, or None while the gateway has not looked at this generation."""
    current = parent.conditions or ()
    for type_ in ("Accepted", "ResolvedRefs"):
        condition = conditions.find(current, type_)
        if condition is None:
            return None
        observed = condition.observed_generation
        if observed is not None and observed < live.metadata.generation:
            return None
        if condition.status != "True":
            message, controller = one_line(condition.message), parent.controller_name or "the gateway"
            return RouteState(
                ready=False,
                reason=Reason.ROUTE_FAILED,
                message=f"{controller} says {type_}={condition.status}: {message or condition.reason}",
                backend_missing=type_ == "ResolvedRefs" and condition.reason == "BackendNotFound",
            )
    return RouteState(ready=True, reason=Reason.ROUTE_READY, message="")
