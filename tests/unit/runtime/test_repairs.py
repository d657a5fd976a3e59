"""Somebody who undoes what is written is met with longer and longer pauses; calm is forgotten."""

from __future__ import annotations

from aim_operator.api.meta import ObjectRef
from aim_operator.runtime.repairs import CALM_SECONDS, LONGEST_HOLD_SECONDS, Repairs, Undone
from tests.support.virtual_clock import VirtualClock

NAME = ObjectRef("Widget", "team", "a")


async def repaired(times: int) -> tuple[VirtualClock, Repairs]:
    clock = VirtualClock()
    repairs = Repairs(clock)
    repairs.written(NAME, "a", None)
    for _ in range(times):
        repairs.written(NAME, "a", Undone.DELETED)
    return clock, repairs


async def test_a_few_repairs_are_free_then_pauses_double() -> None:
    clock, repairs = await repaired(2)
    assert repairs.held(NAME, "a") is None
    pauses: list[float] = []
    for _ in range(12):
        repairs.written(NAME, "a", Undone.CHANGED)
        hold = repairs.held(NAME, "a")
        assert hold is not None
        pauses.append(hold.seconds)
        await clock.advance(hold.seconds)
        assert repairs.held(NAME, "a") is None
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == LONGEST_HOLD_SECONDS


async def test_another_manifest_is_written_at_once() -> None:
    """What the user wants now is not what somebody undid."""
    _, repairs = await repaired(10)
    assert repairs.held(NAME, "a") is not None
    assert repairs.held(NAME, "b") is None
    repairs.written(NAME, "b", None)
    assert repairs.held(NAME, "b") is None


async def test_calm_is_forgotten_and_leaves_no_timer() -> None:
    """At rest nothing ticks."""
    clock, repairs = await repaired(10)
    await clock.advance(CALM_SECONDS + 120)
    assert clock.next_due is None
    assert not repairs.knows(NAME, "a")
    repairs.written(NAME, "a", Undone.CHANGED)
    assert repairs.held(NAME, "a") is None
