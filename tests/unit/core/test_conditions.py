"""Conditions: stamped with the generation, moved in time only by a flip of status."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.meta import MOST_MESSAGE, Condition
from aim_operator.core import conditions

THEN = "2026-01-01T00:00:00Z"
NOW = "2026-01-02T00:00:00Z"


def observed(type_: str, status: str, *, reason: str = "Old", message: str = "old") -> Condition:
    return Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=THEN,
        observed_generation=1,
    )


def wanted(type_: str, status: str, *, reason: str = "New", message: str = "new") -> Condition:
    return Condition(type=type_, status=status, reason=reason, message=message)


@pytest.mark.parametrize(
    ("old", "want_time"),
    [
        pytest.param((), NOW, id="a new condition starts now"),
        pytest.param((observed("Ready", "True"),), THEN, id="the same status keeps its time"),
        pytest.param((observed("Ready", "False"),), NOW, id="a flipped status moves it"),
        pytest.param((observed("Ready", "Unknown"),), NOW, id="Unknown is a status of its own"),
        pytest.param((observed("Other", "True"),), NOW, id="another type has no say"),
        pytest.param((wanted("Ready", "True"),), NOW, id="an observed one without time gets one"),
    ],
)
def test_transition_time(old: tuple[Condition, ...], want_time: str) -> None:
    (got,) = conditions.merge(old, [wanted("Ready", "True")], now=NOW, generation=2)
    assert got.last_transition_time == want_time
    assert got.observed_generation == 2
    assert (got.reason, got.message) == ("New", "new")


@pytest.mark.parametrize(
    ("state", "holding"),
    [("Available", "Ready"), ("Progressing", "Progressing"), ("Failed", "Failure"), ("Degraded", "Failure")],
)
def test_which_condition_of_a_template_or_cache_holds(state: str, holding: str) -> None:
    got = conditions.summary(state, "Because", "of that")
    assert [each.type for each in got if each.status == "True"] == [holding]
    assert [each.type for each in got] == ["Ready", "Progressing", "Failure"]
    assert all(each.status == "False" for each in conditions.summary("Pending", "Because", "of that"))


def test_the_result_is_the_wanted_set_in_its_order() -> None:
    old = (observed("Progressing", "True"), observed("Gone", "True"), observed("Ready", "True"))
    got = conditions.merge(old, [wanted("Ready", "True"), wanted("Failure", "False")], now=NOW, generation=1)
    assert [condition.type for condition in got] == ["Ready", "Failure"]


def test_a_long_message_is_cut_and_says_so() -> None:
    (got,) = conditions.merge((), [wanted("Ready", "True", message="x" * 50_000)], now=NOW, generation=1)
    assert len(got.message) == MOST_MESSAGE
    assert got.message.endswith("x…")


statuses = st.sampled_from(["True", "False", "Unknown"])
condition_sets = st.dictionaries(st.sampled_from("ABCD"), statuses, max_size=4)


@given(condition_sets, condition_sets)
def test_merging_again_changes_nothing_however_late(old: dict[str, str], new: dict[str, str]) -> None:
    before = tuple(observed(type_, status) for type_, status in old.items())
    after = [wanted(type_, status, message="m" * 5000) for type_, status in new.items()]
    once = conditions.merge(before, after, now=NOW, generation=3)
    assert conditions.merge(once, after, now="2030-01-01T00:00:00Z", generation=3) == once
    assert conditions.merge(once, once, now="2030-01-01T00:00:00Z", generation=3) == once


def test_find() -> None:
    ready = observed("Ready", "True")
    assert conditions.find((observed("Failure", "False"), ready), "Ready") is ready
    assert conditions.find((ready,), "Failure") is None
    assert conditions.find((), "Ready") is None


@pytest.mark.parametrize(
    ("moment", "want"),
    [
        pytest.param(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z", id="whole seconds"),
        pytest.param(
            datetime(2026, 1, 2, 3, 4, 5, 999999, tzinfo=UTC), "2026-01-02T03:04:05Z", id="cut, not rounded"
        ),
        pytest.param(
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-02T01:04:05Z",
            id="in UTC",
        ),
    ],
)
def test_timestamp(moment: datetime, want: str) -> None:
    assert conditions.timestamp(moment) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), id="metav1.Time"),
        pytest.param(
            "2026-01-02T03:04:05.123456Z",
            datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC),
            id="metav1.MicroTime",
        ),
        pytest.param(
            "2026-01-02T03:04:05.123456789Z",
            datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC),
            id="nanoseconds",
        ),
        pytest.param("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), id="an offset"),
    ],
)
def test_parse_time(text: str, want: datetime) -> None:
    assert conditions.parse_time(text) == want


@pytest.mark.parametrize("text", ["", "yesterday", "2026-01-02T03:04:05", "2026-13-01T00:00:00Z"])
def test_parse_time_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|isoformat|month"):
        conditions.parse_time(text)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_timestamp_reads_back(moment: datetime) -> None:
    assert conditions.parse_time(conditions.timestamp(moment)) == moment.replace(microsecond=0)
