"""The pipeline of all kinds: what is written, what the status says of it, and what is raised after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from msgspec import structs

from aim_operator import errors
from aim_operator.api.meta import Manifest, ObjectRef
from aim_operator.api.plan import Child, EventNote, Outcomes, Plan, Removal, Report
from aim_operator.api.resource import Resource
from aim_operator.runtime.apply import Applier
from aim_operator.runtime.controller import Result
from aim_operator.runtime.events import EVENTS, EventRecorder
from aim_operator.runtime.foreign import ForeignWatches
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.pace import Pace
from aim_operator.runtime.reconcile import KindReconciler, Writer
from aim_operator.runtime.repairs import FREE_REPAIRS
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import APPLIED, KEY, WIDGETS, Widget, WidgetStatus, make_widget

OWNERS = structs.replace(WIDGETS, plural="owners", kind="Owner")
GADGETS = structs.replace(WIDGETS, plural="gadgets", kind="Gadget")
LABELS = {"managed-by": "us"}
OWNER_REFERENCE: Manifest = {
    "apiVersion": "example.com/v1",
    "kind": "Owner",
    "name": "owner",
    "uid": "uid-of-owner",
    "controller": True,
}
FORMER_OWNER: Manifest = {**OWNER_REFERENCE, "uid": "uid-of-its-former-namesake"}
GOING = "2026-01-31T11:59:00Z"


def child_of(resource: Resource[Any], name: str = "a", *, size: int = 1, **fields: Any) -> Child:
    manifest = make_widget(name, labels=LABELS, ownerReferences=[OWNER_REFERENCE], spec={"size": size})
    manifest["kind"] = resource.kind
    return Child(resource=resource, manifest=manifest, **fields)


def widget(name: str = "a", **fields: Any) -> Child:
    return child_of(WIDGETS, name, **fields)


def gadget(name: str = "g", **fields: Any) -> Child:
    return child_of(GADGETS, name, **fields)


def note(reason: str) -> EventNote:
    return EventNote(type="Normal", reason=reason, message="m")


def said(outcomes: Outcomes) -> WidgetStatus:
    """A status that tells what became of each child, and whether that is a problem."""
    words = (
        f"{'problem: ' if o.is_problem else ''}{o.child.name} {o.type.value}"
        f"{f': {o.message}' if o.message else ''}"
        for o in outcomes
    )
    return WidgetStatus(phase=", ".join(words) or "childless")


class Kind:
    """A kind that plans what it is told, and keeps what it was asked."""

    def __init__(self, owners: Informer[Widget]) -> None:
        self._owners = owners
        self.children: tuple[Child, ...] = ()
        self.removals: tuple[Removal, ...] = ()
        self.events: tuple[EventNote, ...] = ()
        self.write_events: tuple[EventNote, ...] = ()
        self.due: float | None = None
        self.unread: errors.ApiError | None = None
        self.silent = False
        self.calls: list[str] = []
        self.settled: list[tuple[Plan[Any], Outcomes]] = []

    def get(self, ref: ObjectRef) -> tuple[Resource[Widget], Widget] | None:
        found = self._owners.store.get(ref.namespace, ref.name)
        return (OWNERS, found) if found is not None else None

    async def gather(self, ref: ObjectRef, obj: Widget, now: datetime) -> str:
        self.calls.append("gather")
        return f"{ref.name} {obj.metadata.uid} {now:%H:%M}"

    def decide(self, observed: str, now: datetime) -> Plan[WidgetStatus]:
        assert observed == f"owner uid-of-owner {now:%H:%M}"
        return Plan(
            report=None if self.silent else self._report,
            children=self.children,
            removals=self.removals,
            requeue_after_seconds=self.due,
            unread=self.unread,
        )

    def _report(self, outcomes: Outcomes) -> Report[WidgetStatus]:
        return Report(status=said(outcomes), events=self.events, write_events=self.write_events)

    def paused(self, obj: Widget, now: datetime) -> Report[WidgetStatus] | None:
        del now
        if obj.metadata.annotation("paused") is None:
            return None
        return Report(status=WidgetStatus(phase="Paused"))

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        assert ref == KEY
        self.settled.append((plan, outcomes))

    def forget(self, ref: ObjectRef) -> None:
        assert ref == KEY
        self.calls.append("forget")


class Scene:
    """The pipeline over a fake client, with the caches running. They show objects with our label only."""

    def __init__(self) -> None:
        self.client, self.clock = FakeClient(), VirtualClock()
        self.owners: Informer[Widget] = Informer(self.client, OWNERS, clock=self.clock)
        children = [
            Informer(self.client, resource, clock=self.clock, label_selector="managed-by=us")
            for resource in (WIDGETS, GADGETS)
        ]
        self.informers = [self.owners, *children]
        self.recorder = EventRecorder(self.client, clock=self.clock, component="op", instance="pod-1")
        self.foreign = ForeignWatches(self.client, clock=self.clock)
        self.woken: list[ObjectRef] = []
        self.writer = Writer(
            Applier(
                self.client,
                informers=self.informers,
                clock=self.clock,
                applied_annotation=APPLIED,
                fence=lambda: None,
                pace=Pace(12, self.clock),
            ),
            self.recorder,
            self.foreign,
            self.informers,
            applied_annotation=APPLIED,
            wake=self.woken.append,
        )
        self.kind = Kind(self.owners)
        self.reconciler = KindReconciler(self.kind, self.writer, self.clock)
        self.put_owner()

    def put_owner(self, **fields: Any) -> None:
        self.client.put(OWNERS, make_widget("owner", uid="uid-of-owner", **fields) | {"kind": "Owner"})

    async def reconcile(self) -> Result:
        await self.clock.settle()
        try:
            return await self.reconciler.reconcile(KEY)
        finally:
            await self.clock.settle()

    async def failed(self) -> errors.ApiError:
        """Reconcile, and return what was raised."""
        with pytest.raises(errors.ApiError) as raised:
            await self.reconcile()
        return raised.value

    @property
    def status(self) -> str:
        """What the status of the owner says."""
        owner = self.client.manifest(OWNERS, "owner", "team")
        assert owner is not None
        phase: str = owner.get("status", {}).get("phase", "")
        return phase

    def live(self, child: Child) -> Manifest | None:
        return self.client.manifest(child.resource, child.name, "team")

    def writes(self) -> list[str]:
        """The writes so far, except events."""
        return [
            f"{call.verb} {call.name}" for call in self.client.writes() if call.resource != EVENTS.qualified
        ]

    async def events(self) -> list[str]:
        await self.clock.advance(5)
        return [event["reason"] for event in self.client.manifests(EVENTS)]


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    it = Scene()
    tasks = [asyncio.create_task(informer.run()) for informer in it.informers]
    tasks.append(asyncio.create_task(it.recorder.run()))
    await it.clock.settle()
    try:
        yield it
    finally:
        await it.foreign.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def forbidden() -> errors.ApiError:
    return errors.Forbidden("exceeded quota", code=403)


def invalid() -> errors.ApiError:
    return errors.Invalid("denied by a webhook", code=422)


def unavailable() -> errors.ApiError:
    return errors.Unavailable("no answer")


async def test_children_are_written_then_the_status_and_then_there_is_silence() -> None:
    async with scene() as it:
        it.kind.children = (widget(), gadget())
        assert await it.reconcile() == Result()
        assert it.status == "a created, g created"
        assert it.writes() == ["apply a", "apply g", "patch_status owner"]
        await it.reconcile()
        assert it.status == "a unchanged, g unchanged"
        written = it.writes()
        assert written[3:] == ["patch_status owner"]
        await it.reconcile()
        assert it.writes() == written


async def test_an_object_that_is_gone_is_forgotten() -> None:
    async with scene() as it:
        it.client.remove(OWNERS, "owner", "team")
        assert await it.reconcile() == Result()
        assert (it.kind.calls, it.writes()) == (["forget"], [])


async def test_an_object_that_can_not_be_decoded_is_not_taken_for_gone() -> None:
    """Nothing that is held for it is released, and it is reconciled once a version of it can be decoded."""
    async with scene() as it:
        it.client.put(OWNERS, make_widget("owner", uid="another", status={"phase": ["no", "text"]}))
        assert await it.reconcile() == Result()
        assert (it.kind.calls, it.writes()) == ([], [])
        it.put_owner()
        await it.reconcile()
        assert it.kind.calls == ["gather"]


async def test_an_object_that_is_being_deleted_is_forgotten_and_left_to_the_garbage_collector() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        it.put_owner(deletionTimestamp=GOING, annotations={"paused": "true"})
        assert await it.reconcile() == Result()
        assert (it.kind.calls, it.writes()) == (["forget"], [])


async def test_a_paused_object_says_so_once_and_nothing_else_is_touched() -> None:
    async with scene() as it:
        it.kind.children, it.kind.due = (widget(),), 5.0
        it.put_owner(annotations={"paused": "true"})
        assert await it.reconcile() == Result()
        assert (it.kind.calls, it.status) == (["forget"], "Paused")
        assert it.writes() == ["patch_status owner"]
        await it.reconcile()
        assert it.writes() == ["patch_status owner"]


async def test_a_paused_object_waits_for_no_name() -> None:
    async with scene() as it:
        it.client.put(WIDGETS, make_widget())
        it.kind.children = (widget(),)
        await it.reconcile()
        assert len(it.foreign) == 1
        it.put_owner(annotations={"paused": "true"})
        await it.reconcile()
        assert len(it.foreign) == 0


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(invalid(), "problem: a refused: denied by a webhook", id="a webhook denies it"),
        pytest.param(forbidden(), "problem: a refused: exceeded quota", id="a quota forbids it"),
        pytest.param(
            errors.NotFound("no namespace 'team'", code=404),
            "problem: a refused: no namespace 'team'",
            id="its namespace does not exist",
        ),
        pytest.param(unavailable(), "problem: a failed: no answer", id="the API server does not answer"),
        pytest.param(
            errors.TooManyRequests("slow down"), "problem: a failed: slow down", id="there are too many"
        ),
        pytest.param(
            errors.NotInstalled("no such kind", code=404),
            "problem: a failed: no such kind",
            id="its kind is not installed",
        ),
    ],
)
async def test_the_status_is_written_before_the_error_of_a_child_is_raised(
    error: errors.ApiError, want: str
) -> None:
    """Also what became of the others, and what is held in memory."""
    async with scene() as it:
        it.kind.children = (widget(), gadget())
        it.client.fail("apply", WIDGETS, error)
        assert await it.failed() is error
        assert it.status == f"{want}, g created"
        assert len(it.kind.settled) == 1


async def test_a_child_that_could_not_be_changed_is_still_known_to_be_there() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2),)
        it.client.fail("apply", WIDGETS, unavailable())
        await it.failed()
        (outcome,) = it.kind.settled[-1][1]
        assert outcome.object is not None
        assert outcome.object.metadata.name == "a"


async def test_a_stale_cache_is_no_problem_in_the_status() -> None:
    """A Conflict is tried again at once: nobody has to read of it."""
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2),)
        it.client.fail("apply", WIDGETS, errors.Conflict("the object has changed", code=409))
        assert isinstance(await it.failed(), errors.Conflict)
        assert it.status == "a failed: the object has changed"


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({}, "problem: a foreign", id="a user made it"),
        pytest.param({"labels": LABELS}, "problem: a foreign", id="a user copied our labels along"),
        pytest.param(
            {"labels": LABELS, "ownerReferences": [FORMER_OWNER]},
            "problem: a going away",
            id="it is that of the former object of this name",
        ),
        pytest.param(
            {"labels": LABELS, "ownerReferences": [OWNER_REFERENCE], "deletionTimestamp": GOING},
            "problem: a going away",
            id="it is being deleted",
        ),
        pytest.param({"deletionTimestamp": GOING}, "problem: a going away", id="a user's is being deleted"),
    ],
)
async def test_an_object_that_is_not_ours_is_never_written_and_its_going_wakes(
    fields: dict[str, Any], want: str
) -> None:
    async with scene() as it:
        it.client.put(WIDGETS, make_widget(**fields, spec={"theirs": True}))
        it.kind.children = (widget(),)
        assert await it.reconcile() == Result()
        assert it.status == want
        live = it.live(widget())
        assert live is not None
        assert live["spec"] == {"theirs": True}
        it.woken.clear()
        it.client.remove(WIDGETS, "a", "team")
        await it.clock.settle()
        assert it.woken == [KEY]
        await it.reconcile()
        assert it.status == "a created"
        assert len(it.foreign) == 0


async def test_a_name_that_is_known_to_be_taken_is_looked_at_not_written() -> None:
    async with scene() as it:
        it.client.put(WIDGETS, make_widget())
        it.kind.children = (widget(),)
        await it.reconcile()
        written = it.writes()
        await it.reconcile()
        assert (it.status, it.writes()) == ("problem: a foreign", written)


async def test_a_child_whose_owner_references_a_backup_tool_stripped_is_ours_and_repaired() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        live = it.live(widget())
        assert live is not None
        stripped = {key: value for key, value in live["metadata"].items() if key != "ownerReferences"}
        it.client.put(WIDGETS, {**live, "metadata": stripped})
        await it.reconcile()
        assert it.status == "a updated"
        live = it.live(widget())
        assert live is not None
        assert live["metadata"]["ownerReferences"] == [OWNER_REFERENCE]


async def test_a_name_that_is_not_asked_for_any_more_is_no_longer_watched() -> None:
    async with scene() as it:
        for name in "ab":
            it.client.put(WIDGETS, make_widget(name))
        it.kind.children = (widget("a"), widget("b"))
        await it.reconcile()
        assert len(it.foreign) == 2
        it.kind.children = (widget("b"),)
        await it.reconcile()
        assert len(it.foreign) == 1
        it.client.remove(OWNERS, "owner", "team")
        await it.reconcile()
        assert len(it.foreign) == 0


async def test_a_child_that_comes_after_another_is_skipped_while_that_is_missing() -> None:
    async with scene() as it:
        it.kind.children = (gadget(after="Widget"), widget())
        it.client.fail("apply", WIDGETS, forbidden())
        await it.failed()
        assert it.status == "problem: a refused: exceeded quota, g skipped"
        assert it.live(gadget()) is None
        await it.reconcile()
        assert it.status == "a created, g created"


async def test_of_a_child_that_is_found_out_of_sight_nothing_is_said_until_it_is_seen() -> None:
    """What was decided took it for missing: a status about that would be wrong for a moment."""
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        live = it.live(widget())
        assert live is not None
        it.client.put(WIDGETS, {**live, "metadata": {**live["metadata"], "labels": {"managed-by": "nobody"}}})
        await it.reconcile()
        assert it.status == "a created"
        await it.reconcile()
        assert it.status == "a unchanged"


async def test_a_child_does_not_come_after_an_object_that_is_not_ours() -> None:
    async with scene() as it:
        it.client.put(WIDGETS, make_widget())
        it.kind.children = (widget(), gadget(after="Widget"))
        await it.reconcile()
        assert it.status == "problem: a foreign, g skipped"
        assert it.live(gadget()) is None


async def test_a_child_comes_after_another_that_exists_although_it_could_not_be_updated() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2), gadget(after="Widget"))
        it.client.fail("apply", WIDGETS, unavailable())
        await it.failed()
        assert it.status == "problem: a failed: no answer, g created"


async def test_of_a_disposable_child_only_what_is_said_is_written() -> None:
    """A finished Job that another version made can't be applied as a whole: most of it is fixed."""
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2, disposable=True),)
        await it.reconcile()
        await it.reconcile()
        assert it.status == "a unchanged"
        uid = it.client.manifest(WIDGETS, "a", "team")["metadata"]["uid"]  # type: ignore[index]
        patches = [call.body for call in it.client.calls if call.verb == "patch"]
        assert patches == [{"metadata": {"uid": uid}, "spec": {"size": 2}}]


