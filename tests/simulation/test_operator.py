"""The operator as a process: what it exposes, and how it stops."""

from __future__ import annotations

import asyncio

from aim_operator.api import v1alpha1 as aim
from aim_operator.app import Operator
from aim_operator.errors import Unavailable
from aim_operator.runtime.metrics import Metrics
from aim_operator.sandbox.network import Fault, Network
from aim_operator.settings import Settings
from tests.simulation.catalog import NAMESPACE, image, service, template
from tests.simulation.world import World


async def test_metrics_tell_of_discoveries_caches_and_reconciles() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 60
        metrics = Metrics()
        settings = Settings(max_discovery_jobs=1)
        operator = Operator(world.sandbox.client(), settings, clock=world.clock, metrics=metrics)
        task = asyncio.create_task(operator.run())
        world.apply([image(), template("one"), template("two")])
        await world.pass_seconds(5)
        text = metrics.exposition().decode()
        assert 'aim_discoveries{state="running"} 1.0' in text
        assert 'aim_discoveries{state="waiting"} 1.0' in text
        of_templates = f'namespace="{NAMESPACE}",resource="aimservicetemplates.aim.silogen.ai"'
        assert f"aim_cached_objects{{{of_templates}}} 2.0" in text
        assert f"aim_cached_bytes{{{of_templates}}} " in text
        assert "aim_reconcile_seconds" in text
        await stopped(world, operator, task)


async def test_asked_to_stop_it_ends_in_an_orderly_way() -> None:
    async with World() as world:
        operator = Operator(world.sandbox.client(), Settings(leader_elect=True), clock=world.clock)
        task = asyncio.create_task(operator.run())
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        assert operator.ready
        await stopped(world, operator, task)
        before = len(world.sandbox.server.audit)
        await world.pass_seconds(60)
        assert len(world.sandbox.server.audit) == before, "nothing is asked after the end"


async def test_an_api_server_that_is_away_for_ten_minutes_does_not_restart_the_operator() -> None:
    """A restart helps nobody: the caches would be lost, and the server be listed by all at once."""
    async with World() as world:
        network = Network(world.clock)
        operator = Operator(world.sandbox.client(network=network), Settings(), clock=world.clock)
        task = asyncio.create_task(operator.run())
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        away = Fault(error=Unavailable("no route to host"), times=1_000_000)
        network.fail(away)
        network.drop_watches()
        for _ in range(20):
            await world.pass_seconds(30)
            assert operator.alive
            assert operator.ready
        away.times = 0
        world.apply([service("another")])
        await world.until(lambda: world.state_of(aim.SERVICES, "another", NAMESPACE) == "Running")
        await stopped(world, operator, task)


async def stopped(world: World, operator: Operator, task: asyncio.Task[None]) -> None:
    operator.stop()
    await world.until(task.done)
    task.result()
