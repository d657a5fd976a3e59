"""Events of a service: derived from what changed between two statuses, so that a restart repeats none."""

from __future__ import annotations

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.plan import EventNote, Outcomes, OutcomeType
from aim_operator.api.v1alpha1 import AIMServiceStatus, ResolvedReference
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import EventReason, Reason, State
from aim_operator.core import conditions, labels
from aim_operator.core.messages import quote


def writes(outcomes: Outcomes) -> tuple[EventNote, ...]:
    """Return what is worth telling of the writes that happened: a restart repeats none."""
    reasons = {
        OutcomeType.CREATED: EventReason.INFERENCE_SERVICE_CREATED,
        OutcomeType.UPDATED: EventReason.INFERENCE_SERVICE_UPDATED,
    }
    return tuple(
        EventNote(
            type="Normal",
            reason=reasons[outcome.type],
            message=f"InferenceService {outcome.child.name} {outcome.type.value}",
            action="Apply",
        )
        for outcome in outcomes
        if outcome.child.resource is INFERENCE_SERVICES and outcome.type in reasons
    )


def transitions(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    """Return what is worth telling of the way from `old` to `new`."""
    return (
        *_config(old, new),
        *_template(old, new),
        *_restart(old, new),
        *_trouble(old, new),
        *_cache(old, new),
        *_recovery(old, new),
    )


def _config(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    before, after = old.resolved_runtime_config, new.resolved_runtime_config
    if after is not None and after != before:
        return (_normal(EventReason.RUNTIME_CONFIG_RESOLVED, f"using {_where(after)}"),)
    if after is None and _config_known(new) and (before is not None or not _config_known(old)):
        return (
            EventNote(
                type="Warning",
                reason=EventReason.DEFAULT_RUNTIME_CONFIG_NOT_FOUND,
                message="no runtime configuration 'default' exists; using built-in defaults",
                action="Resolve",
            ),
        )
    return ()


def _config_known(status: AIMServiceStatus) -> bool:
    """Whether resolution came as far as the runtime configuration: a template comes after it."""
    return status.resolved_template is not None


def _template(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    before, after = old.resolved_template, new.resolved_template
    if after is None or (before is not None and before.name == after.name and before.scope == after.scope):
        return ()
    return (_normal(EventReason.TEMPLATE_RESOLVED, f"using {_where(after)}"),)


def _restart(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    """Tell that the Pods are being replaced because somebody asked for it, and nothing else changed."""
    if old.active is None or new.active is None or new.active.restart in (None, old.active.restart):
        return ()
    message = f"replacing the Pods: annotation {labels.RESTART} is {quote(new.active.restart)}"
    return (EventNote(type="Normal", reason=EventReason.RESTARTED, message=message, action="Apply"),)


def _trouble(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    """Return what degrades the service, and two conditions that a more severe one may hide."""
    notes: dict[str, EventNote] = {}
    failing = new.status in (State.FAILED, State.DEGRADED)
    if failing and old.status == new.status and _reason(old, c.FAILURE) == _reason(new, c.FAILURE):
        failing = False
    for type_, reasons in (
        (c.FAILURE, None),
        (c.RESOLVED, (Reason.RUNTIME_CONFIG_MISSING,)),
        (c.ROUTING_READY, (Reason.ROUTE_TEMPLATE_INVALID,)),
    ):
        condition = conditions.find(new.conditions or (), type_)
        if condition is None:
            continue
        newly = (
            failing
            if reasons is None
            else condition.reason in reasons and _reason(old, type_) != condition.reason
        )
        if newly:
            notes[condition.reason] = EventNote(
                type="Warning", reason=condition.reason, message=condition.message
            )
    return tuple(notes.values())


def _cache(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    if _reason(new, c.CACHE_READY) != Reason.CACHE_WARM or _reason(old, c.CACHE_READY) == Reason.CACHE_WARM:
        return ()
    condition = conditions.find(new.conditions or (), c.CACHE_READY)
    return (_normal(EventReason.CACHE_READY, condition.message if condition is not None else ""),)


def _recovery(old: AIMServiceStatus, new: AIMServiceStatus) -> tuple[EventNote, ...]:
    if new.status == State.RUNNING and old.status != State.RUNNING:
        path = (new.routing.path or "") if new.routing is not None else ""
        return (_normal(Reason.RUNTIME_READY, f"serving{f' at {path}' if path else ''}"),)
    return ()


def _reason(status: AIMServiceStatus, type_: str) -> str:
    condition = conditions.find(status.conditions or (), type_)
    return condition.reason if condition is not None else ""


def _where(reference: ResolvedReference) -> str:
    namespace = reference.namespace or ""
    return f"{reference.kind} {f'{namespace}/' if namespace else ''}{reference.name}"


def _normal(reason: str, message: str) -> EventNote:
    return EventNote(type="Normal", reason=reason, message=message, action="Resolve")
