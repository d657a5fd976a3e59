"""Decides about one template: discover, keep the result, publish the runtime, say how it is going.

`decide` is a chain of cases, first match wins; each case names the state it leads to.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, UnsetType, structs

from aim_operator.api.external import JOBS, Job
from aim_operator.api.meta import Manifest, given
from aim_operator.api.v1alpha1 import (
    TEMPLATES,
    AIMServiceTemplateStatus,
    Discovery,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import (
    Image,
    MissingRuntimeConfig,
    RuntimeConfig,
    is_derived,
)
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.plan import Child, Plan, Removal
from aim_operator.core.template import desired, discovery, events, pods
from aim_operator.core.template.observed import OutputUnreadable, TemplateObserved
from aim_operator.core.template.status import Case, build_status, with_result


class DiscoveryOptions(Struct, frozen=True, kw_only=True):
    """What an administrator chooses about discovery Jobs."""

    requests: Manifest
    ttl_seconds: int = 600


class _Inputs(Struct, frozen=True, kw_only=True):
    """What the cases read once image and configuration are found. `job` is that of the current inputs."""

    observed: TemplateObserved
    image: Image
    config: RuntimeConfig
    job: Job | None
    old: AIMServiceTemplateStatus
    now: datetime
    options: DiscoveryOptions


def decide(
    observed: TemplateObserved, *, now: datetime, options: DiscoveryOptions
) -> Plan[AIMServiceTemplateStatus]:
    """Return the plan for one template. Idempotent: at its own result it plans nothing."""
    template = observed.template
    if template.metadata.deletion_timestamp is not None or not observed.writable:
        return Plan()
    if is_derived(template) and not observed.in_use:
        # A service may adopt it this very moment; then its resourceVersion has moved on or will.
        return Plan(removals=(Removal(resource=TEMPLATES, live=template, unchanged=True),))
    old = given(template.status, AIMServiceTemplateStatus())
    case = _with_runtime(observed, _case(observed, old, now, options), old)
    status = build_status(observed, old, case, now)
    return Plan(
        status=status,
        children=case.children,
        removals=case.removals,
        events=events.transitions(old, status),
        requeue_after_seconds=case.requeue_after_seconds,
    )


def _case(
    observed: TemplateObserved, old: AIMServiceTemplateStatus, now: datetime, options: DiscoveryOptions
) -> Case:
    template, image, config = observed.template, observed.image, observed.runtime_config
    if image is None:
        kinds = "AIMImage or AIMClusterImage" if template.metadata.namespace else "AIMClusterImage"
        return _degraded(
            old,
            Reason.IMAGE_NOT_FOUND,
            f"spec.aimImageName: no {kinds} is named {template.spec.aim_image_name!r}; create it",
        )
    if isinstance(config, MissingRuntimeConfig):
        return _degraded(
            old, Reason.RUNTIME_CONFIG_MISSING, missing_config_message(config, observed.discovery_namespace)
        )
    current = discovery_job_name(template.metadata.name, observed.digest)
    job = next((j for j in observed.jobs if j.metadata.name == current), None)
    known = _Inputs(observed=observed, image=image, config=config, job=job, old=old, now=now, options=options)
    # Jobs of earlier inputs only waste a slot; finished ones go by their TTL or here.
    stale = tuple(
        _removal(j) for j in observed.jobs if j is not job and j.metadata.deletion_timestamp is None
    )
    if discovery.succeeded(old.discovery, observed.digest):
        case = _kept(known)
    elif job is None:
        case = _without_job(known)
    elif job.metadata.deletion_timestamp is not None:
        case = Case(
            state=State.PENDING,
            reason=Reason.JOB_PENDING,
            message="waiting for the previous discovery Job to be gone",
            discovery=old.discovery,
        )
    elif pods.finished(job):
        case = _with_finished_job(known, job)
    else:
        case = _with_running_job(observed, old)
    return structs.replace(case, removals=(*case.removals, *stale))


def missing_config_message(config: MissingRuntimeConfig, namespace: str) -> str:
    """Say which runtime configuration is missing, and where it was looked for."""
    return (
        f"spec.runtimeConfigName: no AIMRuntimeConfig {config.name!r} in namespace {namespace!r} "
        f"and no AIMClusterRuntimeConfig {config.name!r}; create one"
    )


def _degraded(old: AIMServiceTemplateStatus, reason: str, message: str) -> Case:
    return Case(state=State.DEGRADED, reason=reason, message=message, discovery=old.discovery)


def _removal(job: Job) -> Removal:
    return Removal(resource=JOBS, live=job)


def _kept(known: _Inputs) -> Case:
    """Its result is in status. The Job may now go, after a while for whoever wants its log."""
    job = known.job
    case = _available(known.observed, known.old.discovery)
    if job is None or not pods.finished(job) or job.metadata.deletion_timestamp is not None:
        return case
    if known.observed.job_refused:
        # A Pod template is immutable: a Job that was rendered otherwise (by another version, with other
        # flags) takes no TTL, and would stay for good.
        return structs.replace(case, removals=(_removal(job),))
    return structs.replace(case, children=(_job(known, ttl_seconds=known.options.ttl_seconds),))


def _job(known: _Inputs, *, ttl_seconds: int | None = None) -> Child:
    return desired.job(
        known.observed.template,
        known.image,
        known.config,
        namespace=known.observed.discovery_namespace,
        digest=known.observed.digest,
        requests=known.options.requests,
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


def _without_job(known: _Inputs) -> Case:
    observed, old = known.observed, known.old
    due = discovery.retry_at(old.discovery, observed.digest)
    if due is not None and due > known.now:
        return _still_failed(old, requeue_after_seconds=(due - known.now).total_seconds())
    if not observed.slot.granted:
        ahead = f", {observed.slot.ahead} ahead of this one" if observed.slot.ahead else ""
        return Case(
            state=State.PENDING,
            reason=Reason.AWAITING_SLOT,
            message=f"waiting for one of {observed.slot.limit} discovery slots{ahead}",
            discovery=old.discovery,
        )
    if observed.job_refused:
        return Case(
            state=State.FAILED,
            reason=Reason.JOB_REFUSED,
            message=f"the discovery Job was refused: {pods.one_line(observed.job_refused)}",
            discovery=old.discovery,
        )
    job = _job(known)
    name = job.manifest["metadata"]["name"]
    return Case(
        state=State.PROGRESSING,
        reason=Reason.JOB_PENDING,
        message=f"discovery Job {observed.discovery_namespace}/{name} is starting",
        discovery=old.discovery,
        children=(job,),
    )


def _with_running_job(observed: TemplateObserved, old: AIMServiceTemplateStatus) -> Case:
    trouble = pods.waiting(observed.pods)
    if trouble is not None:
        reason, message = trouble
    elif observed.refusal:
        reason, message = (
            Reason.JOB_REFUSED,
            f"the discovery Pod was refused: {pods.one_line(observed.refusal)}",
        )
    elif pods.running(observed.pods):
        reason, message = Reason.DISCOVERY_RUNNING, "the image's dry run is running"
    else:
        reason, message = Reason.JOB_PENDING, "the discovery Pod is starting"
    return Case(state=State.PROGRESSING, reason=reason, message=message, discovery=old.discovery)


def _with_finished_job(known: _Inputs, job: Job) -> Case:
    observed, old, now = known.observed, known.old, known.now
    ended_at = pods.ended_at(job)
    if discovery.recorded(old.discovery, observed.digest, ended_at):
        # A failure that is written down. The failed Job stays, for its log, until its retry is due.
        due = discovery.retry_at(old.discovery, observed.digest)
        if due is not None and due > now:
            return _still_failed(old, requeue_after_seconds=(due - now).total_seconds())
        return structs.replace(_still_failed(old), removals=(_removal(job),))
    if isinstance(observed.output, DiscoveryResult):
        finished = Discovery(spec_hash=observed.digest, attempts=0, last_attempt_time=ended_at)
        return _available(observed, finished, result=observed.output)
    verdict = _failure(observed, job, old)
    attempts = discovery.failed_attempts(old.discovery, observed.digest) + 1
    failed = Discovery(
        spec_hash=observed.digest, attempts=attempts, last_attempt_time=ended_at, message=verdict.message
    )
    due = discovery.retry_at(failed, observed.digest)
    return Case(
        state=State.FAILED,
        reason=verdict.reason,
        message=verdict.message,
        discovery=failed,
        requeue_after_seconds=max(0.0, (due - now).total_seconds()) if due else None,
    )


def _failure(observed: TemplateObserved, job: Job, old: AIMServiceTemplateStatus) -> pods.Verdict:
    if isinstance(observed.output, OutputUnreadable):
        return pods.Verdict(observed.output.reason, observed.output.message)
    verdict = pods.failure(job, observed.pods)
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    lasting = (
        Reason.IMAGE_PULL_AUTH_FAILED,
        Reason.IMAGE_PULL_FAILED,
        Reason.UNSCHEDULABLE,
        Reason.JOB_REFUSED,
    )
    if verdict.reason == Reason.JOB_FAILED and before is not None and before.reason in lasting:
        # The deadline took the Pod along, and with it the cause: what was last known about it stays.
        return pods.Verdict(before.reason, before.message)
    return verdict


def _still_failed(old: AIMServiceTemplateStatus, *, requeue_after_seconds: float | None = None) -> Case:
    # Failure may have spoken of a missing prerequisite since; Discovered still knows about the attempt.
    before = conditions.find(given(old.conditions, ()), c.DISCOVERED)
    bookkeeping = given(old.discovery, Discovery())
    known = before is not None and before.reason in discovery.FAILURES
    return Case(
        state=State.FAILED,
        reason=before.reason if before is not None and known else Reason.DISCOVERY_FAILED,
        message=given(bookkeeping.message, "") or "discovery failed",
        discovery=bookkeeping,
        requeue_after_seconds=requeue_after_seconds,
    )


def _with_runtime(observed: TemplateObserved, case: Case, old: AIMServiceTemplateStatus) -> Case:
    """Publish the runtime of an available template; without KServe or under a foreign name it can't be."""
    config = observed.runtime_config
    if case.state != State.AVAILABLE or observed.image is None or isinstance(config, MissingRuntimeConfig):
        return case
    if not observed.kserve_installed:
        return structs.replace(
            case,
            state=State.DEGRADED,
            reason=Reason.KSERVE_NOT_INSTALLED,
            message="KServe's CRDs are not installed; install KServe, the operator goes on by itself then",
        )
    child = desired.runtime(observed.template, observed.image, config, with_result(old, case.result))
    if observed.runtime_foreign:
        return structs.replace(
            case,
            state=State.DEGRADED,
            reason=Reason.NAME_CONFLICT,
            message=(
                f"{child.manifest['kind']} {observed.template.metadata.name!r} exists and belongs to "
                "somebody else; rename this template or delete that object"
            ),
        )
    if observed.runtime_refused:
        return structs.replace(
            case,
            state=State.DEGRADED,
            reason=Reason.RUNTIME_FAILED,
            message=f"the {child.manifest['kind']} was refused: {pods.one_line(observed.runtime_refused)}",
        )
    return structs.replace(case, children=(*case.children, child))