async def test_a_disposable_child_that_is_gone_is_not_made_again() -> None:
    async with scene() as it:
        it.kind.children = (widget(disposable=True),)
        await it.reconcile()
        assert (it.live(widget()), it.status) == (None, "a unchanged")


async def test_a_disposable_child_that_is_not_ours_is_left_alone() -> None:
    async with scene() as it:
        it.client.put(WIDGETS, make_widget(labels={"managed-by": "us"}))
        it.kind.children = (widget(size=2, disposable=True),)
        await it.reconcile()
        assert it.status == "a unchanged"
        assert not [call for call in it.client.writes() if call.verb in {"patch", "apply", "delete"}]


async def test_a_disposable_child_that_is_refused_is_deleted() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2, disposable=True), gadget(after="Widget"))
        it.client.fail("patch", WIDGETS, errors.Invalid("field is immutable", code=422))
        await it.reconcile()
        assert (it.live(widget()), it.status) == (None, "a unchanged, g skipped")


async def test_a_disposable_child_that_only_could_not_be_written_stays() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2, disposable=True),)
        it.client.fail("patch", WIDGETS, unavailable())
        await it.failed()
        assert it.live(widget()) is not None
        assert it.status == "problem: a failed: no answer"


async def test_a_disposable_child_that_can_not_be_deleted_either_is_told() -> None:
    async with scene() as it:
        it.kind.children = (widget(),)
        await it.reconcile()
        it.kind.children = (widget(size=2, disposable=True),)
        it.client.fail("patch", WIDGETS, errors.Invalid("field is immutable", code=422))
        it.client.fail("delete", WIDGETS, unavailable())
        assert isinstance(await it.failed(), errors.Unavailable)
        assert it.status == "problem: a failed: no answer"


