"""Writes happen when they are needed, once, and to our own objects only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from aim_operator import errors
from aim_operator.api.meta import Condition, Manifest
from aim_operator.runtime.apply import Applier, ApplyOutcome
from aim_operator.runtime.expectations import DOUBT_STEPS, GIVE_UP_STEPS, STEP_SECONDS
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.pace import SLOW_SECONDS, Pace
from tests.support.fake_client import Call, FakeClient
from tests.support.virtual_clock import VirtualClock
from tests.unit.runtime.making import APPLIED, KEY, WIDGETS, Widget, WidgetStatus, make_widget

WANTED = make_widget(spec={"size": 1}, labels={"ours": "yes"})


class Applying:
    """An applier over a fake client, with its cache running."""

    def __init__(self, client: FakeClient, **options: Any) -> None:
        self.client = client
        self.clock = VirtualClock()
        self.leads = True
        self.pace = Pace(12, self.clock)
        self.informer: Informer[Widget] = Informer(client, WIDGETS, clock=self.clock, **options)
        self.applier = self.restarted()

    def restarted(self) -> Applier:
        """An applier that remembers nothing."""
        return Applier(
            self.client,
            informers=[self.informer],
            clock=self.clock,
            applied_annotation=APPLIED,
            fence=self._fence,
            pace=self.pace,
        )

    def _fence(self) -> None:
        if not self.leads:
            raise errors.NotLeader("lost")

    @property
    def live(self) -> Widget | None:
        return self.informer.store.get("team", "a")

    async def apply(self, manifest: Manifest = WANTED) -> ApplyOutcome[Widget]:
        outcome = await self.applier.apply(KEY, WIDGETS, manifest, live=self.live)
        await self.clock.settle()
        return outcome

    async def change(self, **fields: Any) -> None:
        """Somebody else edits the object."""
        manifest = self.client.manifest(WIDGETS, "a", "team")
        assert manifest is not None
        edited = {**manifest, **{k: v for k, v in fields.items() if k != "labels"}}
        if "labels" in fields:
            edited["metadata"] = {**manifest["metadata"], "labels": fields["labels"]}
        self.client.put(WIDGETS, edited)
        await self.clock.settle()

    def applies(self) -> list[Manifest]:
        return [call.body for call in self.client.calls if call.verb == "apply"]


@asynccontextmanager
async def applying(client: FakeClient | None = None, **options: Any) -> AsyncIterator[Applying]:
    scene = Applying(client or FakeClient(), **options)
    task = asyncio.create_task(scene.informer.run())
    await scene.clock.settle()
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_at_rest_nothing_is_written() -> None:
    """Created once, then silence: also after a restart."""
    async with applying() as scene:
        assert (await scene.apply()).action == "created"
        for _ in range(3):
            assert (await scene.apply()).action == "unchanged"
        scene.applier = scene.restarted()
        assert (await scene.apply()).action == "unchanged"
        assert len(scene.applies()) == 1


async def test_creation_is_unforced_and_later_applies_carry_the_uid() -> None:
    """Force on what is ours only, bound to that very object."""
    async with applying() as scene:
        await scene.apply()
        await scene.apply(make_widget(spec={"size": 2}))
        first, second = scene.applies()
        assert (first["force"], first["metadata"].get("uid")) == (False, None)
        assert (second["force"], second["metadata"]["uid"]) == (True, "uid-1")


async def test_creation_never_merges_into_an_object_that_is_there() -> None:
    """Not even into one that the cache does not show: one write, and no read before it."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        scene.client.put(WIDGETS, make_widget(spec={"size": 9}))
        with pytest.raises(errors.AlreadyExists):
            await scene.apply()
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["spec"] == {"size": 9}
        assert [call.verb for call in scene.client.calls if call.verb in ("get", "apply")] == ["apply"]


async def test_a_namesake_made_anew_is_a_conflict() -> None:
    """The name was taken by another object between cache and apply."""
    async with applying() as scene:
        await scene.apply()
        old = scene.live
        scene.client.remove(WIDGETS, "a", "team")
        scene.client.put(WIDGETS, make_widget())
        with pytest.raises(errors.Conflict):
            await scene.applier.apply(KEY, WIDGETS, make_widget(spec={"size": 3}), live=old)


