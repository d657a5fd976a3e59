"""Decides about one service: what to render, and a status that says what is going on and why not.

`decide` judges four things on their own (resolution, cache, runtime, route) and then sums them up.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct

from aim_operator.api.external import HTTP_ROUTES, HTTPRoute
from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import (
    AIMService,
    AIMServiceStatus,
    AIMServiceTemplateStatus,
    ServiceRouting,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.plan import Child, Plan, Removal
from aim_operator.core.service import desired, events
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.resolution import Problem
from aim_operator.core.service.route import Route, RouteProblem
from aim_operator.core.service.route_state import route_state
from aim_operator.core.service.runtime_state import STARTING, runtime_state
from aim_operator.core.service.status import Judgement, build_status
from aim_operator.core.template.pods import one_line
from aim_operator.errors import SpecError


class _Runtime(Struct, frozen=True, kw_only=True):
    """`problem` keeps a runtime that goes on from becoming what the service wants now."""

    judgement: Judgement
    children: tuple[Child, ...] = ()
    problem: Judgement | None = None


class _Route(Struct, frozen=True, kw_only=True):
    """`judgement` None: routing is off."""

    judgement: Judgement | None = None
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    path: str | None = None


def decide(observed: ServiceObserved, *, now: datetime) -> Plan[AIMServiceStatus]:
    """Return the plan for one service. Idempotent: at its own result it plans nothing new."""
    service = observed.service
    if service.metadata.deletion_timestamp is not None:
        return Plan()  # its children are owned, and go with it
    old = given(service.status, AIMServiceStatus())
    resolved = _resolved(observed)
    cache = _cache(service)
    runtime = _runtime(observed, old, resolved, cache)
    route = _route(observed, runtime, old)
    status = build_status(
        observed,
        old,
        resolved=resolved,
        cache=cache,
        runtime=runtime.judgement,
        problem=runtime.problem,
        route=route.judgement,
        path=route.path,
        now=now,
    )
    derived = observed.resolution.derived
    return Plan(
        status=status,
        children=(*((derived,) if derived is not None else ()), *runtime.children, *route.children),
        removals=route.removals,
        events=events.transitions(old, status),
    )


def _resolved(observed: ServiceObserved) -> Judgement:
    """Judge whether image, template and configuration are found, and the template is available."""
    resolution = observed.resolution
    if resolution.problem is not None:
        return _judge_problem(resolution.problem)
    template = resolution.template
    status = given(template.status, AIMServiceTemplateStatus()) if template is not None else None
    state = given(status.status, State.PENDING) if status is not None else State.PENDING
    if status is None or state in (State.PENDING, State.PROGRESSING):
        said = _ready_message(status)
        return Judgement(
            ok=False,
            reason=Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"template {resolution.template_name!r} is {state}{f': {said}' if said else ''}",
            state=State.PENDING,
        )
    if state in (State.FAILED, State.DEGRADED):
        failure = conditions.find(given(status.conditions, ()), c.FAILURE)
        return Judgement(
            ok=False,
            reason=failure.reason if failure else Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"template {resolution.template_name!r}: {failure.message if failure else state}",
            state=State.DEGRADED,
        )
    if not given(status.model_sources, ()):
        return Judgement(
            ok=False,
            reason=Reason.NO_MODEL_SOURCES,
            message=(
                f"discovery of template {resolution.template_name!r} found no model sources; "
                "check the image, then discover again (annotation aim.silogen.ai/rediscover)"
            ),
            state=State.DEGRADED,
        )
    return Judgement(
        ok=True,
        reason=Reason.RESOLVED,
        message=f"template {resolution.template_name!r} is available",
        state=State.RUNNING,
    )


def _judge_problem(problem: Problem) -> Judgement:
    return Judgement(ok=False, reason=problem.reason, message=problem.message, state=problem.state)


def _ready_message(status: AIMServiceTemplateStatus | None) -> str:
    ready = conditions.find(given(status.conditions, ()), c.READY) if status is not None else None
    return ready.message if ready is not None else ""


def _cache(service: AIMService) -> Judgement:
    if given(service.spec.cache_model, False):
        return Judgement(
            ok=False,
            reason=Reason.WAITING_FOR_CACHE,
            message=(
                "spec.cacheModel: this version of the operator does not warm caches yet; "
                "set it to false to serve straight from the model source"
            ),
            state=State.PENDING,
        )
    return Judgement(
        ok=True, reason=Reason.CACHING_NOT_REQUESTED, message="Caching not requested", state=State.RUNNING
    )


def _runtime(
    observed: ServiceObserved, old: AIMServiceStatus, resolved: Judgement, cache: Judgement
) -> _Runtime:
    """Render the InferenceService if everything it needs is there; else leave it as it is."""
    resolution = observed.resolution
    if not observed.kserve_installed:
        return _blocked(
            Reason.KSERVE_NOT_INSTALLED,
            "KServe's CRDs are not installed; install KServe, the operator goes on by itself then",
        )
    if observed.inference_service_foreign:
        return _blocked(
            Reason.NAME_CONFLICT,
            f"InferenceService {observed.service.metadata.name!r} exists and belongs to somebody else; "
            "rename this service or delete that object",
        )
    if not resolved.ok or not cache.ok:
        return _following(observed, old, blocker=resolved if not resolved.ok else cache)
    image, template, config = resolution.image, resolution.template, resolution.config
    if image is None or template is None or config is None:
        raise AssertionError("a resolved service has an image, a template and a configuration")
    if observed.runtime_shadowed:
        return _hindered(
            observed,
            old,
            reason=Reason.NAME_CONFLICT,
            message=(
                f"a ServingRuntime {template.metadata.name!r} in namespace "
                f"{observed.service.metadata.namespace!r} would be used instead of the cluster template's "
                "runtime; rename or delete it"
            ),
        )
    try:
        child = desired.inference_service(observed.service, image, template, config)
    except SpecError as error:
        return _hindered(observed, old, reason=error.reason, message=error.message)
    if observed.inference_service_refused:
        return _hindered(
            observed,
            old,
            reason=Reason.RUNTIME_FAILED,
            message=f"the InferenceService was refused: {one_line(observed.inference_service_refused)}",
            state=State.FAILED,
        )
    return _Runtime(judgement=_follow(observed, old), children=(child,))


def _blocked(reason: str, message: str) -> _Runtime:
    return _Runtime(judgement=Judgement(ok=False, reason=reason, message=message, state=State.DEGRADED))


def _follow(observed: ServiceObserved, old: AIMServiceStatus) -> Judgement:
    live = observed.inference_service
    if live is None:
        return Judgement(
            ok=False,
            reason=Reason.CREATING_RUNTIME,
            message=STARTING,
            state=State.STARTING,
        )
    before = conditions.find(given(old.conditions, ()), c.RUNTIME_READY)
    state = runtime_state(live, observed.pods, was_ready=before is not None and before.status == "True")
    status = State.RUNNING if state.ready else State.FAILED if state.failed else State.STARTING
    return Judgement(ok=state.ready, reason=state.reason, message=state.message, state=status)


def _following(observed: ServiceObserved, old: AIMServiceStatus, blocker: Judgement) -> _Runtime:
    """Without all inputs nothing is rendered; a runtime that is there goes on, and is told as it is."""
    if observed.inference_service is None:
        return _Runtime(
            judgement=Judgement(ok=False, reason=blocker.reason, message=blocker.message, state=blocker.state)
        )
    return _Runtime(judgement=_follow(observed, old))


def _hindered(
    observed: ServiceObserved,
    old: AIMServiceStatus,
    *,
    reason: str,
    message: str,
    state: str = State.DEGRADED,
) -> _Runtime:
    """Tell why the InferenceService can't be as wanted; one that is there goes on in a degraded service."""
    if observed.inference_service is None:
        return _Runtime(judgement=Judgement(ok=False, reason=reason, message=message, state=state))
    return _Runtime(
        judgement=_follow(observed, old),
        problem=Judgement(ok=False, reason=reason, message=message, state=State.DEGRADED),
    )


