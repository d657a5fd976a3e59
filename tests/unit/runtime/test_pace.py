"""How much of the API server one namespace may use, by how long its writes take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.runtime.pace import FEWEST, KEPT_SECONDS, SLOW_SECONDS, Pace
from tests.support.virtual_clock import VirtualClock

QUICK, SLOW = SLOW_SECONDS, SLOW_SECONDS + 0.01
MOST = 12


def allowed(pace: Pace, namespace: str = "busy") -> int:
    """How many reconciles the namespace may have at work."""
    return next(number for number in range(1000) if not pace.allows(namespace, number))


def after(*seconds: float) -> Pace:
    pace = Pace(MOST, VirtualClock())
    for each in seconds:
        pace.answered("busy", each)
    return pace


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        pytest.param([], MOST, id="nothing was written yet"),
        pytest.param([QUICK] * 1000, MOST, id="an API server at rest"),
        pytest.param([SLOW], 9, id="one slow answer"),
        pytest.param([SLOW] * 8, FEWEST, id="eight slow answers"),
        pytest.param([SLOW] * 1000, FEWEST, id="slow for ever: still some"),
        pytest.param([SLOW] * 1000 + [QUICK] * 55, 7, id="recovering"),
        pytest.param([SLOW] * 1000 + [QUICK] * 101, MOST, id="recovered"),
    ],
)
def test_a_namespaces_limit_follows_how_long_its_writes_take(answers: list[float], want: int) -> None:
    assert allowed(after(*answers)) == want


def test_slow_writes_of_one_namespace_limit_no_other() -> None:
    pace = after(*[SLOW] * 100)
    assert (allowed(pace), allowed(pace, "quiet")) == (FEWEST, MOST)


def test_nothing_is_kept_of_a_namespace_whose_writes_are_quick_again() -> None:
    pace = after(*[SLOW] * 100)
    assert list(pace.limits) == ["busy"]
    for _ in range(101):
        pace.answered("busy", QUICK)
    assert not pace.limits


def test_a_namespace_that_writes_no_more_is_not_said_to_be_slow_for_ever() -> None:
    """It is at rest, or gone: nothing would ever lift its limit, and the metric would never be zero again."""
    clock = VirtualClock()
    pace = Pace(MOST, clock)
    for namespace in ("gone", "busy"):
        for _ in range(100):
            pace.answered(namespace, SLOW)
    clock.freeze(KEPT_SECONDS - 1)
    pace.answered("busy", SLOW)
    assert set(pace.limits) == {"gone", "busy"}
    clock.freeze(1)
    assert set(pace.limits) == {"busy"}
    assert (allowed(pace, "gone"), allowed(pace, "busy")) == (MOST, FEWEST)


@given(st.lists(st.floats(0.0, 60.0)), st.integers(1, 100))
def test_whatever_the_api_server_does_a_namespace_may_have_some_and_never_more_than_most(
    answers: list[float], most: int
) -> None:
    pace = Pace(most, VirtualClock())
    for each in answers:
        pace.answered("busy", each)
    assert FEWEST <= allowed(pace) <= max(most, FEWEST)
