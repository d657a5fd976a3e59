"""What keeps a Pod of a cache from starting: in the same words for listings and downloads."""

from __future__ import annotations

from datetime import datetime

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import AIMModelCacheStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, pods
from aim_operator.core.conditions import parse_time
from aim_operator.core.pods import PULL_REASONS, Verdict

UNSCHEDULABLE_SECONDS = 600
"""How long a scheduler may find no place for a Pod: clusters grow meanwhile. A sidecar has as long."""
_MAY_PASS = (Reason.UNSCHEDULABLE, Reason.WAITING_FOR_SIDECAR)


def latest(obstacle: Verdict, old: AIMModelCacheStatus) -> Verdict:
    """Return the obstacle. Older kubelets say why a pull failed only between pauses; a pause is no news."""
    before = conditions.find(old.conditions or (), c.READY)
    if pods.backs_off(obstacle) and before is not None and before.reason in PULL_REASONS:
        return Verdict(before.reason, before.message)
    return obstacle


def state_while_waiting(reason: str, job: Job, now: datetime) -> tuple[str, float | None]:
    """Return what a Pod that can't start makes of its cache, and in how many seconds that changes.

    Something is missing: an image, a Secret, room in a quota. Where it is a node, a cluster that grows brings
    one, so it is an error only after a while; so is a sidecar that starts first. A queue's gate is none.
    """
    if reason == Reason.SUSPENDED:
        return State.PENDING, None
    if reason not in _MAY_PASS or job.status.start_time is None:
        return State.DEGRADED, None
    left = UNSCHEDULABLE_SECONDS - (now - parse_time(job.status.start_time)).total_seconds()
    return (State.PROGRESSING, left) if left > 0 else (State.DEGRADED, None)


def duration(seconds: int) -> str:
    """Write a deadline for people: 24 h, 90 min, 100 s."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
