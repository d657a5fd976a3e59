"""What is left of a story that breaks a rule; here the rule is a sentence about its steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulation.explore.faults import Calm, Crash, Cut, Fail, Noise, Stall
from tests.simulation.explore.shrink import shrink
from tests.simulation.explore.steps import Apply, Delete, Lazy, Patch, Restart, Wait
from tests.simulation.explore.stories import AnyStep, Story

ROUTING = {"enabled": True, "routeTemplate": "/a", "gatewayRef": {"name": "gateway", "namespace": "gateways"}}


def applied(name: str, **spec: object) -> Apply:
    metadata = {"name": name, "namespace": "team", "labels": {"team": "a"}}
    return Apply(manifest={"kind": "AIMService", "metadata": metadata, "spec": spec}, seconds=0)


def bare(name: str, **spec: object) -> Apply:
    metadata = {"name": name, "namespace": "team"}
    return Apply(manifest={"kind": "AIMService", "metadata": metadata, "spec": spec}, seconds=0)


def names(story: Story) -> list[str]:
    return [step.manifest["metadata"]["name"] for step in story if isinstance(step, Apply)]


def spec_of(story: Story, name: str) -> dict[str, object]:
    steps = (step for step in story if isinstance(step, Apply))
    return next((s.manifest["spec"] for s in steps if s.manifest["metadata"]["name"] == name), {})


def seconds(story: Story) -> float:
    return sum(step.seconds for step in story)


def drops(step: AnyStep) -> bool:
    return isinstance(step, Noise) and step.drop > 0


MANY = tuple(applied(str(number)) for number in range(40))


@pytest.mark.parametrize(
    ("story", "breaks", "want"),
    [
        pytest.param(
            MANY,
            lambda story: {"7", "31"} <= {*names(story)},
            (bare("7"), bare("31")),
            id="steps that are not needed are left out",
        ),
        pytest.param(
            (bare("a"), Restart(seconds=100, down=20), Delete(kind="AIMService", name="x"), bare("b")),
            lambda story: {"a", "b"} <= {*names(story)} and seconds(story) >= 160,
            (bare("a"), Wait(seconds=120), Wait(seconds=40), bare("b")),
            id="of steps that only take time, the time stays",
        ),
        pytest.param(
            (applied("a", model="m", env=[{"name": "A"}, {"name": "B"}], routing=ROUTING),),
            lambda story: "routeTemplate" in str(spec_of(story, "a")) and "B" in str(spec_of(story, "a")),
            (bare("a", env=[{"name": "B"}], routing={"routeTemplate": "/a"}),),
            id="of an object the fields that are needed are left",
        ),
        pytest.param(
            (
                Noise(fail_before=0.1, drop=0.05, call=1, persistent=True, seconds=0),
                Fail(verb="apply", resource="jobs", code=500, when="after", times=3, hang=5, seconds=0),
                Crash(writes=7, lost=True, down=5, seconds=10),
            ),
            lambda story: [type(step) for step in story] == [Noise, Fail, Crash] and drops(story[0]),
            (
                Noise(fail_before=0.0, drop=0.05, seconds=0),
                Fail(verb="apply", resource="jobs", code=500, times=3, seconds=0),
                Crash(writes=7, seconds=10),
            ),
            id="faults lose what is beside the point",
        ),
        pytest.param(
            (Cut(resource="jobs", seconds=0), Stall(resource="jobs", late=5, seconds=0), Calm()),
            lambda story: len(story) == 3 and isinstance(story[0], Cut) and isinstance(story[1], Stall),
            (Cut(resource="jobs", seconds=0), Stall(resource="jobs", late=5, seconds=0), Wait(seconds=4000)),
            id="which watches, and how late, is no simpler as it is by default",
        ),
        pytest.param(
            (
                Delete(kind="AIMService", name="a", namespace="team", again={"spec": {}}, seconds=0),
                Patch(kind="AIMService", name="a", namespace="team", patch={}, seconds=0),
                Lazy(kserve=1, pods=15, seconds=0),
            ),
            lambda story: all(isinstance(step, Delete | Patch | Lazy) for step in story) and len(story) == 3,
            (
                Delete(kind="AIMService", name="a", namespace="team", seconds=0),
                Patch(kind="AIMService", name="a", namespace="team", patch={}, seconds=0),
                Lazy(seconds=0),
            ),
            id="an object keeps its namespace",
        ),
        pytest.param(MANY[:3], lambda _: False, MANY[:3], id="a story that breaks nothing when played again"),
    ],
)
def test_what_is_left_of_a_story(story: Story, breaks: Callable[[Story], bool], want: Story) -> None:
    got = shrink(story, breaks)
    assert got == want


def test_a_story_is_played_a_limited_number_of_times() -> None:
    played: list[Story] = []

    def breaks(story: Story) -> bool:
        played.append(story)
        return MANY[-1] in story

    shorter = shrink(MANY, breaks, attempts=5)
    assert len(played) == 5
    assert breaks(shorter)
    assert len(shorter) < len(MANY)