async def test_a_field_no_longer_wanted_is_removed() -> None:
    """The manifest is another, so it is applied, and the server drops what it lacks."""
    async with applying() as scene:
        await scene.apply(make_widget(spec={"size": 1, "colour": "red"}))
        assert (await scene.apply()).action == "updated"
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["spec"] == {"size": 1}


async def test_a_field_that_only_the_version_before_wanted_is_removed_after_the_upgrade() -> None:
    """All that is wanted now is there; what tells is the hash of what was applied."""
    async with applying() as scene:
        await scene.apply(make_widget(spec={"size": 1, "colour": "red"}, labels={"ours": "yes"}))
        scene.applier = scene.restarted()
        assert (await scene.apply()).action == "updated"
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["spec"] == {"size": 1}


@pytest.mark.parametrize(
    "drift",
    [
        pytest.param({"spec": {"size": 9}}, id="a field of ours"),
        pytest.param({"spec": {}}, id="our field removed"),
        pytest.param({"labels": {}}, id="our label removed"),
    ],
)
async def test_drift_is_repaired_once(drift: Any) -> None:
    """One apply, then silence."""
    async with applying() as scene:
        await scene.apply()
        await scene.change(**drift)
        assert (await scene.apply()).action == "updated"
        assert (await scene.apply()).action == "unchanged"
        assert len(scene.applies()) == 2


async def test_what_others_add_is_left_alone() -> None:
    """Defaults, labels, fields of webhooks."""
    async with applying() as scene:
        await scene.apply()
        await scene.change(spec={"size": 1, "default": True}, labels={"ours": "yes", "theirs": "too"})
        assert (await scene.apply()).action == "unchanged"


def rewriting(manifest: Manifest) -> Manifest:
    """A webhook that will not have our size."""
    return {**manifest, "spec": {**manifest["spec"], "size": 5}}


async def test_a_webhook_that_rewrites_our_fields_makes_no_loop() -> None:
    """What came back of our own apply is accepted; a later change is repaired once."""
    async with applying() as scene:
        scene.client.webhook = rewriting
        await scene.apply()
        for _ in range(3):
            assert (await scene.apply()).action == "unchanged"
        assert len(scene.applies()) == 1

        await scene.change(spec={"size": 7})
        assert (await scene.apply()).action == "updated"
        assert (await scene.apply()).action == "unchanged"
        assert len(scene.applies()) == 2


async def test_what_a_webhook_made_of_one_wish_is_no_answer_to_the_next() -> None:
    """It may be gone by now, or think better of the other value."""
    async with applying() as scene:
        scene.client.webhook = rewriting
        await scene.apply()
        scene.client.webhook = lambda manifest: manifest
        assert (await scene.apply(make_widget(spec={"size": 2}, labels={"ours": "yes"}))).action == "updated"
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["spec"] == {"size": 2}


async def test_after_a_restart_one_repair_is_tried_against_a_webhook() -> None:
    """Nobody remembers what was accepted; one apply finds out."""
    async with applying() as scene:
        scene.client.webhook = rewriting
        await scene.apply()
        scene.applier = scene.restarted()
        for _ in range(3):
            await scene.apply()
        assert len(scene.applies()) == 2


async def test_a_webhook_that_strips_our_annotation_makes_no_loop() -> None:
    """Then memory alone tells that it was applied."""

    def strip(manifest: Manifest) -> Manifest:
        return {**manifest, "metadata": {**manifest["metadata"], "annotations": {}}}

    async with applying() as scene:
        scene.client.webhook = strip
        for _ in range(3):
            await scene.apply()
        assert len(scene.applies()) == 1


async def test_somebody_who_undoes_every_repair_does_not_make_us_race() -> None:
    """A few at once, then longer and longer pauses; each says when to come back."""
    async with applying() as scene:
        await scene.apply()
        for _ in range(50):
            await scene.change(spec={"size": 9})
            outcome = await scene.apply()
        assert outcome.action == "unchanged"
        assert outcome.retry_after_seconds is not None
        assert len(scene.applies()) <= 5
        await scene.clock.advance(outcome.retry_after_seconds)
        assert (await scene.apply()).action == "updated"


SELECTED: dict[str, Any] = {"label_selector": "ours=yes"}


