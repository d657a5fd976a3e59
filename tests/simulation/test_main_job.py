"""The whole operator under virtual time: the main job, in any order, through crashes and faults."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.sandbox.network import Rates
from tests.simulation.world import World, quickstart

NAMESPACE = "ml-team"
SERVICE = "llama-chat"


def all_running(world: World) -> bool:
    templates = [*world.all(aim.TEMPLATES), *world.all(aim.CLUSTER_TEMPLATES)]
    caches = world.all(aim.TEMPLATE_CACHES)
    return (
        world.state_of(aim.SERVICES, SERVICE, NAMESPACE) == "Running"
        and (len(templates), len(caches)) == (3, 1)
        and all(each.get("status", {}).get("status") == "Available" for each in [*templates, *caches])
    )


async def final_state(world: World) -> dict[str, object]:
    await world.until(lambda: all_running(world))
    await world.pass_seconds(30)
    return world.snapshot()


async def undisturbed() -> tuple[dict[str, object], list[tuple[str, str, str]]]:
    """The state and the writes of a run in which nothing goes wrong."""
    async with World() as world:
        world.apply(quickstart())
        world.start()
        return await final_state(world), world.writes()


async def test_the_quickstart_ends_with_everything_running() -> None:
    async with World() as world:
        world.apply(quickstart())
        world.start()
        await world.until(lambda: all_running(world))
        status = world.status(aim.SERVICES, SERVICE, NAMESPACE)
        assert status["routing"]["path"] == "/ml-team/research/meta-llama-3-8b-instruct"
        assert status["resolvedTemplate"]["name"] == "llama-3-8b-latency"


async def test_at_rest_nothing_is_asked_of_the_server_but_watches() -> None:
    async with World() as world:
        world.apply(quickstart())
        world.start()
        await world.until(lambda: all_running(world))
        await world.pass_seconds(30)
        before = len(world.sandbox.server.audit)
        await world.pass_seconds(4 * 3600)
        heard = Counter(entry.verb for entry in world.sandbox.server.audit[before:])
        assert set(heard) == {"watch"}


async def test_a_restart_writes_nothing() -> None:
    async with World() as world:
        world.apply(quickstart())
        first = world.start()
        await final_state(world)
        await world.stop(first)
        before = world.writes()
        world.start()
        await world.pass_seconds(120)
        assert world.writes() == before


@pytest.mark.parametrize("seed", range(12))
async def test_the_order_of_creation_does_not_matter(seed: int) -> None:
    want, _ = await undisturbed()
    objects = quickstart()
    random.Random(seed).shuffle(objects)
    async with World(seed=seed) as world:
        world.start()
        for obj in objects:
            world.apply([obj])
            await world.pass_seconds(random.Random(seed).choice((0, 0.05, 1)))
        assert await final_state(world) == want


async def test_killed_after_any_write_it_ends_in_the_same_state_with_no_needless_write() -> None:
    want, writes = await undisturbed()
    assert len(writes) >= 20, "the quickstart takes at least twenty writes"
    for number in range(1, len(writes) + 1):
        async with World() as world:
            world.apply(quickstart())
            doomed = world.start(crash_after_write=number)
            await world.until(doomed.done)
            world.start()
            got = await final_state(world)
            assert got == want, f"killed after write {number}: {writes[number - 1]}"
            assert one_job_each(world), f"killed after write {number}"
            assert applied(world.writes()) == applied(writes), f"killed after {number}"


@pytest.mark.parametrize("seed", range(40))
async def test_faults_of_the_network_change_nothing_in_the_end(seed: int) -> None:
    want, _ = await undisturbed()
    rates = Rates(
        fail_before=0.1,
        fail_after=0.1,
        too_many_requests=0.05,
        drop_stream=0.05,
        call_seconds=0.05,
        delivery_seconds=0.3,
    )
    async with World(seed=seed) as world:
        world.apply(quickstart())
        world.start(rates=rates, seed=seed)
        assert await final_state(world) == want
        assert one_job_each(world)


def applied(writes: list[tuple[str, str, str]]) -> Counter[tuple[str, str, str]]:
    """Count the writes of children, whatever part of their names follows from uids."""
    by_uid = ("jobs.batch", "persistentvolumeclaims")
    return Counter(
        (verb, resource, name[:-9] if resource in by_uid else name)
        for verb, resource, name in writes
        if verb != "patch_status"
    )


def one_job_each(world: World) -> bool:
    """Whether no discovery ran twice for one set of inputs."""
    created = Counter(name for name in world.created if name.startswith("Job "))
    return bool(created) and set(created.values()) == {1}
