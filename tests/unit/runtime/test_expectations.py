"""Expectations where an Applier does not get to: what is awaited, and how far a watch must have come."""

from __future__ import annotations

from functools import partial
from typing import Any

from structlog.testing import capture_logs

from aim_operator.runtime.expectations import (
    DOUBT_STEPS,
    GIVE_UP_STEPS,
    STEP_SECONDS,
    Expectations,
    kind_of,
)
from aim_operator.runtime.informer import Informer
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import KEY, WIDGETS, Widget, make_stored


def watched() -> tuple[Expectations, Any]:
    """Expectations over one kind, and what brings its watch's events."""
    clock = VirtualClock()
    informer: Informer[Widget] = Informer(FakeClient(), WIDGETS, clock=clock)
    sink: Any = informer._streams[""]
    sink.replaced([], [])
    sink.progressed("10")
    return Expectations({kind_of(WIDGETS): informer}, clock), sink


def test_a_successor_that_the_cache_has_already_is_not_waited_for() -> None:
    """The watch was quicker than the answer: what was deleted is gone, and its name is taken again."""
    expectations, sink = watched()
    sink.changed(make_stored("a", version="12", uid="successor"))
    expectations.deleted(KEY, WIDGETS, make_stored("a", version="9", uid="deleted"))
    assert expectations.met(KEY)


def test_what_the_cache_shows_as_going_already_is_not_waited_for() -> None:
    """Finalizers may hold it for hours."""
    expectations, sink = watched()
    going = make_stored("a", version="12", deletionTimestamp="2026-01-31T12:00:00Z")
    sink.changed(going)
    expectations.deleted(KEY, WIDGETS, make_stored("a", version="9"))
    assert expectations.met(KEY)


def test_all_who_wait_are_called_back_and_no_timer_stays() -> None:
    expectations, sink = watched()
    expectations.written(KEY, WIDGETS, make_stored("a", version="19"))
    called: list[str] = []
    for name in ("one", "two"):
        expectations.on_met(KEY, partial(called.append, name))
    sink.progressed("19")
    assert called == ["one", "two"]
    clock: Any = expectations._clock
    assert clock.next_due is None


class Doubted(Informer[Widget]):
    """Keeps which of its streams were doubted."""

    doubted: tuple[str, ...] = ()

    def relist(self, namespace: str) -> None:
        self.doubted += (namespace,)


async def test_of_several_namespaces_the_one_that_was_written_to_is_doubted() -> None:
    """Listing the others costs, and mends nothing."""
    clock = VirtualClock()
    informer = Doubted(FakeClient(), WIDGETS, clock=clock, namespaces=("team", "other"))
    expectations = Expectations({kind_of(WIDGETS): informer}, clock)
    expectations.written(KEY, WIDGETS, make_stored("a", version="19", namespace="other"))
    expectations.on_met(KEY, lambda: None)
    await clock.advance(STEP_SECONDS * DOUBT_STEPS)
    assert informer.doubted == ("other",)


def test_of_two_writes_the_last_is_awaited() -> None:
    expectations, sink = watched()
    expectations.written(KEY, WIDGETS, make_stored("a", version="19"))
    expectations.written(KEY, WIDGETS, make_stored("b", version="110"))
    sink.progressed("20")
    assert not expectations.met(KEY)
    sink.progressed("110")
    assert expectations.met(KEY)


def test_of_two_writes_the_last_is_awaited_also_where_they_are_told_in_another_order() -> None:
    expectations, sink = watched()
    expectations.written(KEY, WIDGETS, make_stored("b", version="110"))
    expectations.written(KEY, WIDGETS, make_stored("a", version="19"))
    sink.progressed("20")
    assert not expectations.met(KEY)


async def test_a_watch_that_brings_nothing_is_doubted_now_and_then() -> None:
    """Each time everything is listed again: once may not be enough, and each step would be a list in a loop.

    One warning says so; in the end the key goes on with the cache as it is.
    """
    expectations, _ = watched()
    expectations.written(KEY, WIDGETS, make_stored("a", version="19"))
    given_up: list[bool] = []
    expectations.on_met(KEY, lambda: given_up.append(True))
    clock: Any = expectations._clock
    with capture_logs() as logs:
        await clock.advance(STEP_SECONDS * GIVE_UP_STEPS + 1)
    doubts = [entry["log_level"] for entry in logs if "listing again" in entry["event"]]
    assert doubts == ["warning", *["debug"] * (GIVE_UP_STEPS // DOUBT_STEPS - 2)]
    assert given_up == [True]


def test_a_server_restored_from_a_backup_counts_from_lower_again() -> None:
    """What was seen before the restore says nothing about writes after it."""
    expectations, sink = watched()
    sink.progressed("1000")
    sink.progressed("20")
    expectations.written(KEY, WIDGETS, make_stored("a", version="21"))
    assert not expectations.met(KEY)
