"""Sums up the four summaries about a service into its status: one state, and the conditions."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, structs

from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.v1alpha1 import (
    ActiveWorkload,
    AIMServiceStatus,
    ResolvedReference,
    ResolvedRuntimeConfig,
    RolloutStatus,
    RoutingStatus,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import blocking, conditions
from aim_operator.core.catalog import reference_to
from aim_operator.core.service.fits import fits
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.resolution import Resolution
from aim_operator.core.serving.scale import count, selector


class ConditionSummary(Struct, frozen=True, kw_only=True):
    """What one part of a service comes to. `state` is the part's share in `status.status`."""

    ok: bool
    reason: str
    message: str
    state: str
    progressing: bool = False
    """It works, and is being changed."""
    blocker: ObjectRef | None = None
    """The object that the part waits for, or that is in its way, where it is one."""


# The worst part speaks for the whole. Failed (the model server crashed) says more than Degraded.
_WORST_FIRST = (
    State.FAILED,
    State.DEGRADED,
    State.PENDING,
    State.STOPPED,
    State.STARTING,
    State.RUNNING,
)


def build_status(
    observed: ServiceObserved,
    old: AIMServiceStatus,
    *,
    resolved: ConditionSummary,
    cache: ConditionSummary,
    runtime: ConditionSummary,
    route: ConditionSummary | None,
    path: str | None,
    now: datetime,
    revision: str = "",
    rollout: RolloutStatus | None = None,
    active: ActiveWorkload | None = None,
    problem: ConditionSummary | None = None,
) -> AIMServiceStatus:
    """Return the whole status; equal inputs give an equal one.

    `active` is what the service runs on, in `revision`. `problem` is one beside a runtime that continues: it
    speaks in the summary only.
    """
    serving = observed.inference_service is not None
    if serving:
        resolved, cache = _meanwhile(resolved, runtime), _meanwhile(cache, runtime)
    parts = [part for part in (resolved, cache, problem, runtime, route) if part is not None]
    worst = min(parts, key=lambda part: _WORST_FIRST.index(part.state))
    # Among equals the one that is not in order tells why.
    speaker = next((p for p in parts if p.state == worst.state and not p.ok), worst)
    if worst.state == State.RUNNING:
        speaker = runtime
    image, template, config = _references(observed.resolution)
    if serving and active is not None:
        # What runs was made of what was found then; a derived template that it runs on must stay in use.
        image, template = active.resolved_image, active.resolved_template
        config = active.resolved_runtime_config
    elif serving:
        image = image if old.resolved_image is None else old.resolved_image
        template = template if old.resolved_template is None else old.resolved_template
        config = config if old.resolved_runtime_config is None else old.resolved_runtime_config
    generation = observed.service.metadata.generation
    replicas = count(observed.service, observed.deployment, revision=revision)
    moment = conditions.timestamp(now)
    told = conditions.merge(
        old.conditions or (),
        [
            *_conditions(resolved, cache, runtime, route, state=worst.state, speaker=speaker),
            *_fits(observed, old, runtime),
        ],
        now=moment,
        generation=generation,
    )
    return AIMServiceStatus(
        observed_generation=generation,
        status=worst.state,
        resolved_image=image,
        resolved_template=template,
        resolved_runtime_config=config,
        active=active,
        routing=RoutingStatus(path=path) if path is not None else None,
        rollout=rollout,
        replicas=replicas.present,
        desired_replicas=replicas.desired,
        ready_replicas=replicas.ready,
        updated_replicas=replicas.updated,
        selector=selector(observed.service),
        # Without the image nothing is weighed; the choice made before waits for the image to come back.
        template_matching=old.template_matching
        if observed.resolution.image is None
        else observed.resolution.candidates or None,
        conditions=told,
        blocked_by=blocking.blocked_by(
            old.blocked_by, speaker.blocker, told, namespace=observed.service.metadata.namespace, now=moment
        ),
    )


def _meanwhile(part: ConditionSummary, runtime: ConditionSummary) -> ConditionSummary:
    """Return the share of a part that is waited for while a runtime is there: that one is not Pending.

    It may be serving all the time that a new template is being discovered.
    """
    if part.state != State.PENDING:
        return part
    state = State.STARTING if runtime.state == State.STARTING else State.RUNNING
    return structs.replace(part, state=state)


def _fits(
    observed: ServiceObserved, old: AIMServiceStatus, runtime: ConditionSummary
) -> tuple[Condition, ...]:
    """Return whether there is room, as long as no Pod serves and one is wanted."""
    if runtime.ok or runtime.state == State.STOPPED:
        return ()
    condition = fits(observed, old)
    return () if condition is None else (condition,)


_Reference = ResolvedReference | None


def _references(resolution: Resolution) -> tuple[_Reference, _Reference, ResolvedRuntimeConfig | None]:
    image, template, config = resolution.image, resolution.template, resolution.config
    return (
        reference_to(image) if image is not None else None,
        reference_to(template) if template is not None else None,
        config.reference if config is not None else None,
    )


def _conditions(
    resolved: ConditionSummary,
    cache: ConditionSummary,
    runtime: ConditionSummary,
    route: ConditionSummary | None,
    *,
    state: str,
    speaker: ConditionSummary,
) -> list[Condition]:
    failing = state in (State.FAILED, State.DEGRADED)
    ready = state == State.RUNNING
    if route is not None and route.reason == Reason.ROUTE_TEMPLATE_INVALID and not runtime.ok:
        runtime = ConditionSummary(ok=False, reason=route.reason, message=route.message, state=runtime.state)
    result = [
        _condition(c.RESOLVED, resolved),
        _condition(c.CACHE_READY, cache),
        _condition(c.RUNTIME_READY, runtime),
    ]
    if route is not None:
        result.append(_condition(c.ROUTING_READY, route))
    summary = (
        (c.READY, ready),
        (c.PROGRESSING, state in (State.PENDING, State.STARTING) or runtime.progressing),
        (c.FAILURE, failing),
    )
    result += [
        Condition(type=type_, status=_word(holds), reason=speaker.reason, message=speaker.message)
        for type_, holds in summary
    ]
    return result


def _condition(type_: str, part: ConditionSummary) -> Condition:
    return Condition(type=type_, status=_word(part.ok), reason=part.reason, message=part.message)


def _word(holds: bool) -> str:  # noqa: FBT001 - turns a truth value into the API's word for it
    return "True" if holds else "False"
