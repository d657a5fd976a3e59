"""Of a status whose write had no answer, the events are told once: when the cache shows it, and only then."""

from __future__ import annotations

import pytest

from aim_operator import errors
from aim_operator.api.plan import EventNote, Report
from aim_operator.runtime.unanswered import MOST, UnansweredStatuses
from tests.unit.runtime.making import KEY, Widget, WidgetStatus, make_stored

LOST = errors.Unavailable("no answer in time")


def note(message: str) -> EventNote:
    return EventNote(type="Normal", reason="Ready", message=message)


def report(phase: str) -> Report[WidgetStatus]:
    return Report(status=WidgetStatus(phase=phase), events=(note(phase),))


def seen(version: str, phase: str = "", uid: str = "") -> Widget:
    return make_stored(version=version, uid=uid, status={"phase": phase} if phase else None)


def told(statuses: UnansweredStatuses, obj: Widget) -> list[str]:
    return [each.message for each in statuses.found(KEY, obj)]


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(LOST, ["on"], id="no answer came"),
        pytest.param(errors.Unavailable("", code=504), ["on"], id="a proxy gave up"),
        pytest.param(errors.Conflict("", code=409), ["on"], id="a repetition met what the first has done"),
        pytest.param(errors.Invalid("", code=422), [], id="it was refused: whoever else made it told of it"),
        pytest.param(errors.Unavailable("", code=503), [], id="nothing took it"),
    ],
)
def test_a_status_that_may_have_been_written_is_told_of(error: errors.ApiError, want: list[str]) -> None:
    statuses = UnansweredStatuses()
    statuses.failed(KEY, seen("1"), report("on"), error)
    assert told(statuses, seen("2", "on")) == want


def test_it_is_told_of_once() -> None:
    statuses = UnansweredStatuses()
    statuses.failed(KEY, seen("1"), report("on"), LOST)
    assert told(statuses, seen("1")) == [], "the cache has not moved on yet"
    assert told(statuses, seen("2", "on")) == ["on"]
    assert told(statuses, seen("2", "on")) == []


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param(seen("2", "off"), id="somebody wrote another status"),
        pytest.param(seen("2"), id="there is none"),
        pytest.param(seen("2", "on", uid="successor"), id="another object has the name by now"),
    ],
)
def test_what_the_write_did_not_make_is_not_told_of(obj: Widget) -> None:
    """Not later either."""
    statuses = UnansweredStatuses()
    statuses.failed(KEY, seen("1"), report("on"), LOST)
    assert told(statuses, obj) == []
    assert told(statuses, seen("3", "on")) == []


def test_of_several_attempts_the_one_that_was_carried_out_is_told_of() -> None:
    """The last few: a server may lose every answer for hours."""
    statuses = UnansweredStatuses()
    for number in range(MOST + 1):
        statuses.failed(KEY, seen("1"), report(f"{number}"), LOST)
    assert told(statuses, seen("2", "1")) == ["1"]
    for number in range(MOST + 1):
        statuses.failed(KEY, seen("2"), report(f"{number}"), LOST)
    assert told(statuses, seen("3", "0")) == []


def test_an_object_that_is_gone_is_forgotten() -> None:
    statuses = UnansweredStatuses()
    statuses.failed(KEY, seen("1"), report("on"), LOST)
    statuses.forget(KEY)
    assert told(statuses, seen("2", "on")) == []
