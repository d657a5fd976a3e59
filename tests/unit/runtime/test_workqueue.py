"""A key never runs twice at once, and none is lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.meta import ObjectRef
from aim_operator.runtime.workqueue import LONGEST_BACKOFF_SECONDS, WorkQueue
from tests.support.virtual_clock import VirtualClock


def ref(name: str, namespace: str = "team") -> ObjectRef:
    return ObjectRef("Widget", namespace, name)


def take(queue: WorkQueue) -> str | None:
    taken = queue.take()
    return taken[0].name if taken else None


def test_keys_come_in_the_order_they_were_added_once_each() -> None:
    """Adding again changes nothing."""
    queue = WorkQueue(VirtualClock())
    for name in "abab":
        queue.add(ref(name))
    assert [take(queue), take(queue), take(queue)] == ["a", "b", None]


def test_namespaces_take_turns_however_many_keys_each_has() -> None:
    queue = WorkQueue(VirtualClock())
    for name in "abcd":
        queue.add(ref(name, "flood"))
    queue.add(ref("x", "calm"))
    queue.add(ref("y", "calm"))
    queue.add(ref("z", ""))
    assert [take(queue) for _ in range(7)] == ["a", "x", "z", "b", "y", "c", "d"]


def test_a_namespace_that_may_not_keeps_its_turn() -> None:
    queue = WorkQueue(VirtualClock())
    queue.add(ref("a", "full"))
    queue.add(ref("x", "calm"))
    queue.add(ref("y", "calm"))
    taken = queue.take(lambda namespace: namespace != "full")
    assert taken is not None
    assert taken[0].name == "x"
    assert take(queue) == "a"
    assert queue.take(lambda _: False) is None
    assert len(queue) == 1


def test_a_key_added_while_it_runs_runs_again_after_that() -> None:
    """And not before."""
    queue = WorkQueue(VirtualClock())
    queue.add(ref("a"))
    assert take(queue) == "a"
    queue.add(ref("a"))
    queue.add(ref("a"))
    assert take(queue) is None
    queue.done(ref("a"))
    assert take(queue) == "a"
    queue.done(ref("a"))
    assert take(queue) is None
    assert queue.idle


async def test_a_key_for_later_comes_when_it_is_due() -> None:
    """The earliest wish counts."""
    clock = VirtualClock()
    queue = WorkQueue(clock)
    queue.add_after(ref("a"), 10)
    queue.add_after(ref("a"), 5)
    queue.add_after(ref("a"), 20)
    await clock.advance(4.9)
    assert take(queue) is None
    await clock.advance(0.1)
    assert take(queue) == "a"
    queue.done(ref("a"))
    await clock.advance(60)
    assert take(queue) is None


async def test_being_taken_fulfils_what_was_wished_for_later() -> None:
    """A reconcile says anew when it wants to run again."""
    clock = VirtualClock()
    queue = WorkQueue(clock)
    queue.add_after(ref("a"), 10)
    queue.add(ref("a"))
    assert take(queue) == "a"
    queue.done(ref("a"))
    await clock.advance(60)
    assert take(queue) is None


async def test_backoff_doubles_up_to_its_limit_and_is_forgotten() -> None:
    """Per key, with jitter of half."""
    queue = WorkQueue(VirtualClock())
    waits = [queue.add_rate_limited(ref("a")) for _ in range(20)]
    for number, wait in enumerate(waits):
        longest = min(0.005 * 2**number, LONGEST_BACKOFF_SECONDS)
        assert longest / 2 <= wait <= longest
    assert queue.add_rate_limited(ref("b")) <= 0.005
    queue.forget(ref("a"))
    assert queue.add_rate_limited(ref("a")) <= 0.005
    assert queue.add_rate_limited(ref("a"), at_least_seconds=7) >= 7


@pytest.mark.parametrize("while_it_runs", [True, False])
async def test_news_that_may_be_the_echo_of_a_failure_ends_no_backoff(while_it_runs: bool) -> None:  # noqa: FBT001
    clock = VirtualClock()
    queue = WorkQueue(clock)
    for failed, want in ((False, "a"), (True, None), (False, "a")):
        queue.add(ref("a"))
        assert take(queue) == "a"
        if while_it_runs:
            queue.add_unless_failing(ref("a"))
        queue.forget(ref("a"))
        if failed:
            queue.add_rate_limited(ref("a"), at_least_seconds=30)
        queue.done(ref("a"))
        if not while_it_runs:
            queue.add_unless_failing(ref("a"))
        assert take(queue) == want
        if want is None:
            await clock.advance(30)
            assert take(queue) == "a", "it comes back by itself"
        queue.done(ref("a"))


def test_other_news_does() -> None:
    queue = WorkQueue(VirtualClock())
    queue.add_rate_limited(ref("a"), at_least_seconds=30)
    queue.add_unless_failing(ref("a"))
    assert take(queue) is None
    queue.add(ref("a"))
    assert take(queue) == "a"
    queue.add_unless_failing(ref("a"))
    queue.add(ref("a"))
    queue.add_rate_limited(ref("a"), at_least_seconds=30)
    queue.done(ref("a"))
    assert take(queue) == "a"


async def test_age_is_that_of_the_first_key() -> None:
    """What a stuck operator shows."""
    clock = VirtualClock()
    queue = WorkQueue(clock)
    assert queue.age_seconds == 0
    queue.add(ref("a"))
    await clock.advance(3)
    queue.add(ref("b"))
    assert (queue.age_seconds, len(queue)) == (3, 2)
    queue.add(ref("c", "other"))
    assert take(queue) == "a"
    await clock.advance(2)
    assert queue.age_seconds == 2, "the oldest of all namespaces"


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "later", "retry", "take", "done", "pass"]), st.sampled_from("abc")),
    max_size=60,
)


@given(STEPS)
def test_never_twice_at_once_and_nothing_lost(steps: list[tuple[str, str]]) -> None:
    """Whatever happens: what was asked for after it last began runs again in the end."""

    async def scenario() -> None:
        clock = VirtualClock()
        queue = WorkQueue(clock)
        owed: set[str] = set()
        running: set[str] = set()
        for action, name in steps:
            if action == "add":
                queue.add(ref(name))
                owed.add(name)
            elif action == "later":
                queue.add_after(ref(name), 5)
                owed.add(name)
            elif action == "retry":
                queue.add_rate_limited(ref(name))
                owed.add(name)
            elif action == "take":
                got = take(queue)
                if got is not None:
                    assert got not in running
                    running.add(got)
                    owed.discard(got)
            elif action == "done" and name in running:
                running.discard(name)
                queue.done(ref(name))
            elif action == "pass":
                await clock.advance(1)
        for name in running:
            queue.done(ref(name))
        await clock.advance(3600)
        rest: set[str] = set()
        while (left := take(queue)) is not None:
            rest.add(left)
        assert owed <= rest

    asyncio.run(scenario())
