"""Events of a template: derived from what changed between two statuses, so that a restart repeats none."""

from __future__ import annotations

from msgspec import UNSET

from aim_operator.api.meta import given
from aim_operator.api.plan import EventNote
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import EventReason, Reason, State
from aim_operator.core import conditions


def transitions(old: AIMServiceTemplateStatus, new: AIMServiceTemplateStatus) -> tuple[EventNote, ...]:
    """Return what is worth telling: discovery started, succeeded or failed; a prerequisite went missing."""
    notes: list[EventNote] = []
    ready = conditions.find(given(new.conditions, ()), c.READY)
    message = ready.message if ready else ""
    if new.status == State.PROGRESSING and old.status != State.PROGRESSING:
        notes.append(_normal(EventReason.DISCOVERY_STARTED, message, "Discover"))
    before, after = given(old.discovery, Discovery()), given(new.discovery, Discovery())
    attempt = (after.spec_hash, after.attempts, after.last_attempt_time)
    ended = after.spec_hash is not UNSET and attempt != (
        before.spec_hash,
        before.attempts,
        before.last_attempt_time,
    )
    if ended:
        if given(after.attempts, 0) == 0:
            number = len(given(new.model_sources, ()))
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
                    message=f"attempt {after.attempts}: {given(after.message, '')}",
                    action="Discover",
                )
            )
    was_ready = conditions.find(given(old.conditions, ()), c.READY)
    newly = ready is not None and (was_ready is None or was_ready.reason != ready.reason)
    untold = new.status == State.DEGRADED or (new.status == State.FAILED and not ended)
    if newly and ready is not None and untold:
        notes.append(EventNote(type="Warning", reason=ready.reason, message=ready.message, action="Resolve"))
    return tuple(notes)


def _normal(reason: str, message: str, action: str) -> EventNote:
    return EventNote(type="Normal", reason=reason, message=message, action=action)
