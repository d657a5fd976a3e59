"""GPU models are counted as nodes come, change and go; who waits for one is woken once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aim_operator.api.external import NODES
from aim_operator.controllers import slim
from aim_operator.controllers.gpu_models import SETTLE_SECONDS, GpuModels
from aim_operator.core import hardware
from aim_operator.runtime.informer import Informer
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock

PRODUCT = "amd.com/gpu.product-name"


class Counting:
    def __init__(self, client: FakeClient) -> None:
        self.client = client
        self.clock = VirtualClock()
        self.nodes: Informer[Any] = Informer(client, NODES, clock=self.clock, slim=slim.node)
        self.models = GpuModels(self.nodes)
        self.woken = 0
        self.models.on_change(self.clock, self._wake)

    def _wake(self) -> None:
        self.woken += 1

    async def settle(self) -> None:
        await self.clock.advance(SETTLE_SECONDS)


@asynccontextmanager
async def counting(**products: str) -> AsyncIterator[Counting]:
    client = FakeClient()
    for name, product in products.items():
        client.put(NODES, node(name, product))
    scene = Counting(client)
    task = asyncio.create_task(scene.nodes.run())
    await scene.settle()
    try:
        yield scene
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def node(name: str, product: str = "", **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {**({PRODUCT: product} if product else {}), **labels}}}


def kinds(*products: str) -> frozenset[hardware.NodeGpus]:
    return frozenset(hardware.node_gpus({PRODUCT: product}) for product in products)


async def test_a_first_list_wakes_those_who_wait_for_gpus_once() -> None:
    async with counting(a="MI300X", b="MI325X", c="MI355X") as scene:
        assert scene.models.kinds == kinds("MI300X", "MI325X", "MI355X")
        assert scene.woken == 1


async def test_a_node_more_of_a_known_model_wakes_nobody() -> None:
    """Nor does the heartbeat of a node, nor a label that is not about GPUs."""
    async with counting(a="MI300X") as scene:
        scene.client.put(NODES, node("b", "MI300X"))
        scene.client.put(NODES, node("a", "MI300X", zone="west"))
        await scene.settle()
        scene.client.remove(NODES, "b")
        await scene.settle()
        assert scene.models.kinds == kinds("MI300X")
        assert scene.woken == 1


async def test_a_model_is_gone_with_its_last_node() -> None:
    async with counting(a="MI300X", b="MI300X", c="MI325X") as scene:
        scene.client.remove(NODES, "a")
        scene.client.put(NODES, node("b"))
        await scene.settle()
        assert scene.models.kinds == kinds("MI325X")
        assert scene.woken == 2
        scene.client.put(NODES, node("c", "MI300X"))
        await scene.settle()
        assert scene.models.kinds == kinds("MI300X")
        assert scene.woken == 3


async def test_a_node_that_restarts_within_a_moment_wakes_nobody() -> None:
    """Its labels go and come back: what was there is there."""
    async with counting(a="MI300X") as scene:
        scene.client.remove(NODES, "a")
        await scene.clock.settle()
        scene.client.put(NODES, node("a", "MI300X"))
        await scene.settle()
        assert scene.models.kinds == kinds("MI300X")
        assert scene.woken == 1


async def test_who_read_of_a_model_that_went_within_a_moment_is_woken() -> None:
    """A reconcile amid it has written what it saw; that it ends as it was makes that no truer."""
    async with counting() as scene:
        scene.client.put(NODES, node("a", "MI300X"))
        await scene.clock.settle()
        assert scene.models.kinds == kinds("MI300X")
        scene.client.remove(NODES, "a")
        await scene.settle()
        assert scene.models.kinds == frozenset()
        assert scene.woken == 1


async def test_a_missed_change_is_counted_by_the_next_list() -> None:
    """Counts follow what the store holds, also where a list tells the differences."""
    async with counting(a="MI300X", b="MI300X") as scene:
        scene.client.muted.add(NODES.qualified)
        scene.client.remove(NODES, "a")
        scene.client.remove(NODES, "b")
        scene.client.put(NODES, node("a", "MI325X"))
        scene.client.muted.clear()
        scene.nodes.relist("")
        await scene.settle()
        assert scene.models.kinds == kinds("MI325X")