async def reconcile(scene: Applying) -> ApplyOutcome[Widget]:
    """What a reconciler does: create what it does not see; if the name is taken, apply to what is there."""
    try:
        return await scene.apply()
    except errors.AlreadyExists:
        live = await scene.applier.probe(WIDGETS, "team", "a")
        outcome = await scene.applier.apply(KEY, WIDGETS, WANTED, live=live)
        await scene.clock.settle()
        return outcome


async def undo(scene: Applying, how: str) -> None:
    if how == "deletes it":
        if scene.client.manifest(WIDGETS, "a", "team"):
            scene.client.remove(WIDGETS, "a", "team")
            await scene.clock.settle()
    elif how == "labels":
        await scene.change(labels={"ours": "no"})
    else:
        await scene.change(spec={"size": 9})


@pytest.mark.parametrize("how", ["deletes it", "labels", "changes it back"])
async def test_an_object_that_somebody_undoes_at_once_is_written_at_the_backoff(how: str) -> None:
    """For an hour; the outcome says what happens all the while, in words that do not change."""
    async with applying(**SELECTED) as scene:
        await scene.apply()
        messages = set()
        while scene.clock.monotonic() < 3600:
            await undo(scene, how)
            outcome = await reconcile(scene)
            if len(scene.client.writes()) > 12 and outcome.action == "unchanged":
                assert outcome.retry_after_seconds is not None
                messages.add(outcome.message)
            await scene.clock.advance(1)
        assert len(messages) == 1
        assert how in messages.pop()
        # Two requests a turn where it is out of sight: one that finds the name taken, one that repairs.
        assert 10 < len(scene.client.writes()) < (60 if how == "labels" else 30)


async def test_an_object_that_is_found_out_of_sight_gets_its_labels_and_nothing_else() -> None:
    """Whoever wants it otherwise did not know that it is there; it may be one that can't be changed."""
    async with applying(**SELECTED) as scene:
        await scene.apply()
        await scene.change(labels={"ours": "no"})
        live = await scene.applier.probe(WIDGETS, "team", "a")
        other = make_widget(spec={"size": 2}, labels={"ours": "yes"})
        outcome = await scene.applier.apply(KEY, WIDGETS, other, live=live)
        await scene.clock.settle()
        assert (outcome.action, outcome.retry_after_seconds) == ("found", None)
        assert (scene.client.manifest(WIDGETS, "a", "team") or {})["spec"] == {"size": 1}
        assert (await scene.apply(other)).action == "updated"
        assert (scene.client.manifest(WIDGETS, "a", "team") or {})["spec"] == {"size": 2}


async def test_labels_go_to_the_object_that_was_found_out_of_sight_not_to_its_successor() -> None:
    async with applying(**SELECTED) as scene:
        await scene.apply()
        await scene.change(labels={"ours": "no"})
        live = await scene.applier.probe(WIDGETS, "team", "a")
        scene.client.remove(WIDGETS, "a", "team")
        scene.client.put(WIDGETS, make_widget(labels={"ours": "no"}))
        with pytest.raises(errors.Conflict):
            await scene.applier.apply(KEY, WIDGETS, WANTED, live=live)
        successor = scene.client.manifest(WIDGETS, "a", "team")
        assert successor is not None
        assert successor["metadata"]["labels"] == {"ours": "no"}


async def test_a_deleted_object_is_made_again_at_once_when_nobody_keeps_deleting_it() -> None:
    """kubectl delete, now and then: that heals without a pause."""
    async with applying() as scene:
        await scene.apply()
        for _ in range(20):
            await scene.clock.advance(120)
            await undo(scene, "deletes it")
            outcome = await scene.apply()
            assert (outcome.action, outcome.retry_after_seconds) == ("created", None)


async def test_an_object_that_we_deleted_ourselves_is_made_again_without_a_pause() -> None:
    """A Job that is replaced by its successor of the same name: nobody undid anything."""
    async with applying() as scene:
        for _ in range(10):
            assert (await scene.apply()).action == "created"
            assert scene.live is not None
            await scene.applier.delete(KEY, WIDGETS, scene.live)
            await scene.clock.settle()


