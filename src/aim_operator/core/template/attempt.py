"""One discovery attempt: from no Job to its result, or to its failure and the wait for the next.

Owns which Job is to be there and what its end means. Called by the template's plan once image and
configuration are found.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, UnsetType, structs

from aim_operator.api.external import JOBS, Job
from aim_operator.api.meta import Manifest, given
from aim_operator.api.plan import Child, Removal
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import attempts, conditions, pods
from aim_operator.core.catalog import Image, RuntimeConfig
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.messages import one_line
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.template import desired, discovery
from aim_operator.core.template.failure import failure, no_match
from aim_operator.core.template.observed import OutputPending, OutputUnreadable, TemplateObserved
from aim_operator.core.template.status import Case

_PULLS = (Reason.IMAGE_PULL_AUTH_FAILED, Reason.IMAGE_PULL_FAILED)
_LASTING = (*_PULLS, Reason.UNSCHEDULABLE, Reason.JOB_REFUSED)
"""What keeps a Pod from starting, until the Job's deadline if need be."""


FINAL = frozenset({Reason.NO_MATCHING_PROFILE})
"""What another try does not change: until an input does, nothing is tried."""
LOG_PATIENCE_SECONDS = 600
"""How long the log of a finished dry run is asked for. After that the attempt has failed: another Pod may run
on a node whose kubelet answers."""


class DiscoveryOptions(Struct, frozen=True, kw_only=True):
    """What an administrator chooses about discovery Jobs."""

    requests: Manifest
    ttl_seconds: int = 600


class Inputs(Struct, frozen=True, kw_only=True):
    """What the cases read. `old` is the template's status as it was."""

    observed: TemplateObserved
    image: Image
    config: RuntimeConfig
    old: AIMServiceTemplateStatus
    now: datetime
    options: DiscoveryOptions


def case(inputs: Inputs) -> Case:
    """Return where the discovery of the current inputs stands; Jobs of earlier inputs are removed."""
    observed = inputs.observed
    current = discovery_job_name(observed.template.metadata.name, observed.digest)
    job = next((j for j in observed.jobs if j.metadata.name == current), None)
    found = _case(inputs, job)
    # They only waste a slot; and their result, if they had one, is not wanted any more.
    stale = tuple(
        _removal(j) for j in observed.jobs if j is not job and j.metadata.deletion_timestamp is None
    )
    return structs.replace(found, removals=(*found.removals, *stale))


def _case(inputs: Inputs, job: Job | None) -> Case:
    old = inputs.old
    if attempts.succeeded(old.discovery, inputs.observed.digest):
        return _kept(inputs, job)
    if job is None:
        return _without_job(inputs)
    if job.metadata.deletion_timestamp is not None:
        return Case(
            state=State.PENDING,
            reason=Reason.JOB_PENDING,
            message="waiting for the previous discovery Job to be gone",
            discovery=old.discovery,
        )
    if pods.finished(job):
        return _with_finished_job(inputs, job)
    return _with_running_job(inputs.observed, old)


def _removal(job: Job) -> Removal:
    return Removal(resource=JOBS, live=job)


def _kept(inputs: Inputs, job: Job | None) -> Case:
    """Its result is in status. The Job may now go, after a while for whoever wants its log."""
    case = _available(inputs.observed, inputs.old.discovery)
    if job is None or not pods.finished(job) or job.metadata.deletion_timestamp is not None:
        return case
    # A Pod template is immutable: a Job that was rendered otherwise (by another version, with other flags)
    # takes no TTL, and would stay for good.
    job_with_ttl = structs.replace(_job(inputs, ttl_seconds=inputs.options.ttl_seconds), disposable=True)
    return structs.replace(case, children=(job_with_ttl,))


def _job(inputs: Inputs, *, ttl_seconds: int | None = None) -> Child:
    return desired.job(
        inputs.observed.template,
        inputs.image,
        inputs.config,
        namespace=inputs.observed.discovery_namespace,
        digest=inputs.observed.digest,
        requests=inputs.options.requests,
        ttl_seconds=ttl_seconds,
    )


def _available(
    observed: TemplateObserved,
    bookkeeping: Discovery | UnsetType,
    *,
    result: DiscoveryResult | None = None,
) -> Case:
    return Case(
        state=State.AVAILABLE,
        reason=Reason.AVAILABLE,
        message=f"discovered with image {observed.image.spec.image}" if observed.image else "",
        discovery=bookkeeping,
        result=result,
    )


def _without_job(inputs: Inputs) -> Case:
    observed, old = inputs.observed, inputs.old
    due = attempts.retry_at(old.discovery, observed.digest)
    if due is not None and _is_final(old):
        return _still_failed(old)
    if due is not None and due > inputs.now:
        return _still_failed(old, requeue_after_seconds=(due - inputs.now).total_seconds())
    if not observed.slot.granted:
        # How many are ahead is not said: it would be wrong a second later, or a write for each of them.
        return Case(
            state=State.PENDING,
            reason=Reason.AWAITING_SLOT,
            message=f"waiting for one of {observed.slot.limit} discovery slots, which namespaces get in turn",
            discovery=old.discovery,
        )
    job = _job(inputs)
    return Case(
        state=State.PROGRESSING,
        reason=Reason.JOB_PENDING,
        message=f"discovery Job {observed.discovery_namespace}/{job.name} is starting",
        discovery=old.discovery,
        children=(job,),
    )


