"""Decides about one model cache: its claim, its download, and a status that says how far it is.

Where nobody says how large the files are, the source is asked first (listing). Then comes the claim
(storage), and then the download (attempt). Nothing here ever removes a claim: deleting the cache is how a
user removes the files. A claim grows with spec.size (expansion), within the budget (allowance).
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from msgspec import Struct, structs

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim
from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import Child, Outcomes, Plan, Removal, Report
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    RUNTIME_CONFIGS,
    AIMModelCacheStatus,
    ExistingClaim,
    LeftOutFiles,
    Listing,
)
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import blocking, conditions, quantity
from aim_operator.core.caching import is_filled, serves_others
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.model_cache import (
    attempt,
    desired,
    digests,
    events,
    expansion,
    listing,
    placement,
    storage,
    usage,
)
from aim_operator.core.model_cache.allowance import Allowance
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.expansion import Expansion
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.step import Step
from aim_operator.core.model_cache.storage import Storage
from aim_operator.core.model_cache.usage import Usage
from aim_operator.core.outcomes import beside, hindered, obstacle, undeleted
from aim_operator.errors import ApiError, SpecError

_NOT_SHARED = "; templates and services don't use it, set spec.shared to let them"

__all__ = ["DownloadOptions", "decide"]


def decide(
    observed: ModelCacheObserved, *, now: datetime, options: DownloadOptions
) -> Plan[AIMModelCacheStatus]:
    """Return the plan for one model cache. Idempotent: at its own result it plans nothing."""
    cache = observed.cache
    old = cache.status or AIMModelCacheStatus()
    use = usage.judge(observed, old, now)
    if use.remove:
        return Plan(removals=(Removal(resource=MODEL_CACHES, live=cache, unchanged=True),))
    step, claim = _step(observed, about_claim(observed, old), now, options)
    growth = expansion.judge(observed)
    judged = _Judged(observed=observed, step=step, claim=claim, growth=growth, use=use)
    children = step.children
    if observed.claim is not None and growth is not None and growth.to is not None:
        children = (desired.enlarged(cache, observed.claim, growth.to), *children)
    return Plan(
        report=partial(_report, judged, now),
        children=children,
        removals=step.removals,
        requeue_after_seconds=_soonest(step.requeue_after_seconds, use.requeue_after_seconds),
        follow=attempt.log_to_follow(observed),
        unread=step.unread,
    )


class _Judged(Struct, frozen=True, kw_only=True):
    """Everything that was decided about a cache."""

    observed: ModelCacheObserved
    step: Step
    claim: Storage
    growth: Expansion | None
    use: Usage


def _report(judged: _Judged, now: datetime, outcomes: Outcomes) -> Report[AIMModelCacheStatus]:
    """Return the status of the step that was decided, and of what could not be written."""
    observed, step, claim, growth = judged.observed, judged.step, judged.claim, judged.growth
    old = observed.cache.status or AIMModelCacheStatus()
    problem = outcomes.problem(PERSISTENT_VOLUME_CLAIMS.kind)
    if problem is not None and observed.claim is not None and growth is not None:
        # The claim is there as it was, and so are its files.
        growth, problem = expansion.refused(growth, observed.claim, problem.message), None
    if problem is not None:
        hindrance = obstacle(problem, refused=Reason.PROVISIONING_FAILED, remedy="delete it")
        claim = structs.replace(claim, reason=hindrance.reason, message=hindrance.message)
        step = hindered(step, hindrance)
    elif step.state != State.AVAILABLE and (problem := outcomes.problem(JOBS.kind)) is not None:
        remedy = "delete it, or set the annotation aim.silogen.ai/retry for another name"
        step = hindered(step, obstacle(problem, refused=Reason.JOB_REFUSED, remedy=remedy))
    elif step.state != State.AVAILABLE and step.blocker is None:
        leftovers = () if listing.is_needed(observed) else {j.metadata.name for j in observed.listing_jobs}
        if (kept := undeleted(outcomes, JOBS.kind, but=leftovers)) is not None:
            step = hindered(step, beside(kept, step.message))
    if growth is not None:
        claim = structs.replace(claim, reason=growth.reason, message=growth.message)
    status = _status(structs.replace(judged, step=step, claim=claim), old, now)
    return Report(status=status, events=events.transitions(old, status))


def about_claim(observed: ModelCacheObserved, old: AIMModelCacheStatus) -> AIMModelCacheStatus:
    """Return the old status without what it says of another claim than the live one: files go with it.

    Where a claim is gone, the source is asked anew how large its files are: it may have moved on.
    """
    claim, record = observed.claim, old.download
    if observed.claim_unread is not None:
        return old
    gone = claim is None or claim.metadata.deletion_timestamp is not None
    other = claim is not None and record is not None and record.claim_uid not in (None, claim.metadata.uid)
    if not gone and not other:
        return old
    kept = structs.replace(old, download=None, progress=None, started_at=None, finished_at=None)
    if claim is None and old.persistent_volume_claim is not None:
        return structs.replace(kept, listing=None, size=None, files=None, left_out=None)
    return kept


def _step(
    observed: ModelCacheObserved, old: AIMModelCacheStatus, now: datetime, options: DownloadOptions
) -> tuple[Step, Storage]:
    """Return where the cache stands, and its claim."""
    claim, config, live = storage.judge(observed), observed.runtime_config, observed.claim
    if isinstance(config, MissingRuntimeConfig):
        return _without_config(observed, old, claim, config), claim
    if observed.left_behind is not None:
        return _adopting(observed, old, claim, observed.left_behind)
    existing = observed.cache.spec.existing_claim
    if live is None and existing is not None and observed.claim_unread is not None:
        return _unread(observed, old, claim, existing, observed.claim_unread), claim
    if live is None and existing is not None:
        step = structs.replace(_waiting(old, claim), removals=listing.leftovers(observed))
        return structs.replace(step, blocker=_claim_ref(observed, existing.name)), claim
    if live is None:
        return _without_claim(observed, old, config, now, options)
    leftovers = listing.leftovers(observed)
    if not claim.usable:
        step = structs.replace(_waiting(old, claim), removals=leftovers)
        return structs.replace(step, blocker=_claim_ref(observed, live.metadata.name)), claim
    place = placement.place(observed.cache, config, live, observed.storage_class)
    digest = digests.download(observed.cache, config, live, options, place, at_work=observed.at_work)
    step = attempt.next_step(
        attempt.Inputs(
            observed=observed,
            claim=live,
            config=config,
            digest=digest,
            place=place,
            old=old,
            now=now,
            options=options,
        )
    )
    return structs.replace(step, removals=(*step.removals, *leftovers)), claim


def _without_config(
    observed: ModelCacheObserved, old: AIMModelCacheStatus, claim: Storage, config: MissingRuntimeConfig
) -> Step:
    if observed.claim is not None and claim.usable and attempt.is_complete(old.download, observed.claim):
        return attempt.available(old.download, old.progress)
    return Step(
        state=State.DEGRADED,
        reason=Reason.RUNTIME_CONFIG_MISSING,
        message=config.message(observed.cache.metadata.namespace),
        blocker=ObjectRef(RUNTIME_CONFIGS.kind, observed.cache.metadata.namespace, config.name),
        download=old.download,
        progress=old.progress,
    )


def _unread(
    observed: ModelCacheObserved,
    old: AIMModelCacheStatus,
    claim: Storage,
    existing: ExistingClaim,
    error: ApiError,
) -> Step:
    """Say why a claim can't be looked up. Files that were all there are not gone for that."""
    step = _waiting(old, claim)
    if old.status == State.AVAILABLE and is_filled(observed.cache):
        step = attempt.available(old.download, old.progress, message=attempt.checked(old.download, existing))
    return structs.replace(step, unread=error, removals=listing.leftovers(observed))


