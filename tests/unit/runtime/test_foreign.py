"""A name that somebody else holds is watched until it is free."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aim_operator import errors
from aim_operator.api.meta import ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.runtime.foreign import POLL_SECONDS, ForeignWatches, Name
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import KEY, WIDGETS, make_widget

OTHER = ObjectRef("Owner", "team", "other")


class Watching:
    def __init__(self, limit: int = 10) -> None:
        self.client, self.clock = FakeClient(), VirtualClock()
        self.client.put(WIDGETS, make_widget())
        self.foreign = ForeignWatches(self.client, clock=self.clock, limit=limit)
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    async def ensure(self, name: str = "a", key: ObjectRef = KEY) -> None:
        self.foreign.ensure(key, Name(WIDGETS, "team", name), self.wake)
        await self.clock.settle()


async def test_it_wakes_once_in_the_beginning_then_on_changes() -> None:
    """The object may have changed since it was looked at; other objects do not matter."""
    scene = Watching()
    await scene.ensure()
    assert scene.woken == 1
    scene.client.put(WIDGETS, make_widget("other"))
    await scene.clock.settle()
    assert scene.woken == 1
    scene.client.put(WIDGETS, make_widget(spec={"x": 1}))
    await scene.clock.settle()
    assert scene.woken == 2
    scene.client.remove(WIDGETS, "a", "team")
    await scene.clock.settle()
    assert scene.woken == 3
    await scene.foreign.close()


class Asked(FakeClient):
    """Keeps what its watches are of."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[bool, str, str]] = []

    async def watch(self, resource: Resource[Any], **options: Any) -> AsyncIterator[Any]:
        self.asked.append((resource.metadata_only, options["namespace"], options["field_selector"]))
        async for event in super().watch(resource, **options):
            yield event


async def test_only_the_metadata_of_one_object_is_watched() -> None:
    """It is a stranger's: its content may be large, and the right to all namespaces may not be there."""
    client, clock = Asked(), VirtualClock()
    foreign = ForeignWatches(client, clock=clock)
    foreign.ensure(KEY, Name(WIDGETS, "team", "a"), lambda: None)
    await clock.settle()
    assert client.asked == [(True, "team", "metadata.name=a")]
    await foreign.close()


async def test_a_watch_that_never_came_about_ends_too() -> None:
    """A conflict that is solved while the API server does not answer."""
    scene = Watching()
    scene.client.fail("watch", WIDGETS, *[errors.Unavailable("down") for _ in range(100)])
    await scene.ensure()
    scene.foreign.keep(KEY, ())
    await scene.clock.settle()
    calls = len(scene.client.calls)
    await scene.clock.advance(60)
    assert len(scene.client.calls) == calls
    assert scene.woken == 0


async def test_ensuring_again_changes_nothing() -> None:
    """Every reconcile of a conflict says it; one watch serves all."""
    scene = Watching()
    for _ in range(5):
        await scene.ensure()
    assert (scene.woken, scene.client.open_watches(WIDGETS)) == (1, 1)
    await scene.foreign.close()


async def test_what_is_not_kept_is_no_longer_watched() -> None:
    """Keeping what is not watched starts nothing; other keys keep theirs."""
    scene = Watching()
    await scene.ensure()
    await scene.ensure("b")
    await scene.ensure("a", OTHER)
    kept = {Name(WIDGETS, "team", "b"), Name(WIDGETS, "team", "c")}
    scene.foreign.keep(KEY, kept)
    scene.foreign.keep(KEY, kept)
    await scene.clock.settle()
    assert scene.client.open_watches(WIDGETS) == 2
    assert [scene.foreign.watches(KEY, Name(WIDGETS, "team", name)) for name in "abc"] == [False, True, False]
    scene.foreign.keep(KEY, ())
    assert scene.foreign.watches(OTHER, Name(WIDGETS, "team", "a"))
    scene.foreign.keep(OTHER, ())
    await scene.clock.settle()
    assert scene.client.open_watches(WIDGETS) == 0
    assert len(scene.foreign) == 0


async def test_too_many_conflicts_are_polled() -> None:
    """Watches are bounded, and nobody is forgotten."""
    scene = Watching(limit=1)
    await scene.ensure()
    await scene.ensure("b")
    assert (scene.woken, scene.client.open_watches(WIDGETS)) == (1, 1)
    await scene.clock.advance(POLL_SECONDS)
    assert scene.woken == 2
    await scene.foreign.close()


async def test_closing_stops_all() -> None:
    """No task is left."""
    scene = Watching()
    await scene.ensure()
    await scene.foreign.close()
    assert scene.client.open_watches(WIDGETS) == 0


async def test_a_namespace_of_500_conflicts_leaves_watches_to_another() -> None:
    scene = Watching(limit=20)
    for number in range(500):
        await scene.ensure(key=ObjectRef("Owner", "attacker", f"a{number}"))
    assert scene.client.open_watches(WIDGETS) == 10
    scene.woken = 0
    await scene.ensure(key=ObjectRef("Owner", "victim", "b"))
    assert (scene.woken, scene.client.open_watches(WIDGETS)) == (1, 11), "watched, not polled"
    for number in range(500):
        scene.foreign.keep(ObjectRef("Owner", "attacker", f"a{number}"), ())
    await scene.clock.settle()
    assert scene.client.open_watches(WIDGETS) == 1
    await scene.ensure("b")
    assert scene.client.open_watches(WIDGETS) == 2, "what is given back can be had again"
    for number in range(10):
        await scene.ensure(key=ObjectRef("Owner", "attacker", f"b{number}"))
    assert scene.client.open_watches(WIDGETS) > 8, "also by who had it"
    await scene.foreign.close()