def _with_running_job(observed: TemplateObserved, old: AIMServiceTemplateStatus) -> Case:
    trouble = pods.waiting(observed.pods, "the discovery Pod")
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    if trouble is not None and pods.backs_off(trouble) and before is not None and before.reason in _PULLS:
        # Older kubelets say why a pull failed only between their pauses; the pause is no news.
        reason, message = before.reason, before.message
    elif trouble is not None:
        reason, message = trouble
    elif observed.refusal:
        reason, message = (
            Reason.JOB_REFUSED,
            f"the discovery Pod was refused: {one_line(observed.refusal)}",
        )
    elif pods.running(observed.pods):
        reason, message = Reason.DISCOVERY_RUNNING, "the image's dry run is running"
    else:
        reason, message = Reason.JOB_PENDING, "the discovery Pod is starting"
    return Case(state=State.PROGRESSING, reason=reason, message=message, discovery=old.discovery)


def _with_finished_job(inputs: Inputs, job: Job) -> Case:
    observed, old, now = inputs.observed, inputs.old, inputs.now
    ended_at = pods.ended_at(job)
    if attempts.recorded(old.discovery, observed.digest, ended_at):
        # A failure that is written down. The failed Job stays, for its log, until its retry is due.
        due = attempts.retry_at(old.discovery, observed.digest)
        if due is not None and _is_final(old):
            return _still_failed(old)
        if due is not None and due > now:
            return _still_failed(old, requeue_after_seconds=(due - now).total_seconds())
        return structs.replace(_still_failed(old), removals=(_removal(job),))
    if isinstance(observed.output, OutputPending) and _is_recent(ended_at, now):
        words = one_line(str(observed.output.error))
        return Case(
            state=State.PROGRESSING,
            reason=Reason.DISCOVERY_RUNNING,
            message=f"the dry run has ended; its log can't be read yet: {words}",
            discovery=old.discovery,
        )
    if isinstance(observed.output, DiscoveryResult):
        finished = Discovery(
            spec_hash=observed.digest,
            image=inputs.image.spec.image,
            attempts=0,
            last_attempt_time=ended_at,
        )
        return _available(observed, finished, result=observed.output)
    verdict = _failure(observed, job, old)
    failed = Discovery(
        spec_hash=observed.digest,
        attempts=attempts.failed_attempts(old.discovery, observed.digest) + 1,
        image=inputs.image.spec.image,
        last_attempt_time=ended_at,
        message=verdict.message,
    )
    due = None if verdict.reason in FINAL else attempts.retry_at(failed, observed.digest)
    return Case(
        state=State.DEGRADED if verdict.reason in FINAL else State.FAILED,
        reason=verdict.reason,
        message=verdict.message,
        discovery=failed,
        requeue_after_seconds=max(0.0, (due - now).total_seconds()) if due else None,
    )


def _failure(observed: TemplateObserved, job: Job, old: AIMServiceTemplateStatus) -> pods.Verdict:
    if isinstance(observed.output, OutputUnreadable):
        if observed.output.reason == Reason.NO_MATCHING_PROFILE:
            return no_match(observed.template, observed.output.message)
        return pods.Verdict(observed.output.reason, observed.output.message)
    if isinstance(observed.output, OutputPending):
        words = one_line(str(observed.output.error))
        return pods.Verdict(Reason.DISCOVERY_FAILED, f"the log of the dry run can't be read: {words}")
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    waited = before is not None and before.reason in _LASTING and old.status == State.PROGRESSING
    if before is not None and waited and pods.timed_out(job):
        # The deadline took the Pod along, and with it the cause: what was last known about it stays.
        return pods.Verdict(before.reason, before.message)
    return failure(job, observed.pods)


def _is_final(old: AIMServiceTemplateStatus) -> bool:
    """Whether the failure that is written down comes again whenever the same inputs are tried."""
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    return before is not None and before.reason in FINAL


def _is_recent(ended_at: str, now: datetime) -> bool:
    return (now - conditions.parse_time(ended_at)).total_seconds() < LOG_PATIENCE_SECONDS


def _still_failed(old: AIMServiceTemplateStatus, *, requeue_after_seconds: float | None = None) -> Case:
    # Failure may have spoken of a missing prerequisite since; Discovered still knows about the attempt.
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    bookkeeping = given(old.discovery, Discovery())
    known = before is not None and before.reason in discovery.FAILURES
    return Case(
        state=State.DEGRADED if _is_final(old) else State.FAILED,
        reason=before.reason if before is not None and known else Reason.DISCOVERY_FAILED,
        message=given(bookkeeping.message, "") or "discovery failed",
        discovery=bookkeeping,
        requeue_after_seconds=requeue_after_seconds,
    )
