"""Conditions of a status: how the wanted ones follow from the observed ones.

Owns stamping, transition times and the format of times in status. Does not decide what the
conditions say. Called by every decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import structs

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.core import messages

CLOCKS_DIFFER = timedelta(minutes=5)
"""By how much the clocks of two replicas may differ."""


def find(conditions: Iterable[Condition], condition_type: str) -> Condition | None:
    """Find the condition of that type, or None."""
    for condition in conditions:  # no generator: a status is asked for a dozen of them
        if condition.type == condition_type:
            return condition
    return None


def summary(state: str, reason: str, message: str) -> list[Condition]:
    """Return Ready, Progressing and Failure of a template or cache in that state."""
    holding = {
        c.READY: state == State.AVAILABLE,
        c.PROGRESSING: state == State.PROGRESSING,
        c.FAILURE: state in (State.FAILED, State.DEGRADED),
    }
    return [
        Condition(type=type_, status="True" if holds else "False", reason=reason, message=message)
        for type_, holds in holding.items()
    ]


def merge(
    old: tuple[Condition, ...], new: Sequence[Condition], *, now: str, generation: int
) -> tuple[Condition, ...]:
    """Return `new`, the whole wanted set in its order, stamped with `generation` and transition times.

    A transition time is kept while the status of its type stays, else it is `now`. Idempotent: given
    its own result as `old` it returns the same, at any `now` that is not before it. Types not in `new` are
    dropped.
    """
    old_by_type = {condition.type: condition for condition in old}
    return tuple(_stamped(old_by_type.get(condition.type), condition, now, generation) for condition in new)


def _stamped(old: Condition | None, new: Condition, now: str, generation: int) -> Condition:
    since = (
        as_recorded(old.last_transition_time, now) if old is not None and old.status == new.status else None
    )
    return structs.replace(
        new,
        message=messages.cut(new.message),
        last_transition_time=since or now,
        observed_generation=generation,
    )


def as_recorded(moment: str | None, latest: str) -> str | None:
    """Return a time that a clock of ours recorded; None where it lies minutes after the `latest` it can be.

    That clock was ahead then, and has been set since; how far it was nobody knows any more.
    """
    # Most are written alike, and need not be read to be compared.
    if moment is None or moment <= latest or parse_time(moment) - parse_time(latest) <= CLOCKS_DIFFER:
        return moment
    return None


def timestamp(now: datetime) -> str:
    """`now`, which carries a time zone, as metav1.Time writes it: RFC 3339, UTC, whole seconds."""
    # isoformat takes a tenth of strftime's time, and every reconcile asks.
    return now.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_time(text: str) -> datetime:
    """Read the time that a metav1.Time or MicroTime says, in UTC. Raises ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no time zone; write RFC 3339, such as 2026-01-31T12:00:00Z")
    return moment.astimezone(UTC)
