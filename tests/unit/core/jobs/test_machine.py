"""Where a Job stands, whatever its kind: its state, which Jobs go, and when it is looked at again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import Job, Pod, PodStatus
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import Attempts
from aim_operator.core.jobs.machine import (
    LOG_PATIENCE_SECONDS,
    SIDECAR_SECONDS,
    Attempt,
    Deadlines,
    JobState,
    step,
)
from aim_operator.core.pods import Verdict
from aim_operator.errors import Unavailable
from tests.support.template_builders import NOW, container, make_job, make_pod

NAME, DIGEST = "current", "digest"
STARTED = "2026-01-31T11:00:00Z"
ENDED = "2026-01-31T11:59:57Z"
LONG_AGO = "2026-01-31T11:40:00Z"
LIMITS = Deadlines(run=600, start=7200, obstacle=600)
FAILED = Attempts(spec_hash=DIGEST, attempts=1, last_attempt_time=ENDED, job_uid="uid-of-current")
FAILED_BEFORE = Attempts(spec_hash=DIGEST, attempts=1, last_attempt_time=LONG_AGO, job_uid="uid-of-another")
SIDECAR = container("istio-proxy", running=True)
UNREAD = Unavailable("the node is gone")


def attempt(job: Job | None = None, *pods: Pod, **fields: Any) -> Attempt:
    base: dict[str, Any] = {
        "job_name": NAME,
        "digest": DIGEST,
        "record": Attempts(),
        "kept": False,
        "jobs": (job,) if job is not None else (),
        "pods": pods,
        "refusal": "",
        "unread": None,
        "container": "ours",
        "pod_words": "the Pod",
        "now": NOW,
    }
    return Attempt(**{**base, **fields})


def ours(**state: Any) -> dict[str, Any]:
    return container("ours", **state)


def job(**fields: Any) -> Job:
    return make_job(NAME, **{"started": STARTED, **fields})


def pod(*containers: dict[str, Any], phase: str = "Running", **fields: Any) -> Pod:
    return make_pod(phase=phase, containers=containers, **fields)


STALE = make_job("earlier")
STILL_STARTING = pod(ours(waiting=("ContainerCreating", "")), phase="Pending")
RUNNING = pod(ours(started="2026-01-31T11:55:00Z"))
DONE_BESIDE_SIDECAR = pod(SIDECAR, ours(exit_code=0, finished=ENDED))


HELD_UP = structs.replace(
    pod(phase="Pending"),
    status=msgspec.convert(
        {
            "phase": "Pending",
            "conditions": [
                {
                    "type": "Initialized",
                    "status": "False",
                    "message": "containers with incomplete status: [vault]",
                }
            ],
            "initContainerStatuses": [
                {
                    "name": "vault",
                    "started": True,
                    "state": {"running": {"startedAt": "2026-01-31T11:59:40Z"}},
                }
            ],
        },
        PodStatus,
    ),
)


class Want(NamedTuple):
    """`removed` are names of Jobs."""

    state: JobState
    removed: list[str]
    requeue_seconds: float | None = None


SITUATIONS: dict[str, tuple[Attempt, Want]] = {
    "nothing has been tried": (attempt(), Want(JobState.ABSENT_DUE, [])),
    "the retry is not due": (attempt(record=FAILED), Want(JobState.ABSENT_NOT_DUE, [], 7)),
    "the retry is due": (attempt(record=FAILED_BEFORE), Want(JobState.ABSENT_DUE, [])),
    "a retry would be pointless": (
        attempt(record=FAILED_BEFORE, final=True),
        Want(JobState.ABSENT_NOT_DUE, []),
    ),
    "a retry would be pointless, and the Job is there": (
        attempt(job(complete=ENDED), record=FAILED, final=True),
        Want(JobState.RECORDED_FAILURE, []),
    ),
    "a retry with earlier inputs would be pointless": (
        attempt(record=structs.replace(FAILED, spec_hash="other"), final=True),
        Want(JobState.ABSENT_DUE, []),
    ),
    "other inputs failed a moment ago": (
        attempt(record=structs.replace(FAILED, spec_hash="other")),
        Want(JobState.ABSENT_DUE, []),
    ),
    "a Job of earlier inputs is there": (attempt(jobs=(STALE,)), Want(JobState.ABSENT_DUE, ["earlier"])),
    "a Job of earlier inputs is in the way": (
        attempt(jobs=(STALE,), alone=True),
        Want(JobState.OBSTRUCTED, ["earlier"]),
    ),
    "a Job of earlier inputs that is in the way is going": (
        attempt(jobs=(make_job("earlier", deleted=True),), alone=True),
        Want(JobState.OBSTRUCTED, []),
    ),
    "a Job of earlier inputs beside the current one": (
        attempt(jobs=(STALE, job()), alone=True),
        Want(JobState.RUNNING, ["earlier"]),
    ),
    "the Job has no Pod yet": (attempt(job()), Want(JobState.RUNNING, [])),
    "the Job runs": (attempt(job(), RUNNING, deadlines=LIMITS), Want(JobState.RUNNING, [], 300)),
    "the retry runs": (attempt(job(), RUNNING, record=FAILED_BEFORE), Want(JobState.RUNNING, [])),
    "a long pull": (attempt(job(), STILL_STARTING, deadlines=LIMITS), Want(JobState.RUNNING, [], 3600)),
    "a pull that takes too long": (
        attempt(job(), STILL_STARTING, deadlines=structs.replace(LIMITS, start=3600)),
        Want(JobState.OVERDUE, []),
    ),
    "a run that takes too long": (
        attempt(job(), pod(ours(started="2026-01-31T11:50:00Z")), deadlines=LIMITS),
        Want(JobState.OVERDUE, []),
    ),
    "a run that takes long but has no deadline": (
        attempt(job(), pod(ours(started="2026-01-30T11:50:00Z"))),
        Want(JobState.RUNNING, []),
    ),
    "a run whose pull took long": (
        attempt(
            make_job(NAME, started="2026-01-31T09:00:00Z"),
            pod(ours(started="2026-01-31T11:59:00Z")),
            deadlines=LIMITS,
        ),
        Want(JobState.RUNNING, [], 540),
    ),
    "what runs first takes long": (attempt(job(), HELD_UP), Want(JobState.RUNNING, [], 40)),
    "what runs first takes long, and so does the Job": (
        attempt(job(started="2026-01-31T11:59:00Z"), HELD_UP, deadlines=structs.replace(LIMITS, start=70)),
        Want(JobState.RUNNING, [], 10),
    ),
    "an image that can't be pulled": (
        attempt(
            job(started="2026-01-31T11:55:00Z"),
            pod(ours(waiting=("ErrImagePull", "unknown")), phase="Pending"),
            deadlines=LIMITS,
        ),
        Want(JobState.RUNNING, [], 300),
    ),
    "an image that can't be pulled for too long": (
        attempt(job(), pod(ours(waiting=("ErrImagePull", "unknown")), phase="Pending"), deadlines=LIMITS),
        Want(JobState.OVERDUE, []),
    ),
    "a Pod that is refused for too long": (
        attempt(job(), refusal="exceeded quota", deadlines=LIMITS),
        Want(JobState.OVERDUE, []),
    ),
    "a Job that has not started has no deadline": (
        attempt(make_job(NAME), deadlines=LIMITS),
        Want(JobState.RUNNING, []),
    ),
    "a suspended Job has no deadline": (
        attempt(make_job(NAME, suspend=True), deadlines=LIMITS),
        Want(JobState.SUSPENDED, []),
    ),
    "a Job that a queue took back is not overdue, whatever its controller has yet to see": (
        attempt(job(suspend=True), pod(ours(started="2026-01-31T11:50:00Z")), deadlines=LIMITS),
        Want(JobState.SUSPENDED, []),
    ),
    "a Job that a queue took back has not failed": (
        attempt(job(suspend=True), pod(SIDECAR, ours(exit_code=143, finished=ENDED), deleted=True)),
        Want(JobState.SUSPENDED, []),
    ),
    "a Job that was suspended when its container had ended": (
        attempt(job(suspend=True), DONE_BESIDE_SIDECAR),
        Want(JobState.JUST_ENDED, []),
    ),
    "a retry that is suspended": (
        attempt(job(suspend=True), record=FAILED_BEFORE),
        Want(JobState.SUSPENDED, []),
    ),
    "a Job that ended and was suspended after": (
        attempt(job(complete=ENDED, suspend=True)),
        Want(JobState.JUST_ENDED, []),
    ),
    "a Pod that a queue's gate holds back has no deadline": (
        attempt(job(), pod(phase="Pending", gated=True), deadlines=LIMITS),
        Want(JobState.RUNNING, []),
    ),
    "an overdue Job is recorded, and only then goes": (
        attempt(job(), pod(ours(started=STARTED)), deadlines=LIMITS, record=FAILED),
        Want(JobState.RECORDED_FAILURE, [NAME], 7),
    ),
    "the Job has completed": (attempt(job(complete=ENDED)), Want(JobState.JUST_ENDED, [])),
    "the Job has failed": (attempt(job(failed=ENDED)), Want(JobState.JUST_ENDED, [])),
    "the container has ended, the Job not yet": (
        attempt(job(), pod(ours(exit_code=0, finished=ENDED), phase="Succeeded")),
        Want(JobState.RUNNING, []),
    ),
    "the container has ended, its sidecar not": (
        attempt(job(), DONE_BESIDE_SIDECAR),
        Want(JobState.JUST_ENDED, []),
    ),
    "a sidecar has ended, the container not": (
        attempt(job(), pod(container("istio-proxy", exit_code=1), ours(running=True))),
        Want(JobState.RUNNING, []),
    ),
    "the container was stopped because its node is drained": (
        attempt(job(), pod(SIDECAR, ours(exit_code=143, finished=ENDED), disrupted=True)),
        Want(JobState.RUNNING, []),
    ),
    "the container was stopped because its Pod is deleted": (
        attempt(job(), pod(SIDECAR, ours(exit_code=143, finished=ENDED), deleted=True)),
        Want(JobState.RUNNING, []),
    ),
    "another Pod took the place of a drained one": (
        attempt(
            job(),
            pod(ours(exit_code=143, finished=ENDED), created=STARTED, name="a", phase="Failed"),
            pod(ours(running=True), created="2026-01-31T11:30:00Z", name="b"),
        ),
        Want(JobState.RUNNING, []),
    ),
    "the log can't be read": (attempt(job(complete=ENDED), unread=UNREAD), Want(JobState.UNREAD, [])),
    "the log can't be read for too long": (
        attempt(job(complete=LONG_AGO), unread=UNREAD),
        Want(JobState.JUST_ENDED, []),
    ),
    "the failure is recorded": (
        attempt(job(failed=ENDED), record=FAILED),
        Want(JobState.RECORDED_FAILURE, [], 7),
    ),
    "the failure is recorded, and a sidecar runs on": (
        attempt(job(), pod(SIDECAR, ours(exit_code=3, finished=ENDED)), record=FAILED),
        Want(JobState.RECORDED_FAILURE, [NAME], 7),
    ),
    "the failure is recorded and the Job is going": (
        attempt(job(failed=ENDED, deleted=True), record=FAILED),
        Want(JobState.RECORDED_FAILURE, [], 7),
    ),
    "the retry of a Job that is there is due": (
        attempt(job(failed=LONG_AGO), record=structs.replace(FAILED, last_attempt_time=LONG_AGO)),
        Want(JobState.RETRY_DUE, [NAME]),
    ),
    "the retry of a Job that is going is due": (
        attempt(
            job(failed=LONG_AGO, deleted=True), record=structs.replace(FAILED, last_attempt_time=LONG_AGO)
        ),
        Want(JobState.DELETING, []),
    ),
    "the Job is going for another reason": (attempt(job(deleted=True)), Want(JobState.DELETING, [])),
    "the result is kept": (attempt(kept=True), Want(JobState.KEPT, [])),
    "the result is kept and the Job there": (
        attempt(job(complete=ENDED), kept=True),
        Want(JobState.KEPT, []),
    ),
    "the result is kept and the Job about to be finished": (
        attempt(job(), pod(ours(exit_code=0, finished=ENDED), phase="Succeeded"), kept=True),
        Want(JobState.KEPT, []),
    ),
    "the result is kept and a sidecar runs on": (
        attempt(job(), DONE_BESIDE_SIDECAR, kept=True),
        Want(JobState.KEPT, [], SIDECAR_SECONDS - 3),
    ),
    "the result is kept and a sidecar runs on for too long": (
        attempt(job(), pod(SIDECAR, ours(exit_code=0, finished=LONG_AGO)), kept=True),
        Want(JobState.KEPT, [NAME]),
    ),
    "the result is kept and a Job of earlier inputs is there": (
        attempt(jobs=(STALE,), kept=True, alone=True),
        Want(JobState.KEPT, ["earlier"]),
    ),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_where_a_job_stands(name: str) -> None:
    given, want = SITUATIONS[name]
    got = step(given)
    removed = [removal.live.metadata.name for removal in got.removals]
    assert Want(got.state, removed, got.requeue_after_seconds) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(attempt(), None, id="nothing, where there is none"),
        pytest.param(attempt(job()), NAME, id="the one that runs"),
        pytest.param(attempt(job(suspend=True)), NAME, id="the one that a queue holds back"),
        pytest.param(attempt(job(deleted=True)), NAME, id="the one that is being deleted"),
        pytest.param(attempt(job(failed=ENDED), record=FAILED), None, id="not the one that failed: the next"),
        pytest.param(attempt(job(complete=ENDED), kept=True), None, id="not the one whose result is kept"),
    ],
)
def test_which_job_is_awaited(given: Attempt, want: str | None) -> None:
    got = step(given).awaited
    assert got == (None if want is None else ObjectRef("Job", make_job().metadata.namespace, want))


def test_every_state_is_in_the_table() -> None:
    assert {want.state for _, want in SITUATIONS.values()} == set(JobState)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(attempt(job(complete=ENDED)), (True, ENDED), id="a complete Job"),
        pytest.param(attempt(job(failed=ENDED)), (False, ENDED), id="a failed Job"),
        pytest.param(
            attempt(
                job(failed=ENDED), pod(ours(exit_code=0), container("proxy", exit_code=137), phase="Failed")
            ),
            (True, ENDED),
            id="a Job that failed for its sidecar only",
        ),
        pytest.param(attempt(job(), DONE_BESIDE_SIDECAR), (True, ENDED), id="a container beside a sidecar"),
        pytest.param(
            attempt(job(), pod(SIDECAR, ours(exit_code=3, finished=ENDED))),
            (False, ENDED),
            id="a container that failed beside a sidecar",
        ),
        pytest.param(
            attempt(
                job(failed=ENDED),
                pod(ours(exit_code=0), name="b", created="2026-01-31T11:30:00Z", phase="Failed"),
                pod(ours(exit_code=143), name="a", created=STARTED, phase="Failed"),
            ),
            (True, ENDED),
            id="the youngest of several Pods",
        ),
        pytest.param(
            attempt(job(complete=LONG_AGO), unread=UNREAD),
            (True, "2026-01-31T12:00:00Z"),
            id="what can't be read is given up now, so that the retry has its pause",
        ),
    ],
)
def test_how_an_attempt_ended(given: Attempt, want: tuple[bool, str]) -> None:
    got = step(given)
    assert (got.succeeded, got.ended_at) == want


@pytest.mark.parametrize(
    ("given", "want"),
    [
        pytest.param(attempt(job()), None, id="nothing, as far as is known"),
        pytest.param(
            attempt(job(), refusal="exceeded\nquota"),
            Verdict("JobRefused", "the Pod was refused: exceeded quota"),
            id="a quota",
        ),
        pytest.param(
            attempt(job(), pod(ours(waiting=("ErrImagePull", "unknown")), phase="Pending"), refusal="before"),
            Verdict("ImagePullFailed", "unknown"),
            id="its image, once there is a Pod",
        ),
        pytest.param(
            attempt(job(), pod(ours(running=True), container("proxy", waiting=("ErrImagePull", "unknown")))),
            None,
            id="not the image of a sidecar, once it runs",
        ),
        pytest.param(
            attempt(
                job(),
                pod(ours(waiting=("ErrImagePull", "unknown")), created=STARTED, name="a"),
                pod(ours(running=True), created="2026-01-31T11:30:00Z", name="b"),
            ),
            None,
            id="not what an older Pod waited for",
        ),
    ],
)
def test_what_keeps_the_container_from_starting(given: Attempt, want: Verdict | None) -> None:
    assert step(given).obstacle == want


def test_what_can_not_be_read_is_asked_for_until_patience_ends() -> None:
    unread = attempt(job(complete=ENDED), unread=UNREAD)
    end = NOW - timedelta(seconds=3) + timedelta(seconds=LOG_PATIENCE_SECONDS)
    before = structs.replace(unread, now=end - timedelta(seconds=1))
    assert step(before).state is JobState.UNREAD
    assert step(structs.replace(unread, now=end)).state is JobState.JUST_ENDED


def test_a_state_without_a_job_has_none_to_give() -> None:
    with pytest.raises(AssertionError, match="no Job in state ABSENT_DUE"):
        _ = step(attempt()).live_job
