"""The size of a source that nobody knows: a short Job asks for it before there is a claim.

It runs with the credentials, the image and the settings of the download, and leaves its answer in its Pod's
termination message. Where the Job stands is decided in core/jobs/machine.py.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct, structs

from aim_operator.api.external import JOBS
from aim_operator.api.plan import Removal
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, Listing, Quantity
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import pods
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.jobs import attempts, machine, readings
from aim_operator.core.jobs.machine import Attempt, Deadlines, JobState, JobStep
from aim_operator.core.messages import one_line
from aim_operator.core.model_cache import desired, obstacles, report
from aim_operator.core.model_cache.desired import LISTING_CONTAINER, DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.step import Step
from aim_operator.core.naming import listing_job_name
from aim_operator.core.pods import Verdict

_POD = "the listing Pod"
DEADLINE_SECONDS = 3600
"""How long a source may take to name its files."""
_OF_DOWNLOADS = (Reason.DOWNLOAD_FAILED, Reason.STALLED, Reason.INSUFFICIENT_SPACE)


class Inputs(Struct, frozen=True, kw_only=True):
    observed: ModelCacheObserved
    config: RuntimeConfig
    digest: str
    """Of all that the listing depends on, `digests.listing`."""
    old: AIMModelCacheStatus
    now: datetime
    options: DownloadOptions


def is_needed(observed: ModelCacheObserved) -> bool:
    """Whether the claim can't be made before the source has reported how large its files are."""
    return (
        observed.claim is None
        and observed.cache.spec.size is None
        and observed.cache.spec.existing_claim is None
        and not isinstance(observed.runtime_config, MissingRuntimeConfig)
    )


def leftovers(observed: ModelCacheObserved) -> tuple[Removal, ...]:
    """Remove the listing's Jobs, once what they found is in the status or not needed."""
    return tuple(
        Removal(resource=JOBS, live=job)
        for job in observed.listing_jobs
        if job.metadata.deletion_timestamp is None
    )


def job_step(observed: ModelCacheObserved, digest: str, old: AIMModelCacheStatus, now: datetime) -> JobStep:
    """Return where the listing Job of the current inputs stands."""
    return machine.step(
        Attempt(
            job_name=listing_job_name(observed.cache.metadata.name, digest),
            digest=digest,
            record=old.listing,
            kept=attempts.succeeded(old.listing, digest),
            jobs=observed.listing_jobs,
            pods=observed.pods,
            refusal=observed.refusal,
            unread=observed.unread,
            container=LISTING_CONTAINER,
            pod_words=_POD,
            now=now,
            deadlines=Deadlines(run=DEADLINE_SECONDS),
        )
    )


def is_done(of: Step | AIMModelCacheStatus, digest: str) -> bool:
    """Whether `of.listing` knows the size, for these inputs."""
    return attempts.succeeded(of.listing, digest)


def known_size(observed: ModelCacheObserved, old: AIMModelCacheStatus, digest: str) -> Quantity | None:
    """Return how large the files are, as the cache or its source says; None while that is not known."""
    if observed.cache.spec.size is not None:
        return observed.cache.spec.size
    return old.listing.total_bytes if old.listing is not None and is_done(old, digest) else None


def next_step(inputs: Inputs) -> Step:
    """Return where the listing stands."""
    job = job_step(inputs.observed, inputs.digest, inputs.old, inputs.now)
    step = _MEANING[job.state](inputs, job)
    return structs.replace(
        step,
        blocker=job.awaited,
        removals=(*job.removals, *step.removals),
        requeue_after_seconds=(
            job.requeue_after_seconds if step.requeue_after_seconds is None else step.requeue_after_seconds
        ),
    )


def _kept(inputs: Inputs, _: JobStep) -> Step:
    return Step(
        state=State.PENDING,
        reason=Reason.PROVISIONING,
        message="the source has reported how large its files are",
        listing=inputs.old.listing,
        removals=leftovers(inputs.observed),
    )


def _absent_due(inputs: Inputs, _: JobStep) -> Step:
    job = desired.listing_job(inputs.observed.cache, inputs.config, inputs.options, digest=inputs.digest)
    return structs.replace(_waiting(inputs, f"listing Job {job.name} is starting"), children=(job,))


def _deleting(inputs: Inputs, _: JobStep) -> Step:
    return _waiting(inputs, "waiting for the previous listing Job to be gone")


