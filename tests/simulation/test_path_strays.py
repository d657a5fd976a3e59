"""A prefix for each namespace: whatever others route below it, nobody's route ends by that."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES
from aim_operator.core import labels
from tests.simulation.catalog import routed, service
from tests.simulation.test_path_tenants import CATALOG, CONFLICT, RUNNING, by_hand, limit
from tests.simulation.test_paths import annotated, state
from tests.simulation.world import World

TAKEN = [
    pytest.param("/victim", id="above all that the other has"),
    pytest.param("/victim/chat", id="the same path"),
    pytest.param("/victim/chat/v1", id="a part of it"),
]
THIEF = service("thief", namespace="attacker", routing=routed("/attacker/chat"))
VICTIM = service(namespace="victim", routing=routed("/victim/chat"))


def edited(path: str) -> dict[str, Any]:
    return {"spec": {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": path}}]}]}}


async def stays_routed(world: World, operator: asyncio.Task[None]) -> None:
    """Watch the other's route for ten minutes, with a restart in between."""
    uid = (world.find(HTTP_ROUTES, "chat", "victim") or {})["metadata"]["uid"]
    for _ in range(2):
        await world.pass_seconds(300)
        assert state(world, "chat", "victim") == RUNNING
        assert (world.find(HTTP_ROUTES, "chat", "victim") or {})["metadata"]["uid"] == uid
        await world.stop(operator)
        operator = world.start()


@pytest.mark.parametrize("path", TAKEN)
async def test_an_older_route_made_by_hand_that_moves_into_a_prefix_ends_nobodys_route(path: str) -> None:
    """Nor need a Gateway have accepted it: anybody who may write HTTPRoutes can name any Gateway."""
    async with World() as world:
        world.apply([*CATALOG, limit("/{.metadata.namespace}/"), by_hand("/own", namespace="attacker")])
        operator = world.start()
        await world.pass_seconds(5)
        world.apply([VICTIM])
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        world.apply([by_hand(path, namespace="attacker")])
        await stays_routed(world, operator)


@pytest.mark.parametrize("path", TAKEN)
async def test_the_edited_route_of_an_older_paused_service_ends_nobodys_route(path: str) -> None:
    async with World() as world:
        world.apply([*CATALOG, limit("/{.metadata.namespace}/"), THIEF])
        operator = world.start()
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
        await world.pass_seconds(1)
        world.apply([VICTIM])
        await world.until(lambda: state(world, "chat", "victim") == RUNNING)
        world.apply([annotated(THIEF, {labels.PAUSED: "true"})])
        await world.until(lambda: bool(world.reason(aim.SERVICES, "thief", "attacker", "Paused")))
        world.patch(HTTP_ROUTES, "thief", "attacker", edited(path))
        await stays_routed(world, operator)


@pytest.mark.parametrize("paused", [False, True], ids=["made by hand", "of a paused service"])
async def test_a_route_on_anothers_whole_prefix_keeps_no_new_service_from_its_path(
    paused: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        world.apply([*CATALOG, limit("/{.metadata.namespace}/"), THIEF])
        operator = world.start()
        await world.until(lambda: state(world, "thief", "attacker") == RUNNING)
        if paused:
            world.apply([annotated(THIEF, {labels.PAUSED: "true"})])
            await world.until(lambda: bool(world.reason(aim.SERVICES, "thief", "attacker", "Paused")))
            world.patch(HTTP_ROUTES, "thief", "attacker", edited("/victim"))
        else:
            world.apply([by_hand("/victim", namespace="attacker")])
        await world.pass_seconds(5)
        world.apply([VICTIM])
        await world.until(lambda: state(world, "chat", "victim") == RUNNING, limit_seconds=30)
        await stays_routed(world, operator)


async def test_a_prefix_that_all_share_keeps_routes_made_by_hand_as_they_are() -> None:
    """Without the namespace in it, whose a path is still follows from who was first."""
    async with World() as world:
        world.apply([*CATALOG, limit("/models/"), by_hand("/models/site")])
        world.start()
        await world.pass_seconds(5)
        world.apply([service("thief", namespace="attacker", routing=routed("/models/site/login"))])
        await world.until(lambda: state(world, "thief", "attacker") == CONFLICT)
        await world.pass_seconds(60)
        assert world.find(HTTP_ROUTES, "thief", "attacker") is None
