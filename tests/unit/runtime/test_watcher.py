"""The cache follows the server through everything that watches do: break, stall, expire, vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from aim_operator import errors
from aim_operator.api.resource import K, Page, Resource, WatchEvent
from aim_operator.runtime.informer import STUCK_SECONDS, Informer
from tests.support.fake_client import Call, FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import WIDGETS, Widget, decode, make_widget


class Following:
    """A running informer, and what its handlers were told."""

    def __init__(self, client: FakeClient, clock: VirtualClock, **options: Any) -> None:
        self.client = client
        self.clock = clock
        self.informer: Informer[Widget] = Informer(client, WIDGETS, clock=clock, **options)
        self.told: list[tuple[str | None, str | None]] = []
        self.installed: list[bool] = []
        self.informer.add_handler(self._tell)
        self.informer.on_installed(self.installed.append)

    def _tell(self, old: Widget | None, new: Widget | None) -> None:
        self.told.append((old.metadata.name if old else None, new.metadata.name if new else None))

    @property
    def names(self) -> list[str]:
        return sorted(widget.metadata.name for widget in self.informer.store.all())

    def verbs(self) -> list[str]:
        return [call.verb for call in self.client.calls]


@asynccontextmanager
async def following(client: FakeClient, **options: Any) -> AsyncIterator[Following]:
    clock = VirtualClock()
    follower = Following(client, clock, **options)
    task = asyncio.create_task(follower.informer.run())
    await clock.settle()
    try:
        yield follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def healthy_after_failures(client: FakeClient) -> AsyncIterator[Following]:
    """A watch that has worked for a minute, after ten failures."""
    client.fail("watch", WIDGETS, *[errors.Unavailable("down") for _ in range(10)])
    async with following(client) as seen:
        await seen.clock.run_until(lambda: seen.informer.synced)
        await seen.clock.advance(60)
        yield seen


def make_client(*names: str, **options: Any) -> FakeClient:
    client = FakeClient(**options)
    for name in names:
        client.put(WIDGETS, make_widget(name))
    return client


async def test_a_streamed_list_then_changes() -> None:
    """One request for both, handlers told in order."""
    async with following(make_client("a", "b")) as seen:
        assert seen.informer.synced
        assert seen.names == ["a", "b"]
        seen.client.put(WIDGETS, make_widget("c"))
        seen.client.put(WIDGETS, make_widget("a", spec={"x": 1}))
        seen.client.remove(WIDGETS, "b", "team")
        await seen.clock.settle()
        assert seen.told == [(None, "a"), (None, "b"), (None, "c"), ("a", "a"), ("b", None)]
        assert seen.verbs() == ["watch"]


async def test_a_server_without_streamed_lists_is_paged() -> None:
    """It is asked for a stream once, then never again."""
    client = make_client("a", "b", "c", streams_lists=False, page_size=2)
    async with following(client) as seen:
        assert seen.informer.synced
        assert seen.names == ["a", "b", "c"]
        assert seen.verbs() == ["list", "list", "watch"]
        client.put(WIDGETS, make_widget("d"))
        await seen.clock.settle()
        assert seen.names == ["a", "b", "c", "d"]


async def test_a_server_without_streamed_lists_is_not_asked_for_one_again() -> None:
    """Each list would cost a refusal first."""
    asked: list[bool] = []

    class Older(FakeClient):
        async def watch(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
            asked.append(options["send_initial_events"])
            async for event in super().watch(*args, **options):
                yield event

    async with following(Older(streams_lists=False)) as seen:
        for _ in range(3):
            seen.informer.relist("team")
            await seen.clock.advance(60)
    assert asked == [True, False, False, False, False]


async def test_410_lists_again_and_tells_deletions() -> None:
    """What happened meanwhile is told as differences, deletions included."""
    async with following(make_client("a", "b")) as seen:
        seen.client.muted.add(WIDGETS.qualified)
        seen.client.remove(WIDGETS, "a", "team")
        seen.client.put(WIDGETS, make_widget("c"))
        seen.client.compact()
        seen.client.muted.clear()
        seen.told.clear()
        seen.client.end_watches(WIDGETS)
        await seen.clock.advance(5)
        assert seen.told == [("a", None), (None, "c")]
        assert seen.names == ["b", "c"]


async def test_a_stream_that_ends_goes_on_where_it_was() -> None:
    """No list: the history since then is enough."""
    async with following(make_client("a")) as seen:
        await seen.clock.advance(100)
        seen.client.end_watches(WIDGETS)
        seen.client.put(WIDGETS, make_widget("b"))
        await seen.clock.advance(5)
        assert seen.names == ["a", "b"]
        assert [call.name == "initial" for call in seen.client.calls] == [True, False]


@pytest.mark.parametrize("last", ["an event", "a bookmark"])
async def test_a_watch_goes_on_from_the_last_that_was_heard(last: str) -> None:
    """What came before may be compacted by then, and would be told a second time."""
    async with following(make_client("a")) as seen:
        if last == "an event":
            seen.client.put(WIDGETS, make_widget("b"))
        else:
            seen.client.version += 1000  # of other kinds, which this watch does not bring
            seen.client.bookmark(WIDGETS)
        await seen.clock.advance(60)
        told = list(seen.told)
        seen.client.compact()
        seen.client.end_watches(WIDGETS)
        await seen.clock.advance(5)
        assert [call.name for call in seen.client.calls] == ["initial", str(seen.client.version)]
        assert seen.told == told


class Lasting(FakeClient):
    """Keeps how long each watch was to last."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[int] = []

    async def watch(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        self.seconds.append(options["timeout_seconds"])
        async for event in super().watch(*args, **options):
            yield event


async def test_watches_do_not_all_end_in_the_same_second() -> None:
    """Thirty of each replica would come back at once, for ever."""
    client = Lasting()
    async with following(client) as seen:
        for _ in range(10):
            client.end_watches(WIDGETS)
            await seen.clock.advance(30)
    assert len(set(client.seconds)) > 3
    assert all(180 <= seconds <= 300 for seconds in client.seconds)


async def test_a_watch_that_expires_after_failures_is_listed_again_at_once() -> None:
    """It was healthy for a minute: what failed before says nothing of now."""
    client = make_client("a")
    async with healthy_after_failures(client) as seen:
        before = len(client.calls)
        client.end_watches(WIDGETS, errors.Expired("too old", code=410))
        await seen.clock.settle()
        assert [call.name for call in client.calls[before:]] == ["initial"]


async def test_a_server_that_cuts_silent_watches_is_asked_ever_less_often() -> None:
    """Fifteen seconds without a word are no health."""
    client = make_client("a")
    async with following(client) as seen:
        for _ in range(100):
            await seen.clock.advance(15)
            client.end_watches(WIDGETS, errors.Unavailable("cut", code=504))
    assert len(client.calls) < 60


async def test_a_change_that_broke_the_cache_is_not_left_out() -> None:
    """A bug in what is kept of an object must neither end the watch nor lose the object."""
    broken = True

    def slim(widget: Widget) -> Widget:
        if broken and widget.metadata.name == "b":
            raise ZeroDivisionError
        return widget

    with capture_logs() as logs:
        async with following(make_client("a"), slim=slim) as seen:
            seen.client.put(WIDGETS, make_widget("b"))
            await seen.clock.advance(2)
            assert seen.names == ["a"]
            broken = False
            await seen.clock.advance(60)
            assert seen.names == ["a", "b"]
    assert "the cache failed, listing again" in {entry["event"] for entry in logs}


async def test_a_dead_watch_is_given_up_and_made_again() -> None:
    """Silent for longer than its own timeout: the connection may be gone with nobody to say so."""
    async with following(make_client("a")) as seen:
        seen.client.muted.add(WIDGETS.qualified)
        seen.client.put(WIDGETS, make_widget("b"))
        await seen.clock.advance(100)
        assert seen.names == ["a"]
        seen.client.muted.clear()
        await seen.clock.advance(250)
        assert seen.names == ["a", "b"]
        assert not seen.informer.stuck


async def test_a_bookmark_keeps_a_silent_watch_alive() -> None:
    """Servers send one every minute."""
    async with following(make_client("a")) as seen:
        for _ in range(10):
            await seen.clock.advance(60)
            seen.client.bookmark(WIDGETS)
        await seen.clock.settle()
        assert seen.verbs() == ["watch"]


async def test_failures_are_retried_with_growing_pauses() -> None:
    """The process is well while it lasts: a restart would only lose its caches."""
    client = make_client("a")
    client.fail("watch", WIDGETS, *[errors.Unavailable("down") for _ in range(40)])
    async with following(client) as seen:
        await seen.clock.advance(STUCK_SECONDS + 1)
        assert not seen.informer.synced
        assert not seen.informer.stuck
        assert seen.informer.age_seconds > STUCK_SECONDS
        assert isinstance(seen.informer.last_error, errors.Unavailable)
        assert 10 < len(client.calls) < 40
        await seen.clock.run_until(lambda: seen.informer.synced)
        assert not seen.informer.stuck
        assert seen.informer.last_error is None


async def test_a_failure_is_logged_once_and_a_missing_right_is_a_warning() -> None:
    """Whoever reads warnings only can mend a role, not a network."""
    client = make_client("a")
    outage = [errors.Unavailable("down") for _ in range(5)]
    refusals = [errors.Forbidden("may not", code=403) for _ in range(5)]
    client.fail("watch", WIDGETS, *outage, *refusals)
    with capture_logs() as logs:
        async with following(client) as seen:
            await seen.clock.run_until(lambda: seen.informer.synced)
    told = [(entry["log_level"], entry["event"]) for entry in logs if "again" in entry["event"]]
    assert told == [("info", "watch failed, trying again"), ("warning", "watch failed, trying again")]


async def test_no_permission_is_kept_as_the_reason() -> None:
    """Whoever waits for the caches can say which verb is missing."""
    client = make_client("a")
    client.fail("watch", WIDGETS, errors.Forbidden('the operator may not "watch" widgets', code=403))
    async with following(client) as seen:
        assert isinstance(seen.informer.last_error, errors.Forbidden)
        await seen.clock.advance(5)
        assert seen.informer.synced


async def test_429_stays_away_as_long_as_told() -> None:
    """At least."""
    client = make_client("a")
    client.fail("watch", WIDGETS, errors.TooManyRequests("slow down", retry_after_seconds=20))
    async with following(client) as seen:
        await seen.clock.advance(19)
        assert len(client.calls) == 1
        await seen.clock.advance(25)
        assert seen.informer.synced


TEAMS = ("team", "red", "green", "blue", "grey")


async def second_calls(client: FakeClient, seconds: float) -> list[float]:
    """Return when each of several watches asked again, after the first answer to all."""
    times: dict[str, list[float]] = {team: [] for team in TEAMS}

    async def note(call: Call) -> None:
        times[call.namespace].append(seen.clock.monotonic())

    client.gate = note
    clock = VirtualClock()
    seen = Following(client, clock, namespaces=TEAMS)
    task = asyncio.create_task(seen.informer.run())
    await clock.settle()
    await clock.advance(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return [each[1] - each[0] for each in times.values()]


async def test_watches_that_were_told_to_wait_do_not_come_back_at_once() -> None:
    """None before the server's time; the one that set them off would else be the crowd that it fears."""
    client = make_client("a")
    client.fail(
        "watch", WIDGETS, *[errors.TooManyRequests("slow down", retry_after_seconds=20) for _ in TEAMS]
    )
    pauses = await second_calls(client, 45)
    assert all(20 <= pause <= 40 for pause in pauses)
    assert max(pauses) - min(pauses) > 0.1


async def test_missing_kinds_are_not_looked_for_in_the_same_second() -> None:
    client = make_client("a")
    client.missing.add(WIDGETS.qualified)
    pauses = await second_calls(client, 605)
    assert all(300 <= pause <= 600 for pause in pauses)
    assert max(pauses) - min(pauses) > 1


async def test_a_kind_that_is_missing_is_no_failure() -> None:
    """Whatever failed before: /readyz and metrics would tell of a watch that nobody can mend."""
    client = make_client("a")
    client.fail("watch", WIDGETS, errors.Unavailable("down"))
    async with following(client) as seen:
        assert seen.informer.last_error is not None
        client.missing.add(WIDGETS.qualified)
        await seen.clock.advance(5)
        assert not seen.informer.installed
        assert seen.informer.last_error is None
        assert seen.informer.age_seconds == 0


async def test_a_kind_that_is_not_installed_is_waited_for() -> None:
    """It counts as synced, is empty, and comes when its CRD does."""
    client = make_client("a")
    client.missing.add(WIDGETS.qualified)
    async with following(client) as seen:
        assert seen.informer.synced
        assert seen.informer.installed is False
        await seen.clock.advance(200)
        assert len(client.calls) == 1
        assert not seen.informer.stuck

        seen.informer.recheck()
        await seen.clock.advance(2)
        client.missing.clear()  # served a moment after the CRD appeared
        await seen.clock.advance(10)
        assert seen.informer.installed is True
        assert seen.names == ["a"]
        assert seen.installed == [False, True]


async def test_a_kind_that_goes_leaves_an_empty_store() -> None:
    """Its handlers are told that everything went."""
    async with following(make_client("a")) as seen:
        await seen.clock.advance(60)
        seen.client.missing.add(WIDGETS.qualified)
        seen.client.end_watches(WIDGETS)
        await seen.clock.advance(5)
        assert seen.informer.installed is False
        assert seen.names == []
        assert seen.told[-1] == ("a", None)


async def test_several_namespaces_are_several_streams() -> None:
    """Synced when all are; each counts for itself."""
    client = make_client("a")
    client.put(WIDGETS, make_widget("b", "other"))
    client.put(WIDGETS, make_widget("c", "unwatched"))
    async with following(client, namespaces=("team", "other")) as seen:
        assert seen.names == ["a", "b"]
        assert seen.informer.has_seen("team", str(client.version))
        version = client.put(WIDGETS, make_widget("d", "other"))["metadata"]["resourceVersion"]
        await seen.clock.settle()
        assert seen.informer.has_seen("other", version)
        assert not seen.informer.has_seen("team", version)
        assert seen.informer.has_seen("unwatched", "999999")


async def test_a_cache_is_full_when_each_namespace_is() -> None:
    """Work that began before would take what is missing for gone."""
    client = make_client("a")
    client.put(WIDGETS, make_widget("b", "other"))
    down = True

    async def gate(call: Call) -> None:
        if down and call.namespace == "other":
            raise errors.Unavailable("down")

    client.gate = gate
    async with following(client, namespaces=("team", "other")) as seen:
        assert seen.names == ["a"]
        assert not seen.informer.synced
        down = False
        await seen.clock.advance(5)
        assert seen.informer.synced
        assert seen.names == ["a", "b"]


async def test_a_namespace_that_is_not_there_does_not_uninstall_the_kind() -> None:
    """Nor does it empty the others, when it goes."""
    client = make_client("a")
    client.put(WIDGETS, make_widget("b", "other"))
    gone = False

    async def gate(call: Call) -> None:
        if gone and call.namespace == "other":
            raise errors.NotFound('namespaces "other" not found', code=404)

    client.gate = gate
    async with following(client, namespaces=("team", "other")) as seen:
        await seen.clock.advance(60)
        gone = True
        client.end_watches(WIDGETS)
        await seen.clock.advance(5)
        assert seen.names == ["a"]
        assert seen.informer.installed
        assert seen.installed == []


async def test_whoever_waits_for_a_kind_that_goes_is_called_back() -> None:
    """What they wait for can't come any more; nor can what is written later."""
    async with following(make_client("a")) as seen:
        called: list[int] = []
        for number in (9002, 9001):
            seen.informer.when_seen("team", str(number), partial(called.append, number))
        seen.client.missing.add(WIDGETS.qualified)
        seen.client.end_watches(WIDGETS)
        await seen.clock.advance(5)
        assert called == [9001, 9002]
        assert seen.informer.has_seen("team", "9003")


async def test_when_seen_calls_back_in_order() -> None:
    """At once for the past, later for the future."""
    async with following(make_client("a")) as seen:
        called: list[str] = []
        seen.informer.when_seen("team", "1", lambda: called.append("past"))
        now = seen.client.version
        for later in (2, 1):
            seen.informer.when_seen("team", str(now + later), lambda later=later: called.append(f"+{later}"))  # type: ignore[misc]
        assert called == ["past"]
        seen.client.put(WIDGETS, make_widget("b"))
        await seen.clock.settle()
        assert called == ["past", "+1"]
        seen.client.put(WIDGETS, make_widget("c"))
        await seen.clock.settle()
        assert called == ["past", "+1", "+2"]


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        pytest.param({"ours": "yes"}, True, id="has what it must"),
        pytest.param({"ours": "no"}, False, id="has another"),
        pytest.param({}, False, id="has none"),
        pytest.param({"ours": "yes", "job": "download"}, False, id="has what it must not"),
        pytest.param({"ours": "yes", "job": "discovery"}, True, id="has another than it must not"),
    ],
)
def test_a_selector_is_read_as_the_server_reads_it(labels: dict[str, str], *, want: bool) -> None:
    """Whoever writes an object must know whether the watch will show it."""
    informer: Informer[Widget] = Informer(
        FakeClient(), WIDGETS, clock=VirtualClock(), label_selector="ours=yes,job!=download"
    )
    assert informer.selects(decode(make_widget(labels=labels))) is want


