"""Sums up the four judgements about a service into its status: one state, and the conditions."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType

from aim_operator.api.meta import Condition, given
from aim_operator.api.v1alpha1 import AIMServiceStatus, ResolvedReference, RoutingStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import reference_to
from aim_operator.core.service.observed import ServiceObserved


class Judgement(Struct, frozen=True, kw_only=True):
    """What one part of a service comes to. `state` is the part's share in `status.status`."""

    ok: bool
    reason: str
    message: str
    state: str


# The worst part speaks for the whole. Failed (the model server crashed) says more than Degraded.
_WORST_FIRST = (State.FAILED, State.DEGRADED, State.PENDING, State.STARTING, State.RUNNING)


def build_status(
    observed: ServiceObserved,
    old: AIMServiceStatus,
    *,
    resolved: Judgement,
    cache: Judgement,
    runtime: Judgement,
    route: Judgement | None,
    path: str | None,
    now: datetime,
    problem: Judgement | None = None,
) -> AIMServiceStatus:
    """Return the whole status; equal inputs give an equal one.

    `problem` is one beside a runtime that goes on: it speaks in the summary only.
    """
    serving = observed.inference_service is not None
    if serving and resolved.state == State.PENDING:
        # A running service is not Pending because the template it moves to is still being discovered.
        resolved = Judgement(ok=False, reason=resolved.reason, message=resolved.message, state=runtime.state)
    parts = [part for part in (resolved, cache, problem, runtime, route) if part is not None]
    worst = min(parts, key=lambda part: _WORST_FIRST.index(part.state))
    # Among equals the one that is not in order tells why.
    speaker = next((p for p in parts if p.state == worst.state and not p.ok), worst)
    if worst.state == State.RUNNING:
        speaker = runtime
    resolution = observed.resolution
    generation = observed.service.metadata.generation
    return AIMServiceStatus(
        observed_generation=generation,
        status=worst.state,
        resolved_image=reference_to(resolution.image) if resolution.image is not None else UNSET,
        resolved_template=_template_reference(observed, old, resolved),
        resolved_runtime_config=_config_reference(observed, old),
        routing=RoutingStatus(path=path) if path is not None else UNSET,
        # Without the image nothing is weighed; the choice made before waits for the image to come back.
        template_matching=old.template_matching
        if resolution.image is None
        else resolution.candidates or UNSET,
        conditions=conditions.merge(
            given(old.conditions, ()),
            _conditions(resolved, cache, runtime, route, state=worst.state, speaker=speaker),
            now=conditions.timestamp(now),
            generation=generation,
        ),
    )


def _template_reference(
    observed: ServiceObserved, old: AIMServiceStatus, resolved: Judgement
) -> ResolvedReference | UnsetType:
    """Return what is used: a service that moves names its old template until the new one is available."""
    template = observed.resolution.template
    if observed.inference_service is not None and not resolved.ok and old.resolved_template is not UNSET:
        return old.resolved_template
    return reference_to(template) if template is not None else UNSET


def _config_reference(observed: ServiceObserved, old: AIMServiceStatus) -> ResolvedReference | UnsetType:
    resolution = observed.resolution
    if resolution.config is not None:
        return resolution.config.reference or UNSET
    missing = resolution.problem is not None and resolution.problem.reason == Reason.RUNTIME_CONFIG_MISSING
    return UNSET if missing else old.resolved_runtime_config


def _conditions(
    resolved: Judgement,
    cache: Judgement,
    runtime: Judgement,
    route: Judgement | None,
    *,
    state: str,
    speaker: Judgement,
) -> list[Condition]:
    failing = state in (State.FAILED, State.DEGRADED)
    ready = state == State.RUNNING
    if route is not None and route.reason == Reason.ROUTE_TEMPLATE_INVALID and not runtime.ok:
        runtime = Judgement(ok=False, reason=route.reason, message=route.message, state=runtime.state)
    result = [
        _condition(c.RESOLVED, resolved),
        _condition(c.CACHE_READY, cache),
        _condition(c.RUNTIME_READY, runtime),
    ]
    if route is not None:
        result.append(_condition(c.ROUTING_READY, route))
    summary = (
        (c.READY, ready),
        (c.PROGRESSING, state in (State.PENDING, State.STARTING)),
        (c.FAILURE, failing),
    )
    result += [
        Condition(type=type_, status=_word(holds), reason=speaker.reason, message=speaker.message)
        for type_, holds in summary
    ]
    return result


def _condition(type_: str, part: Judgement) -> Condition:
    return Condition(type=type_, status=_word(part.ok), reason=part.reason, message=part.message)


def _word(holds: bool) -> str:  # noqa: FBT001 - turns a truth value into the API's word for it
    return "True" if holds else "False"
