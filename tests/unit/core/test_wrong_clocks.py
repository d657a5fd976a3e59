"""Times that a clock of ours recorded while it was wrong, read once it is right: nothing is put off by more.

`offset` is by how many seconds that clock was ahead; negative: behind.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, BlockedBy, Storage, UnusedCaches
from aim_operator.core import conditions
from aim_operator.core.blocking import blocked_by
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.conditions import CLOCKS_DIFFER, parse_time, timestamp
from aim_operator.core.jobs import attempts
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.usage import NOTICE, judge
from aim_operator.core.naming import model_cache_name
from tests.support.cache_builders import OURS, SOURCE, make_claim, make_model_cache
from tests.support.template_builders import make_discovery

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
TEN_YEARS = 10 * 365 * 86400
UNUSED_DAYS = 30
OWN = make_model_cache(model_cache_name(SOURCE, ""), metadata=OURS)
UNUSED = ModelCacheObserved(
    cache=OWN,
    runtime_config=RuntimeConfig(
        storage=Storage(unused=UnusedCaches(after_days=UNUSED_DAYS, policy="Delete"))
    ),
    claim=make_claim(OWN),
    in_use=False,
)
READY = Condition(type="Ready", status="False", reason="Waiting", message="")

offsets = st.one_of(st.integers(-TEN_YEARS, TEN_YEARS), st.integers(-400, 400))


def recorded(offset: int, *, ago: float = 0) -> str:
    """Return what that clock wrote `ago` seconds before NOW."""
    return timestamp(NOW + timedelta(seconds=offset - ago))


@given(offsets, st.integers(1, 40))
@example(TEN_YEARS, 1)
@example(300, 1)
@example(301, 1)
def test_the_next_attempt_waits_for_its_pause_and_five_minutes_at_most(offset: int, failed: int) -> None:
    record = make_discovery("a", attempts=failed, last=recorded(offset))
    wait = attempts.seconds_to_retry(record, "a", NOW)
    assert 0 <= wait <= attempts.LONGEST_RETRY_SECONDS + CLOCKS_DIFFER.total_seconds()


@given(offsets)
@example(TEN_YEARS)
@example(-TEN_YEARS)
def test_an_unused_cache_goes_when_its_days_are_over_and_a_day_after_it_was_announced(offset: int) -> None:
    status, now = AIMModelCacheStatus(unused_since=recorded(offset)), NOW
    announced_at = None
    while not (use := judge(UNUSED, status, now)).remove:
        if use.removal_time is not None and announced_at is None:
            announced_at = now
        status = AIMModelCacheStatus(unused_since=use.unused_since, removal_time=use.removal_time)
        assert use.requeue_after_seconds is not None
        now += timedelta(seconds=use.requeue_after_seconds)
    assert announced_at is not None
    assert now - announced_at == NOTICE
    assert now - NOW <= timedelta(days=UNUSED_DAYS) + CLOCKS_DIFFER


@given(offsets)
@example(TEN_YEARS)
def test_a_cache_that_was_announced_goes_a_day_later_at_most(offset: int) -> None:
    long_ago = timestamp(NOW - timedelta(days=400))
    status = AIMModelCacheStatus(unused_since=long_ago, removal_time=recorded(offset, ago=-86400))
    use = judge(UNUSED, status, NOW)
    assert use.remove or 0 < (use.requeue_after_seconds or 0) <= (NOTICE + CLOCKS_DIFFER).total_seconds()


@given(offsets)
@example(TEN_YEARS)
@example(301)
def test_no_status_says_that_something_is_so_since_a_time_to_come(offset: int) -> None:
    """Clocks of two replicas differ by minutes; what one of them wrote is not dated anew by the other."""
    moment, latest = timestamp(NOW), NOW + CLOCKS_DIFFER
    old = structs.replace(READY, last_transition_time=recorded(offset))
    told = conditions.merge((old,), [READY], now=moment, generation=1)
    blocker = BlockedBy(kind="Job", name="j", reason="Waiting", since=recorded(offset))
    blocked = blocked_by(blocker, ObjectRef("Job", "team", "j"), told, namespace="team", now=moment)
    assert blocked is not None
    assert blocked.since is not None
    assert blocked.since == told[0].last_transition_time
    since = parse_time(blocked.since)
    assert since <= latest
    believed = offset <= CLOCKS_DIFFER.total_seconds()
    assert since == (NOW + timedelta(seconds=offset) if believed else NOW)
    again = conditions.merge(told, [READY], now=moment, generation=1)
    assert again == told
