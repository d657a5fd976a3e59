"""The client-level scenarios on the sandbox; tests/cluster/test_scenarios.py runs them on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.sandbox import Sandbox
from tests.cluster.scenarios import NAMESPACES, SCENARIOS, World
from tests.support.virtual_clock import VirtualClock


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
async def test_the_sandbox_plays(scenario: Callable[[World], Awaitable[None]]) -> None:
    clock = VirtualClock()
    sandbox = Sandbox(clock)
    running = asyncio.ensure_future(sandbox.run())

    async def apply_as(
        manager: str, resource: Resource[Any], manifest: Manifest, *, force: bool = False
    ) -> None:
        await sandbox.client(field_manager=manager).apply(resource, manifest, force=force)

    async def play() -> None:
        client = sandbox.client()
        await client.create(NAMESPACES, {"metadata": {"name": "scenario"}})
        world = World(
            client,
            "scenario",
            apply_as=apply_as,
            sleep=clock.sleep,
            forget_history=sandbox.server.storage.compact,
        )
        await scenario(world)

    try:
        await clock.run(play())
    finally:
        await sandbox.close()
        await running