async def test_an_object_that_is_relabelled_at_admission_is_not_waited_for_in_silence() -> None:
    """No watch will ever show it: the outcome says so from the first write on, and when to come back."""

    def relabel(manifest: Manifest) -> Manifest:
        return {**manifest, "metadata": {**manifest["metadata"], "labels": {"ours": "no"}}}

    async with applying(**SELECTED) as scene:
        scene.client.webhook = relabel
        for _ in range(600):
            outcome = await reconcile(scene)
            assert "labels" in outcome.message
            assert outcome.retry_after_seconds is not None
            await scene.clock.advance(1)
        assert len(scene.applies()) < 40
        scene.client.webhook = lambda manifest: manifest
        await scene.clock.advance(300)
        outcome = await reconcile(scene)
        assert (outcome.action, outcome.message) == ("found", "")
        # A watch that heard nothing for so long may just be opened anew.
        await scene.clock.run_until(lambda: scene.live is not None, limit_seconds=60)


async def test_an_object_that_is_going_is_left_alone() -> None:
    """Neither repaired nor deleted again; its name is free when it is gone."""
    async with applying() as scene:
        scene.client.put(
            WIDGETS, make_widget(finalizers=["x"], deletionTimestamp="2026-01-31T12:00:00Z", spec={"size": 9})
        )
        await scene.clock.settle()
        assert (await scene.apply()).action == "unchanged"
        assert scene.live is not None
        await scene.applier.delete(KEY, WIDGETS, scene.live)
        assert scene.client.writes() == []


async def test_nothing_is_written_after_the_lease_is_lost() -> None:
    """The fence is asked before every write."""
    async with applying() as scene:
        await scene.apply()
        live = scene.live
        assert live is not None
        scene.leads = False
        with pytest.raises(errors.NotLeader):
            await scene.apply(make_widget(spec={"size": 2}))
        with pytest.raises(errors.NotLeader):
            await scene.applier.delete(KEY, WIDGETS, live)
        with pytest.raises(errors.NotLeader):
            await scene.applier.patch_status(KEY, WIDGETS, live, WidgetStatus(phase="Ready"))
        assert len(scene.client.writes()) == 1
        assert (await scene.apply()).action == "unchanged"


async def test_probe_sees_what_the_cache_does_not() -> None:
    """A stranger's object, from the server itself."""
    async with applying() as scene:
        assert await scene.applier.probe(WIDGETS, "team", "a") is None
        scene.client.muted.add(WIDGETS.qualified)
        scene.client.put(WIDGETS, make_widget())
        assert scene.live is None
        assert await scene.applier.probe(WIDGETS, "team", "a") is not None


async def test_status_is_written_once_and_only_on_change() -> None:
    """One merge patch, with the resourceVersion it was computed from."""
    ready = Condition(type="Ready", status="True", last_transition_time="2026-01-31T12:00:00Z")
    status = WidgetStatus(phase="Ready", conditions=(ready,), counts={"a": 1})
    async with applying() as scene:
        scene.client.put(WIDGETS, make_widget(status={"phase": "Pending", "counts": {"b": 2}, "unknown": 1}))
        await scene.clock.settle()
        assert scene.live is not None
        version = scene.live.metadata.resource_version
        assert await scene.applier.patch_status(KEY, WIDGETS, scene.live, status)
        patch = scene.client.writes()[0].body
        assert patch["metadata"] == {"resourceVersion": version}
        assert patch["status"]["counts"] == {"b": None, "a": 1}
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["status"]["unknown"] == 1

        await scene.clock.settle()
        assert not await scene.applier.patch_status(KEY, WIDGETS, scene.live, status)
        assert len(scene.client.writes()) == 1