def _adopting(
    observed: ModelCacheObserved, old: AIMModelCacheStatus, claim: Storage, restored: PersistentVolumeClaim
) -> tuple[Step, Storage]:
    """Take a claim that came out of a backup; what is on it is checked, and not downloaded again."""
    return structs.replace(
        _waiting(old, claim),
        message=f"claim {restored.metadata.name!r} was restored without its owner, and is used again",
        blocker=_claim_ref(observed, restored.metadata.name),
        children=(desired.adopted(observed.cache, restored),),
        removals=listing.leftovers(observed),
    ), claim


def _without_claim(
    observed: ModelCacheObserved,
    old: AIMModelCacheStatus,
    config: RuntimeConfig,
    now: datetime,
    options: DownloadOptions,
) -> tuple[Step, Storage]:
    """Create the claim, once its size is known. It is never changed after, whatever becomes of its inputs."""
    claim = storage.judge(observed)
    step = structs.replace(_waiting(old, claim), removals=listing.leftovers(observed))
    if listing.is_needed(observed):
        digest = digests.listing(observed.cache, config, options, at_work=observed.at_work)
        step = listing.next_step(
            listing.Inputs(observed=observed, config=config, digest=digest, old=old, now=now, options=options)
        )
        if not listing.is_done(step, digest):
            return step, storage.awaits_size(observed)
        step = structs.replace(step, message=claim.message)
        if not listing.is_done(old, digest):
            # Only once the status has it: after a crash in between, nothing would know it any more.
            return step, claim
    if observed.allowance is not None and not observed.allowance.granted:
        return _without_room(step, claim, observed.allowance)
    listed_bytes = (step.listing or Listing()).total_bytes or 0
    try:
        child: Child = desired.claim(observed.cache, config, listed_bytes, observed.nodes)
    except SpecError as error:
        failed = {"state": State.FAILED, "reason": error.reason, "message": f"spec.size: {error.message}"}
        return structs.replace(step, **failed), claim
    return structs.replace(step, children=(child,)), claim


