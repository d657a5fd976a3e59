"""What the states of a download Job mean for its cache: its status, its progress, the files on its claim.

Where the Job stands is decided in core/jobs/machine.py, which discoveries share. Called by the cache's plan
once the claim can be used.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct, structs

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.plan import Child, LogSource
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, CacheProgress, Download, ExistingClaim
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import pods, remedies
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig, kind_of
from aim_operator.core.environment import origin
from aim_operator.core.jobs import attempts, machine, readings, rendering
from aim_operator.core.jobs.machine import Attempt, Deadlines, JobState, JobStep
from aim_operator.core.manifests import owner_reference
from aim_operator.core.messages import one_line
from aim_operator.core.model_cache import desired, expansion, listing, obstacles, report
from aim_operator.core.model_cache.desired import CONTAINER, DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.placement import Place
from aim_operator.core.model_cache.step import Step
from aim_operator.core.naming import download_job_name
from aim_operator.core.pods import Verdict

_POD = "the download Pod"
ON_VOLUME = "all files are on the volume and verified"


class Inputs(Struct, frozen=True, kw_only=True):
    """What the states are read from. `old` is the cache's status as it was, about this very claim."""

    observed: ModelCacheObserved
    claim: PersistentVolumeClaim
    config: RuntimeConfig
    digest: str
    """Of all that the download depends on, `digests.download`."""
    place: Place | None = None
    old: AIMModelCacheStatus
    now: datetime
    options: DownloadOptions


def is_complete(download: Download | None, claim: PersistentVolumeClaim) -> bool:
    """Whether the files are on this claim. What was once complete stays so, whatever changes after."""
    return (
        download is not None
        and (download.attempts or 0) == 0
        and download.last_attempt_time is not None
        and download.claim_uid == claim.metadata.uid
    )


def job_step(
    observed: ModelCacheObserved,
    claim: PersistentVolumeClaim,
    digest: str,
    record: Download | None,
    now: datetime,
) -> JobStep:
    """Return where the download Job of the current inputs stands."""
    config = observed.runtime_config
    run = desired.DEADLINE_SECONDS
    if not isinstance(config, MissingRuntimeConfig):
        run = desired.run_seconds(config)
    return machine.step(
        Attempt(
            job_name=download_job_name(observed.cache.metadata.name, digest),
            digest=digest,
            record=record,
            kept=is_complete(record, claim),
            jobs=observed.jobs,
            pods=observed.pods,
            refusal=observed.refusal,
            unread=observed.unread,
            container=CONTAINER,
            pod_words=_POD,
            now=now,
            deadlines=Deadlines(run=run),
            alone=True,
        )
    )


def next_step(inputs: Inputs) -> Step:
    """Return where the download of the current inputs stands; Jobs of earlier inputs are removed."""
    job = job_step(inputs.observed, inputs.claim, inputs.digest, inputs.old.download, inputs.now)
    step = _MEANING[job.state](inputs, job)
    return structs.replace(
        step,
        blocker=job.awaited,
        removals=job.removals,
        requeue_after_seconds=(
            job.requeue_after_seconds if step.requeue_after_seconds is None else step.requeue_after_seconds
        ),
    )


def log_to_follow(observed: ModelCacheObserved) -> LogSource | None:
    """Return the log of the running download, which alone tells how far it is.

    None once its container has ended, whatever else runs in the Pod: nothing more is written to the log.
    """
    # Before there is a claim it is the listing's Pod, which has no container of that name.
    pod = pods.youngest(observed.pods) if not listing.is_needed(observed) else None
    if pod is None or not pods.is_running(pod, CONTAINER):
        return None
    return LogSource(pod.metadata.namespace, pod.metadata.name, pod.metadata.uid, CONTAINER)


def available(
    download: Download | None,
    progress: CacheProgress | None,
    *,
    finished_at: str = "",
    message: str = ON_VOLUME,
) -> Step:
    """Return the step of a cache whose files are all there."""
    return Step(
        state=State.AVAILABLE,
        reason=Reason.DOWNLOADED,
        message=message,
        download=download,
        progress=progress,
        started=True,
        finished_at=finished_at,
    )


