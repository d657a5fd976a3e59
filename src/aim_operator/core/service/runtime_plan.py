"""Plans what a service runs on: its InferenceService, rendered from the pin, and how that is going."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from aim_operator.api.external import (
    INFERENCE_SERVICES,
    POD_DISRUPTION_BUDGETS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Child, Removal
from aim_operator.api.v1alpha1 import ActiveWorkload, AIMService, AIMServiceStatus, RolloutStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, labels
from aim_operator.core.blocking import crd
from aim_operator.core.messages import one_line
from aim_operator.core.service.autoscaling_plan import (
    IDLE,
    judge_scalers,
    plan_autoscaling,
    service_idles,
    stopped,
)
from aim_operator.core.service.blockers import served_by, stuck_pod
from aim_operator.core.service.cache_plan import CachePlan
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.status import ConditionSummary
from aim_operator.core.serving.autoscaling import scaling_annotations
from aim_operator.core.serving.disruption import disruption_budget
from aim_operator.core.serving.handover import (
    Handover,
    handover,
    may_pass,
    overdue,
    strategy,
    without_room,
)
from aim_operator.core.serving.pin import workload
from aim_operator.core.serving.rollout import STARTING, Rollout, rollout
from aim_operator.core.serving.scale import desired_replicas, is_stopped
from aim_operator.core.serving.workload import (
    inference_service,
    own_runtime,
    own_runtime_name,
    placement_of,
    restart_of,
    revision_of,
    rollout_of,
    serving_of,
    unlabelled_pods,
    with_strategy,
)
from aim_operator.errors import SpecError

_NEW_FIRST = Handover()
_FORCE = "; rollout.strategy: Recreate has the old Pods go first, whether the new ones fit or not"


class RuntimePlan(Struct, frozen=True, kw_only=True):
    """`problem` keeps a runtime that continues from becoming what the service wants now.

    `active` is what the service runs on once the children are written; None: what it ran on before.
    """

    summary: ConditionSummary
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    problem: ConditionSummary | None = None
    active: ActiveWorkload | None = None
    rollout: RolloutStatus | None = None
    """What was decided for the roll-out to `revision`."""
    requeue_after_seconds: float | None = None
    revision: str = ""
    """That of the InferenceService as it is rendered; "" if it is not."""


def plan_runtime(
    observed: ServiceObserved,
    old: AIMServiceStatus,
    resolved: ConditionSummary,
    cache: CachePlan,
    *,
    now: datetime,
) -> RuntimePlan:
    """Render the InferenceService from what the service runs on.

    That is what its names mean now, where all of it is there; else what it was last. A move from one to the
    other is recorded in status before it is made: whatever gets lost between the two, the service is never
    rendered from something that it left.
    """
    pinned = None if old.active is None else _restarted(observed, old.active, old.active)
    blocker = next((part for part in (resolved, cache.summary) if not part.ok), None)
    broken = resolved.state == State.DEGRADED and pinned is None
    if not observed.kserve_installed and not broken:
        return _blocked(
            Reason.KSERVE_NOT_INSTALLED,
            "KServe's CRDs are not installed; install KServe, the operator continues by itself then",
            crd(INFERENCE_SERVICES),
        )
    if observed.kserve_too_old and not broken:
        return _blocked(
            Reason.KSERVE_TOO_OLD,
            "KServe 0.15 or older is installed, which refuses what a service takes, or each change of it; "
            "upgrade KServe to 0.16 or newer, and the operator continues by itself",
            crd(INFERENCE_SERVICES),
        )
    if blocker is not None:
        # A new model server on files that are gone, or half there, would crash and hold up their download.
        cold = bool(observed.lost_claims) and observed.resolution.template is not None
        return _following(observed, blocker) if pinned is None or cold else _rendered(observed, pinned, now)
    try:
        desired = _restarted(observed, _desired(observed, cache), pinned)
    except SpecError as error:
        hindered = hindered_runtime(observed, reason=error.reason, message=error.message)
        if pinned is None or observed.inference_service is None:
            return hindered
        return structs.replace(_rendered(observed, pinned, now), problem=hindered.problem)
    if observed.runtime_shadowed:
        return hindered_runtime(
            observed,
            reason=Reason.NAME_CONFLICT,
            message=(
                f"a ServingRuntime {desired.resolved_template.name!r} in namespace "
                f"{observed.service.metadata.namespace!r} would be used instead of the cluster template's "
                "runtime; rename or delete it"
            ),
            blocker=ObjectRef(
                SERVING_RUNTIMES.kind,
                observed.service.metadata.namespace,
                desired.resolved_template.name,
            ),
        )
    ahead = _rendered(observed, desired, now)
    if pinned is None or pinned == desired or observed.inference_service is None:
        return ahead
    here = _rendered(observed, pinned, now)
    if here.children == ahead.children:
        return ahead  # The same Pods: only the record of where they come from differs.
    if not ahead.children:
        return structs.replace(here, problem=ahead.problem)  # It stays in use until there is a way ahead.
    return _moving(here, desired)


def _restarted(
    observed: ServiceObserved, workload: ActiveWorkload, before: ActiveWorkload | None
) -> ActiveWorkload:
    """Return a workload whose Pods are replaced for a new value of the annotation, not for its removal.

    It knows of Pods of an earlier version what was known of them.
    """
    asked = restart_of(observed.service)
    restart = (before.restart if before is not None else None) if asked is None else asked
    known = before.unlabelled_pods if before is not None else None
    if known is not None and not _has_pods_of(observed, known.revision):
        known = None
    if (workload.restart, workload.unlabelled_pods) == (restart, known):
        return workload
    return structs.replace(workload, restart=restart, unlabelled_pods=known)


def _has_pods_of(observed: ServiceObserved, revision: str) -> bool:
    """Whether there are Pods of a revision, or may be: then the InferenceService still has it."""
    live = observed.inference_service
    objects = observed.pods if live is None else (live, *observed.pods)
    return any(each.metadata.label(labels.REVISION) == revision for each in objects)


def _moving(runtime: RuntimePlan, desired: ActiveWorkload) -> RuntimePlan:
    """Record what the service moves to. Its children follow at the next reconcile, which this write wakes."""
    summary, here = runtime.summary, runtime.active
    if here is not None:
        desired = structs.replace(desired, unlabelled_pods=here.unlabelled_pods)
    if summary.ok:
        summary = structs.replace(
            summary,
            reason=Reason.ROLLING_OUT,
            message=f"moving to template {desired.resolved_template.name!r} with image {desired.image}",
            progressing=True,
        )
    return structs.replace(runtime, summary=summary, active=desired)


def _desired(observed: ServiceObserved, cache: CachePlan) -> ActiveWorkload:
    resolution = observed.resolution
    image, template, config = resolution.image, resolution.template, resolution.config
    if image is None or template is None or config is None:
        raise AssertionError("a resolved service has an image, a template and a configuration")
    return workload(image, template, config, cache.mounts)


def _rendered(observed: ServiceObserved, active: ActiveWorkload | None, now: datetime) -> RuntimePlan:
    if active is None:
        raise AssertionError("nothing is rendered from nothing")
    service, template = observed.service, observed.resolution.template
    runtime, children = active.resolved_template.name, []
    try:
        if runtime not in observed.runtimes and (template is None or template.metadata.name != runtime):
            runtime, children = own_runtime_name(service), [own_runtime(service, active)]
        # A stranger's runtime of that name could put anything into the Pods.
        after = SERVING_RUNTIMES.kind if children else ""
        rendered = inference_service(
            service,
            active,
            runtime=runtime,
            scaling=scaling_annotations(service, observed.deployment, keda=observed.keda_installed),
            live=observed.inference_service,
            routed=observed.route is not None,
        )
        child = structs.replace(rendered, after=after)
        held = unlabelled_pods(service, active, child)
    except SpecError as error:
        return hindered_runtime(observed, reason=error.reason, message=error.message)
    if held is not None:
        active = structs.replace(active, unlabelled_pods=held)
    revision, wanted = revision_of(child), rollout_of(service, active)
    decided = service.status.rollout if service.status is not None else None
    # What is decided now is told first, and done with the next reconcile.
    child = with_strategy(child, strategy(wanted, decided, revision))
    turn = handover(
        wanted,
        decided,
        observed.pods,
        revision=revision,
        want=placement_of(child) if held is None else held.placement,
        replicas=desired_replicas(service, observed.deployment),
        refused=observed.pods_refused,
        unlabelled=active.unlabelled_pods,
        now=now,
    )
    late, seconds = overdue(wanted, observed.pods, revision=revision, now=now)
    taken, until = without_room(
        wanted,
        decided,
        observed.pods,
        revision=revision,
        replicas=desired_replicas(service, observed.deployment),
        refused=observed.pods_refused,
        away_since=_away_since(service),
        now=now,
    )
    late = taken or late
    summary, problem = _follow(observed, revision, turn, late)
    budgets, removals = _budgets(observed, active, child)
    scalers, scalers_gone, hindrance = plan_autoscaling(observed, active)
    unscaled, measured = judge_scalers(observed, now=now)
    hindrance = unscaled if hindrance is None else hindrance
    return RuntimePlan(
        summary=summary,
        children=(*children, child, *budgets, *scalers),
        removals=(*removals, *scalers_gone),
        problem=hindrance if problem is None else problem,
        active=active,
        revision=revision,
        rollout=turn.decided,
        requeue_after_seconds=min(
            (s for s in (turn.wait_seconds, seconds, until, measured) if s > 0), default=None
        ),
    )


def _away_since(service: AIMService) -> str | None:
    told = (service.status.conditions if service.status is not None else None) or ()
    ready = conditions.find(told, c.RUNTIME_READY)
    return ready.last_transition_time if ready is not None and ready.status == "False" else None


def _budgets(
    observed: ServiceObserved, active: ActiveWorkload, inference_service: Child
) -> tuple[tuple[Child, ...], tuple[Removal, ...]]:
    """Return the budget of a service that may have several replicas, or take away that of one that had."""
    replicas = inference_service.manifest["spec"]["predictor"]["maxReplicas"]
    budget = disruption_budget(observed.service, serving_of(observed.service, active), replicas=replicas)
    live = observed.disruption_budget
    if budget is not None:
        return (structs.replace(budget, after=INFERENCE_SERVICES.kind),), ()
    return (), (Removal(resource=POD_DISRUPTION_BUDGETS, live=live),) if live is not None else ()


def _blocked(reason: str, message: str, blocker: ObjectRef) -> RuntimePlan:
    return RuntimePlan(
        summary=ConditionSummary(
            ok=False, reason=reason, message=message, state=State.DEGRADED, blocker=blocker
        )
    )


def _follow(
    observed: ServiceObserved, revision: str = "", turn: Handover = _NEW_FIRST, late: str = ""
) -> tuple[ConditionSummary, ConditionSummary | None]:
    """Judge what runs, as far as `revision` if one is rendered; and what keeps it from coming up, if serving.

    Without one, whatever revision the InferenceService has is the current one.
    """
    live = observed.inference_service
    if live is None:
        return (
            ConditionSummary(
                ok=False,
                reason=Reason.CREATING_RUNTIME,
                message=STARTING,
                state=State.STARTING,
                # Named at once: the next reconcile, which sees it, has nothing to write.
                blocker=served_by(observed.service),
            ),
            None,
        )
    if is_stopped(observed.service):
        return stopped(observed), None
    if service_idles(observed):
        return IDLE, None
    refused, wanted = observed.pods_refused, revision or live.metadata.label(labels.REVISION) or ""
    # No room for a Pod is no failure while that is being seen to.
    passing = bool(turn.message) and may_pass(refused, observed.pods, revision=wanted)
    state = rollout(
        live,
        observed.pods,
        revision=wanted,
        replicas=desired_replicas(observed.service, observed.deployment),
        refused="" if passing else refused,
        warnings=observed.kserve_warnings,
    )
    failure = state.failure or late
    if not state.serving:
        gone = all(pod.metadata.label(labels.REVISION) == wanted for pod in observed.pods)
        away = _away(state, failure, turn, refused if passing and gone else "")
        return structs.replace(away, blocker=served_by(live)), None
    summary = ConditionSummary(
        ok=True,
        reason=state.reason,
        message=state.message,
        state=State.RUNNING,
        progressing=not state.complete,
    )
    if turn.message and not state.complete:
        summary = structs.replace(summary, message=f"{turn.message}; {state.message}")
    elif state.unplaced and not failure:
        failure = f"{state.unplaced}{_FORCE if turn.can_force else ''}"
    if not failure or state.complete:
        return summary, None
    return summary, ConditionSummary(
        ok=False,
        reason=Reason.ROLLOUT_FAILED,
        message=f"the new revision does not come up, the previous one serves: {failure}",
        state=State.DEGRADED,
        blocker=stuck_pod(observed.pods, wanted) or served_by(live),
    )


def _away(state: Rollout, failure: str, turn: Handover, refused: str) -> ConditionSummary:
    """Say why nothing serves; where old Pods made room, that it was to be expected and what still lacks."""
    if failure:
        reason = state.reason if state.failure else Reason.RUNTIME_FAILED
        # Where KServe refuses, nothing crashed: somebody has to change what is asked for.
        word = State.DEGRADED if state.refused else State.FAILED
        return ConditionSummary(ok=False, reason=reason, message=failure, state=word)
    if turn.message:
        message = f"{turn.message}; {one_line(refused) or state.message}"
        return ConditionSummary(ok=False, reason=Reason.ROLLING_OUT, message=message, state=State.STARTING)
    return ConditionSummary(ok=False, reason=state.reason, message=state.message, state=State.STARTING)


def _following(observed: ServiceObserved, blocker: ConditionSummary) -> RuntimePlan:
    """Without all inputs nothing is rendered; a runtime that is there continues, and is reported as it is."""
    if observed.inference_service is None:
        return RuntimePlan(summary=blocker)
    summary, problem = _follow(observed)
    return RuntimePlan(summary=summary, problem=problem)


def hindered_runtime(
    observed: ServiceObserved,
    *,
    reason: str,
    message: str,
    active: ActiveWorkload | None = None,
    state: str = State.DEGRADED,
    blocker: ObjectRef | None = None,
) -> RuntimePlan:
    """Say why the InferenceService can't be as wanted; one that is there continues in a degraded service."""
    if observed.inference_service is None:
        return RuntimePlan(
            summary=ConditionSummary(ok=False, reason=reason, message=message, state=state, blocker=blocker),
            active=active,
        )
    return RuntimePlan(
        summary=_follow(observed)[0],
        problem=ConditionSummary(
            ok=False, reason=reason, message=message, state=State.DEGRADED, blocker=blocker
        ),
        active=active,
    )
