"""What the states of a discovery Job mean for its template: its status, its slot, its result.

Where the Job stands is decided in core/jobs/machine.py, which downloads share. Called by the template's plan
once image and configuration are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus, Discovery
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, pods
from aim_operator.core.catalog import Image, MissingRuntimeConfig, RuntimeConfig, kind_of
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.jobs import attempts, machine, readings, rendering
from aim_operator.core.jobs.machine import Attempt, Deadlines, JobState, JobStep
from aim_operator.core.manifests import owner_reference
from aim_operator.core.messages import one_line
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.pods import PULL_REASONS, Verdict
from aim_operator.core.template import desired, discovery, failure
from aim_operator.core.template.desired import CONTAINER, DEADLINE_SECONDS, PULL_DEADLINE_SECONDS
from aim_operator.core.template.failure import POD
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.core.template.status import Step

FINAL = frozenset({Reason.NO_MATCHING_PROFILE})
"""What another try does not change: until an input does, nothing is tried."""


class DiscoveryOptions(Struct, frozen=True, kw_only=True):
    """What an administrator chooses about discovery Jobs."""

    requests: Manifest
    ttl_seconds: int = 600
    pull_deadline_seconds: int = PULL_DEADLINE_SECONDS


class Inputs(Struct, frozen=True, kw_only=True):
    """What the states are read from. `old` is the template's status as it was."""

    observed: TemplateObserved
    image: Image
    config: RuntimeConfig
    old: AIMServiceTemplateStatus
    now: datetime
    options: DiscoveryOptions


def job_step(observed: TemplateObserved, now: datetime, options: DiscoveryOptions) -> JobStep:
    """Return where the discovery Job of the current inputs stands."""
    status = observed.template.status or AIMServiceTemplateStatus()
    record, config = status.discovery, observed.runtime_config
    run = DEADLINE_SECONDS if isinstance(config, MissingRuntimeConfig) else desired.run_seconds(config)
    return machine.step(
        Attempt(
            job_name=discovery_job_name(observed.template.metadata.name, observed.digest),
            digest=observed.digest,
            record=record,
            kept=attempts.succeeded(record, observed.digest),
            jobs=observed.jobs,
            pods=observed.pods,
            refusal=observed.refusal,
            unread=observed.unread,
            container=CONTAINER,
            pod_words=POD,
            now=now,
            final=_last_reason(status) in FINAL,
            deadlines=Deadlines(run=run, start=options.pull_deadline_seconds, obstacle=DEADLINE_SECONDS),
        )
    )


def next_step(inputs: Inputs) -> Step:
    """Return where the discovery of the current inputs stands; Jobs of earlier inputs are removed."""
    job = job_step(inputs.observed, inputs.now, inputs.options)
    step = _MEANING[job.state](inputs, job)
    return structs.replace(
        step,
        blocker=job.awaited,
        removals=job.removals,
        requeue_after_seconds=(
            job.requeue_after_seconds if step.requeue_after_seconds is None else step.requeue_after_seconds
        ),
    )


def _kept(inputs: Inputs, step: JobStep) -> Step:
    """Keep the result. The Job may now go, after a while for whoever wants its log."""
    kept = _available(inputs.observed, inputs.old.discovery, inputs.old.profile or {})
    if step.job is None:
        return kept
    template = inputs.observed.template
    owner = owner_reference(API_VERSION, kind_of(template), template.metadata)
    return structs.replace(kept, children=rendering.expiring(step.job, owner, inputs.options.ttl_seconds))


def _absent_due(inputs: Inputs, _: JobStep) -> Step:
    observed, old = inputs.observed, inputs.old
    if not observed.slot.granted:
        # How many are ahead is not said: it would be wrong a second later, or a write for each of them.
        return Step(
            state=State.PENDING,
            reason=Reason.AWAITING_SLOT,
            message=f"waiting for one of {observed.slot.limit} discovery slots, which namespaces get in turn",
            discovery=old.discovery,
        )
    job = _job(inputs)
    return Step(
        state=State.PROGRESSING,
        reason=Reason.JOB_PENDING,
        message=f"discovery Job {observed.discovery_namespace}/{job.name} is starting",
        discovery=old.discovery,
        children=(job,),
    )


def _deleting(inputs: Inputs, _: JobStep) -> Step:
    return Step(
        state=State.PENDING,
        reason=Reason.JOB_PENDING,
        message="waiting for the previous discovery Job to be gone",
        discovery=inputs.old.discovery,
    )