def progress_of(previous: CacheProgress | None, reported: report.Progress | None) -> CacheProgress | None:
    """Return the progress to write: it never falls, and is 100 % only where everything is verified.

    It changes only when its percentage does: a download costs at most a hundred status writes.
    """
    if reported is None:
        return previous
    before = previous if previous is not None else CacheProgress()
    downloaded = min(max(before.downloaded_bytes or 0, reported.downloaded_bytes), reported.total_bytes)
    share = downloaded * 100 // reported.total_bytes if reported.total_bytes else 0
    percentage = max(before.percentage or 0, min(share, 99))
    if (before.total_bytes, before.percentage) == (reported.total_bytes, percentage):
        return previous
    return CacheProgress(total_bytes=reported.total_bytes, downloaded_bytes=downloaded, percentage=percentage)


def _kept(inputs: Inputs, step: JobStep) -> Step:
    """Keep the files. The Job may now go, after a while for whoever wants its log."""
    kept = available(inputs.old.download, inputs.old.progress, message=_where(inputs.old.download, inputs))
    if step.job is None:
        return kept
    cache = inputs.observed.cache
    owner = owner_reference(API_VERSION, kind_of(cache), cache.metadata)
    return structs.replace(kept, children=rendering.expiring(step.job, owner, inputs.options.ttl_seconds))


def _where(download: Download | None, inputs: Inputs) -> str:
    """Say where all files are; of a claim that is not the operator's, what the check found."""
    existing = inputs.observed.cache.spec.existing_claim
    return ON_VOLUME if existing is None else checked(download, existing)


def checked(download: Download | None, existing: ExistingClaim) -> str:
    """Say what the check of a claim found that is not the operator's."""
    found = (download.message if download is not None else None) or "all files are there"
    return f"claim {existing.name!r}: {found}"


def _obstructed(inputs: Inputs, _: JobStep) -> Step:
    return _waiting(inputs, "waiting for the download with earlier inputs to be gone")


def _absent_due(inputs: Inputs, _: JobStep) -> Step:
    slot = inputs.observed.slot
    if not slot.granted:
        waiting = _waiting(inputs, slot.message)
        return structs.replace(waiting, state=State.PENDING, reason=Reason.AWAITING_DOWNLOAD_SLOT)
    job = _job(inputs)
    return structs.replace(_waiting(inputs, f"download Job {job.name} is starting"), children=(job,))


def _deleting(inputs: Inputs, _: JobStep) -> Step:
    return _waiting(inputs, "waiting for the previous download Job to be gone")


def _running(inputs: Inputs, step: JobStep) -> Step:
    waiting = structs.replace(
        _waiting(inputs, f"{_POD} is starting"),
        progress=progress_of(inputs.old.progress, inputs.observed.progress),
    )
    if step.obstacle is not None:
        reason, message = obstacles.latest(step.obstacle, inputs.old)
        reason = Reason.DOWNLOAD_PENDING if reason == Reason.JOB_PENDING else reason
        state, seconds = obstacles.state_while_waiting(reason, step.live_job, inputs.now)
        return structs.replace(
            waiting, state=state, reason=reason, message=message, requeue_after_seconds=seconds
        )
    if step.started:
        return structs.replace(
            waiting, reason=Reason.DOWNLOADING, message="the download is running", started=True
        )
    return waiting


def _suspended(inputs: Inputs, step: JobStep) -> Step:
    waiting = _waiting(inputs, readings.suspension(step.live_job))
    return structs.replace(waiting, state=State.PENDING, reason=Reason.SUSPENDED)


def _unread(inputs: Inputs, _: JobStep) -> Step:
    words = one_line(str(inputs.observed.unread))
    message = f"the download has ended; its Pod can't be looked up yet: {words}"
    return structs.replace(_waiting(inputs, message), unread=inputs.observed.unread)


def _just_ended(inputs: Inputs, step: JobStep) -> Step:
    observed, old, digest = inputs.observed, inputs.old, inputs.digest
    word = report.last_word(step.pod, CONTAINER) or report.LastWord()
    progress = progress_of(old.progress, word.progress or observed.progress)
    if step.succeeded:
        download = Download(
            spec_hash=digest,
            attempts=0,
            last_attempt_time=step.ended_at,
            claim_uid=inputs.claim.metadata.uid,
            origin=origin(observed.cache.spec.source_uri, desired.env(observed.cache, inputs.config)),
            revision=word.revision or None,
            message=(word.message or None) if observed.cache.spec.existing_claim is not None else None,
        )
        where = _where(download, inputs)
        done = available(download, _whole(progress), finished_at=step.ended_at, message=where)
        return structs.replace(done, contents=word.contents)
    verdict = word.failure or _unexplained(step)
    return _failed(inputs, step, Verdict(verdict.reason, remedies.of_volume(verdict.message)), word.progress)


