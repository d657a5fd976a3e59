"""One download attempt: from no Job to the files, or to a failure and the wait for the next.

Owns which Job is to be there and what its end means. Called by the cache's plan once the claim can be used.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, Struct, UnsetType, structs

from aim_operator.api.external import JOBS, Job, PersistentVolumeClaim
from aim_operator.api.meta import given
from aim_operator.api.plan import Child, LogSource, Removal
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, CacheProgress, Download
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import attempts, conditions, pods
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.messages import one_line
from aim_operator.core.model_cache import desired, report
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.naming import download_job_name

_POD = "the download Pod"
POD_PATIENCE_SECONDS = 600
"""How long the Pod of a finished download is asked for, which alone says what came of it."""


class Case(Struct, frozen=True, kw_only=True):
    """Where the cache stands, before it is written down as a status."""

    state: str
    reason: str
    message: str
    download: Download | UnsetType = UNSET
    progress: CacheProgress | UnsetType = UNSET
    started: bool = False
    """A download of these files is, or was, under way."""
    finished_at: str = ""
    children: tuple[Child, ...] = ()
    removals: tuple[Removal, ...] = ()
    requeue_after_seconds: float | None = None


class Inputs(Struct, frozen=True, kw_only=True):
    """What the cases read. `old` is the cache's status as it was, about this very claim."""

    observed: ModelCacheObserved
    claim: PersistentVolumeClaim
    config: RuntimeConfig
    digest: str
    """Of all that the download depends on, `desired.digest`."""
    old: AIMModelCacheStatus
    now: datetime
    options: DownloadOptions


def complete(download: Download | UnsetType, claim: PersistentVolumeClaim) -> bool:
    """Whether the files are on this claim. What was once complete stays so, whatever changes after."""
    return (
        download is not UNSET
        and given(download.attempts, 0) == 0
        and download.last_attempt_time is not UNSET
        and download.claim_uid == claim.metadata.uid
    )


def case(inputs: Inputs) -> Case:
    """Return where the download of the current inputs stands; Jobs of earlier inputs are removed."""
    observed, old = inputs.observed, inputs.old
    name = download_job_name(observed.cache.metadata.name, inputs.digest)
    job = next((j for j in observed.jobs if j.metadata.name == name), None)
    stale = [j for j in observed.jobs if j is not job]
    if complete(old.download, inputs.claim):
        found = _kept(inputs, job)
    elif stale and job is None:
        # Two downloads at once would only get in each other's way.
        found = _waiting(inputs, "waiting for the download with earlier inputs to be gone")
    else:
        found = _case(inputs, job)
    gone = tuple(_removal(j) for j in stale if j.metadata.deletion_timestamp is None)
    return structs.replace(found, removals=(*found.removals, *gone))


def _case(inputs: Inputs, job: Job | None) -> Case:
    if job is None:
        return _without_job(inputs)
    if job.metadata.deletion_timestamp is not None:
        return _waiting(inputs, "waiting for the previous download Job to be gone")
    if pods.finished(job):
        return _with_finished_job(inputs, job)
    return _with_running_job(inputs)


def _removal(job: Job) -> Removal:
    return Removal(resource=JOBS, live=job)


def _job(inputs: Inputs, *, ttl_seconds: int | None = None) -> Child:
    return desired.job(
        inputs.observed.cache,
        inputs.config,
        inputs.claim,
        inputs.options,
        digest=inputs.digest,
        ttl_seconds=ttl_seconds,
    )


def _waiting(inputs: Inputs, message: str) -> Case:
    return Case(
        state=State.PROGRESSING,
        reason=Reason.DOWNLOAD_PENDING,
        message=message,
        download=inputs.old.download,
        progress=inputs.old.progress,
    )


def _kept(inputs: Inputs, job: Job | None) -> Case:
    """The files are there. The Job may now go, after a while for whoever wants its log."""
    kept = available(inputs.old.download, inputs.old.progress)
    if job is None or not pods.finished(job) or job.metadata.deletion_timestamp is not None:
        return kept
    # One that was rendered otherwise by another version takes no TTL, and would stay for good.
    job_with_ttl = structs.replace(_job(inputs, ttl_seconds=inputs.options.ttl_seconds), disposable=True)
    return structs.replace(kept, children=(job_with_ttl,))


def available(
    download: Download | UnsetType, progress: CacheProgress | UnsetType, *, finished_at: str = ""
) -> Case:
    """Return the case of a cache whose files are all there."""
    return Case(
        state=State.AVAILABLE,
        reason=Reason.DOWNLOADED,
        message="all files are on the volume and verified",
        download=download,
        progress=progress,
        started=True,
        finished_at=finished_at,
    )


def _without_job(inputs: Inputs) -> Case:
    old, digest = inputs.old, inputs.digest
    due = attempts.retry_at(old.download, digest)
    if due is not None and due > inputs.now:
        return _still_failed(old, requeue_after_seconds=(due - inputs.now).total_seconds())
    job = _job(inputs)
    return structs.replace(_waiting(inputs, f"download Job {job.name} is starting"), children=(job,))


def log_to_follow(observed: ModelCacheObserved) -> LogSource | None:
    """Return the log of the running download, which alone tells how far it is."""
    running = next((pod for pod in observed.pods if pods.is_running(pod)), None)
    if running is None:
        return None
    metadata = running.metadata
    return LogSource(metadata.namespace, metadata.name, metadata.uid, desired.CONTAINER)