async def test_labels_that_are_lost_take_the_object_away() -> None:
    """The selector is the server's: to us it was deleted."""
    client = FakeClient()
    client.put(WIDGETS, make_widget("a", labels={"ours": "yes"}))
    async with following(client, label_selector="ours=yes") as seen:
        assert seen.names == ["a"]
        client.put(WIDGETS, make_widget("a"))
        await seen.clock.settle()
        assert seen.names == []


async def test_a_handler_that_raises_concerns_nobody_else() -> None:
    """The others are told, and the watch goes on."""
    async with following(make_client("a")) as seen:
        told: list[str] = []

        def broken(old: Widget | None, new: Widget | None) -> None:
            raise ZeroDivisionError

        seen.informer.add_handler(broken)
        seen.informer.add_handler(lambda _old, new: told.append(new.metadata.name if new else ""))
        seen.client.put(WIDGETS, make_widget("b"))
        await seen.clock.settle()
        assert told == ["a", "b"]


async def test_an_object_made_anew_between_two_events_is_two_changes() -> None:
    """Another uid under the same name is another object."""
    async with following(make_client("a")) as seen:
        seen.told.clear()
        seen.client.put(WIDGETS, make_widget("a", uid="another"))
        await seen.clock.settle()
        assert seen.told == [("a", None), (None, "a")]


