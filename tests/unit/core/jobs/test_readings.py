"""What a Job says about its end."""

from __future__ import annotations

import msgspec
import pytest

from aim_operator.api.external import Job
from aim_operator.core.jobs import readings
from tests.support.template_builders import make_job

ENDED = "2026-01-31T11:58:00Z"
STATUS = {"completionTime": ENDED, "conditions": [{"type": "Complete", "status": "True"}]}
UNTIMED = msgspec.structs.replace(make_job(), status=msgspec.convert(STATUS, type(make_job().status)))
TAKEN_BACK = msgspec.structs.replace(
    make_job(),
    status=msgspec.convert({"conditions": [{"type": "Failed", "status": "False"}]}, type(make_job().status)),
)


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(), False, id="an active Job is not finished"),
        pytest.param(make_job(complete=ENDED), True, id="a complete Job is finished"),
        pytest.param(make_job(failed=ENDED), True, id="a failed Job is finished"),
        pytest.param(TAKEN_BACK, False, id="a condition that does not hold says nothing"),
    ],
)
def test_finished(job: Job, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert readings.finished(job) is want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(complete=ENDED), ENDED, id="the time of the Complete condition"),
        pytest.param(make_job(failed=ENDED), ENDED, id="the time of the Failed condition"),
        pytest.param(UNTIMED, ENDED, id="else the time of completion"),
        pytest.param(make_job(), "2026-01-31T11:00:00Z", id="else the creation, which never moves"),
    ],
)
def test_when_a_job_ended(job: Job, want: str) -> None:
    assert readings.ended_at(job) == want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(failed=ENDED, reason="DeadlineExceeded"), True, id="by its deadline"),
        pytest.param(make_job(failed=ENDED, reason="BackoffLimitExceeded"), False, id="by its Pod"),
        pytest.param(make_job(complete=ENDED, reason="DeadlineExceeded"), False, id="well"),
    ],
)
def test_timed_out(job: Job, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert readings.timed_out(job) is want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(failed=ENDED, message="too\nlong"), "too long", id="its message, in one line"),
        pytest.param(make_job(failed=ENDED, reason="PodFailurePolicy"), "PodFailurePolicy", id="its reason"),
        pytest.param(make_job(failed=ENDED), "no message was given", id="nothing"),
    ],
)
def test_what_the_job_controller_says_about_a_failure(job: Job, want: str) -> None:
    assert readings.failure_message(job) == want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(), False, id="not where nothing is said"),
        pytest.param(make_job(suspend=False), False, id="not where it says that it is not"),
        pytest.param(make_job(suspend=True), True, id="where it says so"),
        pytest.param(make_job(suspend=True, complete=ENDED), False, id="not once it has ended"),
    ],
)
def test_whether_a_job_is_suspended(job: Job, *, want: bool) -> None:
    assert readings.is_suspended(job) is want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(
            make_job("a", namespace="team", suspend=True, queue="batch"),
            "Job 'a' is suspended until queue 'batch' admits it (kueue.x-k8s.io/queue-name); see its events "
            "and kubectl get workloads -n team",
            id="a queue",
        ),
        pytest.param(
            make_job("a", suspend=True), "Job 'a' is suspended, and names no queue: set its", id="nobody"
        ),
    ],
)
def test_whose_matter_it_is_that_a_job_is_suspended(job: Job, want: str) -> None:
    assert readings.suspension(job).startswith(want)
