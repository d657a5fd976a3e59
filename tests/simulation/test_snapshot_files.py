"""A snapshot holds what a plan needs of a cluster, and a damaged file is one line and exit code 3."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aim_operator.cli import main
from aim_operator.cli.plan.snapshot import KINDS, take, written
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.nodes import gpu_node
from tests.simulation.test_plan_of_a_change import image, pod, service, settled
from tests.simulation.world import World

WRONG: tuple[Any, ...] = (None, "text", 7, -1, 2.5, True, [], {}, ["a"], {"a": "b"}, [{}], [[]])
MADE_ANEW = {
    "CustomResourceDefinition": "the sandbox has those of this version",
    "Deployment": "KServe's, which makes it of the InferenceService",
    "Event": "says what was",
    "HorizontalPodAutoscaler": "KServe's or KEDA's",
    "Job": "what it found is in the status of its template or cache",
    "PodDisruptionBudget": "the operator makes it of the service",
}
"""What the operator watches and a snapshot leaves out, and why a plan is right all the same."""

repeatable = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def test_a_snapshot_holds_every_kind_that_the_operator_reads() -> None:
    async with World() as world:
        world.start()
        await world.pass_seconds(1)
        assert world.operator is not None
        watched = {informer.resource.kind for informer in world.operator.watched.all}
    assert watched - {resource.kind for resource in KINDS} == MADE_ANEW.keys()


@cache
def whole() -> str:
    """The file of a cluster with nodes, claims, Pods, routes, derived templates and all."""

    async def taken() -> str:
        async with World() as world:
            await settled(world, 4)
            world.apply([service(1, cacheModel=True), pod("p", "team-1", "service-1")])
            world.sandbox.load([gpu_node("node-1"), storage_class()])
            await world.pass_seconds(60)
            return written(await world.clock.run(take(world.admin, "https://x", world.clock.now())))

    return asyncio.run(taken())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every value of the file is."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, member in members:
        yield (*path, key)
        yield from places(member, (*path, key))


def changed(path: tuple[Any, ...], value: Any, *, removed: bool = False) -> str:
    """The file with another value at `path`, or without it."""
    found = copy.deepcopy(json.loads(whole()))
    holder = found
    for key in path[:-1]:
        holder = holder[key]
    if removed:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return json.dumps(found)


@cache
def all_places() -> list[tuple[Any, ...]]:
    return list(places(json.loads(whole())))


def ended(tmp_path: Path, text: str) -> int:
    """Exit code of a plan with this file."""
    path = tmp_path / "snapshot.json"
    path.write_text(text)
    files = tmp_path / "change.yaml"
    files.write_text(yaml.safe_dump_all([image(1, version=2), service(2, replicas=3)]))
    return main(["plan", str(files), "--snapshot", str(path)])


def test_whatever_is_wrong_in_a_snapshot_is_one_line_and_exit_code_3_or_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = set()

    @given(place=st.sampled_from(all_places()), value=st.sampled_from(WRONG), removed=st.booleans())
    @settings(repeatable, max_examples=60)
    def holds(place: tuple[Any, ...], value: Any, *, removed: bool) -> None:
        code = ended(tmp_path, changed(place, value, removed=removed))
        told = capsys.readouterr().err
        codes.add(code)
        assert code in (1, 2, 3)
        assert "Traceback" not in told
        assert told.count("\n") == (1 if code == 3 else 0), (place, value)

    holds()
    assert codes >= {2, 3}


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = whole()
    for part in range(1, 20):
        assert ended(tmp_path, text[: len(text) * part // 20]) == 3
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "is none of `aimctl snapshot`" in told
    assert ended(tmp_path, text) == 2


@pytest.mark.parametrize("kind", [[], {}, 5])
def test_a_kind_that_is_no_text_is_refused(
    kind: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was a traceback, and exit code 1, which says that something would be Degraded."""
    (place, *_) = [path for path in all_places() if path[0] == "objects" and path[-1:] == ("kind",)]
    assert ended(tmp_path, changed(place, kind)) == 3
    told = capsys.readouterr().err
    assert "is none of `aimctl snapshot`: object 1: Expected `str`" in told
    assert told.count("\n") == 1