async def removing(it: Scene, *names: str) -> None:
    """Have these widgets of ours removed by the next reconcile."""
    it.kind.children = tuple(widget(name) for name in names)
    await it.reconcile()
    store = it.informers[1].store
    live = [store.get("team", name) for name in names]
    it.kind.children = ()
    it.kind.removals = tuple(Removal(resource=WIDGETS, live=each) for each in live if each is not None)
    assert len(it.kind.removals) == len(names)


async def test_what_is_not_wanted_any_more_is_removed() -> None:
    async with scene() as it:
        await removing(it, "a", "b")
        assert await it.reconcile() == Result()
        assert (it.client.manifests(WIDGETS), it.status) == ([], "childless")


async def test_a_removal_that_fails_stops_neither_the_others_nor_the_status() -> None:
    async with scene() as it:
        await removing(it, "a", "b")
        it.client.fail("delete", WIDGETS, forbidden())
        assert isinstance(await it.failed(), errors.Forbidden)
        assert (it.live(widget("b")), it.status) == (None, "childless")


async def test_an_object_is_removed_only_as_it_was_seen_where_that_is_asked_for() -> None:
    async with scene() as it:
        await removing(it, "a")
        it.kind.removals = tuple(structs.replace(each, unchanged=True) for each in it.kind.removals)
        it.kind.silent = True
        before = it.status
        live = it.live(widget())
        assert live is not None
        it.client.put(WIDGETS, {**live, "spec": {"adopted": True}})
        assert isinstance(await it.failed(), errors.Conflict)
        assert it.live(widget()) is not None
        assert it.status == before