def _with_running_job(inputs: Inputs) -> Case:
    observed = inputs.observed
    case = structs.replace(
        _waiting(inputs, f"{_POD} is starting"), progress=progress_of(inputs.old.progress, observed.progress)
    )
    trouble = pods.waiting(observed.pods, _POD)
    if trouble is not None:
        reason = Reason.DOWNLOAD_PENDING if trouble.reason == Reason.JOB_PENDING else trouble.reason
        return structs.replace(case, reason=reason, message=trouble.message)
    if observed.refusal:
        said = f"{_POD} was refused: {one_line(observed.refusal)}"
        return structs.replace(case, reason=Reason.JOB_REFUSED, message=said)
    if pods.running(observed.pods):
        return structs.replace(
            case, reason=Reason.DOWNLOADING, message="the download is running", started=True
        )
    return case


def progress_of(old: CacheProgress | UnsetType, seen: report.Progress | None) -> CacheProgress | UnsetType:
    """Return the progress to tell: it never falls, and is 100 % only where everything is verified."""
    if seen is None:
        return old
    before = given(old.downloaded_bytes, 0) if old is not UNSET else 0
    downloaded = min(max(before, seen.downloaded_bytes), seen.total_bytes)
    share = downloaded * 100 // seen.total_bytes if seen.total_bytes else 0
    earlier = given(old.percentage, 0) if old is not UNSET else 0
    return CacheProgress(
        total_bytes=seen.total_bytes,
        downloaded_bytes=downloaded,
        percentage=max(earlier, min(share, 99)),
    )


def _with_finished_job(inputs: Inputs, job: Job) -> Case:
    observed, old, digest = inputs.observed, inputs.old, inputs.digest
    ended_at = pods.ended_at(job)
    if attempts.recorded(old.download, digest, ended_at):
        return _recorded_failure(inputs, job)
    if observed.unread is not None and _is_recent(ended_at, inputs.now):
        words = one_line(str(observed.unread))
        return _waiting(inputs, f"the download has ended; its Pod can't be looked up yet: {words}")
    word = report.last_word(observed.pods) or report.LastWord()
    download = Download(
        spec_hash=digest,
        attempts=0,
        last_attempt_time=ended_at,
        claim_uid=inputs.claim.metadata.uid,
        revision=word.revision or UNSET,
    )
    progress = progress_of(old.progress, word.progress or observed.progress)
    if pods.job_condition(job, "Complete") is not None:
        return available(download, _whole(progress), finished_at=ended_at)
    verdict = word.failure or _unexplained(job)
    downloaded = given(progress.downloaded_bytes, 0) if progress is not UNSET else 0
    failed = structs.replace(
        download,
        attempts=1 if _got_further(old.download, digest, downloaded) else _failures(old, digest) + 1,
        downloaded_bytes=downloaded,
        reason=verdict.reason,
        message=verdict.message,
        revision=UNSET,
    )
    due = attempts.retry_at(failed, digest)
    return Case(
        state=State.FAILED,
        reason=verdict.reason,
        message=verdict.message,
        download=failed,
        progress=progress,
        requeue_after_seconds=max(0.0, (due - inputs.now).total_seconds()) if due else None,
    )


def _is_recent(ended_at: str, now: datetime) -> bool:
    return (now - conditions.parse_time(ended_at)).total_seconds() < POD_PATIENCE_SECONDS


def _recorded_failure(inputs: Inputs, job: Job) -> Case:
    """Tell of a failure that is written down. The Job stays, for its log, until its retry is due."""
    old, now = inputs.old, inputs.now
    due = attempts.retry_at(old.download, inputs.digest)
    if due is not None and due > now:
        return _still_failed(old, requeue_after_seconds=(due - now).total_seconds())
    return structs.replace(_still_failed(old), removals=(_removal(job),))


def _unexplained(job: Job) -> pods.Verdict:
    condition = pods.job_condition(job, "Failed")
    said = one_line(condition.message or condition.reason) if condition else ""
    return pods.Verdict(
        Reason.DOWNLOAD_FAILED, f"download Job {job.metadata.name} failed: {said or 'no message was given'}"
    )


def _whole(progress: CacheProgress | UnsetType) -> CacheProgress:
    total = progress.total_bytes if progress is not UNSET else UNSET
    return CacheProgress(total_bytes=total, downloaded_bytes=total, percentage=100)


def _failures(old: AIMModelCacheStatus, digest: str) -> int:
    return attempts.failed_attempts(old.download, digest)


def _got_further(known: Download | UnsetType, digest: str, downloaded: int) -> bool:
    """Whether this attempt got further than the one before: such a download will end some day."""
    before = 0
    if known is not UNSET and known.spec_hash == digest:
        before = given(known.downloaded_bytes, 0)
    return downloaded > before


def _still_failed(old: AIMModelCacheStatus, *, requeue_after_seconds: float | None = None) -> Case:
    known = given(old.download, Download())
    return Case(
        state=State.FAILED,
        reason=given(known.reason, Reason.DOWNLOAD_FAILED),
        message=given(known.message, "") or "the download failed",
        download=known,
        progress=old.progress,
        requeue_after_seconds=requeue_after_seconds,
    )
