"""Whether anybody uses a cache, since when nobody does, and when it goes.

One that nobody uses stays unless a policy says otherwise. Then it is said a day before, in a condition and an
event, and only what the operator made itself goes: what a person made is a person's to delete.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, UnusedCaches
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.caching import is_own_model_cache
from aim_operator.core.catalog import MissingRuntimeConfig
from aim_operator.core.conditions import as_recorded, parse_time, timestamp
from aim_operator.core.model_cache.observed import ModelCacheObserved

AFTER_DAYS = 30
NOTICE = timedelta(days=1)
DELETE = "Delete"


class Usage(Struct, frozen=True, kw_only=True):
    """What the status says, and what is to be done about it."""

    unused_since: str | None = None
    removal_time: str | None = None
    condition: Condition | None = None
    """None while it is used, or has no claim that would cost anything."""
    remove: bool = False
    requeue_after_seconds: float | None = None


def judge(observed: ModelCacheObserved, old: AIMModelCacheStatus, now: datetime) -> Usage:
    """Return how a cache is used. Its removal is due only once the status has announced it a day before."""
    if observed.in_use or (observed.claim is None and observed.claim_unread is None):
        return Usage()
    since = as_recorded(old.unused_since, timestamp(now)) or timestamp(now)
    unused = f"no template and no service has used it since {since}"
    settings = _settings(observed)
    if settings is None:
        return Usage(
            unused_since=since,
            condition=_condition(Reason.UNUSED, f"{unused}; it stays until somebody deletes it"),
        )
    days = AFTER_DAYS if settings.after_days is None else settings.after_days
    announced_at = parse_time(since) + timedelta(days=days) - NOTICE
    if now < announced_at:
        message = f"{unused}; it is deleted after {days} days, which is announced a day before"
        return Usage(
            unused_since=since,
            condition=_condition(Reason.UNUSED, message),
            requeue_after_seconds=(announced_at - now).total_seconds(),
        )
    latest = timestamp(now + NOTICE)
    removal_time = as_recorded(old.removal_time, latest) or latest
    left = (parse_time(removal_time) - now).total_seconds()
    message = (
        f"{unused}; it is deleted with its files at {removal_time}, as storage.unused of the runtime "
        "configuration says; to keep it, use it or set spec.retain"
    )
    return Usage(
        unused_since=since,
        removal_time=removal_time,
        condition=_condition(Reason.REMOVAL_SCHEDULED, message),
        remove=left <= 0 and old.removal_time is not None,
        requeue_after_seconds=left if left > 0 else None,
    )


def _settings(observed: ModelCacheObserved) -> UnusedCaches | None:
    """Return the policy that lets the cache go; None where nothing does."""
    cache, config = observed.cache, observed.runtime_config
    if isinstance(config, MissingRuntimeConfig) or not is_own_model_cache(cache) or cache.spec.retain:
        return None
    settings = config.storage.unused
    return settings if settings is not None and settings.policy == DELETE else None


def _condition(reason: str, message: str) -> Condition:
    return Condition(type=c.IN_USE, status="False", reason=reason, message=message)
