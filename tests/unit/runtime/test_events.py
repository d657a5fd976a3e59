"""Events inform: aggregated, bounded, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from aim_operator import errors
from aim_operator.api.meta import Manifest, ObjectMeta
from aim_operator.runtime.events import (
    ASIDE_SECONDS,
    BURST,
    EVENTS,
    PAUSE_SECONDS,
    QUEUE_LIMIT,
    REFILL_SECONDS,
    SERIES_INTERVAL_SECONDS,
    SERIES_SECONDS,
    EventRecorder,
)
from aim_operator.runtime.metrics import MetricSink
from tests.support.fake_client import Call, FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import WIDGETS


class Dropped(MetricSink):
    def __init__(self) -> None:
        self.why: list[str] = []

    def event_dropped(self, why: str) -> None:
        self.why.append(why)


class Recording:
    def __init__(self, instance: str = "pod-1") -> None:
        self.client = FakeClient()
        self.clock = VirtualClock()
        self.dropped = Dropped()
        self.busy = False
        self.recorder = EventRecorder(
            self.client,
            clock=self.clock,
            component="op",
            instance=instance,
            metrics=self.dropped,
            busy=lambda: self.busy,
        )

    def record(
        self,
        message: str = "m",
        *,
        name: str = "a",
        namespace: str = "team",
        kind: Literal["Normal", "Warning"] = "Normal",
    ) -> None:
        metadata = ObjectMeta(name=name, namespace=namespace, uid=f"uid-{name}")
        self.recorder.record(WIDGETS, metadata, kind, "Made", message, "Make")

    @property
    def events(self) -> list[Manifest]:
        return self.client.manifests(EVENTS)


@asynccontextmanager
async def recording() -> AsyncIterator[Recording]:
    scene = Recording()
    task = asyncio.create_task(scene.recorder.run())
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_event_says_what_happened_to_what() -> None:
    """In the namespace of its object, by us, at that time."""
    async with recording() as scene:
        scene.record("made it", kind="Warning")
        await scene.clock.settle()
        (event,) = scene.events
        want: dict[str, Any] = {
            "eventTime": "2026-01-31T12:00:00.000000Z",
            "reportingController": "op",
            "reportingInstance": "pod-1",
            "action": "Make",
            "reason": "Made",
            "note": "made it",
            "type": "Warning",
            "regarding": {
                "apiVersion": "example.com/v1",
                "kind": "Widget",
                "name": "a",
                "uid": "uid-a",
                "namespace": "team",
            },
        }
        assert {key: event[key] for key in want} == want
        assert event["metadata"]["namespace"] == "team"
        assert event["metadata"]["name"].startswith("a.")
        assert "series" not in event


async def test_an_event_tells_when_it_happened_not_when_it_was_written() -> None:
    """It waits while the server has too much to do; what came again until then is told with it."""
    scene = Recording()
    scene.record()
    await scene.clock.advance(10)
    scene.record()
    await scene.clock.advance(10)
    await scene.clock.run(scene.recorder.close())
    (event,) = scene.events
    assert event["eventTime"] == "2026-01-31T12:00:00.000000Z"
    assert event["series"] == {"count": 2, "lastObservedTime": "2026-01-31T12:00:20.000000Z"}


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        pytest.param("x" * 253, "x" * 200 + ".", id="as long as a name can be"),
        pytest.param("x" * 199 + "-" + "y" * 50, "x" * 199 + ".", id="cut behind a hyphen"),
        pytest.param("x" * 198 + ".-" + "y" * 50, "x" * 198 + ".", id="cut behind a dot and a hyphen"),
    ],
)
async def test_the_name_of_an_event_is_valid_whatever_its_object_and_the_operator_are_called(
    name: str, begins: str
) -> None:
    """A name of a Kubernetes object has 253 characters, and a label in it no hyphen at its ends."""
    scene = Recording(instance="aim-operator-" * 12)
    scene.record(name=name)
    await scene.clock.run(scene.recorder.close())
    (event,) = scene.events
    assert event["metadata"]["name"][:-16] == begins
    assert event["reportingInstance"] == ("aim-operator-" * 12)[:128]


async def test_events_about_cluster_objects_live_in_default() -> None:
    """Where kubectl looks for them."""
    async with recording() as scene:
        scene.record(namespace="")
        await scene.clock.settle()
        (event,) = scene.events
        assert event["metadata"]["namespace"] == "default"
        assert "namespace" not in event["regarding"]


async def test_the_same_again_counts_up_a_series() -> None:
    """One event, written now and then, not once per repetition."""
    async with recording() as scene:
        for _ in range(100):
            scene.record()
            await scene.clock.advance(1)
        (event,) = scene.events
        assert 60 < event["series"]["count"] <= 100
        assert len(scene.client.writes()) <= 5


async def test_a_series_goes_on_for_as_long_as_it_comes() -> None:
    """However long ago it began."""
    async with recording() as scene:
        for _ in range(5):
            scene.record()
            await scene.clock.advance(SERIES_SECONDS - 1)
        (event,) = scene.events
        assert event["series"]["count"] == 5


async def test_what_comes_again_while_it_waits_takes_no_more_room() -> None:
    """No worker has time for events, and one event comes a thousand times."""
    scene = Recording()
    for _ in range(QUEUE_LIMIT):
        scene.record()
        await scene.clock.advance(SERIES_INTERVAL_SECONDS + 1)
    assert scene.dropped.why == []


async def test_an_event_for_which_there_was_no_room_is_told_when_it_comes_again() -> None:
    """Whether it was new then, or came again."""
    async with recording() as scene:
        scene.record("before", name="b")
        await scene.clock.settle()
        for number in range(QUEUE_LIMIT // 2):
            scene.record(name=f"n{number}")
        scene.record("new", name="b")
        assert scene.dropped.why == ["queue"]
        await scene.clock.advance(SERIES_INTERVAL_SECONDS + 1)
        for number in range(QUEUE_LIMIT // 2):
            scene.record(name=f"m{number}")
        scene.record("before", name="b")
        assert scene.dropped.why == ["queue"] * 2
        await scene.clock.settle()
        scene.record("new", name="b")
        scene.record("before", name="b")
        await scene.clock.settle()
        told = {each["note"]: each.get("series", {}).get("count") for each in scene.events}
        assert (told["new"], told["before"]) == (None, 3)


async def test_something_else_is_another_event() -> None:
    """Another message, another object."""
    async with recording() as scene:
        scene.record("one")
        scene.record("two")
        scene.record("one", name="b")
        await scene.clock.settle()
        assert len(scene.events) == 3


async def test_after_a_while_the_same_is_news_again() -> None:
    """A series ends when nothing comes for six minutes."""
    async with recording() as scene:
        scene.record()
        await scene.clock.advance(400)
        scene.record()
        await scene.clock.settle()
        assert len(scene.events) == 2


async def test_one_object_cannot_flood() -> None:
    """A burst, then a trickle; others are not held back."""
    async with recording() as scene:
        for number in range(100):
            scene.record(f"{number}")
        scene.record(name="b")
        await scene.clock.settle()
        assert len(scene.events) == BURST + 1
        assert scene.dropped.why.count("rate") == 100 - BURST


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        pytest.param(REFILL_SECONDS - 1, 0, id="not yet"),
        pytest.param(REFILL_SECONDS, 1, id="one in half a minute"),
        pytest.param(2 * REFILL_SECONDS, 2, id="two in a minute"),
        pytest.param(86_400, BURST, id="after a day as many as at first"),
    ],
)
async def test_an_object_that_told_too_much_may_tell_more_after(seconds: float, want: int) -> None:
    async with recording() as scene:
        for number in range(BURST + 1):
            scene.record(f"{number}")
        await scene.clock.advance(seconds)
        for number in range(3 * BURST):
            scene.record(f"more {number}")
        await scene.clock.settle()
        assert len(scene.events) == BURST + want


async def test_recording_never_waits() -> None:
    """A server that does not answer fills the queue, and the rest is dropped and counted."""
    scene = Recording()
    for number in range(QUEUE_LIMIT // 2 + 5):
        scene.record(name=f"n{number}")
    assert scene.dropped.why == ["queue"] * 5


@pytest.mark.parametrize("busy", [False, True], ids=["at rest", "while all workers are at work"])
async def test_a_namespace_that_floods_events_delays_another_by_one_event(busy: bool) -> None:  # noqa: FBT001
    """Also while it goes on: a thousand each second, of ever new objects."""
    scene = Recording()
    scene.busy = busy
    for number in range(5000):
        scene.record(name=f"n{number}", namespace="attacker")
    task = asyncio.create_task(scene.recorder.run())
    for second in range(30):
        for number in range(1000):
            scene.record(name=f"s{second}-{number}", namespace="attacker")
        before = len(scene.client.calls)
        scene.record(f"{second}", name=f"b{second}", namespace="victim")
        await scene.clock.advance(0.5)
        spaces = [call.namespace for call in scene.client.calls[before:]]
        assert spaces.index("victim") <= 1
        await scene.clock.advance(0.5)
    assert {event["note"] for event in scene.events if event["metadata"]["namespace"] == "victim"} == {
        str(second) for second in range(30)
    }
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_namespace_that_floods_events_makes_another_forget_no_series() -> None:
    async with recording() as scene:
        scene.record(name="b", namespace="victim")
        await scene.clock.settle()
        for round_ in range(12):
            for number in range(1000):
                scene.record(name=f"n{round_}-{number}", namespace="attacker")
            await scene.clock.advance(5)
        assert len(scene.events) > 5000, "more than are remembered"
        scene.record(name="b", namespace="victim")
        await scene.clock.advance(1)
        (event,) = [each for each in scene.events if each["metadata"]["namespace"] == "victim"]
        assert event["series"]["count"] == 2


async def test_what_is_remembered_is_bounded_whoever_it_is_about() -> None:
    """Of many namespaces the oldest is forgotten; it is news again."""
    async with recording() as scene:
        scene.record(name="b", namespace="first")
        for round_ in range(12):
            for number in range(400):
                scene.record(name=f"n{round_}-{number}", namespace=f"team-{round_}")
            await scene.clock.advance(5)
        scene.record(name="b", namespace="first")
        await scene.clock.settle()
        assert len([each for each in scene.events if each["metadata"]["namespace"] == "first"]) == 2


async def test_a_namespace_whose_events_fail_for_ever_does_not_hold_up_another() -> None:
    """Each failure means a pause for all, lest events load a server that has too much to do."""
    async with recording() as scene:

        async def refuse(call: Call) -> None:
            if call.namespace == "attacker":
                raise errors.Unavailable("etcd is full", code=500)

        scene.client.gate = refuse
        for minute in range(10):
            for number in range(200):
                scene.record(f"{minute}-{number}", name=f"a{number}", namespace="attacker")
            scene.record(f"{minute}", name="b", namespace="victim")
            await scene.clock.advance(PAUSE_SECONDS + 0.1)
            notes = [each["note"] for each in scene.events]
            assert str(minute) in notes, "after one pause at most"
            await scene.clock.advance(60)


async def test_a_namespace_whose_event_failed_has_its_turn_again_after_a_minute() -> None:
    """Although others have events to write all the time."""
    async with recording() as scene:
        scene.client.fail("create", EVENTS, errors.Unavailable("etcd is full", code=500))
        scene.record("lost", namespace="unlucky")
        await scene.clock.advance(ASIDE_SECONDS + 1)
        for number in range(5):
            scene.record(f"{number}", name="b", namespace="busy")
        scene.record("kept", namespace="unlucky")
        await scene.clock.settle()
        assert "kept" in [event["note"] for event in scene.events][:2]


async def test_objects_go_first() -> None:
    """While all workers are at work events trickle; none is lost by that."""
    async with recording() as scene:
        scene.busy = True
        for number in range(10):
            scene.record(f"{number}")
        await scene.clock.settle()
        assert len(scene.events) == 1
        await scene.clock.advance(1.01)
        assert len(scene.events) == 6
        scene.busy = False
        await scene.clock.advance(0.2)
        assert [event["note"] for event in scene.events] == [f"{number}" for number in range(10)]


async def test_a_failed_event_is_dropped_and_the_next_one_waits() -> None:
    """Under load events are the first to go."""
    async with recording() as scene:
        scene.client.fail("create", EVENTS, errors.TooManyRequests("busy"))
        scene.record("one")
        scene.record("two")
        await scene.clock.settle()
        assert scene.events == []
        await scene.clock.advance(10)
        assert [event["note"] for event in scene.events] == ["two"]
        assert scene.dropped.why == ["error"]


async def test_a_refused_event_does_not_hold_up_the_next() -> None:
    """A namespace that is being deleted takes none; that says nothing about the server."""
    async with recording() as scene:
        scene.client.fail("create", EVENTS, errors.Forbidden("namespace is being terminated", code=403))
        scene.record("one")
        scene.record("two")
        await scene.clock.settle()
        assert [event["note"] for event in scene.events] == ["two"]
        assert scene.dropped.why == ["refused"]


async def test_an_event_that_expired_does_not_stop_the_series() -> None:
    """Servers keep events for an hour."""
    async with recording() as scene:
        scene.record()
        await scene.clock.advance(60)
        scene.client.remove(EVENTS, scene.events[0]["metadata"]["name"], "team")
        scene.record()
        await scene.clock.settle()
        scene.record()
        await scene.clock.settle()
        assert len(scene.events) == 1


async def test_a_long_note_is_cut_between_characters() -> None:
    """1024 bytes is what the API takes."""
    async with recording() as scene:
        scene.record("ä" * 2000)
        await scene.clock.settle()
        note = scene.events[0]["note"]
        assert len(note.encode()) <= 1024
        assert note.endswith("ä…")
        scene.record("x" * 1024, name="b")
        await scene.clock.settle()
        assert scene.events[1]["note"] == "x" * 1024


async def test_closing_writes_what_is_left() -> None:
    """The last events of a stopping process are the interesting ones."""
    scene = Recording()
    scene.record("good")
    scene.record("bye")
    await scene.clock.run(scene.recorder.close())
    assert [event["note"] for event in scene.events] == ["good", "bye"]


async def test_closing_gives_up_at_a_server_that_takes_no_more() -> None:
    """What is left is counted as dropped then, too."""
    scene = Recording()
    scene.client.fail("create", EVENTS, errors.TooManyRequests("busy"))
    for number in range(3):
        scene.record(f"{number}")
    await scene.clock.run(scene.recorder.close())
    assert scene.events == []
    assert scene.dropped.why == ["error", "stop", "stop"]


async def test_closing_does_not_wait_for_a_dead_server() -> None:
    """What is left is counted as dropped."""
    scene = Recording()

    async def hang(_call: object) -> None:
        await scene.clock.sleep(10_000)

    scene.client.gate = hang
    for number in range(3):
        scene.record(f"{number}")
    await scene.clock.run(scene.recorder.close(seconds=2))
    assert scene.clock.monotonic() <= 2.1
    assert scene.dropped.why == ["stop", "stop"]
