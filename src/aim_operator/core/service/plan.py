"""Decides about one service: what to render, and a status that says what is going on and why not.

`decide` judges four things on their own (resolution, cache, runtime, route) and then sums them up.
The route's part is in route_plan, the sum in status.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from msgspec import UNSET, Struct, UnsetType, structs

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, SERVING_RUNTIMES
from aim_operator.api.meta import given
from aim_operator.api.plan import Child, Outcome, Outcomes, Plan, Report
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    TEMPLATES,
    ActiveWorkload,
    AIMServiceStatus,
    AIMServiceTemplateStatus,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, labels
from aim_operator.core.catalog import Template
from aim_operator.core.outcomes import Obstacle, obstacle
from aim_operator.core.service import events
from aim_operator.core.service.cache_plan import CachePlan, plan_cache
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.resolution import Problem
from aim_operator.core.service.route_plan import RoutePlan, hindered_route, plan_route
from aim_operator.core.service.status import Judgement, build_status
from aim_operator.core.serving.pin import workload
from aim_operator.core.serving.rollout import STARTING, rollout
from aim_operator.core.serving.workload import inference_service, own_runtime, own_runtime_name, revision_of
from aim_operator.errors import SpecError


class _Runtime(Struct, frozen=True, kw_only=True):
    """`problem` keeps a runtime that continues from becoming what the service wants now.

    `active` is what the service runs on once the children are written; UNSET: what it ran on before.
    """

    judgement: Judgement
    children: tuple[Child, ...] = ()
    problem: Judgement | None = None
    active: ActiveWorkload | UnsetType = UNSET


class _Parts(Struct, frozen=True, kw_only=True):
    resolved: Judgement
    cache: CachePlan
    runtime: _Runtime
    route: RoutePlan


def decide(observed: ServiceObserved, *, now: datetime) -> Plan[AIMServiceStatus]:
    """Return the plan for one service. Idempotent: at its own result it plans nothing new."""
    old = given(observed.service.status, AIMServiceStatus())
    resolved = _resolved(observed)
    cache = plan_cache(observed)
    runtime = _runtime(observed, old, resolved, cache)
    route = plan_route(observed, runtime.judgement, old, backend=bool(runtime.children))
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
        removals=route.removals,
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
        cache=parts.cache.judgement,
        runtime=parts.runtime.judgement,
        problem=parts.runtime.problem,
        active=parts.runtime.active if parts.runtime.active is not UNSET else old.active,
        route=parts.route.judgement,
        path=parts.route.path,
        now=now,
    )
    return Report(
        status=status,
        events=events.transitions(old, status),
        write_events=events.writes(outcomes),
    )


def _with_problems(
    observed: ServiceObserved, old: AIMServiceStatus, parts: _Parts, outcomes: Outcomes
) -> _Parts:
    resolved, cache, runtime, route = parts.resolved, parts.cache, parts.runtime, parts.route
    if (problem := outcomes.problem(TEMPLATES.kind)) is not None:
        remedy = "rename or delete it"
        resolved = _hindered_part(obstacle(problem, refused=Reason.TEMPLATE_NOT_AVAILABLE, remedy=remedy))
    if (problem := outcomes.problem(TEMPLATE_CACHES.kind)) is not None and not cache.judgement.ok:
        remedy = f"create an AIMTemplateCache for template {problem.child.name!r} under another name"
        found = obstacle(problem, refused=Reason.DOWNLOAD_FAILED, remedy=remedy)
        cache = structs.replace(cache, judgement=_hindered_part(found))
    remedy = "rename this service or delete that object"
    if (problem := _runtime_problem(outcomes)) is not None:
        found = obstacle(problem, refused=Reason.RUNTIME_FAILED, remedy=remedy)
        runtime = _hindered(
            observed,
            reason=found.reason,
            message=found.message,
            # What never ran is no record. A move away from what is refused now must be possible.
            active=UNSET if old.active is UNSET else runtime.active,
            state=found.state,
        )
    if (problem := outcomes.problem(HTTP_ROUTES.kind)) is not None:
        found = obstacle(problem, refused=Reason.ROUTE_FAILED, remedy=remedy)
        route = hindered_route(observed, old, found)
    return _Parts(resolved=resolved, cache=cache, runtime=runtime, route=route)


def _runtime_problem(outcomes: Outcomes) -> Outcome | None:
    return outcomes.problem(SERVING_RUNTIMES.kind) or outcomes.problem(INFERENCE_SERVICES.kind)


def _hindered_part(found: Obstacle) -> Judgement:
    state = State.DEGRADED if found.state == State.FAILED else found.state
    return Judgement(ok=False, reason=found.reason, message=found.message, state=state)


def _resolved(observed: ServiceObserved) -> Judgement:
    """Judge whether image, template and configuration are found, and the template is available."""
    resolution = observed.resolution
    if resolution.problem is not None:
        return _judge_problem(resolution.problem)
    template = resolution.template
    status = given(template.status, AIMServiceTemplateStatus()) if template is not None else None
    state = given(status.status, State.PENDING) if status is not None else State.PENDING
    if observed.inference_service is None and template is not None and _outdated(template):
        state = State.PENDING
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


def _outdated(template: Template) -> bool:
    """Whether a template's status is about an earlier spec: nothing should start on that."""
    generation = template.metadata.generation
    status = given(template.status, AIMServiceTemplateStatus())
    return given(status.observed_generation, generation) < generation