def _route(observed: ServiceObserved, runtime: _Runtime, old: AIMServiceStatus) -> _Route:
    wanted, live = observed.route, observed.http_route
    if wanted is None:
        # Off, or not known while the configuration is missing; only a clear "off" takes a route away.
        own = given(observed.service.spec.routing, ServiceRouting()).enabled
        if live is not None and own is not False and observed.resolution.config is None:
            return _Route(judgement=_last_known(old), path=_path_of(live, old))
        if live is None:
            return _Route()
        return _Route(removals=(Removal(resource=HTTP_ROUTES, live=live),))
    if isinstance(wanted, RouteProblem):
        return _refused(wanted.reason, wanted.message, path=_path_of(live, old))
    if not observed.gateway_api_installed:
        return _refused(
            Reason.GATEWAY_API_NOT_INSTALLED,
            "Gateway API's CRDs are not installed; install them, the operator goes on by itself then",
        )
    if observed.http_route_foreign:
        return _refused(
            Reason.NAME_CONFLICT,
            f"HTTPRoute {observed.service.metadata.name!r} exists and belongs to somebody else; "
            "rename this service or delete that object",
        )
    if observed.rival is not None:
        gateway = wanted.claim.gateway
        refused = _refused(
            Reason.ROUTE_CONFLICT,
            f"path {wanted.path} on gateway {gateway.namespace}/{gateway.name} belongs to the older "
            f"service {observed.rival.namespace}/{observed.rival.name}; choose another routeTemplate",
        )
        gone = (Removal(resource=HTTP_ROUTES, live=live),) if live is not None else ()
        return _Route(judgement=refused.judgement, removals=gone)
    return _routed(observed, runtime, wanted, old)


