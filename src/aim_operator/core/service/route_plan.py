"""Plans a service's HTTPRoute: what to render, keep or take away, and how the route is going."""

from __future__ import annotations

from msgspec import Struct, structs

from aim_operator.api.external import HTTP_ROUTES, HTTPRoute
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child, Removal
from aim_operator.api.v1alpha1 import SERVICES, AIMServiceStatus, ServiceRouting
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.blocking import crd
from aim_operator.core.messages import quote
from aim_operator.core.outcomes import Obstacle
from aim_operator.core.service import desired
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.path_claims import Claim
from aim_operator.core.service.route import Route, RouteProblem
from aim_operator.core.service.route_state import route_state
from aim_operator.core.service.status import ConditionSummary

_HOSTS_NAMED = 3


class RoutePlan(Struct, frozen=True, kw_only=True):
    """`summary` None: routing is off."""

    summary: ConditionSummary | None = None
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    path: str | None = None


def plan_route(
    observed: ServiceObserved, runtime: ConditionSummary, old: AIMServiceStatus, *, backend: bool
) -> RoutePlan:
    """Return the part of the route. `backend`: the InferenceService that it points to is rendered now."""
    route, live = observed.route, observed.http_route
    own = (observed.service.spec.routing or ServiceRouting()).enabled
    # Of what stays as it was. A path that belongs to somebody else is given up whatever else is wrong.
    kept = live if not observed.path_lost else None
    given_up = (Removal(resource=HTTP_ROUTES, live=live),) if live is not None and kept is None else ()
    if route is None and observed.config is None and own is not False:
        return structs.replace(_unknown(kept, old, asked_for=own is True), removals=given_up)
    if route is None:
        return RoutePlan(removals=(Removal(resource=HTTP_ROUTES, live=live),) if live is not None else ())
    if isinstance(route, RouteProblem):
        refused = _refused(route.reason, route.message, path=_path_of(kept, old))
        return structs.replace(refused, removals=given_up)
    if not observed.gateway_api_installed:
        return _refused(
            Reason.GATEWAY_API_NOT_INSTALLED,
            "Gateway API's CRDs are not installed; install them, and the operator continues by itself",
            blocker=crd(HTTP_ROUTES),
        )
    if observed.rival is not None:
        refused = _refused(
            Reason.ROUTE_CONFLICT, _conflict(route, observed.rival), blocker=_owner_of(observed.rival)
        )
        gone = (Removal(resource=HTTP_ROUTES, live=live),) if live is not None else ()
        return structs.replace(refused, removals=gone)
    if observed.path_held_by is not None:
        holder = observed.path_held_by
        of_route = ObjectRef(HTTP_ROUTES.kind, holder.owner.namespace, holder.owner.name)
        waiting = structs.replace(_later(_wait(route, holder)), blocker=of_route)
        return RoutePlan(summary=waiting, path=_path_of(kept, old), removals=given_up)
    if live is None and observed.inference_service is None and not backend:
        # The path is promised already.
        return RoutePlan(
            summary=_later("the HTTPRoute follows once the InferenceService is created"), path=route.path
        )
    return _routed(observed, runtime, route)


def _conflict(route: Route, rival: Claim) -> str:
    """Say whose the path is, and where in it: without that nobody could choose another."""
    # One that the operator did not make may be the younger one.
    kind = "older service" if rival.kind == SERVICES.kind else rival.kind
    whose = f"the {kind} {rival.owner.namespace}/{rival.owner.name}"
    if rival.at.path == route.path:
        return f"{_where(route, rival)} belongs to {whose}; choose another routeTemplate"
    return (
        f"{_where(route, rival)} overlaps {rival.at.path or '/'}, which belongs to {whose}; between "
        "namespaces no path may lie below another one, so choose another routeTemplate"
    )


def _wait(route: Route, holder: Claim) -> str:
    whose = f"HTTPRoute {holder.owner.namespace}/{holder.owner.name}"
    if holder.at.path == route.path:
        return f"waiting until {whose} gives up {_where(route, holder)}"
    return f"waiting until {whose} gives up path {holder.at.path}, which overlaps {_where(route, holder)}"


