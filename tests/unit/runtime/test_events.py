"""Events inform: aggregated, bounded, never in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from aim_operator import errors
from aim_operator.api.meta import Manifest, ObjectMeta
from aim_operator.runtime.events import BURST, EVENTS, PAUSE_SECONDS, QUEUE_LIMIT, EventRecorder
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
    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = VirtualClock()
        self.dropped = Dropped()
        self.busy = False
        self.recorder = EventRecorder(
            self.client,
            clock=self.clock,
            component="op",
            instance="pod-1",
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
        for round_ in range(8):
            for number in range(1000):
                scene.record(name=f"n{round_}-{number}", namespace="attacker")
            await scene.clock.advance(5)
        scene.record(name="b", namespace="victim")
        await scene.clock.advance(1)
        (event,) = [each for each in scene.events if each["metadata"]["namespace"] == "victim"]
        assert event["series"]["count"] == 2


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


async def test_closing_writes_what_is_left() -> None:
    """The last events of a stopping process are the interesting ones."""
    scene = Recording()
    scene.record("bye")
    await scene.clock.run(scene.recorder.close())
    assert [event["note"] for event in scene.events] == ["bye"]


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
