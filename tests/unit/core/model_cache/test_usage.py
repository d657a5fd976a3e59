"""Caches that nobody uses: since when, when they are announced to go, and when they go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.v1alpha1 import AIMModelCacheStatus, Storage, UnusedCaches
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import decide
from aim_operator.core.model_cache.usage import judge
from aim_operator.core.naming import model_cache_name
from aim_operator.errors import Forbidden
from tests.support.cache_builders import (
    LABELLED,
    OURS,
    SOURCE,
    make_claim,
    make_model_cache,
    make_storage_class,
)

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"})
DELETE = UnusedCaches(after_days=30, policy="Delete")
OWN = make_model_cache(model_cache_name(SOURCE, ""), metadata=OURS)


def days_ago(days: float) -> str:
    return conditions.timestamp(NOW - timedelta(days=days))


def observed(
    unused: UnusedCaches | None = DELETE, *, in_use: bool = False, **fields: Any
) -> ModelCacheObserved:
    base: dict[str, Any] = {
        "cache": OWN,
        "runtime_config": RuntimeConfig(storage=Storage(unused=unused)),
        "claim": make_claim(OWN),
        "storage_class": make_storage_class(),
        "in_use": in_use,
    }
    return ModelCacheObserved(**{**base, **fields})


def old(since: float | None = None, removal: datetime | None = None) -> AIMModelCacheStatus:
    return AIMModelCacheStatus(
        unused_since=days_ago(since) if since is not None else None,
        removal_time=conditions.timestamp(removal) if removal is not None else None,
    )


RETAINED = structs.replace(OWN, spec=structs.replace(OWN.spec, retain=True))
BY_HAND = make_model_cache("by-hand", metadata=OURS)
LABELLED_BY_SOMEBODY = make_model_cache(model_cache_name(SOURCE, ""), metadata=LABELLED)
UNLABELLED = make_model_cache(OWN.metadata.name)
HOUR = timedelta(hours=1)

CASES: dict[str, tuple[ModelCacheObserved, AIMModelCacheStatus, tuple[str | None, str | None, str, bool]]] = {
    # seen, status before; unused since, removal time, reason, removed
    "it is used": (observed(in_use=True), old(40, NOW - HOUR), (None, None, "", False)),
    "it has no claim": (observed(claim=None), old(), (None, None, "", False)),
    "its claim can't be read, and may well be there": (
        observed(claim=None, claim_unread=Forbidden("denied")),
        old(400),
        (days_ago(400), days_ago(-1), "RemovalScheduled", False),
    ),
    "the last user went just now": (observed(), old(), (days_ago(0), None, "Unused", False)),
    "unused for long, and nothing says that it goes": (
        observed(None),
        old(400),
        (days_ago(400), None, "Unused", False),
    ),
    "the policy keeps": (
        observed(UnusedCaches(after_days=1, policy="Keep")),
        old(400),
        (days_ago(400), None, "Unused", False),
    ),
    "a policy without a word keeps": (
        observed(UnusedCaches(after_days=1)),
        old(400),
        (days_ago(400), None, "Unused", False),
    ),
    "the policy deletes, not yet": (observed(), old(28.9), (days_ago(28.9), None, "Unused", False)),
    "a day before": (observed(), old(29), (days_ago(29), days_ago(-1), "RemovalScheduled", False)),
    "long after, a day from now all the same": (
        observed(),
        old(400),
        (days_ago(400), days_ago(-1), "RemovalScheduled", False),
    ),
    "announced, the day has not passed": (
        observed(),
        old(29.5, NOW + 12 * HOUR),
        (days_ago(29.5), days_ago(-0.5), "RemovalScheduled", False),
    ),
    "announced a day ago": (observed(), old(30, NOW), (days_ago(30), days_ago(0), "RemovalScheduled", True)),
    "announced, and used again": (observed(in_use=True), old(30, NOW), (None, None, "", False)),
    "announced, and the policy was taken back": (
        observed(None),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "announced, and the policy waits longer now": (
        observed(UnusedCaches(after_days=60, policy="Delete")),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "announced, and somebody retains it": (
        observed(cache=RETAINED),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "made by hand, with our label copied": (
        observed(cache=BY_HAND),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "made by hand, with our name and our label": (
        observed(cache=LABELLED_BY_SOMEBODY),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "made by hand, with our name": (
        observed(cache=UNLABELLED),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
    "its configuration is missing": (
        observed(runtime_config=MissingRuntimeConfig("gone")),
        old(30, NOW),
        (days_ago(30), None, "Unused", False),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_cache_that_nobody_uses(name: str) -> None:
    seen, before, want = CASES[name]
    use = judge(seen, before, NOW)
    reason = use.condition.reason if use.condition is not None else ""
    assert (use.unused_since, use.removal_time, reason, use.remove) == want
    with_status = structs.replace(seen, cache=structs.replace(seen.cache, status=before))
    plan = decide(with_status, now=NOW, options=OPTIONS)
    assert [removal.resource.kind for removal in plan.removals if removal.unchanged] == (
        ["AIMModelCache"] if want[3] else []
    )


def test_nothing_goes_that_was_not_announced_a_day_before_whatever_happened_meanwhile() -> None:
    """The operator was away for a year: the first it does is to announce."""
    status, now = old(365), NOW
    removed_at = None
    announced = []
    while removed_at is None:
        use = judge(observed(), status, now)
        if use.remove:
            removed_at = now
            break
        if use.removal_time is not None and status.removal_time is None:
            announced.append(now)
        status = AIMModelCacheStatus(unused_since=use.unused_since, removal_time=use.removal_time)
        assert use.requeue_after_seconds is not None
        now += timedelta(seconds=use.requeue_after_seconds)
    assert announced == [NOW]
    assert removed_at - announced[0] == timedelta(days=1)


def test_the_day_before_is_told_by_an_event_and_a_condition_once() -> None:
    seen = observed()
    first = structs.replace(seen, cache=structs.replace(OWN, status=old(29)))
    plan = decide(first, now=NOW, options=OPTIONS)
    assert [note.reason for note in plan.events if note.type == "Warning"] == ["RemovalScheduled"]
    status = plan.status
    assert status is not None
    in_use = conditions.find(status.conditions or (), c.IN_USE)
    assert in_use is not None
    assert "set spec.retain" in in_use.message
    again = structs.replace(seen, cache=structs.replace(OWN, status=status))
    assert "RemovalScheduled" not in [n.reason for n in decide(again, now=NOW + HOUR, options=OPTIONS).events]


def test_labels_alone_make_nothing_the_operators() -> None:
    assert not judge(observed(cache=LABELLED_BY_SOMEBODY), old(400, NOW - HOUR), NOW).remove


def test_a_clock_that_was_a_year_ahead_does_not_keep_a_cache_for_a_year() -> None:
    """What it wrote lies in the future once it is set; that of another replica's clock does by seconds."""
    use = judge(observed(), old(-365, NOW + timedelta(days=396)), NOW)
    assert (use.unused_since, use.removal_time, use.remove) == (days_ago(0), None, False)
    long_unused = judge(observed(), old(40, NOW + timedelta(days=366)), NOW)
    assert (long_unused.removal_time, long_unused.remove) == (days_ago(-1), False)
    soon = old(-60 / 86_400)
    assert judge(observed(), soon, NOW).unused_since == soon.unused_since
