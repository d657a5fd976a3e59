"""SlotTable: who waits, who is granted a slot, and who hears that one is free."""

from __future__ import annotations

import pytest

from aim_operator.api.meta import ObjectRef
from aim_operator.controllers.slot_table import REFUSED_SECONDS, UNANSWERED_SECONDS, SlotTable
from aim_operator.core.template.slots import WaitingTemplate
from aim_operator.errors import Forbidden, TooManyRequests, Unavailable
from tests.support.virtual_clock import VirtualClock


class Table:
    """A table, and whom it woke."""

    def __init__(self, limit: int) -> None:
        self.clock, self.woken = VirtualClock(), list[str]()
        self.table = SlotTable(limit=limit, clock=self.clock, wake=lambda each: self.woken.append(each.name))

    def request(self, name: str, *, namespace: str = "team", created: str = "1", job: str = "") -> bool:
        own = WaitingTemplate(created, name, namespace)
        return self.table.request(ref(name, namespace), own, job or f"job-of-{name}")


def ref(name: str, namespace: str = "team") -> ObjectRef:
    return ObjectRef("Template", namespace, name)


def test_no_more_are_granted_than_there_are_slots() -> None:
    it = Table(limit=2)
    assert [it.request(name) for name in ("a", "b", "c")] == [True, True, False]


def test_the_last_fifth_is_for_namespaces_that_use_none() -> None:
    it = Table(limit=10)
    granted = [it.request(f"t{number}") for number in range(10)]
    assert granted == [True] * 8 + [False] * 2
    assert it.request("other", namespace="another")


def test_whoever_waited_before_comes_first() -> None:
    """Also if another asks in the moment when a slot is free."""
    it = Table(limit=1)
    assert it.request("holds", created="0")
    assert not it.request("waits", created="1")
    it.table.withdraw(ref("holds"))
    assert not it.request("late", created="2")
    assert it.request("waits", created="1")


def test_one_whose_age_has_changed_has_another_place() -> None:
    """It was deleted and made again under its name."""
    it = Table(limit=1)
    assert it.request("holds", created="0")
    assert not it.request("again", created="1")
    assert not it.request("waits", created="2")
    assert not it.request("again", created="3")
    it.table.withdraw(ref("holds"))
    assert it.woken == ["waits"]


@pytest.mark.parametrize("how", ["ungrant", "withdraw", "release"])
def test_the_next_one_hears_of_a_slot_that_is_given_back(how: str) -> None:
    it = Table(limit=1)
    assert it.request("holds")
    assert not it.request("waits")
    if how == "release":
        it.table.arrived(ref("holds"), "job-of-holds")
        it.table.hold(ref("holds"))
    getattr(it.table, how)(ref("holds"))
    assert it.woken == ["waits"]


def test_a_grant_and_the_job_that_came_of_it_are_one_slot() -> None:
    it = Table(limit=2)
    assert it.request("a")
    it.table.arrived(ref("a"), "job-of-a")
    it.table.hold(ref("a"))
    assert it.request("b")


def test_a_job_that_was_refused_is_not_asked_for_until_some_time_has_passed() -> None:
    """Two that are refused would else hand the slot to each other for ever."""
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), Forbidden("quota"))
    with pytest.raises(Forbidden, match="quota"):
        it.request("a")
    assert it.request("a", job="another"), "other inputs may be accepted"
    it.table.ungrant(ref("a"), Forbidden("quota"))
    it.clock.freeze(REFUSED_SECONDS + 1)
    assert it.request("a", job="another")


LOST = Unavailable("the connection broke before the answer came")


def test_a_slot_is_kept_for_a_job_whose_creation_had_no_answer() -> None:
    """It may be there, and not be in view yet."""
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), LOST)
    assert not it.request("b")
    assert it.request("a"), "the one that has it may try again at once"
    it.table.arrived(ref("a"), "job-of-a")
    it.table.hold(ref("a"))
    assert not it.request("b")


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(Unavailable("Gateway Timeout", code=504), id="a proxy waited in vain"),
        pytest.param(Unavailable("Bad Gateway", code=502), id="a proxy's connection broke"),
        pytest.param(Unavailable("etcdserver: request timed out", code=500), id="etcd took too long"),
        pytest.param(Unavailable("etcdserver: leader changed", code=500), id="etcd changed its leader"),
    ],
)
def test_what_others_answer_who_had_no_answer_is_none(error: Unavailable) -> None:
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), error)
    assert not it.request("b")


@pytest.mark.parametrize("tried", ["all the time", "once"])
async def test_a_job_that_never_gets_an_answer_keeps_no_slot_for_long(tried: str) -> None:
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), LOST)
    assert not it.request("b")
    passed = 0.0
    while passed <= UNANSWERED_SECONDS:
        await it.clock.advance(1.0)
        passed += 1.0
        if tried != "once" and passed < UNANSWERED_SECONDS:
            assert it.request("a")
            it.table.ungrant(ref("a"), LOST)
    assert it.woken == ["b"]
    assert it.request("b")


async def test_one_that_needs_the_job_no_more_gives_the_slot_back_once_the_job_would_be_in_view() -> None:
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), LOST)
    assert not it.request("b")
    it.table.withdraw(ref("a"))
    assert not it.request("b"), "its Job may be running"
    await it.clock.advance(UNANSWERED_SECONDS + 1)
    assert it.woken == ["b"]
    assert it.request("b")


@pytest.mark.parametrize(
    "error", [TooManyRequests("busy"), Unavailable("etcdserver: mvcc: database space exceeded", code=500)]
)
def test_an_answer_is_an_answer(error: Unavailable) -> None:
    it = Table(limit=1)
    assert it.request("a")
    it.table.ungrant(ref("a"), error)
    assert it.request("b")
