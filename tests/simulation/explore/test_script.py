"""What a person reads of a story, and of the rule that it breaks."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.simulation.explore import fresh
from tests.simulation.explore.__main__ import TELLERS
from tests.simulation.explore.faults import (
    Calm,
    Crash,
    Cut,
    Fail,
    Freeze,
    Kill,
    Noise,
    SetClock,
    Stall,
    Trouble,
)
from tests.simulation.explore.play import MOST_DETAILS, Failure, Probe, differences, listed, whole
from tests.simulation.explore.script import script
from tests.simulation.explore.steps import (
    Behave,
    Delete,
    DeleteOne,
    Install,
    LabelOne,
    Lazy,
    Restart,
    Silence,
    Wait,
)
from tests.simulation.explore.stories import AnyStep, Story

WAIT = Wait(seconds=40)
CUT = Cut(resource="jobs", seconds=0)
KILLED = Trouble(what="is killed", replica=1, seconds=4)
RESYNCED = "once nothing was written for 20 s, a resync must write nothing."
AT_THE_END = "     At the end, once nothing was written for 20 s, a restart must write nothing."
CALM = "all faults end, and the operator's clock is right; wait 4000 s"


@pytest.mark.parametrize(
    ("story", "probe", "want"),
    [
        pytest.param(
            (Restart(), WAIT),
            Probe.RESYNC,
            [
                "  1. restart the operator; wait 40 s",
                "  2. wait 40 s",
                f"     After each wait of 20 s or more, {RESYNCED}",
                AT_THE_END,
            ],
            id="edits, with what is looked at after them",
        ),
        pytest.param(
            (WAIT, WAIT),
            Probe.NOTHING,
            ["  1. wait 40 s", "  2. wait 40 s", AT_THE_END],
            id="nothing is done after steps",
        ),
        pytest.param(
            (Restart(seconds=3), WAIT),
            Probe.RESYNC,
            ["  1. restart the operator; wait 3 s", "  2. wait 40 s", AT_THE_END],
            id="no step is followed by a rest",
        ),
        pytest.param(
            (CUT, WAIT),
            Probe.RESYNC,
            ["  1. the watches of jobs break", "  2. wait 40 s", f"  3. {CALM}", AT_THE_END],
            id="faults end, also where the story does not say so",
        ),
        pytest.param(
            (CUT, Calm(), Silence()),
            Probe.RESYNC,
            [
                "  1. the watches of jobs break",
                f"  2. {CALM}",
                "  3. nothing may be written for 3600 s",
                AT_THE_END,
            ],
            id="faults end once",
        ),
        pytest.param(
            (KILLED,),
            Probe.RESYNC,
            [
                "  1. replica 1 is killed, and starts again; wait 4 s",
                "     Then all replicas go on, and 960 s later one operator takes their place.",
                "     It must write nothing when it starts, nor for 3600 s.",
            ],
            id="replicas",
        ),
        pytest.param(
            (Behave(what="image", outcome="fails", seconds=0), KILLED),
            Probe.RESYNC,
            [
                "  1. from now on discoveries with image fail after 0 s",
                "  2. replica 1 is killed, and starts again; wait 4 s",
                "     Then all replicas go on, and 960 s later one operator takes their place.",
                "     It must write nothing when it starts.",
            ],
            id="no quiet hour while something is tried again",
        ),
    ],
)
def test_a_story_is_told_whole(story: Story, probe: Probe, want: list[str]) -> None:
    assert [*script(story, probe, compared=False)] == want
    assert [*script(whole(story), probe, compared=False)] == want


def test_a_story_that_is_compared_says_so() -> None:
    *_, last = script((WAIT,), Probe.NOTHING, compared=True)
    assert last == "     What is in order in a new cluster that is given all at once must be so here, too."


@pytest.mark.parametrize(
    ("step", "want"),
    [
        (
            Fail(verb="patch_status", resource="aimimages", code=400),
            "from now on every status write of aimimages fails with 400 (bad request)",
        ),
        (
            Fail(verb="apply", resource="jobs", code=0, times=3, when="after", hang=5),
            "the next 3 applies of jobs take effect, hang for 5 s and fail as the connection breaks",
        ),
        (
            Fail(verb="*", resource="jobs", code=409, times=1, when="after"),
            "the next call of jobs takes effect and fails with 409 (conflict)",
        ),
        (
            Fail(verb="delete", resource="*", code=503, times=1),
            "the next delete fails with 503 (unavailable)",
        ),
        (
            Noise(fail_before=0.1, delivery=2, persistent=True),
            (
                "from now on 10% of calls fail without an effect, events are up to 2 s late, "
                "the client repeats what failed"
            ),
        ),
        (Noise(), "from now on nothing fails by chance"),
        (Cut(compacted=True), "all watches break, and what they miss is gone: 410"),
        (Stall(resource="jobs"), "from now on the watches of jobs stand still: nothing arrives by them"),
        (Stall(late=5), "from now on all watches are 5 s late"),
        (Freeze(frozen=400), "the operator's process stands still for 400 s"),
        (SetClock(ahead=-86400), "the operator's clock is set a day behind the cluster's"),
        (
            Crash(writes=2, lost=True, seconds=0),
            "the operator is killed just before its 2nd write from now, if that comes at once; back at once",
        ),
        (
            Kill(steps=300, down=5, seconds=10),
            (
                "the operator is killed 300 steps of its event loop from now, if that comes within 10 s; "
                "back 5 s later"
            ),
        ),
        (
            Trouble(what="is cut off", replica=2, hang=3),
            "replica 2 is cut off: its calls hang for 3 s and fail",
        ),
        (Trouble(what="is killed", hang=3), "replica 0 is killed, and starts again"),
        (Trouble(what="is an hour behind"), "replica 0 is an hour behind by its clock"),
        (Trouble(what="the Lease is deleted"), "the Lease is deleted"),
        (
            DeleteOne(kind="Job", number=2),
            "delete the 3rd Job by last change (counted round if there are fewer)",
        ),
        (
            LabelOne(kind="Job", number=0, value=None),
            (
                "take the label app.kubernetes.io/managed-by off the 1st Job by last change "
                "(counted round if there are fewer)"
            ),
        ),
        (
            Delete(kind="AIMImage", name="model", again={"spec": {"image": "a"}}),
            'delete AIMImage model and apply it again at once: {"image": "a"}',
        ),
        (Install(what="kserve", there=False), "uninstall KServe, with all objects of its kinds"),
        (Behave(what="hf://a/b", outcome="hangs"), "from now on downloads of hf://a/b never end"),
        (
            Lazy(pods=15, gateway=1),
            "from now on the cluster's controllers take their time: the gateway 1 s, the start of a Pod 15 s",
        ),
        (Lazy(), "from now on the cluster's controllers act at once"),
        (Restart(down=100), "restart the operator, which is away for 100 s"),
    ],
)
def test_what_happens_in_a_step(step: AnyStep, want: str) -> None:
    assert str(step) == want


@pytest.mark.parametrize("teller", TELLERS)
def test_no_step_is_told_in_the_words_of_the_code(teller: str) -> None:
    """Objects apart, which are JSON."""
    texts = [re.sub(r" \{.*\}", "", str(step)) for seed in range(100) for step in TELLERS[teller](seed)]
    assert [text for text in texts if re.search(r"None|True|False|[{}*_]|\b1 times", text)] == []


def condition(status: str, reason: str, type_: str = "Ready") -> dict[str, Any]:
    message = f"of {reason}"
    return {"conditions": [{"type": type_, "status": status, "reason": reason, "message": message}]}


@pytest.mark.parametrize(
    ("in_fresh_run", "here", "want"),
    [
        pytest.param(condition("True", "A"), condition("True", "B"), [], id="in order for another reason"),
        pytest.param(
            condition("True", "A"),
            condition("False", "B"),
            ["AIMService team/chat: Ready: fresh True/A (of A), here False/B (of B)"],
            id="a condition",
        ),
        pytest.param(
            condition("True", "A"),
            {},
            ["AIMService team/chat: Ready: fresh True/A (of A), here missing"],
            id="no condition",
        ),
        pytest.param(
            condition("True", "A") | {"profile": {"metric": "latency"}},
            condition("True", "A"),
            ['AIMService team/chat: profile: fresh {"metric": "latency"}, here missing'],
            id="a result",
        ),
        pytest.param(
            condition("True", "A", "RoutingReady") | {"routing": {"path": "/a"}},
            condition("True", "A", "RoutingReady") | {"routing": {"path": "/b"}},
            ['AIMService team/chat: routing.path: fresh "/a", here "/b"'],
            id="a path",
        ),
    ],
)
def test_what_a_fresh_run_has_in_order(
    in_fresh_run: dict[str, Any], here: dict[str, Any], want: list[str]
) -> None:
    name = "AIMService team/chat"
    assert [*fresh.worse({name: in_fresh_run}, {name: here})] == want


def test_what_a_restart_changes_is_told_field_by_field() -> None:
    before = {"Job a": {"spec": {"n": [1, 2]}, "status": condition("False", "B")}, "Job b": {"spec": {}}}
    after = {
        "Job a": {"spec": {"n": [1, 3], "more": "x" * 500}, "status": condition("True", "A")},
        "Job c": {"spec": {}},
    }
    got = [*differences(before, after)]
    assert [line[:70] for line in got] == [
        f'Job a: spec.more: before missing, then "{"x" * 30}',
        "Job a: spec.n[1]: before 2, then 3",
        'Job a: status.conditions.Ready.message: before "of B", then "of A"',
        'Job a: status.conditions.Ready.reason: before "B", then "A"',
        'Job a: status.conditions.Ready.status: before "False", then "True"',
        "Job b: deleted",
        "Job c: created",
    ]
    assert len(got[0]) < 200


def test_writes_are_counted() -> None:
    written = [("apply", "jobs", "a"), ("delete", "jobs", "b"), ("delete", "jobs", "b")]
    assert listed(written) == ("delete of jobs b, 2 times", "apply of jobs a")


def test_a_broken_rule_is_told_line_by_line_up_to_a_bound() -> None:
    details = tuple(f"AIMService team/{number}: {'long ' * 400}" for number in range(MOST_DETAILS + 3))
    failure = Failure(step=5, rule="fresh", text="not as it should be", details=details)
    first, *lines, last = str(failure).splitlines()
    assert first == "after step 5: fresh: not as it should be:"
    assert len(lines) == MOST_DETAILS
    assert max(map(len, lines)) <= 402
    assert last == "  and 3 more"
    assert failure.brief.startswith(f"{first} AIMService team/0: long")
    assert failure.brief.endswith(f"…, and {MOST_DETAILS + 2} more")
    assert "\n" not in failure.brief


def test_a_broken_rule_without_details_is_one_line() -> None:
    failure = Failure(step=0, rule="ended", text="the operator ended")
    assert str(failure) == failure.brief == "after step 0: ended: the operator ended"