def _judge_problem(problem: Problem) -> Judgement:
    return Judgement(ok=False, reason=problem.reason, message=problem.message, state=problem.state)


def _ready_message(status: AIMServiceTemplateStatus | None) -> str:
    ready = conditions.find(given(status.conditions, ()), c.READY) if status is not None else None
    return ready.message if ready is not None else ""


def _runtime(
    observed: ServiceObserved, old: AIMServiceStatus, resolved: Judgement, cache: CachePlan
) -> _Runtime:
    """Render the InferenceService from what the service runs on.

    That is what its names mean now, where all of it is there; else what it was last. A move from one to the
    other is recorded in status before it is made: whatever gets lost between the two, the service is never
    rendered from something that it left.
    """
    pinned = old.active
    blocker = next((part for part in (resolved, cache.judgement) if not part.ok), None)
    broken = resolved.state == State.DEGRADED and pinned is UNSET
    if not observed.kserve_installed and not broken:
        return _blocked(
            Reason.KSERVE_NOT_INSTALLED,
            "KServe's CRDs are not installed; install KServe, the operator continues by itself then",
        )
    if blocker is not None:
        return _following(observed, blocker) if pinned is UNSET else _rendered(observed, pinned)
    wanted = _wanted(observed, cache)
    if observed.runtime_shadowed:
        return _hindered(
            observed,
            reason=Reason.NAME_CONFLICT,
            message=(
                f"a ServingRuntime {wanted.resolved_template.name!r} in namespace "
                f"{observed.service.metadata.namespace!r} would be used instead of the cluster template's "
                "runtime; rename or delete it"
            ),
        )
    ahead = _rendered(observed, wanted)
    if pinned is UNSET or pinned == wanted or observed.inference_service is None:
        return ahead
    here = _rendered(observed, pinned)
    if not ahead.children:
        return structs.replace(here, problem=ahead.problem)  # It stays in use until there is a way ahead.
    return _moving(here, wanted)


def _moving(runtime: _Runtime, wanted: ActiveWorkload) -> _Runtime:
    """Record what the service moves to. Its children follow at the next reconcile, which this write wakes."""
    judgement = runtime.judgement
    if judgement.ok:
        judgement = structs.replace(
            judgement,
            reason=Reason.ROLLING_OUT,
            message=f"moving to template {wanted.resolved_template.name!r} with image {wanted.image}",
            progressing=True,
        )
    return structs.replace(runtime, judgement=judgement, active=wanted)