def _without_room(step: Step, claim: Storage, allowance: Allowance) -> tuple[Step, Storage]:
    """Wait for what others give back; what is larger than the whole budget needs somebody to do something."""
    exceeds = allowance.reason == Reason.EXCEEDS_STORAGE_BUDGET
    reason, message = allowance.reason, allowance.message
    step = structs.replace(
        step,
        state=State.DEGRADED if exceeds else State.PENDING,
        reason=reason,
        message=message,
        blocker=None,
    )
    return step, structs.replace(claim, reason=reason, message=message)


def _claim_ref(observed: ModelCacheObserved, name: str) -> ObjectRef:
    return ObjectRef(PERSISTENT_VOLUME_CLAIMS.kind, observed.cache.metadata.namespace, name)


def _waiting(old: AIMModelCacheStatus, claim: Storage) -> Step:
    return Step(
        state=claim.state,
        reason=claim.reason,
        message=claim.message,
        download=old.download,
        progress=old.progress,
    )


def _status(judged: _Judged, old: AIMModelCacheStatus, now: datetime) -> AIMModelCacheStatus:
    observed, step, claim, use = judged.observed, judged.step, judged.claim, judged.use
    generation = observed.cache.metadata.generation
    config = observed.runtime_config
    reference = None if isinstance(config, MissingRuntimeConfig) else config.reference
    previous = about_claim(observed, old)
    started_at = previous.started_at
    if step.started and started_at is None:
        started_at = conditions.timestamp(now)
    with_contents = previous
    if step.contents is not None:
        with_contents = structs.replace(
            previous,
            size=quantity.readable(step.contents.total_bytes),
            files=step.contents.files,
            left_out=step.contents.left_out or None,
        )
    if step.reason == Reason.DOWNLOADED:
        offer = "" if serves_others(observed.cache) or observed.in_use else _NOT_SHARED
        step = structs.replace(step, message=step.message + _contents_text(with_contents) + offer)
    moment = conditions.timestamp(now)
    told = conditions.merge(
        old.conditions or (),
        [*_conditions(step, claim), *((use.condition,) if use.condition is not None else ())],
        now=moment,
        generation=generation,
    )
    return AIMModelCacheStatus(
        observed_generation=generation,
        status=step.state,
        persistent_volume_claim=_claim_of(observed, old),
        size=with_contents.size,
        files=with_contents.files,
        left_out=with_contents.left_out,
        listing=step.listing if step.listing is not None else previous.listing,
        progress=step.progress,
        started_at=started_at,
        finished_at=step.finished_at or previous.finished_at,
        download=step.download,
        unused_since=use.unused_since,
        removal_time=use.removal_time,
        resolved_runtime_config=reference or None,
        conditions=told,
        blocked_by=blocking.blocked_by(
            old.blocked_by, step.blocker, told, namespace=observed.cache.metadata.namespace, now=moment
        ),
    )


def _claim_of(observed: ModelCacheObserved, old: AIMModelCacheStatus) -> str | None:
    if observed.claim_unread is not None:
        return old.persistent_volume_claim
    return observed.claim.metadata.name if observed.claim is not None else None


def _soonest(*seconds: float | None) -> float | None:
    return min((each for each in seconds if each is not None), default=None)


def _contents_text(status: AIMModelCacheStatus) -> str:
    """Say how much is downloaded and left out; "" where the download did not tell, as in older versions."""
    if status.size is None or status.files is None:
        return ""
    left_out: tuple[LeftOutFiles, ...] = status.left_out or ()
    text = f": {_files_text(status.files)}, {status.size}"
    if left_out:
        size = quantity.readable(sum(one.total_bytes for one in left_out))
        patterns = ", ".join(one.pattern for one in left_out)
        text += f"; left out: {_files_text(sum(one.files for one in left_out))}, {size} ({patterns})"
    return text


def _files_text(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


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
