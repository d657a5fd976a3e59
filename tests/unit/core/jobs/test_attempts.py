"""The record of attempts in a status, and the pauses between them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aim_operator.api.meta import MOST_MESSAGE
from aim_operator.api.v1alpha1 import Discovery
from aim_operator.core.conditions import parse_time
from aim_operator.core.jobs import attempts
from tests.support.template_builders import make_discovery, make_job

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
    ("ahead", "want_seconds"),
    [
        pytest.param(0, 10, id="the pause"),
        pytest.param(-3600, 0, id="it is over"),
        pytest.param(120, 130, id="a node whose clock is two minutes ahead"),
        pytest.param(86400, 0, id="a clock that was a day ahead, and has been set since"),
    ],
)
def test_a_wrong_clock_does_not_keep_the_next_attempt_away(ahead: int, want_seconds: int) -> None:
    now = parse_time(LAST) - timedelta(seconds=ahead)
    assert attempts.seconds_to_retry(make_discovery("a", attempts=1, last=LAST), "a", now) == want_seconds


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(None, id="nothing was tried"),
        pytest.param(make_discovery("b", attempts=5), id="other inputs failed"),
        pytest.param(make_discovery("a", attempts=0), id="it succeeded"),
        pytest.param(Discovery(spec_hash="a", attempts=2), id="the time of the failure is not known"),
    ],
)
def test_the_next_attempt_is_due_at_once(known: Discovery) -> None:
    assert attempts.retry_at(known, "a") is None


JOB = make_job()  # created at 11:00


@pytest.mark.parametrize(
    ("record", "ended_at", "want"),
    [
        pytest.param(None, LAST, False, id="nothing is recorded yet"),
        pytest.param(Discovery(spec_hash="a", attempts=1, job_uid=JOB.metadata.uid), LAST, True, id="it is"),
        pytest.param(
            Discovery(spec_hash="a", attempts=1, job_uid=JOB.metadata.uid), None, True, id="it runs on"
        ),
        pytest.param(
            Discovery(spec_hash="a", attempts=1, job_uid="other", last_attempt_time="2026-01-31T13:00:00Z"),
            LAST,
            False,
            id="another Job is, whatever the clocks say",
        ),
        pytest.param(
            Discovery(spec_hash="b", attempts=1, job_uid=JOB.metadata.uid), LAST, False, id="other inputs are"
        ),
        pytest.param(
            make_discovery("a", attempts=1, last=LAST), LAST, True, id="by an older version: this attempt"
        ),
        pytest.param(
            make_discovery("a", attempts=1, last=LAST),
            None,
            True,
            id="by an older version: of this Job, which runs on",
        ),
        pytest.param(
            make_discovery("a", attempts=1, last="2026-01-31T13:00:00+01:00"),
            LAST,
            True,
            id="by an older version: this attempt, in another time zone",
        ),
        pytest.param(
            make_discovery("a", attempts=1, last="2026-01-31T11:59:59Z"),
            LAST,
            False,
            id="by an older version: an earlier attempt",
        ),
        pytest.param(
            make_discovery("a", attempts=1, last="2026-01-31T10:59:59Z"),
            None,
            False,
            id="by an older version: an attempt before the Job was created",
        ),
        pytest.param(Discovery(spec_hash="a", attempts=1), LAST, False, id="neither Job nor time is"),
    ],
)
def test_whether_a_failure_is_recorded(
    record: Discovery | None,
    ended_at: str | None,
    want: bool,  # noqa: FBT001 - the expected answer
) -> None:
    assert attempts.is_recorded(record, "a", JOB, ended_at) is want


@pytest.mark.parametrize(
    ("previous", "want"),
    [
        pytest.param(None, 1, id="the first"),
        pytest.param(make_discovery("a", attempts=4), 5, id="one more"),
        pytest.param(make_discovery("b", attempts=4), 1, id="the first with these inputs"),
    ],
)
def test_a_failure_is_counted_and_its_job_remembered(previous: Discovery | None, want: int) -> None:
    now = parse_time(LAST)
    record = attempts.failure(Discovery, previous, "a", JOB, now=now, message="no", image="i")
    assert record == Discovery(
        spec_hash="a",
        attempts=want,
        last_attempt_time=LAST,
        message="no",
        job_uid=JOB.metadata.uid,
        image="i",
    )
    assert attempts.is_recorded(record, "a", JOB, LAST)


def test_a_failure_says_no_more_than_a_status_takes() -> None:
    record = attempts.failure(Discovery, None, "a", JOB, now=parse_time(LAST), message="x" * 50_000)
    assert len(record.message or "") == MOST_MESSAGE


@pytest.mark.parametrize(
    ("known", "want_succeeded", "want_attempts"),
    [
        pytest.param(None, False, 0, id="nothing was tried"),
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