def _where(route: Route, other: Claim) -> str:
    """Name the path, and the one of the gateways and hosts where the other is."""
    namespace, name = other.at.gateway.gateway
    hosts = f" for {', '.join(map(quote, route.hosts[:_HOSTS_NAMED]))}" if route.hosts else ""
    return f"path {route.path} on gateway {namespace}/{name}{hosts}"


def _unknown(live: HTTPRoute | None, old: AIMServiceStatus, *, asked_for: bool) -> RoutePlan:
    """Plan nothing while the configuration, which decides too, is not found: only a clear "off" removes."""
    if live is not None:
        return RoutePlan(summary=_last_known(old), path=_path_of(live, old))
    if asked_for:
        return RoutePlan(summary=_later("the HTTPRoute follows once the service is resolved"))
    return RoutePlan()


def _later(message: str) -> ConditionSummary:
    return ConditionSummary(ok=False, reason=Reason.CONFIGURING_ROUTE, message=message, state=State.PENDING)


def _last_known(old: AIMServiceStatus) -> ConditionSummary | None:
    """Return the condition of the route as it was when its configuration was last known."""
    previous = conditions.find(old.conditions or (), c.ROUTING_READY)
    if previous is None:
        return None
    ok = previous.status == "True"
    state = State.STARTING if previous.reason == Reason.CONFIGURING_ROUTE else State.DEGRADED
    return ConditionSummary(
        ok=ok, reason=previous.reason, message=previous.message, state=State.RUNNING if ok else state
    )


def _path_of(live: HTTPRoute | None, old: AIMServiceStatus) -> str | None:
    """Return the path of the route that stays as it was."""
    return old.routing.path if live is not None and old.routing is not None else None


def _owner_of(claim: Claim) -> ObjectRef:
    return ObjectRef(claim.kind, claim.owner.namespace, claim.owner.name)


def _refused(
    reason: str, message: str, *, path: str | None = None, blocker: ObjectRef | None = None
) -> RoutePlan:
    return RoutePlan(
        summary=ConditionSummary(
            ok=False, reason=reason, message=message, state=State.DEGRADED, blocker=blocker
        ),
        path=path,
    )


def hindered_route(observed: ServiceObserved, old: AIMServiceStatus, hindrance: Obstacle) -> RoutePlan:
    """Return the part of a route that could not be written; one that is there stays as it was."""
    state = hindrance.state if hindrance.state == State.PENDING else State.DEGRADED
    path = _path_of(observed.http_route, old)
    summary = ConditionSummary(
        ok=False,
        reason=hindrance.reason,
        message=hindrance.message,
        state=state,
        blocker=hindrance.blocker,
    )
    return RoutePlan(summary=summary, path=path)


def still_routed(plan: RoutePlan, kept: Obstacle) -> RoutePlan:
    """Return the part of a route that is to go and can't be deleted: requests reach the model by it."""
    before = plan.summary
    summary = ConditionSummary(
        ok=False,
        reason=kept.reason if before is None else before.reason,
        message=kept.message if before is None else f"{before.message}; {kept.message}",
        state=State.DEGRADED,
        blocker=kept.blocker,
    )
    return structs.replace(plan, summary=summary)


def _route_ref(live: HTTPRoute | None) -> ObjectRef | None:
    if live is None:
        return None
    return ObjectRef(HTTP_ROUTES.kind, live.metadata.namespace, live.metadata.name)


def _routed(observed: ServiceObserved, runtime: ConditionSummary, route: Route) -> RoutePlan:
    state = route_state(observed.http_route, route, backend_ready=runtime.ok)
    status = State.RUNNING if state.ready else State.STARTING
    if state.reason == Reason.ROUTE_FAILED:
        status = State.DEGRADED
    return RoutePlan(
        summary=ConditionSummary(
            ok=state.ready,
            reason=state.reason,
            message=state.message,
            state=status,
            blocker=_route_ref(observed.http_route) if not state.ready else None,
        ),
        children=(desired.http_route(observed.service, route, name=observed.route_name),),
        path=route.path,
    )
