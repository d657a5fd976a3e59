"""Says what kept a child from being written: one reason and one sentence, the same for every kind."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

from msgspec import Struct, structs

from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcome, Outcomes, OutcomeType
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core.blocking import in_the_way
from aim_operator.core.messages import one_line

S = TypeVar("S", bound=Struct)


class Obstacle(Struct, frozen=True, kw_only=True):
    """`state` is what it makes of the object that wants the child. The message stays while the cause does."""

    reason: str
    message: str
    state: str
    blocker: ObjectRef | None = None
    """The object that is in the way, where it is one."""


def obstacle(outcome: Outcome, *, refused: str, remedy: str) -> Obstacle:
    """Return why a child could not be written.

    `refused` is the reason where the API server does not accept it; `remedy` says what to do about an object
    in its way, such as "rename this service or delete that object".
    """
    return structs.replace(_worded(outcome, refused, remedy), blocker=in_the_way(outcome))


def undeleted(outcomes: Outcomes, kind: str, *, but: Container[str] = ()) -> Obstacle | None:
    """Return what stays of that kind although it is to go, `but` for some by name; None where none does."""
    kept = outcomes.still_there(kind, but=but)
    if kept is None:
        return None
    live = kept.removal.live.metadata
    words = one_line(str(kept.error))
    return Obstacle(
        reason=Reason.WRITE_FAILED,
        message=f"{kind} {live.name!r} can't be deleted, the operator tries again: {words}",
        state=State.DEGRADED,
        blocker=ObjectRef(kind, live.namespace, live.name),
    )


def beside(hindrance: Obstacle, message: str) -> Obstacle:
    """Return an obstacle that does not hide what was to be said without it."""
    return structs.replace(hindrance, message=f"{hindrance.message}; {message}")


def hindered(step: S, by: Obstacle) -> S:
    """Return a step with what is in its way: its state, reason, message and blocker are the obstacle's."""
    return structs.replace(step, state=by.state, reason=by.reason, message=by.message, blocker=by.blocker)


def _worded(outcome: Outcome, refused: str, remedy: str) -> Obstacle:
    kind, name, words = outcome.child.kind, outcome.child.name, one_line(outcome.message)
    match outcome.type:
        case OutcomeType.FOREIGN:
            return Obstacle(
                reason=Reason.NAME_CONFLICT,
                message=f"{kind} {name!r} exists and is not managed by the operator; {remedy}",
                state=State.DEGRADED,
            )
        case OutcomeType.GOING_AWAY:
            return Obstacle(
                reason=Reason.WAITING_FOR_DELETION,
                message=f"waiting for the previous {kind} {name!r} to be deleted",
                state=State.PENDING,
            )
        case OutcomeType.REFUSED:
            return Obstacle(reason=refused, message=f"the {kind} was refused: {words}", state=State.FAILED)
        case OutcomeType.HELD:
            return Obstacle(
                reason=Reason.CHANGED_BY_OTHERS,
                message=f"{kind} {name!r} does not stay as the operator writes it: "
                f"{words or 'something changes it back each time'}; find what does",
                state=State.DEGRADED,
            )
        case _:
            return Obstacle(
                reason=Reason.WRITE_FAILED,
                message=f"the {kind} can't be written, the operator tries again: {words}",
                state=State.DEGRADED,
            )