def _overdue(inputs: Inputs, step: JobStep) -> Step:
    """Record the failure; only then the Job is deleted, so that no crash in between forgets it."""
    within = obstacles.duration(desired.run_seconds(inputs.config))
    message = (
        f"the download did not end within {within}, and is continued by the next attempt; see what slows it, "
        "or raise jobs.download.deadlineSeconds in the runtime configuration"
    )
    return _failed(inputs, step, Verdict(Reason.DEADLINE_EXCEEDED, message), None)


def _failed(inputs: Inputs, step: JobStep, verdict: Verdict, said: report.Progress | None) -> Step:
    """Record an attempt that failed, `said` being its last word on how far it got."""
    if verdict.reason == Reason.INSUFFICIENT_SPACE:
        verdict = verdict._replace(message=f"{verdict.message}; {expansion.remedy(inputs.observed)}")
    old, digest = inputs.old, inputs.digest
    progress = progress_of(old.progress, said or inputs.observed.progress)
    downloaded = _downloaded_bytes(progress, said)
    further = {"attempts": 1} if _got_further(old.download, digest, downloaded) else {}
    record = attempts.failure(
        Download,
        old.download,
        digest,
        step.live_job,
        now=inputs.now,
        message=verdict.message,
        claim_uid=inputs.claim.metadata.uid,
        downloaded_bytes=downloaded,
        reason=verdict.reason,
        **further,
    )
    return Step(
        state=State.FAILED,
        reason=verdict.reason,
        message=verdict.message,
        download=record,
        progress=progress,
        requeue_after_seconds=attempts.seconds_to_retry(record, digest, inputs.now),
    )


def _still_failed(inputs: Inputs, _: JobStep) -> Step:
    record = inputs.old.download or Download()
    return Step(
        state=State.FAILED,
        reason=(Reason.DOWNLOAD_FAILED if record.reason is None else record.reason),
        message=record.message or "the download failed",
        download=record,
        progress=inputs.old.progress,
    )


_MEANING: dict[JobState, Callable[[Inputs, JobStep], Step]] = {
    JobState.KEPT: _kept,
    JobState.OBSTRUCTED: _obstructed,
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


def _job(inputs: Inputs) -> Child:
    return desired.job(
        inputs.observed.cache,
        inputs.config,
        inputs.claim,
        inputs.options,
        digest=inputs.digest,
        place=inputs.place,
    )


def _waiting(inputs: Inputs, message: str) -> Step:
    return Step(
        state=State.PROGRESSING,
        reason=Reason.DOWNLOAD_PENDING,
        message=message,
        download=inputs.old.download,
        progress=inputs.old.progress,
    )


def _unexplained(step: JobStep) -> Verdict:
    job = step.live_job
    message = f"download Job {job.metadata.name} failed: {readings.failure_message(job)}"
    return Verdict(Reason.DOWNLOAD_FAILED, pods.other_cause(step.pod, CONTAINER, _POD) or message)


def _whole(progress: CacheProgress | None) -> CacheProgress:
    total = progress.total_bytes if progress is not None else None
    return CacheProgress(total_bytes=total, downloaded_bytes=total, percentage=100)


def _downloaded_bytes(progress: CacheProgress | None, reported: report.Progress | None) -> int:
    """Return how many bytes are on the volume, to the byte where the download said so at its end."""
    written = (progress.downloaded_bytes or 0) if progress is not None else 0
    return max(written, reported.downloaded_bytes) if reported is not None else written


def _got_further(record: Download | None, digest: str, downloaded: int) -> bool:
    """Whether this attempt got further than the one before: such a download will end some day."""
    before = 0
    if record is not None and record.spec_hash == digest:
        before = record.downloaded_bytes or 0
    return downloaded > before
