"""Decides about one service: what to render, and a status that says how far it is and what is wrong.

`decide` judges four things on their own (resolution, cache, runtime, route) and then sums them up.
The runtime's part is in runtime_plan, the route's in route_plan, the sum in status.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from msgspec import Struct, structs

from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    POD_DISRUPTION_BUDGETS,
    SCALED_OBJECTS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcome, Outcomes, OutcomeType, Plan, Report
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    TEMPLATES,
    AIMServiceStatus,
    AIMServiceTemplateStatus,
    Discovery,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, labels
from aim_operator.core.catalog import Template, kind_of
from aim_operator.core.outcomes import Obstacle, obstacle, undeleted
from aim_operator.core.service import events
from aim_operator.core.service.cache_plan import CachePlan, plan_cache
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.resolution import Problem
from aim_operator.core.service.route_plan import RoutePlan, hindered_route, plan_route, still_routed
from aim_operator.core.service.runtime_plan import RuntimePlan, hindered_runtime, plan_runtime
from aim_operator.core.service.selection import unoptimized_note
from aim_operator.core.service.status import ConditionSummary, build_status


class _Parts(Struct, frozen=True, kw_only=True):
    resolved: ConditionSummary
    cache: CachePlan
    runtime: RuntimePlan
    route: RoutePlan


def decide(observed: ServiceObserved, *, now: datetime) -> Plan[AIMServiceStatus]:
    """Return the plan for one service. Idempotent: at its own result it plans nothing new."""
    old = observed.service.status or AIMServiceStatus()
    resolved = _resolved(observed)
    cache = plan_cache(observed)
    runtime = plan_runtime(observed, old, resolved, cache, now=now)
    route = plan_route(observed, runtime.summary, old, backend=bool(runtime.children))
    parts = _Parts(resolved=resolved, cache=cache, runtime=runtime, route=route)
    derived = observed.resolution.derived
    return Plan(
        report=partial(_report, observed, old, parts, now),
        children=(
            *((derived,) if derived is not None else ()),
            *cache.children,
            *runtime.children,
            *route.children,
        ),
        requeue_after_seconds=runtime.requeue_after_seconds,
        removals=(*runtime.removals, *route.removals),
    )


def _report(
    observed: ServiceObserved, old: AIMServiceStatus, parts: _Parts, now: datetime, outcomes: Outcomes
) -> Report[AIMServiceStatus]:
    """Return the status of the parts that were decided, and of what could not be written."""
    parts = _with_problems(observed, old, parts, outcomes)
    status = build_status(
        observed,
        old,
        resolved=parts.resolved,
        cache=parts.cache.summary,
        runtime=parts.runtime.summary,
        problem=parts.runtime.problem,
        revision=parts.runtime.revision or _revision_of(observed),
        active=parts.runtime.active if parts.runtime.active is not None else old.active,
        rollout=parts.runtime.rollout if parts.runtime.revision else old.rollout,
        route=parts.route.summary,
        path=parts.route.path,
        now=now,
    )
    return Report(
        status=status,
        events=events.transitions(old, status),
        write_events=events.writes(outcomes),
    )


def _revision_of(observed: ServiceObserved) -> str:
    live = observed.inference_service
    return (live.metadata.label(labels.REVISION) if live is not None else None) or ""


def _with_problems(
    observed: ServiceObserved, old: AIMServiceStatus, parts: _Parts, outcomes: Outcomes
) -> _Parts:
    resolved, cache, runtime, route = parts.resolved, parts.cache, parts.runtime, parts.route
    if (problem := outcomes.problem(TEMPLATES.kind)) is not None:
        remedy = "rename or delete it"
        resolved = _hindered_part(obstacle(problem, refused=Reason.TEMPLATE_NOT_AVAILABLE, remedy=remedy))
    if (problem := outcomes.problem(TEMPLATE_CACHES.kind)) is not None and not cache.summary.ok:
        remedy = f"create an AIMTemplateCache for template {problem.child.name!r} under another name"
        hindrance = obstacle(problem, refused=Reason.DOWNLOAD_FAILED, remedy=remedy)
        cache = structs.replace(cache, summary=_hindered_part(hindrance))
    remedy = "rename this service or delete that object"
    if (problem := _runtime_problem(outcomes)) is not None:
        hindrance = obstacle(problem, refused=Reason.RUNTIME_FAILED, remedy=remedy)
        runtime = hindered_runtime(
            observed,
            reason=hindrance.reason,
            message=hindrance.message,
            # What never ran is no record. A move away from what is refused now must be possible.
            active=None if old.active is None else runtime.active,
            state=hindrance.state,
            blocker=hindrance.blocker,
        )
    elif runtime.problem is None and (problem := outcomes.problem(POD_DISRUPTION_BUDGETS.kind)) is not None:
        runtime = structs.replace(runtime, problem=_without_budget(problem))
    elif runtime.problem is None and (problem := outcomes.problem(SCALED_OBJECTS.kind)) is not None:
        hindrance = obstacle(problem, refused=Reason.AUTOSCALING_FAILED, remedy=remedy)
        runtime = structs.replace(runtime, problem=_hindered_part(hindrance))
    elif runtime.problem is None and (kept := _leftover(outcomes)) is not None:
        runtime = structs.replace(runtime, problem=_hindered_part(kept))
    if (problem := outcomes.problem(HTTP_ROUTES.kind)) is not None:
        hindrance = obstacle(problem, refused=Reason.ROUTE_FAILED, remedy=remedy)
        route = hindered_route(observed, old, hindrance)
    elif (kept := undeleted(outcomes, HTTP_ROUTES.kind)) is not None:
        route = still_routed(route, kept)
    return _Parts(resolved=resolved, cache=cache, runtime=runtime, route=route)


def _leftover(outcomes: Outcomes) -> Obstacle | None:
    return undeleted(outcomes, POD_DISRUPTION_BUDGETS.kind) or undeleted(outcomes, SCALED_OBJECTS.kind)


def _without_budget(problem: Outcome) -> ConditionSummary | None:
    """Say why there is no PodDisruptionBudget, unless its name is taken: then the user has an own one."""
    if problem.type in (OutcomeType.FOREIGN, OutcomeType.GOING_AWAY):
        return None
    return _hindered_part(obstacle(problem, refused=Reason.WRITE_FAILED, remedy=""))


def _runtime_problem(outcomes: Outcomes) -> Outcome | None:
    return outcomes.problem(SERVING_RUNTIMES.kind) or outcomes.problem(INFERENCE_SERVICES.kind)


def _hindered_part(hindrance: Obstacle) -> ConditionSummary:
    state = State.DEGRADED if hindrance.state == State.FAILED else hindrance.state
    return ConditionSummary(
        ok=False,
        reason=hindrance.reason,
        message=hindrance.message,
        state=state,
        blocker=hindrance.blocker,
    )


def _resolved(observed: ServiceObserved) -> ConditionSummary:
    """Judge whether image, template and configuration are found, and the template is available."""
    resolution = observed.resolution
    if resolution.problem is not None:
        return _judge_problem(resolution.problem)
    template = resolution.template
    blocker = _template_ref(observed)
    status = (template.status or AIMServiceTemplateStatus()) if template is not None else None
    state = (status.status if status is not None else None) or State.PENDING
    if template is not None and (_outdated(template) or _moving_on(observed, template)):
        state = State.PENDING
    if status is None or state in (State.PENDING, State.PROGRESSING):
        ready_message = _ready_message(status)
        ready_message = f": {ready_message}" if ready_message else ""
        return ConditionSummary(
            ok=False,
            reason=Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"template {resolution.template_name!r} is {state}{ready_message}",
            state=State.PENDING,
            blocker=blocker,
        )
    if state in (State.FAILED, State.DEGRADED):
        failure = conditions.find(status.conditions or (), c.FAILURE)
        return ConditionSummary(
            ok=False,
            reason=failure.reason if failure else Reason.TEMPLATE_NOT_AVAILABLE,
            message=f"template {resolution.template_name!r}: {failure.message if failure else state}",
            state=State.DEGRADED,
            blocker=blocker,
        )
    if not (status.model_sources or ()):
        return ConditionSummary(
            ok=False,
            reason=Reason.NO_MODEL_SOURCES,
            message=(
                f"discovery of template {resolution.template_name!r} found no model sources; "
                "check the image, then discover again (annotation aim.silogen.ai/rediscover)"
            ),
            state=State.DEGRADED,
            blocker=blocker,
        )
    message = f"template {resolution.template_name!r} is available"
    # Nobody named it.
    if template is not None and resolution.candidates and (note := unoptimized_note(template)):
        message = f"{message}; {note}"
    return ConditionSummary(
        ok=True,
        reason=Reason.RESOLVED,
        message=message,
        state=State.RUNNING,
    )


def _outdated(template: Template) -> bool:
    """Whether a template's status is about an earlier spec: nothing should start on that, or move to it.

    The environment of the one with the profile of the other is nothing that anybody asked for.
    """
    generation = template.metadata.generation
    status = template.status or AIMServiceTemplateStatus()
    return (generation if status.observed_generation is None else status.observed_generation) < generation


def _moving_on(observed: ServiceObserved, template: Template) -> bool:
    """Whether the template has yet to take the catalog's image: what runs waits, to move once and not twice.

    A first start takes what is discovered: the template may be paused.
    """
    image = observed.resolution.image
    if image is None or observed.inference_service is None:
        return False
    status = template.status or AIMServiceTemplateStatus()
    discovered = (status.discovery or Discovery()).image or ""
    return discovered not in ("", image.spec.image)


def _template_ref(observed: ServiceObserved) -> ObjectRef | None:
    """Return the template to run on; None for a derived one that is not there yet."""
    template = observed.resolution.template
    if template is None:
        return None
    return ObjectRef(kind_of(template), template.metadata.namespace, template.metadata.name)


def _judge_problem(problem: Problem) -> ConditionSummary:
    return ConditionSummary(
        ok=False,
        reason=problem.reason,
        message=problem.message,
        state=problem.state,
        blocker=problem.blocker,
    )


def _ready_message(status: AIMServiceTemplateStatus | None) -> str:
    ready = conditions.find(status.conditions or (), c.READY) if status is not None else None
    return ready.message if ready is not None else ""