@pytest.mark.parametrize("known", [{}, {"status": {}}, {"status": {"phase": "Off", "unknown": 1}}], ids=str)
async def test_nulls_of_a_free_form_value_are_written_once_and_stay(known: Manifest) -> None:
    """A merge patch would take them for removals; a field without a value is still left out."""
    late = Condition(type="Ready", status="True")
    status = WidgetStatus(conditions=(late,), free={"flag": None, "in": [{"x": None}]})
    async with applying() as scene:
        scene.client.put(WIDGETS, make_widget(**known))
        await scene.clock.settle()
        assert scene.live is not None
        assert await scene.applier.patch_status(KEY, WIDGETS, scene.live, status)
        stored = scene.client.manifest(WIDGETS, "a", "team")
        assert stored is not None
        assert stored["status"]["free"] == {"flag": None, "in": [{"x": None}]}
        assert stored["status"].get("unknown") == known.get("status", {}).get("unknown")
        assert "phase" not in stored["status"]
        assert "lastTransitionTime" not in stored["status"]["conditions"][0]

        await scene.clock.settle()
        assert not await scene.applier.patch_status(KEY, WIDGETS, scene.live, status)
        other = structs.replace(status, phase="On")
        assert await scene.applier.patch_status(KEY, WIDGETS, scene.live, other)
        assert scene.client.writes()[-1].body["status"] == {"phase": "On"}, "what stays is not sent again"


async def test_a_status_with_nulls_computed_from_an_old_object_is_a_conflict() -> None:
    """The version is a precondition of JSON patches too."""
    async with applying() as scene:
        await scene.apply()
        old = scene.live
        assert old is not None
        await scene.change(spec={"size": 9})
        with pytest.raises(errors.Conflict):
            await scene.applier.patch_status(KEY, WIDGETS, old, WidgetStatus(free={"a": None}))


async def test_a_status_computed_from_an_old_object_is_a_conflict() -> None:
    """Somebody changed it since."""
    async with applying() as scene:
        await scene.apply()
        old = scene.live
        assert old is not None
        await scene.change(spec={"size": 9})
        with pytest.raises(errors.Conflict):
            await scene.applier.patch_status(KEY, WIDGETS, old, WidgetStatus(phase="Ready"))


async def test_a_delete_is_of_that_very_object() -> None:
    """Fine if it is gone, a conflict if its name has a successor."""
    async with applying() as scene:
        await scene.apply()
        live = scene.live
        assert live is not None
        await scene.applier.delete(KEY, WIDGETS, live, propagation="Foreground")
        assert scene.client.writes()[-1].body == {"uid": "uid-1", "propagation": "Foreground"}
        await scene.applier.delete(KEY, WIDGETS, live)
        scene.client.put(WIDGETS, make_widget())
        with pytest.raises(errors.Conflict):
            await scene.applier.delete(KEY, WIDGETS, live)


# Reads after own writes


async def woken(scene: Applying) -> list[str]:
    called: list[str] = []
    scene.applier.on_caught_up(KEY, lambda: called.append("woken"))
    return called


async def test_a_key_waits_until_the_cache_has_its_write() -> None:
    """By how far the watch has come: another object's event is enough."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        assert not scene.applier.caught_up(KEY)
        called = await woken(scene)
        scene.client.muted.clear()
        scene.client.put(WIDGETS, make_widget("other"))
        await scene.clock.settle()
        assert called == ["woken"]
        assert scene.applier.caught_up(KEY)


async def test_a_key_waits_until_the_cache_has_its_status() -> None:
    """Else it would compute the next one from what was there before."""
    async with applying() as scene:
        await scene.apply()
        assert scene.live is not None
        scene.client.muted.add(WIDGETS.qualified)
        await scene.applier.patch_status(KEY, WIDGETS, scene.live, WidgetStatus(phase="Ready"))
        assert not scene.applier.caught_up(KEY)


async def test_a_bookmark_is_enough() -> None:
    """The write may never come as an event: relabelled, or of a selector."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        called = await woken(scene)
        scene.client.muted.clear()
        scene.client.bookmark(WIDGETS)
        await scene.clock.settle()
        assert called == ["woken"]


async def test_a_key_waits_until_the_cache_shows_its_deletion() -> None:
    """Going is enough, gone as well."""
    async with applying() as scene:
        scene.client.put(WIDGETS, make_widget(finalizers=["x"]))
        await scene.clock.settle()
        assert scene.live is not None
        await scene.applier.delete(KEY, WIDGETS, scene.live)
        assert not scene.applier.caught_up(KEY)
        called = await woken(scene)
        await scene.clock.settle()
        assert called == ["woken"]
        assert scene.live.metadata.deletion_timestamp is not None