def _wanted(observed: ServiceObserved, cache: CachePlan) -> ActiveWorkload:
    resolution = observed.resolution
    image, template, config = resolution.image, resolution.template, resolution.config
    if image is None or template is None or config is None:
        raise AssertionError("a resolved service has an image, a template and a configuration")
    return workload(image, template, config, cache.mounts)


def _rendered(observed: ServiceObserved, active: ActiveWorkload | UnsetType) -> _Runtime:
    if active is UNSET:
        raise AssertionError("nothing is rendered from nothing")
    service, template = observed.service, observed.resolution.template
    runtime, children = active.resolved_template.name, []
    if runtime not in observed.runtimes and (template is None or template.metadata.name != runtime):
        runtime, children = own_runtime_name(service), [own_runtime(service, active)]
    # A stranger's runtime of that name could put anything into the Pods.
    after = SERVING_RUNTIMES.kind if children else ""
    try:
        child = structs.replace(inference_service(service, active, runtime=runtime), after=after)
    except SpecError as error:
        return _hindered(observed, reason=error.reason, message=error.message)
    judgement, problem = _follow(observed, revision_of(child))
    return _Runtime(judgement=judgement, children=(*children, child), problem=problem, active=active)


def _blocked(reason: str, message: str) -> _Runtime:
    return _Runtime(judgement=Judgement(ok=False, reason=reason, message=message, state=State.DEGRADED))


def _follow(observed: ServiceObserved, revision: str = "") -> tuple[Judgement, Judgement | None]:
    """Judge what runs, as far as `revision` if one is rendered; and what keeps it from coming up, if serving.

    Without one, whatever revision the InferenceService has is the current one.
    """
    live = observed.inference_service
    if live is None:
        return (
            Judgement(ok=False, reason=Reason.CREATING_RUNTIME, message=STARTING, state=State.STARTING),
            None,
        )
    state = rollout(
        live,
        observed.pods,
        revision=revision or live.metadata.label(labels.REVISION) or "",
        replicas=observed.service.spec.replicas,
        refused=observed.pods_refused,
    )
    if not state.serving:
        word = State.FAILED if state.failure else State.STARTING
        return Judgement(ok=False, reason=state.reason, message=state.message, state=word), None
    judgement = Judgement(
        ok=True,
        reason=state.reason,
        message=state.message,
        state=State.RUNNING,
        progressing=not state.complete,
    )
    if not state.failure:
        return judgement, None
    return judgement, Judgement(
        ok=False,
        reason=Reason.ROLLOUT_FAILED,
        message=f"the new revision does not come up, the previous one serves: {state.failure}",
        state=State.DEGRADED,
    )


def _following(observed: ServiceObserved, blocker: Judgement) -> _Runtime:
    """Without all inputs nothing is rendered; a runtime that is there continues, and is reported as it is."""
    if observed.inference_service is None:
        return _Runtime(
            judgement=Judgement(ok=False, reason=blocker.reason, message=blocker.message, state=blocker.state)
        )
    judgement, problem = _follow(observed)
    return _Runtime(judgement=judgement, problem=problem)


def _hindered(
    observed: ServiceObserved,
    *,
    reason: str,
    message: str,
    active: ActiveWorkload | UnsetType = UNSET,
    state: str = State.DEGRADED,
) -> _Runtime:
    """Say why the InferenceService can't be as wanted; one that is there continues in a degraded service."""
    if observed.inference_service is None:
        return _Runtime(
            judgement=Judgement(ok=False, reason=reason, message=message, state=state), active=active
        )
    return _Runtime(
        judgement=_follow(observed)[0],
        problem=Judgement(ok=False, reason=reason, message=message, state=State.DEGRADED),
        active=active,
    )