def _running(inputs: Inputs, step: JobStep) -> Step:
    if step.obstacle is not None:
        reason, message = obstacles.latest(step.obstacle, inputs.old)
        reason = Reason.LISTING if reason == Reason.JOB_PENDING else reason
        state, seconds = obstacles.state_while_waiting(reason, step.live_job, inputs.now)
        waiting = structs.replace(_waiting(inputs, message), state=state, reason=reason)
        return structs.replace(waiting, requeue_after_seconds=seconds)
    uri = inputs.observed.cache.spec.source_uri
    return _waiting(inputs, f"asking {uri} for its files" if step.started else f"{_POD} is starting")


def _suspended(inputs: Inputs, step: JobStep) -> Step:
    waiting = _waiting(inputs, readings.suspension(step.live_job))
    return structs.replace(waiting, state=State.PENDING, reason=Reason.SUSPENDED)


def _unread(inputs: Inputs, _: JobStep) -> Step:
    words = one_line(str(inputs.observed.unread))
    message = f"the listing has ended; its Pod can't be looked up yet: {words}"
    return structs.replace(_waiting(inputs, message), unread=inputs.observed.unread)


def _just_ended(inputs: Inputs, step: JobStep) -> Step:
    word = report.last_word(step.pod, LISTING_CONTAINER) or report.LastWord()
    if step.succeeded and word.contents is not None:
        kept = Listing(
            spec_hash=inputs.digest,
            attempts=0,
            last_attempt_time=step.ended_at,
            total_bytes=word.contents.total_bytes,
            revision=word.revision or None,
        )
        done = _kept(inputs, step)
        # Its Job is removed once the status has what it found.
        return structs.replace(done, listing=kept, contents=word.contents, removals=())
    return _failed(inputs, step, word.failure or _unexplained(step))


def _overdue(inputs: Inputs, step: JobStep) -> Step:
    """Record the failure; only then the Job is deleted, so that no crash in between forgets it."""
    message = f"the source did not name its files within {obstacles.duration(DEADLINE_SECONDS)}"
    return _failed(inputs, step, Verdict(Reason.LISTING_FAILED, message))


def _failed(inputs: Inputs, step: JobStep, verdict: Verdict) -> Step:
    reason = Reason.LISTING_FAILED if verdict.reason in _OF_DOWNLOADS else verdict.reason
    record = attempts.failure(
        Listing,
        inputs.old.listing,
        inputs.digest,
        step.live_job,
        now=inputs.now,
        message=verdict.message,
        reason=reason,
    )
    return Step(
        state=State.FAILED,
        reason=reason,
        message=verdict.message,
        listing=record,
        requeue_after_seconds=attempts.seconds_to_retry(record, inputs.digest, inputs.now),
    )


def _still_failed(inputs: Inputs, _: JobStep) -> Step:
    record = inputs.old.listing or Listing()
    return Step(
        state=State.FAILED,
        reason=(Reason.LISTING_FAILED if record.reason is None else record.reason),
        message=record.message or "the source can't be listed",
        listing=record,
    )


_MEANING: dict[JobState, Callable[[Inputs, JobStep], Step]] = {
    JobState.KEPT: _kept,
    JobState.ABSENT_NOT_DUE: _still_failed,
    JobState.ABSENT_DUE: _absent_due,
    JobState.RECORDED_FAILURE: _still_failed,
    JobState.DELETING: _deleting,
    JobState.RETRY_DUE: _still_failed,
    JobState.UNREAD: _unread,
    JobState.JUST_ENDED: _just_ended,
    JobState.SUSPENDED: _suspended,
    JobState.OVERDUE: _overdue,
    JobState.RUNNING: _running,
}
"""OBSTRUCTED is for Jobs that must be alone."""


def _waiting(inputs: Inputs, message: str) -> Step:
    """Wait, and meanwhile keep in words why the last attempt failed."""
    record = inputs.old.listing or Listing()
    failed = attempts.failed_attempts(record, inputs.digest)
    before = f"; attempt {failed} failed: {record.message or ''}" if failed else ""
    return Step(
        state=State.PROGRESSING,
        reason=Reason.LISTING,
        message=f"{message}{before}",
        listing=inputs.old.listing,
    )


def _unexplained(step: JobStep) -> Verdict:
    job = step.live_job
    if step.succeeded:
        message = f"listing Job {job.metadata.name} has ended without saying how large the files are"
    else:
        message = f"listing Job {job.metadata.name} failed: {readings.failure_message(job)}"
    return Verdict(Reason.LISTING_FAILED, pods.other_cause(step.pod, LISTING_CONTAINER, _POD) or message)
