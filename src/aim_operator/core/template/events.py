"""Events of a template: derived from what changed between two statuses, so that a restart repeats none."""

from __future__ import annotations

from aim_operator.api.plan import EventNote
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import EventReason, Reason, State
from aim_operator.core import conditions


def transitions(old: AIMServiceTemplateStatus, new: AIMServiceTemplateStatus) -> tuple[EventNote, ...]:
    """Return what is worth telling: discovery started, succeeded or failed; a prerequisite went missing."""
    notes: list[EventNote] = []
    ready = conditions.find(new.conditions or (), c.READY)
    message = ready.message if ready else ""
    if new.status == State.PROGRESSING and old.status != State.PROGRESSING:
        notes.append(_normal(EventReason.DISCOVERY_STARTED, message, "Discover"))
    before, after = old.discovery or Discovery(), new.discovery or Discovery()
    attempt = (after.spec_hash, after.attempts, after.last_attempt_time)
    ended = after.spec_hash is not None and attempt != (
        before.spec_hash,
        before.attempts,
        before.last_attempt_time,
    )
    if ended:
        if (after.attempts or 0) == 0:
            number = len(new.model_sources or ())
            notes.append(
                _normal(
                    EventReason.DISCOVERY_SUCCEEDED,
                    f"found {number} model source{'' if number == 1 else 's'}",
                    "Discover",
                )
            )
        else:
            notes.append(
                EventNote(
                    type="Warning",
                    reason=Reason.DISCOVERY_FAILED,
                    message=f"attempt {after.attempts}: {after.message or ''}",
                    action="Discover",
                )
            )
    was_ready = conditions.find(old.conditions or (), c.READY)
    newly = ready is not None and (was_ready is None or was_ready.reason != ready.reason)
    untold = new.status == State.DEGRADED or (new.status == State.FAILED and not ended)
    if newly and ready is not None and untold:
        notes.append(EventNote(type="Warning", reason=ready.reason, message=ready.message, action="Resolve"))
    return tuple(notes)


def _normal(reason: str, message: str, action: str) -> EventNote:
    return EventNote(type="Normal", reason=reason, message=message, action=action)