async def test_a_stalled_watch_is_listed_again_rather_than_waited_for() -> None:
    """A dead watch cannot park a key for ever."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        called = await woken(scene)
        await scene.clock.advance(DOUBT_STEPS * STEP_SECONDS + 5)
        assert called == ["woken"]
        assert scene.live is not None


async def test_a_process_that_stood_still_does_not_doubt_the_watch() -> None:
    """What came meanwhile is still to be read: a frozen or starved process must not list everything."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        called = await woken(scene)
        for _ in range(DOUBT_STEPS + 1):
            scene.clock.freeze(2 * DOUBT_STEPS * STEP_SECONDS)
            await scene.clock.settle()
        lists = [call for call in scene.client.calls if call.name == "initial"]
        assert (called, len(lists)) == ([], 1)
        await scene.clock.advance(DOUBT_STEPS * STEP_SECONDS + 1)
        assert called == ["woken"]


async def test_a_slow_list_is_not_begun_anew_by_each_of_many_objects_that_wait_for_it() -> None:
    """The watch is silent, a list takes 40 s, and 300 objects were written one after the other."""
    client = FakeClient()

    async def slow(call: Any) -> None:
        if call.name == "initial" and len(client.calls) > 1:
            await scene.clock.sleep(40)

    async with applying(client) as scene:
        client.gate = slow
        client.muted.add(WIDGETS.qualified)
        called: list[str] = []
        for number in range(300):
            key = KEY._replace(name=f"owner-{number}")
            await scene.applier.apply(key, WIDGETS, make_widget(f"w{number}"), live=None)
            scene.applier.on_caught_up(key, lambda: called.append("woken"))
            await scene.clock.advance(0.1)
        await scene.clock.advance(100)
        assert len(called) == 300
        lists = [call for call in client.calls if call.name == "initial"]
        assert len(lists) <= 3, "the first of all, the one under way, and one that follows"


async def test_a_server_that_cannot_be_listed_does_not_park_a_key_for_ever() -> None:
    """In the end it goes on with what there is."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        called = await woken(scene)
        scene.client.fail("watch", WIDGETS, *[errors.Forbidden("no") for _ in range(50)])
        await scene.clock.advance(GIVE_UP_STEPS * STEP_SECONDS - 1)
        assert called == []
        await scene.clock.advance(2)
        assert called == ["woken"]
        assert scene.applier.caught_up(KEY)


async def test_a_kind_that_goes_is_not_waited_for() -> None:
    """Its writes can never be seen."""
    async with applying() as scene:
        scene.client.muted.add(WIDGETS.qualified)
        await scene.apply()
        called = await woken(scene)
        scene.client.missing.add(WIDGETS.qualified)
        scene.client.end_watches(WIDGETS)
        await scene.clock.advance(5)
        assert called == ["woken"]


async def test_a_refused_write_tells_which_object_was_refused() -> None:
    """A status of our own object is not a child of it: only the former waits for a change."""
    async with applying() as scene:
        scene.client.fail("apply", WIDGETS, errors.Invalid("denied", code=400))
        with pytest.raises(errors.Invalid) as child:
            await scene.apply()
        assert child.value.wrote == ("Widget", "team", "a")
        await scene.apply()
        assert scene.live is not None
        scene.client.fail("patch_status", WIDGETS, errors.Invalid("denied", code=422))
        with pytest.raises(errors.Invalid) as own:
            await scene.applier.patch_status(KEY, WIDGETS, scene.live, WidgetStatus(phase="On"))
        assert own.value.wrote == WIDGETS.ref(scene.live)


async def test_the_pace_of_a_namespace_follows_how_long_its_writes_take() -> None:
    """Of the object that is reconciled, whatever is written for it."""
    async with applying() as scene:

        async def slow(call: Call) -> None:
            if call.verb in {"apply", "delete"}:
                await scene.clock.sleep(SLOW_SECONDS + 1)

        scene.client.gate = slow
        await scene.clock.run(scene.applier.apply(KEY, WIDGETS, WANTED, live=None))
        await scene.clock.settle()
        after_create = scene.pace.limits["team"]
        assert scene.live is not None
        await scene.clock.run(scene.applier.delete(KEY, WIDGETS, scene.live))
        assert list(scene.pace.limits) == ["team"]
        assert scene.pace.limits["team"] < after_create


async def test_a_write_that_fails_slows_its_namespace_down_by_nothing() -> None:
    """A webhook that hangs makes nobody else's requests slower."""
    async with applying() as scene:

        async def hang(call: Call) -> None:
            if call.verb == "apply":
                await scene.clock.sleep(30)
                raise errors.Unavailable("a webhook timed out", code=500)

        scene.client.gate = hang
        with pytest.raises(errors.Unavailable):
            await scene.clock.run(scene.applier.apply(KEY, WIDGETS, WANTED, live=None))
        assert not scene.pace.limits