def by_child(**failures: errors.ApiError) -> Callable[[Any], Any]:
    """What makes the apply of a child fail by its name, in whatever order they come."""

    async def gate(call: Any) -> None:
        if call.verb == "apply" and call.name in failures:
            raise failures[call.name]

    return gate


@pytest.mark.parametrize(
    ("one", "other", "unread", "want"),
    [
        pytest.param(invalid(), forbidden(), None, errors.Forbidden, id="what a quota may allow later"),
        pytest.param(
            forbidden(),
            errors.NotInstalled("no such kind", code=404),
            None,
            errors.NotInstalled,
            id="what an installation may bring",
        ),
        pytest.param(forbidden(), unavailable(), None, errors.Unavailable, id="what is tried with backoff"),
        pytest.param(
            unavailable(),
            errors.TooManyRequests("slow down"),
            None,
            errors.TooManyRequests,
            id="what the server asks for",
        ),
        pytest.param(
            unavailable(),
            errors.Conflict("stale", code=409),
            None,
            errors.Conflict,
            id="what is tried at once",
        ),
        pytest.param(
            forbidden(), invalid(), unavailable(), errors.Unavailable, id="what could not be read, too"
        ),
    ],
)
async def test_of_several_errors_the_most_urgent_is_raised(
    one: errors.ApiError,
    other: errors.ApiError,
    unread: errors.ApiError | None,
    want: type[errors.ApiError],
) -> None:
    for first, second in ((one, other), (other, one)):
        async with scene() as it:
            it.kind.children, it.kind.unread = (widget("a"), widget("b")), unread
            it.client.gate = by_child(a=first, b=second)
            assert isinstance(await it.failed(), want)