def _running(inputs: Inputs, step: JobStep) -> Step:
    if step.obstacle is not None:
        reason, message = failure.latest(step.obstacle, inputs.old)
    elif step.started:
        reason, message = Reason.DISCOVERY_RUNNING, "the image's dry run is running"
    elif (since := pods.pulling_since(step.pod, CONTAINER)) is not None:
        # The time of the start, not how long ago that was: a status is written when it changes.
        reason, message = Reason.PULLING, f"Pulling since {since}: {inputs.image.spec.image}"
    else:
        reason, message = Reason.JOB_PENDING, "the discovery Pod is starting"
    return Step(
        state=State.DEGRADED if reason in PULL_REASONS else State.PROGRESSING,
        reason=reason,
        message=message,
        discovery=inputs.old.discovery,
    )


def _suspended(inputs: Inputs, step: JobStep) -> Step:
    return Step(
        state=State.PENDING,
        reason=Reason.SUSPENDED,
        message=readings.suspension(step.live_job),
        discovery=inputs.old.discovery,
    )


def _unread(inputs: Inputs, _: JobStep) -> Step:
    words = one_line(str(inputs.observed.unread))
    return Step(
        state=State.PROGRESSING,
        reason=Reason.DISCOVERY_RUNNING,
        message=f"the dry run has ended; its log can't be read yet: {words}",
        discovery=inputs.old.discovery,
        unread=inputs.observed.unread,
    )


def _just_ended(inputs: Inputs, step: JobStep) -> Step:
    observed = inputs.observed
    if isinstance(observed.output, DiscoveryResult):
        finished = Discovery(
            spec_hash=observed.digest,
            image=inputs.image.spec.image,
            attempts=0,
            last_attempt_time=step.ended_at,
        )
        return _available(observed, finished, observed.output.profile, result=observed.output)
    return _failed(inputs, step, failure.cause(inputs.observed, inputs.old, step))


def _overdue(inputs: Inputs, step: JobStep) -> Step:
    """Record the failure; only then the Job is deleted, so that no crash in between forgets it."""
    if step.obstacle is not None:
        verdict = failure.latest(step.obstacle, inputs.old)
    elif step.started:
        seconds = desired.run_seconds(inputs.config)
        verdict = Verdict(
            Reason.JOB_FAILED,
            f"the image's dry run did not end within {seconds} s; where it needs longer, raise "
            "jobs.discovery.deadlineSeconds in the runtime configuration",
        )
    else:
        seconds = inputs.options.pull_deadline_seconds
        verdict = Verdict(Reason.JOB_FAILED, f"the discovery Pod did not start within {seconds} s")
    return _failed(inputs, step, verdict)


def _failed(inputs: Inputs, step: JobStep, verdict: Verdict) -> Step:
    digest = inputs.observed.digest
    record = attempts.failure(
        Discovery,
        inputs.old.discovery,
        digest,
        step.live_job,
        now=inputs.now,
        message=verdict.message,
        image=inputs.image.spec.image,
    )
    return Step(
        state=_state_of_failure(verdict.reason),
        reason=verdict.reason,
        message=verdict.message,
        discovery=record,
        requeue_after_seconds=(
            None if verdict.reason in FINAL else attempts.seconds_to_retry(record, digest, inputs.now)
        ),
    )


def _still_failed(inputs: Inputs, _: JobStep) -> Step:
    record, last = inputs.old.discovery or Discovery(), _last_reason(inputs.old)
    reason = last if last in discovery.FAILURES else Reason.DISCOVERY_FAILED
    return Step(
        state=_state_of_failure(reason),
        reason=reason,
        message=record.message or "discovery failed",
        discovery=record,
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
"""OBSTRUCTED is for Jobs that have to be alone."""


def _job(inputs: Inputs) -> Child:
    return desired.job(
        inputs.observed.template,
        inputs.image,
        inputs.config,
        namespace=inputs.observed.discovery_namespace,
        digest=inputs.observed.digest,
        requests=inputs.options.requests,
        pull_deadline_seconds=inputs.options.pull_deadline_seconds,
    )


def _available(
    observed: TemplateObserved,
    record: Discovery | None,
    profile: Mapping[str, Any],
    *,
    result: DiscoveryResult | None = None,
) -> Step:
    message = f"discovered with image {observed.image.spec.image}" if observed.image else ""
    return Step(
        state=State.AVAILABLE,
        reason=Reason.AVAILABLE,
        message=message + failure.taken_instead(observed.template, profile),
        discovery=record,
        result=result,
    )


def _state_of_failure(reason: str) -> str:
    """An image that can't be pulled or has no fitting profile is a missing prerequisite."""
    return State.DEGRADED if reason in PULL_REASONS or reason in FINAL else State.FAILED


def _last_reason(old: AIMServiceTemplateStatus) -> str:
    """Return what Discovered says; it still knows about the last attempt when a prerequisite is missing."""
    before = conditions.find(old.conditions or (), c.DISCOVERED)
    return before.reason if before is not None else ""
