"""The one state machine of a Job whose retries are the operator's: discoveries and downloads.

    ABSENT_DUE ──create──▶ RUNNING ──▶ (UNREAD) ──▶ JUST_ENDED ──success──▶ KEPT
        ▲                     │                         │ failure
        │                     └──▶ OVERDUE ──failure──▶ RECORDED_FAILURE ──▶ RETRY_DUE
        └──── ABSENT_NOT_DUE / DELETING ◀───────────────┴────────delete────────┘

`step` is pure: what is observed goes in, a state and what it asks for come out. No state is stored but the
record of attempts in the status. A kind says what its states mean to users: core/template/attempt.py,
core/model_cache/attempt.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum

from msgspec import Struct

from aim_operator.api.external import JOBS, Job, Pod
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Removal
from aim_operator.api.v1alpha1 import Attempts
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import pods
from aim_operator.core.conditions import parse_time, timestamp
from aim_operator.core.jobs import attempts, readings
from aim_operator.core.messages import one_line
from aim_operator.core.pods import Verdict
from aim_operator.errors import ApiError

LOG_PATIENCE_SECONDS = 600
"""How long what an ended container left behind is asked for. After that the attempt has failed: another Pod
may run on a node whose kubelet answers."""
SIDECAR_SECONDS = 60
"""How long sidecars may outlive the container of a Job whose result is kept, before the Job is deleted."""


class JobState(Enum):
    """Where the Job of the current inputs stands. The order is that in which the states are looked for."""

    KEPT = "the result is in the status"
    OBSTRUCTED = "a Job of earlier inputs is still there, and two at once would be in each other's way"
    ABSENT_NOT_DUE = "the last attempt failed, and the next one has to wait"
    ABSENT_DUE = "the Job is to be created now"
    RECORDED_FAILURE = "the failure of this Job is in the status; the Job stays for its log"
    DELETING = "the Job is being deleted"
    RETRY_DUE = "the Job has to make way for the next attempt"
    UNREAD = "the container has ended, but what it left behind can't be read yet"
    JUST_ENDED = "the container has ended, and the status does not say so yet"
    SUSPENDED = (
        "somebody, such as a queue, keeps the Job from having Pods: it has not failed, nor does it run"
    )
    OVERDUE = "a deadline has passed"
    RUNNING = "the Job is there and has not ended"


_AWAITED = frozenset({JobState.DELETING, JobState.SUSPENDED, JobState.RUNNING})


class Deadlines(Struct, frozen=True, kw_only=True):
    """How long an attempt may take, in seconds."""

    run: float
    """From the start of the container."""
    start: float | None = None
    """From the start of the Job to that of the container: the scheduler, and the pull of the image. None:
    the Job stays, since it starts by itself once what it waits for is there."""
    obstacle: float | None = None
    """The same while something is known to keep the Pod from starting."""


class Attempt(Struct, frozen=True, kw_only=True):
    """What `step` reads. `jobs` are all of the owner; `pods` belong to the one called `job_name`."""

    job_name: str
    digest: str
    """Hash of the inputs."""
    record: Attempts | None
    """What the status says of earlier attempts."""
    kept: bool
    """Whether the result is in the status."""
    jobs: tuple[Job, ...]
    pods: tuple[Pod, ...]
    refusal: str
    """Why the Job controller may not create a Pod; "" where it may."""
    unread: ApiError | None
    """Why what the ended container left behind could not be read this time."""
    container: str
    """The name of the container that does the work; whatever else runs in the Pod was injected."""
    pod_words: str
    """What the Pod is to readers of messages, such as "the download Pod"."""
    now: datetime
    deadlines: Deadlines | None = None
    final: bool = False
    """Whether the recorded failure would come again with the same inputs: then there is no next attempt."""
    alone: bool = False
    """Whether Jobs of earlier inputs must be gone before the next is created."""


class End(Struct, frozen=True):
    """How an attempt ended. `at` is RFC 3339."""

    at: str
    succeeded: bool


class JobStep(Struct, frozen=True, kw_only=True):
    """Where the Job stands, and what follows from that whatever its kind."""

    state: JobState
    job: Job | None = None
    pod: Pod | None = None
    """The youngest Pod of the Job."""
    ended_at: str = ""
    """When the attempt ended (RFC 3339), in states in which it has."""
    succeeded: bool = False
    """Whether it ended well."""
    obstacle: Verdict | None = None
    """What keeps the Pod from starting, in the words of who knows: the registry, the scheduler, the quota."""
    started: bool = False
    """Whether the container has started."""
    removals: tuple[Removal, ...] = ()
    requeue_after_seconds: float | None = None

    @property
    def awaited(self) -> ObjectRef | None:
        """The Job as what its owner waits for; None where it is its next attempt that is waited for.

        So it comes and goes with the reason, and costs no write.
        """
        if self.job is None or self.state not in _AWAITED:
            return None
        return ObjectRef(JOBS.kind, self.job.metadata.namespace, self.job.metadata.name)

    @property
    def live_job(self) -> Job:
        """Return the Job in a state that has one."""
        if self.job is None:
            raise AssertionError(f"there is no Job in state {self.state.name}")
        return self.job


def step(attempt: Attempt) -> JobStep:
    """Return where the Job of the current inputs stands. Jobs of earlier inputs are removed in any state."""
    view = _view(attempt)
    state = next(state for state, holds in _CHECKS if holds(view))
    return JobStep(
        state=state,
        job=view.job,
        pod=view.pod,
        ended_at=view.ended_at,
        succeeded=view.end is not None and view.end.succeeded,
        obstacle=view.obstacle,
        started=pods.has_started(view.pod, attempt.container),
        removals=tuple(
            Removal(resource=JOBS, live=job)
            for job in (*_own_removal(view, state), *view.stale)
            if job.metadata.deletion_timestamp is None
        ),
        requeue_after_seconds=_requeue_after_seconds(view, state),
    )


def end_of(job: Job, pod: Pod | None, container: str, now: datetime) -> End | None:
    """Return how a Job ended, by its own container in its youngest Pod; None while it has not.

    Injected sidecars don't hold it up: once the own container has ended in a Pod that still runs, it is done.
    A Pod that is being taken away is none of that: its Job makes another, or fails.
    """
    ours = pods.terminated(pod, container)
    if readings.finished(job):
        succeeded = readings.is_complete(job) or (ours is not None and ours.exit_code == 0)
        return End(readings.ended_at(job), succeeded)
    if pod is None or ours is None or pod.status.phase != "Running" or pods.is_disrupted(pod):
        return None
    return End(ours.finished_at or timestamp(now), ours.exit_code == 0)


class _View(Struct, frozen=True, kw_only=True):
    """An attempt, and what all checks need to know of it."""

    attempt: Attempt
    job: Job | None
    stale: tuple[Job, ...]
    pod: Pod | None
    end: End | None
    obstacle: Verdict | None

    @property
    def recorded(self) -> bool:
        attempt, job = self.attempt, self.job
        at = self.end.at if self.end is not None else None
        return job is not None and attempts.is_recorded(attempt.record, attempt.digest, job, at)

    @property
    def waits(self) -> bool:
        left = self.seconds_to_retry
        return left is None or left > 0

    @property
    def seconds_to_retry(self) -> float | None:
        """How long the next attempt has to wait; None where there is to be none."""
        attempt = self.attempt
        if attempt.final and attempts.failed_attempts(attempt.record, attempt.digest):
            return None
        return attempts.seconds_to_retry(attempt.record, attempt.digest, attempt.now)

    @property
    def deleting(self) -> bool:
        return self.job is not None and self.job.metadata.deletion_timestamp is not None

    @property
    def suspended(self) -> bool:
        return self.job is not None and readings.is_suspended(self.job)

    @property
    def ended_at(self) -> str:
        """When the attempt ended; one that is given up, with its log unread or overdue, ends now."""
        if self.end is None or self.attempt.unread is not None:
            return timestamp(self.attempt.now)
        return self.end.at

    @property
    def unread(self) -> bool:
        if self.end is None or self.attempt.unread is None:
            return False
        return _seconds_since(self.end.at, self.attempt.now) < LOG_PATIENCE_SECONDS

    @property
    def deadline(self) -> datetime | None:
        """When the attempt has taken too long. One that is suspended, or whose Pod is, waits for its turn."""
        limits, job = self.attempt.deadlines, self.job
        if limits is None or job is None or job.status.start_time is None:
            return None
        if self.obstacle is not None and self.obstacle.reason == Reason.SUSPENDED:
            return None
        started_at = pods.started_at(self.pod, self.attempt.container)
        if started_at is not None:
            return parse_time(started_at) + timedelta(seconds=limits.run)
        seconds = limits.start
        if seconds is None:
            return None
        if self.obstacle is not None and limits.obstacle is not None:
            seconds = min(seconds, limits.obstacle)
        return parse_time(job.status.start_time) + timedelta(seconds=seconds)

    @property
    def overdue(self) -> bool:
        return self.deadline is not None and self.deadline <= self.attempt.now


_CHECKS: tuple[tuple[JobState, Callable[[_View], bool]], ...] = (
    (JobState.KEPT, lambda view: view.attempt.kept),
    (JobState.OBSTRUCTED, lambda view: view.job is None and view.attempt.alone and bool(view.stale)),
    (JobState.ABSENT_NOT_DUE, lambda view: view.job is None and view.waits),
    (JobState.ABSENT_DUE, lambda view: view.job is None),
    (JobState.RECORDED_FAILURE, lambda view: view.recorded and view.waits),
    (JobState.DELETING, lambda view: view.deleting),
    (JobState.RETRY_DUE, lambda view: view.recorded),
    (JobState.UNREAD, lambda view: view.unread),
    (JobState.JUST_ENDED, lambda view: view.end is not None),
    (JobState.SUSPENDED, lambda view: view.suspended),
    (JobState.OVERDUE, lambda view: view.overdue),
    (JobState.RUNNING, lambda _: True),
)
"""The first that holds is the state."""


def _view(attempt: Attempt) -> _View:
    job = next((job for job in attempt.jobs if job.metadata.name == attempt.job_name), None)
    pod = pods.youngest(attempt.pods)
    return _View(
        attempt=attempt,
        job=job,
        stale=tuple(each for each in attempt.jobs if each is not job),
        pod=pod,
        end=end_of(job, pod, attempt.container, attempt.now) if job is not None else None,
        obstacle=_obstacle(attempt, pod),
    )


def _obstacle(attempt: Attempt, pod: Pod | None) -> Verdict | None:
    if pod is not None:
        # What keeps a sidecar waiting is no concern of a container that runs.
        started = pods.has_started(pod, attempt.container)
        return None if started else pods.waiting((pod,), attempt.pod_words, now=attempt.now)
    if attempt.refusal:
        return Verdict(Reason.JOB_REFUSED, f"{attempt.pod_words} was refused: {one_line(attempt.refusal)}")
    return None


def _own_removal(view: _View, state: JobState) -> tuple[Job, ...]:
    """Return the current Job if it has to go."""
    job = view.job
    if job is None:
        return ()
    # Nothing else ends a Job that is overdue, or that sidecars keep running.
    lingers = state is JobState.RECORDED_FAILURE and not readings.finished(job)
    outlived = state is JobState.KEPT and _sidecar_seconds_left(view) == 0
    return (job,) if lingers or outlived or state is JobState.RETRY_DUE else ()


def _requeue_after_seconds(view: _View, state: JobState) -> float | None:
    attempt = view.attempt
    match state:
        case JobState.KEPT:
            return _sidecar_seconds_left(view) or None
        case JobState.ABSENT_NOT_DUE | JobState.RECORDED_FAILURE:
            return view.seconds_to_retry
        case JobState.RUNNING:
            due = view.deadline
            left = None if due is None else (due - attempt.now).total_seconds()
            held = pods.seconds_until_held_up(view.pod, attempt.now)
            return min((seconds for seconds in (left, held) if seconds is not None), default=None)
        case _:
            return None


def _sidecar_seconds_left(view: _View) -> float | None:
    """Return how long the sidecars of an ended container may still run; None where none is left."""
    if view.job is None or view.end is None or readings.finished(view.job):
        return None
    return max(0.0, SIDECAR_SECONDS - _seconds_since(view.end.at, view.attempt.now))


def _seconds_since(at: str, now: datetime) -> float:
    return (now - parse_time(at)).total_seconds()
