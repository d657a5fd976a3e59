"""The clock of the operator's node is wrong, and is set: what was decided by it is decided again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.core.conditions import parse_time
from aim_operator.core.template.desired import DEADLINE_SECONDS
from aim_operator.runtime.clock_steps import LOOK_SECONDS
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import IMAGE, NAMESPACE, image, service, template
from tests.simulation.explore.replica import OffsetClock
from tests.simulation.test_caches import SOURCE, model_cache
from tests.simulation.world import World

DAY = 86400.0


def template_reason(world: World) -> str:
    return world.reason(aim.TEMPLATES, "fast", NAMESPACE, "Ready")


@pytest.mark.parametrize("behind", [DAY, 365 * DAY])
async def test_a_deadline_that_a_clock_put_off_is_kept_once_it_is_set(behind: float) -> None:
    """The timer for it was to fire in a day, and nothing else would have looked at the Job before."""
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs")
        world.clock_offset_seconds = -behind
        world.start(clock=OffsetClock(world))
        world.apply([image(), template()])
        await world.until(lambda: template_reason(world) == "False/DiscoveryRunning")
        await world.pass_seconds(60)
        world.clock_offset_seconds = 0
        await world.until(
            lambda: template_reason(world) == "False/JobFailed",
            limit_seconds=DEADLINE_SECONDS + LOOK_SECONDS + 5,
        )


@pytest.mark.parametrize("ahead", [DAY, 3600, 600, 0, -600, -3600, -DAY])
async def test_what_fails_is_tried_with_pauses_whatever_the_clocks_say(ahead: float) -> None:
    """Where ours is an hour ahead of the cluster's, each pause was over: Jobs were made at full speed."""
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails")
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="fails")
        world.clock_offset_seconds = ahead
        world.start(clock=OffsetClock(world))
        world.apply([image(), template(), model_cache()])
        await world.pass_seconds(300)
        jobs = Counter(
            name.rpartition("-")[0]
            for verb, resource, name in world.writes()
            if (verb, resource) == ("apply", "jobs.batch")
        )
        # After 10 s, 20, 40, 80, and 160.
        assert len(jobs) == 2
        assert set(jobs.values()) <= {4, 5}


async def test_a_quiet_day_with_a_right_clock_writes_nothing() -> None:
    async with World() as world:
        world.start(clock=OffsetClock(world))
        world.apply([image(), template()])
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        await world.pass_seconds(60)
        before = len(world.writes())
        await world.pass_seconds(DAY)
        assert world.writes()[before:] == []
        world.clock_offset_seconds = 3600
        await world.pass_seconds(2 * LOOK_SECONDS)
        assert world.writes()[before:] == [], "all is as it was decided"


@pytest.mark.parametrize("ahead", [3600, DAY, 365 * DAY])
async def test_a_cache_that_a_wrong_clock_dated_is_dated_by_the_right_one(ahead: float) -> None:
    """Nothing else wakes it: no policy lets it go, and it has no Job any more."""
    async with World() as world:
        world.start(clock=OffsetClock(world))
        world.apply([image(), template(caching={"enabled": False}), service(cacheModel=True)])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        await world.pass_seconds(600)
        world.clock_offset_seconds = ahead
        world.delete(aim.SERVICES, "chat", NAMESPACE)
        await world.until(lambda: "unusedSince" in the_status(world))
        assert parse_time(the_status(world)["unusedSince"]) > world.clock.now()
        await world.pass_seconds(1800)
        world.clock_offset_seconds = 0
        await world.pass_seconds(LOOK_SECONDS + 5)
        status = the_status(world)
        transitions = [each["lastTransitionTime"] for each in status["conditions"]]
        assert max(map(parse_time, [status["unusedSince"], *transitions])) <= world.clock.now()
        before = len(world.writes())
        await world.pass_seconds(DAY)
        assert world.writes()[before:] == []
        assert the_status(world) == status


def the_status(world: World) -> dict[str, Any]:
    (cache,) = world.all(aim.MODEL_CACHES)
    status: dict[str, Any] = cache["status"]
    return status