async def test_what_could_not_be_read_is_raised_after_the_status() -> None:
    async with scene() as it:
        it.kind.children, it.kind.unread = (widget(),), unavailable()
        assert await it.failed() is it.kind.unread
        assert it.status == "a created"


async def test_the_key_comes_back_when_the_plan_says() -> None:
    async with scene() as it:
        it.kind.due = 7.0
        assert await it.reconcile() == Result(requeue_after_seconds=7.0)


async def test_a_repair_that_somebody_undoes_each_time_is_held_told_and_tried_later() -> None:
    async with scene() as it:
        it.kind.children, it.kind.due = (widget(),), 3000.0
        await it.reconcile()

        async def undone() -> Result:
            live = it.live(widget())
            assert live is not None
            it.client.put(WIDGETS, {**live, "spec": {"size": 99}})
            return await it.reconcile()

        for _ in range(FREE_REPAIRS):
            assert await undone() == Result(requeue_after_seconds=3000.0)
            assert it.status == "a updated"
        held = await undone()
        assert held.requeue_after_seconds is not None
        assert 0 < held.requeue_after_seconds < 3000
        assert it.status == "problem: a held: something changes it back as soon as it is written"
        await it.clock.advance(held.requeue_after_seconds)
        await it.reconcile()
        assert it.status == "a updated"


