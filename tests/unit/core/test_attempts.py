"""What came of attempts, and the pauses between them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import UNSET

from aim_operator.api.v1alpha1 import Discovery
from aim_operator.core import attempts
from aim_operator.core.conditions import parse_time
from tests.support.template_builders import make_discovery

LAST = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("failed", "want_seconds"),
    [
        pytest.param(1, 10, id="10 s after the first failure"),
        pytest.param(2, 20, id="twice that after the second"),
        pytest.param(3, 40, id="and so on"),
        pytest.param(9, 2560, id="the last below an hour"),
        pytest.param(10, 3600, id="never more than an hour"),
        pytest.param(2**31, 3600, id="however many attempts status claims"),
    ],
)
def test_pauses_double(failed: int, want_seconds: int) -> None:
    got = attempts.retry_at(make_discovery("a", attempts=failed, last=LAST), "a")
    assert got == parse_time(LAST) + timedelta(seconds=want_seconds)


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(UNSET, id="nothing was tried"),
        pytest.param(make_discovery("b", attempts=5), id="other inputs failed"),
        pytest.param(make_discovery("a", attempts=0), id="it succeeded"),
        pytest.param(Discovery(spec_hash="a", attempts=2), id="the time of the failure is not known"),
    ],
)
def test_the_next_attempt_is_due_at_once(known: Discovery) -> None:
    assert attempts.retry_at(known, "a") is None


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param(UNSET, False, id="nothing is recorded yet"),
        pytest.param(make_discovery("a", last=LAST), True, id="this very attempt is"),
        pytest.param(make_discovery("a", last="2026-01-31T13:00:00+01:00"), True, id="in any time zone"),
        pytest.param(make_discovery("a", last="2026-01-31T12:00:01Z"), True, id="a later attempt is"),
        pytest.param(make_discovery("a", last="2026-01-31T11:59:59Z"), False, id="an earlier one is"),
        pytest.param(make_discovery("b", last=LAST), False, id="an attempt with other inputs is"),
        pytest.param(Discovery(spec_hash="a"), False, id="no time is"),
    ],
)
def test_recorded(known: Discovery, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert attempts.recorded(known, "a", LAST) is want


@pytest.mark.parametrize(
    ("known", "want_succeeded", "want_attempts"),
    [
        pytest.param(UNSET, False, 0, id="nothing was tried"),
        pytest.param(make_discovery("a"), True, 0, id="these inputs succeeded"),
        pytest.param(Discovery(spec_hash="a"), True, 0, id="attempts left out are none failed"),
        pytest.param(make_discovery("a", attempts=2), False, 2, id="these inputs failed twice"),
        pytest.param(make_discovery("b"), False, 0, id="other inputs succeeded"),
        pytest.param(make_discovery("b", attempts=2), False, 0, id="other inputs failed"),
    ],
)
def test_what_came_of_it(known: Discovery, want_succeeded: bool, want_attempts: int) -> None:  # noqa: FBT001
    assert attempts.succeeded(known, "a") is want_succeeded
    assert attempts.failed_attempts(known, "a") == want_attempts