def _last_known(old: AIMServiceStatus) -> Judgement | None:
    """Return what was said of the route when it was last known which one is wanted."""
    said = conditions.find(given(old.conditions, ()), c.ROUTING_READY)
    if said is None:
        return None
    ok = said.status == "True"
    state = State.STARTING if said.reason == Reason.CONFIGURING_ROUTE else State.DEGRADED
    return Judgement(ok=ok, reason=said.reason, message=said.message, state=State.RUNNING if ok else state)


def _path_of(live: HTTPRoute | None, old: AIMServiceStatus) -> str | None:
    """Return the path of the route that stays as it was."""
    return given(old.routing.path, None) if live is not None and old.routing is not UNSET else None


def _refused(reason: str, message: str, *, path: str | None = None) -> _Route:
    return _Route(
        judgement=Judgement(ok=False, reason=reason, message=message, state=State.DEGRADED), path=path
    )


def _routed(observed: ServiceObserved, runtime: _Runtime, wanted: Route, old: AIMServiceStatus) -> _Route:
    if observed.inference_service is None and not runtime.children:
        # Nothing to route to yet. The path is promised already.
        return _Route(
            judgement=Judgement(
                ok=False,
                reason=Reason.CONFIGURING_ROUTE,
                message="the HTTPRoute follows once the InferenceService is created",
                state=State.PENDING,
            ),
            path=wanted.path,
        )
    if observed.http_route_refused:
        said = one_line(observed.http_route_refused)
        return _refused(
            Reason.ROUTE_FAILED,
            f"the HTTPRoute was refused: {said}",
            path=_path_of(observed.http_route, old),
        )
    state = route_state(observed.http_route, wanted, backend_ready=runtime.judgement.ok)
    status = State.RUNNING if state.ready else State.STARTING
    if state.reason == Reason.ROUTE_FAILED:
        status = State.DEGRADED
    return _Route(
        judgement=Judgement(ok=state.ready, reason=state.reason, message=state.message, state=status),
        children=(desired.http_route(observed.service, wanted),),
        path=wanted.path,
    )