async def test_a_child_that_somebody_deletes_each_time_is_told_and_nothing_comes_after_it() -> None:
    async with scene() as it:
        it.kind.children = (widget(), gadget(after="Widget"))
        await it.reconcile()
        for _ in range(FREE_REPAIRS + 1):
            it.client.remove(WIDGETS, "a", "team")
            held = await it.reconcile()
        assert held.requeue_after_seconds is not None
        assert it.status == "problem: a held: something deletes it as soon as it is created, g skipped"


async def test_events_go_with_the_status_that_they_tell_of() -> None:
    async with scene() as it:
        it.kind.events = (note("Began"),)
        await it.reconcile()
        assert await it.events() == ["Began"]
        it.kind.events = (note("Again"),)
        await it.reconcile()
        assert await it.events() == ["Began"], "the status is written already"


async def test_a_status_that_could_not_be_written_is_told_by_no_event() -> None:
    async with scene() as it:
        it.kind.events, it.kind.write_events = (note("Began"),), (note("Made"),)
        it.client.fail("patch_status", OWNERS, unavailable())
        assert isinstance(await it.failed(), errors.Unavailable)
        assert await it.events() == ["Made"]
        await it.reconcile()
        assert sorted(await it.events()) == ["Began", "Made"]


async def test_a_transition_whose_first_write_never_arrived_counts_once() -> None:
    async with scene() as it:
        it.kind.events = (note("Began"),)
        it.client.fail("patch_status", OWNERS, unavailable())
        await it.failed()
        await it.reconcile()
        await it.reconcile()
        await it.clock.advance(60)
        it.kind.children = (widget(),)
        await it.reconcile()
        assert await it.events() == ["Began"]
        (event,) = it.client.manifests(EVENTS)
        assert event["series"]["count"] == 2, "one for each change of the status"


async def test_events_of_writes_need_no_change_of_status() -> None:
    async with scene() as it:
        await it.reconcile()
        it.kind.write_events = (note("Changed"),)
        await it.reconcile()
        assert await it.events() == ["Changed"]


async def test_a_plan_without_a_report_leaves_the_status_alone() -> None:
    async with scene() as it:
        it.kind.silent, it.kind.children = True, (widget(),)
        await it.reconcile()
        assert it.writes() == ["apply a"]


async def test_what_came_of_a_plan_is_followed_up_in_memory() -> None:
    async with scene() as it:
        it.kind.children = (gadget(after="Widget"), widget())
        await it.reconcile()
        ((plan, outcomes),) = it.kind.settled
        assert plan.children == it.kind.children
        assert sorted(outcome.child.name for outcome in outcomes) == ["a", "g"]