async def test_slim_decides_what_is_kept() -> None:
    """Memory is the owner's decision."""

    def slim(widget: Widget) -> Widget:
        return Widget(metadata=widget.metadata)

    client = FakeClient()
    client.put(WIDGETS, make_widget("a", spec={"large": "x" * 1000}))
    async with following(client, slim=slim) as seen:
        kept = seen.informer.store.get("team", "a")
        assert kept is not None
        assert bytes(kept.spec) == b""


class LargeObjects(FakeClient):
    """A server of whose objects `fit` make an answer that is read."""

    def __init__(self, fit: int) -> None:
        super().__init__(streams_lists=False)
        self.fit = fit
        self.limits: list[int] = []

    async def list(self, resource: Resource[K], *, limit: int = 500, **selection: Any) -> Page[K]:
        self.limits.append(limit)
        assert len(self.limits) < 100, "asked in a loop"
        if limit > self.fit:
            raise errors.TooLarge("too much")
        return await super().list(resource, limit=limit, **selection)


@pytest.mark.parametrize("fit", [1, 3, 100, 500])
async def test_objects_that_fill_a_page_are_listed_fewer_at_a_time(fit: int) -> None:
    """However large they are, all are there in the end, and the next list begins with what fitted."""
    client = LargeObjects(fit)
    names = [f"w{index:02}" for index in range(20)]
    for name in names:
        client.put(WIDGETS, make_widget(name))
    async with following(client) as seen:
        await seen.informer.wait_synced()
        assert seen.names == names
        tried = len(client.limits)
        seen.informer.relist("")
        await seen.clock.advance(60)
        assert max(client.limits[tried:]) <= fit
        assert seen.names == names