# What is done with


EXPIRY = make_widget(spec={"size": 2})


async def amend(scene: Applying, live: Widget) -> ApplyOutcome[Widget]:
    outcome = await scene.applier.amend(KEY, WIDGETS, EXPIRY, live=live)
    await scene.clock.settle()
    return outcome


async def test_what_is_amended_keeps_all_that_was_applied() -> None:
    async with applying() as scene:
        await scene.apply(make_widget(spec={"size": 1, "fixed": True}, labels={"ours": "yes"}))
        assert scene.live is not None
        assert [(await amend(scene, scene.live)).action for _ in range(2)] == ["updated", "unchanged"]
        spec = scene.client.manifest(WIDGETS, "a", "team")
        assert spec is not None
        assert (spec["spec"], spec["metadata"]["labels"]) == ({"size": 2, "fixed": True}, {"ours": "yes"})


async def test_what_went_before_it_was_amended_stays_gone() -> None:
    async with applying() as scene:
        await scene.apply()
        live = scene.live
        assert live is not None
        scene.client.remove(WIDGETS, "a", "team")
        assert (await amend(scene, live)).object is None
        assert scene.client.manifest(WIDGETS, "a", "team") is None


async def test_somebody_who_undoes_every_amendment_does_not_make_us_race() -> None:
    async with applying() as scene:
        await scene.apply()
        for _ in range(50):
            await scene.change(spec={"size": 9})
            assert scene.live is not None
            outcome = await amend(scene, scene.live)
        assert (outcome.action, outcome.message) == (
            "unchanged",
            "something changes it back as soon as it is written",
        )
        assert outcome.retry_after_seconds is not None
        assert len([call for call in scene.client.calls if call.verb == "patch"]) <= 5
        await scene.clock.advance(outcome.retry_after_seconds)
        assert scene.live is not None
        assert (await amend(scene, scene.live)).action == "updated"


async def test_an_amendment_goes_to_that_very_object() -> None:
    """Not to a successor of its name, of which nobody has decided anything."""
    async with applying() as scene:
        await scene.apply()
        live = scene.live
        assert live is not None
        scene.client.remove(WIDGETS, "a", "team")
        scene.client.put(WIDGETS, make_widget(spec={"size": 9}))
        with pytest.raises(errors.Conflict):
            await amend(scene, live)
        successor = scene.client.manifest(WIDGETS, "a", "team")
        assert successor is not None
        assert successor["spec"] == {"size": 9}


async def test_without_the_lease_nothing_is_amended() -> None:
    async with applying() as scene:
        await scene.apply()
        assert scene.live is not None
        scene.leads = False
        with pytest.raises(errors.NotLeader):
            await amend(scene, scene.live)
        assert not [call for call in scene.client.calls if call.verb == "patch"]


async def test_an_amendment_is_waited_for() -> None:
    """As whatever is written."""
    async with applying() as scene:
        await scene.apply()
        assert scene.live is not None
        scene.client.muted.add(WIDGETS.qualified)
        await amend(scene, scene.live)
        assert not scene.applier.caught_up(KEY)


async def test_nothing_is_remembered_of_an_object_that_went() -> None:
    """An operator that runs for a year sees more of them than fit into its memory."""
    async with applying() as scene:
        await scene.apply()
        assert scene.applier._verdicts
        scene.client.remove(WIDGETS, "a", "team")
        await scene.clock.settle()
        assert not scene.applier._verdicts


async def test_what_is_being_deleted_is_not_amended() -> None:
    async with applying() as scene:
        await scene.apply()
        assert scene.live is not None
        deleted = {**WANTED["metadata"], "deletionTimestamp": "2026-01-31T12:00:00Z"}
        scene.client.put(WIDGETS, {**WANTED, "metadata": deleted})
        await scene.clock.settle()
        assert (await amend(scene, scene.live)).action == "unchanged"
