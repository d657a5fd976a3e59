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
from aim_operator.core.model_cache.attempt import Case
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
    case = _case(observed, about_claim(observed, old), claim, now, options)
    return Plan(
        report=partial(_report, observed, case, claim, now),
        children=case.children,
        removals=case.removals,
        requeue_after_seconds=case.requeue_after_seconds,
        follow=attempt.log_to_follow(observed),
        unread=observed.unread,
    )


def _report(
    observed: ModelCacheObserved, case: Case, claim: Storage, now: datetime, outcomes: Outcomes
) -> Report[AIMModelCacheStatus]:
    """Return the status of the case that was decided, and of what could not be written."""
    old = given(observed.cache.status, AIMModelCacheStatus())
    problem = outcomes.problem(PERSISTENT_VOLUME_CLAIMS.kind)
    if problem is not None:
        found = obstacle(problem, refused=Reason.PROVISIONING_FAILED, remedy="delete it")
        claim = structs.replace(claim, reason=found.reason, message=found.message)
        case = _hindered(case, found)
    elif case.state != State.AVAILABLE and (problem := outcomes.problem(JOBS.kind)) is not None:
        remedy = "delete it, or set the annotation aim.silogen.ai/retry for another name"
        case = _hindered(case, obstacle(problem, refused=Reason.JOB_REFUSED, remedy=remedy))
    status = _status(observed, old, case, claim, now)
    return Report(status=status, events=events.transitions(old, status))


def _hindered(case: Case, found: Obstacle) -> Case:
    return structs.replace(case, state=found.state, reason=found.reason, message=found.message)


def about_claim(observed: ModelCacheObserved, old: AIMModelCacheStatus) -> AIMModelCacheStatus:
    """Return the old status without what it says of another claim than the live one: files go with it."""
    claim, known = observed.claim, given(old.download, None)
    gone = claim is None or claim.metadata.deletion_timestamp is not None
    other = claim is not None and known is not None and known.claim_uid not in (UNSET, claim.metadata.uid)
    if not gone and not other:
        return old
    return structs.replace(old, download=UNSET, progress=UNSET, started_at=UNSET, finished_at=UNSET)


def _case(
    observed: ModelCacheObserved,
    old: AIMModelCacheStatus,
    claim: Storage,
    now: datetime,
    options: DownloadOptions,
) -> Case:
    config, live = observed.runtime_config, observed.claim
    if isinstance(config, MissingRuntimeConfig):
        if live is not None and claim.usable and attempt.complete(old.download, live):
            return attempt.available(old.download, old.progress)
        return Case(
            state=State.DEGRADED,
            reason=Reason.RUNTIME_CONFIG_MISSING,
            message=config.message(observed.cache.metadata.namespace),
            download=old.download,
            progress=old.progress,
        )
    if live is None or not claim.usable:
        waiting = Case(
            state=claim.state,
            reason=claim.reason,
            message=claim.message,
            download=old.download,
            progress=old.progress,
        )
        return _with_claim(observed, waiting) if live is None else waiting
    digest = desired.digest(observed.cache, config, live, options)
    return attempt.case(
        attempt.Inputs(
            observed=observed, claim=live, config=config, digest=digest, old=old, now=now, options=options
        )
    )


def _with_claim(observed: ModelCacheObserved, waiting: Case) -> Case:
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
    observed: ModelCacheObserved, old: AIMModelCacheStatus, case: Case, claim: Storage, now: datetime
) -> AIMModelCacheStatus:
    generation = observed.cache.metadata.generation
    config = observed.runtime_config
    reference = None if isinstance(config, MissingRuntimeConfig) else config.reference
    known = about_claim(observed, old)
    started_at = known.started_at
    if case.started and started_at is UNSET:
        started_at = conditions.timestamp(now)
    return AIMModelCacheStatus(
        observed_generation=generation,
        status=case.state,
        persistent_volume_claim=observed.claim.metadata.name if observed.claim is not None else UNSET,
        progress=case.progress,
        started_at=started_at,
        finished_at=case.finished_at or known.finished_at,
        download=case.download,
        resolved_runtime_config=reference or UNSET,
        conditions=conditions.merge(
            given(old.conditions, ()),
            _conditions(case, claim),
            now=conditions.timestamp(now),
            generation=generation,
        ),
    )


def _conditions(case: Case, claim: Storage) -> list[Condition]:
    return [
        Condition(
            type=c.STORAGE_READY,
            status="True" if claim.ready else "False",
            reason=claim.reason,
            message=claim.message,
        ),
        *conditions.summary(case.state, case.reason, case.message),
    ]