async def test_an_object_that_is_too_large_by_itself_is_a_failure_like_any() -> None:
    """It is asked for with growing pauses, and the reason is known."""
    client = LargeObjects(fit=0)
    client.put(WIDGETS, make_widget("a"))
    async with following(client) as seen:
        await seen.clock.advance(60)
        assert isinstance(seen.informer.last_error, errors.TooLarge)
        assert not seen.informer.synced


@pytest.mark.parametrize("streams_lists", [True, False], ids=["streamed", "paged"])
async def test_a_list_is_never_in_memory_whole(streams_lists: bool) -> None:  # noqa: FBT001
    """Each object is slimmed as it arrives: 2,000 nodes with fifty labels each cost 20 MiB for ever else."""
    kept: list[str] = []
    synced_at_first: list[bool] = []

    def slim(widget: Widget) -> Widget:
        kept.append(widget.metadata.name)
        synced_at_first.append(seen.informer.synced)
        return widget

    client = make_client("a", "b", streams_lists=streams_lists, page_size=1)
    clock = VirtualClock()
    seen = Following(client, clock, slim=slim)
    task = asyncio.create_task(seen.informer.run())
    await clock.settle()
    assert (kept, synced_at_first) == (["a", "b"], [False, False])
    assert seen.names == ["a", "b"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_doubted_stream_is_listed_again() -> None:
    """`relist` interrupts the watch, once."""
    async with following(make_client("a")) as seen:
        seen.informer.relist("team")
        await seen.clock.advance(5)
        assert [call.name for call in seen.client.calls] == ["initial", "initial"]
        assert seen.client.open_watches(WIDGETS) == 1


async def test_a_watch_that_is_doubted_can_be_ended() -> None:
    """At the same moment, too: the process would never end."""
    seen = Following(make_client("a"), VirtualClock())
    task = asyncio.create_task(seen.informer.run())
    await seen.clock.settle()
    seen.informer.relist("team")
    task.cancel()
    await seen.clock.advance(1)
    assert task.cancelled()


async def test_a_stream_doubted_between_two_attempts_is_listed_at_the_next() -> None:
    """Not only when the watch that comes next has ended by itself, minutes later."""
    async with following(make_client("a")) as seen:
        seen.client.fail("watch", WIDGETS, errors.Unavailable("away"))
        seen.client.end_watches(WIDGETS)
        await seen.clock.settle()
        seen.informer.relist("team")
        await seen.clock.advance(5)
        assert [call.name for call in seen.client.calls][-1] == "initial"
        assert seen.client.open_watches(WIDGETS) == 1


async def test_a_streamed_list_that_ends_early_is_not_believed() -> None:
    """Without its last bookmark nobody knows what was missing; so it is asked for again."""

    class Breaking(FakeClient):
        breaks = True

        async def watch(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
            async for event in super().watch(*args, **options):
                yield event
                if self.breaks and options["send_initial_events"]:
                    return

    client = Breaking()
    for name in ("a", "b"):
        client.put(WIDGETS, make_widget(name))
    async with following(client) as seen:
        assert not seen.informer.synced
        assert seen.told == []
        await seen.clock.advance(3)
        assert not seen.informer.synced
        assert isinstance(seen.informer.last_error, errors.Unavailable)
        client.breaks = False
        await seen.clock.advance(60)
        assert seen.names == ["a", "b"]


async def test_a_bookmark_amid_a_streamed_list_does_not_end_it() -> None:
    """One that is large takes longer than the minute after which servers send them."""

    class Bookmarking(FakeClient):
        async def watch(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
            async for event in super().watch(*args, **options):
                yield event
                if event.type == "ADDED":
                    yield WatchEvent(type="BOOKMARK", resource_version=event.resource_version)

    client = Bookmarking()
    for name in ("a", "b"):
        client.put(WIDGETS, make_widget(name))
    async with following(client) as seen:
        assert seen.names == ["a", "b"]
        seen.informer.relist("team")
        await seen.clock.advance(60)
        assert seen.told == [(None, "a"), (None, "b")], "none went"


@pytest.mark.parametrize("streams_lists", [True, False], ids=["streamed", "paged"])
async def test_a_list_that_breaks_off_is_not_believed(streams_lists: bool) -> None:  # noqa: FBT001
    """Half a list must not look like deletions."""
    client = make_client("a", "b", streams_lists=streams_lists, page_size=1)
    async with following(client) as seen:
        assert seen.names == ["a", "b"]
        client.compact()
        client.fail("list", WIDGETS, errors.Expired("token too old", code=410))
        client.end_watches(WIDGETS, errors.Expired("too old", code=410))
        await seen.clock.advance(10)
        assert seen.names == ["a", "b"]
        assert all(new is not None for _, new in seen.told)


async def test_a_server_that_calls_every_list_too_old_is_asked_ever_less_often() -> None:
    """Each list is answered, and each watch from it is refused: that is no health. The cache stays."""
    client = make_client("a", "b", streams_lists=False)
    client.fail("watch", WIDGETS, *[errors.Expired("too old", code=410) for _ in range(2000)])
    async with following(client) as seen:
        for _ in range(10):
            await seen.clock.advance(60)
            assert seen.names == ["a", "b"]
            assert not seen.informer.stuck
        assert 10 < seen.verbs().count("list") < 40
        assert len(seen.told) == 2


async def test_a_watch_that_worked_for_a_while_is_made_again_within_a_second() -> None:
    """Also after a time of failures: health that lasted starts the backoff anew."""
    client = make_client("a")
    async with healthy_after_failures(client) as seen:
        before = len(client.calls)
        client.muted.add(WIDGETS.qualified)
        client.put(WIDGETS, make_widget("b"))
        client.compact()
        client.end_watches(WIDGETS)
        await seen.clock.advance(1)
        assert seen.names == ["a", "b"]
        assert [call.name == "initial" for call in client.calls[before:]] == [False, True]


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_loop() -> None:
    client = make_client("a")
    async with following(client) as seen:
        for _ in range(600):
            client.end_watches(WIDGETS)
            await seen.clock.advance(1)
        assert len(client.calls) < 50


UNREADABLE: dict[str, Any] = {"status": {"phase": ["not", "text"]}}


async def test_an_object_that_is_deleted_while_it_cannot_be_decoded_is_gone() -> None:
    """A ghost would be kept for ever: its owner would wait for it to go."""
    async with following(make_client("a", "b")) as seen:
        seen.client.put(WIDGETS, make_widget("a", **UNREADABLE))
        await seen.clock.settle()
        seen.client.remove(WIDGETS, "a", "team")
        await seen.clock.settle()
        assert seen.names == ["b"]
        assert seen.told[-1] == ("a", None)
        assert not seen.informer.store.is_undecodable("team", "a")


@pytest.mark.parametrize("streams_lists", [True, False], ids=["streamed", "paged"])
async def test_a_live_object_that_cannot_be_decoded_stays_as_it_was_known(streams_lists: bool) -> None:  # noqa: FBT001
    """It must not look deleted, neither by a change nor by a list; and it is known again once it fits."""
    async with following(make_client("a", "b", streams_lists=streams_lists)) as seen:
        known = seen.informer.store.get("team", "a")
        changed = seen.client.put(WIDGETS, make_widget("a", **UNREADABLE))
        await seen.clock.settle()
        assert seen.informer.store.get("team", "a") is known
        assert seen.informer.store.is_undecodable("team", "a")
        assert seen.informer.has_seen("team", changed["metadata"]["resourceVersion"])
        seen.informer.relist("team")
        await seen.clock.advance(5)
        assert seen.informer.store.get("team", "a") is known
        assert seen.informer.store.is_undecodable("team", "a")
        assert len(seen.told) == 2, "nobody was told that it went"
        seen.client.put(WIDGETS, make_widget("a", status={"phase": "fine"}))
        await seen.clock.settle()
        assert seen.told[-1] == ("a", "a")
        assert not seen.informer.store.is_undecodable("team", "a")


async def test_an_object_that_could_never_be_decoded_is_not_said_to_be_absent() -> None:
    """After a restart nothing is known of it, but that it is there."""
    client = make_client("b")
    client.put(WIDGETS, make_widget("a", **UNREADABLE))
    async with following(client) as seen:
        assert seen.names == ["b"]
        assert seen.informer.synced
        assert seen.informer.store.is_undecodable("team", "a")
        assert not seen.informer.store.is_undecodable("team", "b")


async def test_another_object_of_the_name_that_cannot_be_decoded_does_not_revive_the_first() -> None:
    """What was known is gone: it had another uid."""
    async with following(make_client("a")) as seen:
        seen.client.put(WIDGETS, make_widget("a", uid="another", **UNREADABLE))
        await seen.clock.settle()
        assert seen.names == []
        assert seen.told[-1] == ("a", None)
        assert seen.informer.store.is_undecodable("team", "a")


async def test_a_watch_that_stands_still_by_itself_fails_the_liveness_probe() -> None:
    """It neither hears nor tries anything: only a restart helps."""
    client = make_client("a", streams_lists=False)

    async def hang(call: Any) -> None:
        if call.verb == "list" and len(client.calls) > 1:
            await asyncio.Event().wait()

    client.gate = hang
    async with following(client) as seen:
        await seen.clock.advance(60)
        seen.informer.relist("team")
        await seen.clock.advance(STUCK_SECONDS - 20)
        assert not seen.informer.stuck
        await seen.clock.advance(25)
        assert seen.informer.stuck


async def test_a_kind_that_is_not_installed_does_not_fail_the_liveness_probe() -> None:
    """It is looked for every ten minutes."""
    client = make_client("a")
    client.missing.add(WIDGETS.qualified)
    async with following(client) as seen:
        for _ in range(60):
            await seen.clock.advance(60)
            assert not seen.informer.stuck


async def test_a_server_that_asks_for_patience_does_not_fail_the_liveness_probe() -> None:
    """Longer than a watch may last."""
    client = make_client("a")
    client.fail("watch", WIDGETS, errors.TooManyRequests("slow down", retry_after_seconds=900))
    async with following(client) as seen:
        for _ in range(15):
            await seen.clock.advance(60)
            assert not seen.informer.stuck
