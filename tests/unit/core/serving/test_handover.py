"""Which Pods go first: where there is room beside the old ones, where there is none, where nobody knows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import Pod
from aim_operator.api.v1alpha1 import Rollout, RolloutStatus
from aim_operator.core import labels
from aim_operator.core.serving.handover import (
    PATIENCE_SECONDS,
    Handover,
    handover,
    overdue,
    placement,
    strategy,
    without_room,
)
from tests.support.service_builders import NOW, REVISION, make_pod

HERE = "11111111-22222222"
"""The place on nodes, and the room there."""
MORE_ROOM = "11111111-33333333"
LESS_ROOM = "11111111-00000000"
ELSEWHERE = "44444444-22222222"
NO_GPU = "0/1 nodes are available: 1 Insufficient amd.com/gpu. preemption: 0/1 nodes are available: ..."
NO_MEMORY = "0/1 nodes are available: 1 Insufficient amd.com/gpu, 1 Insufficient memory."
NO_NODE = "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
CORDONED = "0/2 nodes are available: 1 Insufficient amd.com/gpu, 1 node(s) were unschedulable."
QUOTA = 'pods "chat-x" is forbidden: exceeded quota: gpus, requested: requests.amd.com/gpu=1, used: ...=1'
LONG_AGO = (NOW - timedelta(hours=1)).isoformat()
DECIDED = RolloutStatus(revision=REVISION, strategy="OldFirst")


def placed(pod: Pod, where: str = HERE) -> Pod:
    assert pod.metadata.labels is not None
    own = {**pod.metadata.labels, labels.PLACEMENT: where}
    return structs.replace(pod, metadata=structs.replace(pod.metadata, labels=own))


def unplaced(message: str = NO_GPU, *, for_seconds: float = PATIENCE_SECONDS) -> Pod:
    pod = make_pod(unschedulable=message, name="chat-new")
    (condition,) = pod.status.conditions or ()
    since = (NOW - timedelta(seconds=for_seconds)).isoformat()
    told = structs.replace(condition, last_transition_time=since)
    return structs.replace(pod, status=structs.replace(pod.status, conditions=(told,)))


def ending(pod: Pod) -> Pod:
    return structs.replace(pod, metadata=structs.replace(pod.metadata, deletion_timestamp=NOW.isoformat()))


OLD = placed(make_pod(ready=True, revision="0ld", name="chat-old"))


def decide(*pods: Pod, before: RolloutStatus | None = None, **more: Any) -> Handover:
    options: dict[str, Any] = {"revision": REVISION, "want": HERE, "replicas": 1, "refused": "", "now": NOW}
    return handover(more.pop("rollout", None), before, pods, **{**options, **more})


def test_on_a_full_node_the_old_pod_goes_first_and_that_is_said_before() -> None:
    got = decide(OLD, unplaced())
    assert got.decided == DECIDED
    assert got.message == (
        f"there is no room for a Pod beside the old one ({NO_GPU}): it goes first, and the model is away "
        "until the new one is ready"
    )


def test_of_several_pods_the_old_ones_go_one_at_a_time() -> None:
    got = decide(OLD, unplaced(), replicas=3)
    assert got.message.endswith("they go first, one at a time")
    assert strategy(None, got.decided, REVISION) == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
    }


def test_a_pod_that_is_ending_elsewhere_is_given_time_to_make_room() -> None:
    got = decide(OLD, unplaced(for_seconds=10))
    assert (got.decided, got.wait_seconds) == (None, PATIENCE_SECONDS - 10)
    assert got.message.startswith("waiting for room beside the old Pods: 0/1 nodes")


def test_while_one_old_pod_serves_there_is_something_to_lose() -> None:
    crashing = placed(make_pod(waiting={"reason": "CrashLoopBackOff"}, revision="0ld", name="chat-crashes"))
    got = decide(OLD, crashing, unplaced(for_seconds=10), replicas=2)
    assert (got.decided, got.wait_seconds) == (None, PATIENCE_SECONDS - 10)


def test_where_no_pod_is_old_there_is_none_that_could_go_first() -> None:
    """There is no room for one more copy of the same."""
    assert decide(make_pod(ready=True), unplaced(), replicas=2) == Handover()


def test_where_nothing_serves_nothing_is_waited_for() -> None:
    """A server that crashes holds the GPU that its correction needs."""
    crashing = placed(make_pod(waiting={"reason": "CrashLoopBackOff"}, revision="0ld", name="chat-old"))
    assert decide(crashing, unplaced(for_seconds=0)).decided == DECIDED


@pytest.mark.parametrize(
    ("message", "want", "forced"),
    [
        pytest.param(NO_GPU, MORE_ROOM, True, id="more memory, of which there is enough"),
        pytest.param(NO_MEMORY, HERE, True, id="the same memory, which the old one has"),
        pytest.param(NO_MEMORY, MORE_ROOM, False, id="more memory, of which there is none"),
        pytest.param(NO_GPU, ELSEWHERE, False, id="other nodes, whose GPUs the old one does not hold"),
        pytest.param(NO_NODE, HERE, False, id="no node fits, full or not"),
        pytest.param(CORDONED, HERE, False, id="the old one's node may be the one that takes no Pods"),
    ],
)
def test_old_pods_go_only_for_what_fits_in_their_place(
    message: str,
    want: str,
    forced: bool,  # noqa: FBT001 - a table
) -> None:
    got = decide(OLD, unplaced(message), want=want)
    assert (got.decided == DECIDED, got.can_force) == (forced, not forced)


def test_pods_that_do_not_tell_where_they_may_be_stay() -> None:
    """Those of before this version carry no placement."""
    got = decide(make_pod(ready=True, revision="0ld", name="chat-old"), unplaced())
    assert (got.decided, got.can_force) == (None, True)


@pytest.mark.parametrize(
    ("want", "forced"),
    [
        pytest.param(HERE, True, id="for as much as the old one has"),
        pytest.param(MORE_ROOM, False, id="for more than it has"),
    ],
)
def test_a_quota_without_room_beside_the_old_pod_is_no_deadlock(want: str, forced: bool) -> None:  # noqa: FBT001 - a table
    assert (decide(OLD, want=want, refused=QUOTA).decided == DECIDED) is forced


def test_a_quota_that_has_taken_a_new_pod_takes_the_others_as_old_ones_go() -> None:
    """A Pod that is going counts for a moment: that is no reason to give up on having the new ones first."""
    assert decide(OLD, make_pod(), refused=QUOTA, replicas=3) == Handover()


@pytest.mark.parametrize(
    ("other", "new", "refused"),
    [
        pytest.param(LESS_ROOM, (), QUOTA, id="gives enough back to the quota"),
        pytest.param(LESS_ROOM, (unplaced(NO_MEMORY),), "", id="has as much memory"),
        pytest.param(ELSEWHERE, (unplaced(NO_GPU),), "", id="is on a node of the same kind"),
    ],
)
def test_no_old_pod_goes_where_not_each_of_them(other: str, new: tuple[Pod, ...], refused: str) -> None:
    """The Deployment chooses which one goes."""
    beside = placed(make_pod(ready=True, revision="0ld", name="chat-beside"), other)
    got = decide(OLD, beside, *new, refused=refused, replicas=2)
    assert (got.decided, got.can_force) == (None, True)


@pytest.mark.parametrize("pods", [(OLD,), (OLD, make_pod(ready=True)), (make_pod(ready=True),), ()])
def test_what_was_decided_stays_for_the_whole_roll_out(pods: tuple[Pod, ...]) -> None:
    """Whatever nodes come and go meanwhile."""
    assert decide(*pods, before=DECIDED).decided == DECIDED


def test_the_next_roll_out_is_decided_anew() -> None:
    before = RolloutStatus(revision="0ld", strategy="OldFirst")
    assert decide(OLD, make_pod(), before=before) == Handover()
    assert strategy(None, before, REVISION) is None


def test_what_is_told_follows_the_roll_out_and_ends_with_it() -> None:
    no_room = "there is no room for a Pod beside"
    assert decide(ending(OLD), make_pod(), before=DECIDED).message.startswith(no_room)
    away = decide(make_pod(), before=DECIDED).message
    assert away.startswith("the old Pods have made room for the new ones, and the model is away")
    assert decide(make_pod(ready=True), before=DECIDED).message == ""


def test_a_pod_that_is_lost_after_the_roll_out_is_not_told_as_one() -> None:
    """The decision stays in the status for as long as the revision does."""
    lost = [make_pod(ready=True), unplaced()]
    assert decide(*lost, before=DECIDED, replicas=2) == Handover(decided=DECIDED)


@pytest.mark.parametrize("chosen", ["RollingUpdate", "Recreate"])
def test_what_is_chosen_is_not_decided(chosen: str) -> None:
    rollout = Rollout(strategy=chosen)
    assert decide(OLD, unplaced(), rollout=rollout) == Handover()
    assert strategy(rollout, DECIDED, REVISION) == {"type": chosen}


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({"maxSurge": 2}, {"maxSurge": 2}, id="a number"),
        pytest.param({"maxSurge": "2"}, {"maxSurge": 2}, id="a number in words is one for Kubernetes, too"),
        pytest.param(
            {"strategy": "Auto", "maxSurge": "50%", "maxUnavailable": 0},
            {"maxSurge": "50%", "maxUnavailable": 0},
            id="a share",
        ),
    ],
)
def test_bounds_are_handed_on_while_new_pods_come_first(fields: dict[str, Any], want: dict[str, Any]) -> None:
    rollout = msgspec.convert(fields, Rollout)
    assert strategy(rollout, None, REVISION) == {"type": "RollingUpdate", "rollingUpdate": want}


def test_nothing_said_leaves_kserve_its_own_strategy() -> None:
    assert strategy(None, None, REVISION) is None
    assert strategy(Rollout(progress_deadline_seconds=600), None, REVISION) is None


def make_predictor(**changes: Any) -> dict[str, Any]:
    requests = {"amd.com/gpu": "1", "memory": "32Gi", **changes.pop("requests", {})}
    return {"model": {"resources": {"requests": requests}}, "volumes": [], **changes}


@pytest.mark.parametrize(
    ("changes", "same_place", "same_room"),
    [
        pytest.param({}, True, True, id="nothing"),
        pytest.param({"requests": {"memory": "40Gi"}}, True, False, id="memory"),
        pytest.param({"requests": {"amd.com/gpu": "2"}}, False, False, id="GPUs"),
        pytest.param({"nodeSelector": {"pool": "b"}}, False, True, id="nodes"),
        pytest.param(
            {"volumes": [{"name": "model", "persistentVolumeClaim": {"claimName": "one-node's"}}]},
            False,
            True,
            id="a volume, which may be of one node",
        ),
    ],
)
def test_a_placement_tells_what_can_be_in_the_place_of_what(
    changes: dict[str, Any],
    same_place: bool,  # noqa: FBT001 - a table
    same_room: bool,  # noqa: FBT001 - a table
) -> None:
    old, new = (placement(make_predictor(**each)).split("-") for each in ({}, changes))
    assert (old[0] == new[0], old[1] == new[1]) == (same_place, same_room)


def test_a_pod_that_takes_longer_than_its_deadline_is_told_of() -> None:
    rollout = Rollout(progress_deadline_seconds=600)
    started = make_pod(created=(NOW - timedelta(seconds=500)).isoformat())
    assert overdue(rollout, [started], revision=REVISION, now=NOW) == ("", 100)
    later = NOW + timedelta(seconds=101)
    message = "not ready 600 seconds after it was started (rollout.progressDeadlineSeconds)"
    assert overdue(rollout, [started], revision=REVISION, now=later) == (message, 0)
    assert overdue(rollout, [make_pod(ready=True)], revision=REVISION, now=later) == ("", 0)
    assert overdue(None, [started], revision=REVISION, now=later) == ("", 0)


def test_of_several_pods_the_one_that_starts_for_longest_is_waited_for() -> None:
    """Else one that is stuck would not be told of for as long as others are made."""
    rollout = Rollout(progress_deadline_seconds=600)
    stuck, made = (make_pod(created=(NOW - timedelta(seconds=age)).isoformat()) for age in (700, 10))
    message, _ = overdue(rollout, [stuck, made], revision=REVISION, now=NOW)
    assert message.startswith("not ready 600 seconds after it was started")
    _, seconds = overdue(rollout, [made, stuck], revision=REVISION, now=NOW - timedelta(seconds=150))
    assert seconds == 50


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(ending(make_pod(created=LONG_AGO)), id="one that is ending"),
        pytest.param(make_pod(created=LONG_AGO, revision="0ld"), id="an old one, which is to go"),
    ],
)
def test_no_deadline_is_about(pod: Pod) -> None:
    rollout = Rollout(progress_deadline_seconds=600)
    assert overdue(rollout, [pod], revision=REVISION, now=NOW) == ("", 0)


@pytest.mark.parametrize(
    ("pods", "taken"),
    [
        pytest.param((), True, id="nobody of its own is in the way"),
        pytest.param((OLD,), True, id="an old one is left to go, the others have gone"),
        pytest.param((ending(OLD),), False, id="an old one is still going"),
        pytest.param((OLD, OLD), False, id="no old one has gone"),
    ],
)
def test_room_is_somebody_elses_where(pods: tuple[Pod, ...], *, taken: bool) -> None:
    message, _ = without_room(
        None, DECIDED, pods, revision=REVISION, replicas=2, refused=QUOTA, away_since=LONG_AGO, now=NOW
    )
    assert ("which others may have taken" in message) is taken
