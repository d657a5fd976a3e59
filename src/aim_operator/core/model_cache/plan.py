"""Decides about one model cache: its claim, its download, and a status that says how far it is.

The claim comes first, then the download; what comes of the download Job is in attempt, what the claim says in
storage. Nothing here ever removes a claim: deleting the cache is how a user removes the files.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from msgspec import UNSET, structs

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.meta import Condition, given
from aim_operator.api.plan import Child, Outcomes, Plan, Report
from aim_operator.api.v1alpha1 import AIMModelCacheStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import MissingRuntimeConfig
from aim_operator.core.model_cache import attempt, desired, events, storage
from aim_operator.core.model_cache.attempt import Step
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.storage import Storage
from aim_operator.core.outcomes import Obstacle, obstacle
from aim_operator.errors import SpecError

__all__ = ["DownloadOptions", "decide"]


def decide(
    observed: ModelCacheObserved, *, now: datetime, options: DownloadOptions
) -> Plan[AIMModelCacheStatus]:
    """Return the plan for one model cache. Idempotent: at its own result it plans nothing."""
    cache = observed.cache
    old = given(cache.status, AIMModelCacheStatus())
    claim = storage.judge(observed)
    step = _step(observed, about_claim(observed, old), claim, now, options)
    return Plan(
        report=partial(_report, observed, step, claim, now),
        children=step.children,
        removals=step.removals,
        requeue_after_seconds=step.requeue_after_seconds,
        follow=attempt.log_to_follow(observed),
        unread=step.unread,
    )


def _report(
    observed: ModelCacheObserved, step: Step, claim: Storage, now: datetime, outcomes: Outcomes
) -> Report[AIMModelCacheStatus]:
    """Return the status of the step that was decided, and of what could not be written."""
    old = given(observed.cache.status, AIMModelCacheStatus())
    problem = outcomes.problem(PERSISTENT_VOLUME_CLAIMS.kind)
    if problem is not None:
        found = obstacle(problem, refused=Reason.PROVISIONING_FAILED, remedy="delete it")
        claim = structs.replace(claim, reason=found.reason, message=found.message)
        step = _hindered(step, found)
    elif step.state != State.AVAILABLE and (problem := outcomes.problem(JOBS.kind)) is not None:
        remedy = "delete it, or set the annotation aim.silogen.ai/retry for another name"
        step = _hindered(step, obstacle(problem, refused=Reason.JOB_REFUSED, remedy=remedy))
    status = _status(observed, old, step, claim, now)
    return Report(status=status, events=events.transitions(old, status))


def _hindered(step: Step, found: Obstacle) -> Step:
    return structs.replace(step, state=found.state, reason=found.reason, message=found.message)


def about_claim(observed: ModelCacheObserved, old: AIMModelCacheStatus) -> AIMModelCacheStatus:
    """Return the old status without what it says of another claim than the live one: files go with it."""
    claim, record = observed.claim, given(old.download, None)
    gone = claim is None or claim.metadata.deletion_timestamp is not None
    other = claim is not None and record is not None and record.claim_uid not in (UNSET, claim.metadata.uid)
    if not gone and not other:
        return old
    return structs.replace(old, download=UNSET, progress=UNSET, started_at=UNSET, finished_at=UNSET)


def _step(
    observed: ModelCacheObserved,
    old: AIMModelCacheStatus,
    claim: Storage,
    now: datetime,
    options: DownloadOptions,
) -> Step:
    config, live = observed.runtime_config, observed.claim
    if isinstance(config, MissingRuntimeConfig):
        if live is not None and claim.usable and attempt.is_complete(old.download, live):
            return attempt.available(old.download, old.progress)
        return Step(
            state=State.DEGRADED,
            reason=Reason.RUNTIME_CONFIG_MISSING,
            message=config.message(observed.cache.metadata.namespace),
            download=old.download,
            progress=old.progress,
        )
    if live is None or not claim.usable:
        waiting = Step(
            state=claim.state,
            reason=claim.reason,
            message=claim.message,
            download=old.download,
            progress=old.progress,
        )
        return _with_claim(observed, waiting) if live is None else waiting
    digest = desired.digest(observed.cache, config, live, options)
    return attempt.next_step(
        attempt.Inputs(
            observed=observed, claim=live, config=config, digest=digest, old=old, now=now, options=options
        )
    )


def _with_claim(observed: ModelCacheObserved, waiting: Step) -> Step:
    """Create the claim. It is never changed after, whatever becomes of the configuration."""
    config = observed.runtime_config
    if isinstance(config, MissingRuntimeConfig):
        return waiting
    try:
        child: Child = desired.claim(observed.cache, config)
    except SpecError as error:
        return structs.replace(
            waiting, state=State.FAILED, reason=error.reason, message=f"spec.size: {error.message}"
        )
    return structs.replace(waiting, children=(child,))


def _status(
    observed: ModelCacheObserved, old: AIMModelCacheStatus, step: Step, claim: Storage, now: datetime
) -> AIMModelCacheStatus:
    generation = observed.cache.metadata.generation
    config = observed.runtime_config
    reference = None if isinstance(config, MissingRuntimeConfig) else config.reference
    previous = about_claim(observed, old)
    started_at = previous.started_at
    if step.started and started_at is UNSET:
        started_at = conditions.timestamp(now)
    return AIMModelCacheStatus(
        observed_generation=generation,
        status=step.state,
        persistent_volume_claim=observed.claim.metadata.name if observed.claim is not None else UNSET,
        progress=step.progress,
        started_at=started_at,
        finished_at=step.finished_at or previous.finished_at,
        download=step.download,
        resolved_runtime_config=reference or UNSET,
        conditions=conditions.merge(
            given(old.conditions, ()),
            _conditions(step, claim),
            now=conditions.timestamp(now),
            generation=generation,
        ),
    )


def _conditions(step: Step, claim: Storage) -> list[Condition]:
    return [
        Condition(
            type=c.STORAGE_READY,
            status="True" if claim.ready else "False",
            reason=claim.reason,
            message=claim.message,
        ),
        *conditions.summary(step.state, step.reason, step.message),
    ]
