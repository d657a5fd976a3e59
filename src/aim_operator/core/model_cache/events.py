"""Events of a model cache: derived from what changed between two statuses, so that a restart repeats none."""

from __future__ import annotations

from aim_operator.api.plan import EventNote
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, Download
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import EventReason, Reason, State
from aim_operator.core import conditions

_ACTION = "Download"
_NO_GROWTH = (Reason.EXPANSION_FAILED, Reason.EXPANSION_NOT_SUPPORTED)


def transitions(old: AIMModelCacheStatus, new: AIMModelCacheStatus) -> tuple[EventNote, ...]:
    """Return what is worth telling: a download started, ended or failed; something is missing."""
    ready = conditions.find(new.conditions or (), c.READY)
    if ready is None:
        return ()
    notes: list[EventNote] = []
    if ready.reason == Reason.DOWNLOADING and _reason(old) != Reason.DOWNLOADING:
        notes.append(_note("Normal", EventReason.DOWNLOAD_STARTED, ready.message))
    if new.status == State.AVAILABLE and old.status != State.AVAILABLE:
        notes.append(_note("Normal", EventReason.CACHE_READY, ready.message))
    before, after = old.download or Download(), new.download or Download()
    attempt = (after.spec_hash, after.attempts, after.last_attempt_time)
    ended = attempt != (before.spec_hash, before.attempts, before.last_attempt_time)
    if ended and (after.attempts or 0) > 0:
        message = f"{ready.reason}: {after.message or ''} (attempt {after.attempts})"
        notes.append(_note("Warning", Reason.DOWNLOAD_FAILED, message))
    elif new.status in (State.FAILED, State.DEGRADED) and _reason(old) != ready.reason:
        notes.append(_note("Warning", ready.reason, ready.message))
    if new.removal_time is not None and new.removal_time != old.removal_time:
        in_use = conditions.find(new.conditions or (), c.IN_USE)
        notes.append(_note("Warning", Reason.REMOVAL_SCHEDULED, in_use.message if in_use is not None else ""))
    was, storage = (conditions.find(status.conditions or (), c.STORAGE_READY) for status in (old, new))
    if storage is not None and storage.reason in _NO_GROWTH and (was is None or was.reason != storage.reason):
        notes.append(_note("Warning", storage.reason, storage.message))
    return tuple(notes)


def _reason(status: AIMModelCacheStatus) -> str:
    ready = conditions.find(status.conditions or (), c.READY)
    return ready.reason if ready is not None else ""


def _note(type_: str, reason: str, message: str) -> EventNote:
    return EventNote(
        type="Normal" if type_ == "Normal" else "Warning", reason=reason, message=message, action=_ACTION
    )
