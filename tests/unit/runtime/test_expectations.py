"""Expectations where an Applier does not get to: what is awaited, and how far a watch must have come."""

from __future__ import annotations

from typing import Any

from aim_operator.runtime.expectations import Expectations, kind_of
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


def test_a_server_restored_from_a_backup_counts_from_lower_again() -> None:
    """What was seen before the restore says nothing about writes after it."""
    expectations, sink = watched()
    sink.progressed("1000")
    sink.progressed("20")
    expectations.written(KEY, WIDGETS, make_stored("a", version="21"))
    assert not expectations.met(KEY)
