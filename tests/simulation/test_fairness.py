"""One namespace does its worst, for as long as it likes; another's work is done as if it were not there."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, cast

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, JOBS
from aim_operator.api.meta import Manifest, Patch
from aim_operator.api.resource import K, Resource
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.metrics import Metrics
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import NAMESPACE, image, template
from tests.simulation.world import World, quickstart

ATTACKER = "attacker"
SLOW = "registry.example/slow:v1"
CHILDREN = (JOBS, INFERENCE_SERVICES, HTTP_ROUTES)
QUIET_SECONDS = 5.0
"""What the very same takes in a cluster that has nothing else."""
WRITE_SECONDS = 0.2
"""What an overloaded API server has to do for each write, one after the other."""


class Hostile:
    """The operator's client, in a cluster where whatever is written into one namespace fails, or hangs first.

    Keeps when the Lease was renewed.
    """

    def __init__(self, world: World, *, seconds: float) -> None:
        self._client = world.sandbox.client("operator")
        self._clock, self._seconds = world.clock, seconds
        self.failed = 0
        self.renewed: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def replace(self, resource: Resource[K], manifest: Manifest) -> K:
        self.renewed.append(self._clock.monotonic())
        return await self._client.replace(resource, manifest)

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        await self._fail(namespace)
        return await self._client.patch_status(resource, name, patch, namespace=namespace)

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        await self._fail(manifest["metadata"].get("namespace", ""))
        return await self._client.apply(resource, manifest, force=force)

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K:
        await self._fail(namespace)
        return await self._client.create(resource, manifest, namespace=namespace)

    async def _fail(self, namespace: str) -> None:
        if namespace == ATTACKER:
            self.failed += 1
            await self._clock.sleep(self._seconds)
            raise Unavailable("a webhook timed out", code=500, reason="InternalError")


def crowd(number: int) -> list[dict[str, Any]]:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ATTACKER}}
    templates = [template(f"t{each:03}", namespace=ATTACKER) for each in range(number)]
    return [namespace, image(namespace=ATTACKER, ref=SLOW), *templates]


def edit(world: World, tick: int, number: int) -> None:
    """Change `number` objects of the attacker in a way that has to be looked at."""
    for each in range(number):
        spec = {"spec": {"env": [{"name": "TICK", "value": f"{tick}"}]}}
        world.patch(aim.TEMPLATES, f"t{each:03}", ATTACKER, spec)


async def discovered(world: World, name: str) -> float:
    """Create a template of the other namespace, and return how long it took to be available."""
    world.apply([template(name)])
    asked = world.clock.monotonic()
    await world.until(lambda: world.state_of(aim.TEMPLATES, name, NAMESPACE) == "Available", limit_seconds=60)
    return world.clock.monotonic() - asked


@pytest.mark.parametrize("seconds", [0.0, 30.0], ids=["at once", "after thirty seconds"])
async def test_a_namespace_whose_every_write_fails_delays_neither_another_nor_the_lease(
    seconds: float,
) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*crowd(200), image()])
        client = Hostile(world, seconds=seconds)
        world.run(cast("KubeClient", client), leader_elect=True)
        await world.pass_seconds(60)
        waits = []
        for tick in range(5):
            edit(world, tick, 20)
            waits.append(await discovered(world, f"new{tick}"))
            await world.pass_seconds(30)
        assert max(waits) <= QUIET_SECONDS
        assert client.failed > 50
        assert max(later - earlier for earlier, later in pairwise(client.renewed)) <= 2.5


async def test_a_namespace_that_edits_a_hundred_objects_a_second_delays_another_by_nothing() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*crowd(100), image()])
        client = Hostile(world, seconds=0.0)
        world.run(cast("KubeClient", client), leader_elect=True)
        await world.pass_seconds(20)
        for tick in range(10):
            edit(world, tick, 100)
            await world.pass_seconds(1)
            if tick % 5 == 0:
                assert await discovered(world, f"new{tick}") <= QUIET_SECONDS
        assert max(later - earlier for earlier, later in pairwise(client.renewed)) <= 2.5


class Overloaded:
    """The operator's client, in a cluster whose API server carries out one write after the other.

    Each takes it a while, and what waits makes the next one wait: also that of another namespace.
    """

    def __init__(self, world: World) -> None:
        self._client, self._clock = world.sandbox.client("operator"), world.clock
        self._free_at = 0.0
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        await self._turn()
        return await self._client.patch_status(resource, name, patch, namespace=namespace)

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        await self._turn()
        return await self._client.apply(resource, manifest, force=force)

    async def _turn(self) -> None:
        self.writes += 1
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + WRITE_SECONDS
        await self._clock.sleep(self._free_at - now)


async def test_a_namespace_that_overloads_the_api_server_delays_another_by_less_than_two_seconds() -> None:
    """Its writes are slow: the operator sends fewer of them at once, and another's wait for less.

    With half of all workers at its service, each of the three writes of another would wait for twelve of its.
    """
    async with World() as world:
        world.sandbox.jobs.behaviours[SLOW] = ImageBehaviour(outcome="hangs")
        world.apply([*crowd(100), image()])
        client, metrics = Overloaded(world), Metrics()
        world.run(cast("KubeClient", client), metrics=metrics)
        await world.pass_seconds(60)
        waits = []
        for tick in range(20):
            edit(world, tick, 100)
            waits.append(await discovered(world, f"new{tick}"))
            await world.pass_seconds(5)
        assert max(waits) <= QUIET_SECONDS + 2
        assert client.writes > 500, "the namespace is served as fast as that server can"
        shown = re.search(r"^aim_slowed_namespaces (\S+)$", metrics.exposition().decode(), re.MULTILINE)
        assert shown is not None
        assert float(shown[1]) == 2, "the writes of both are slow"


VARIES = [
    pytest.param(Forbidden, 403, id="refuses"),
    pytest.param(Unavailable, 500, id="can't be reached"),
]


@pytest.mark.parametrize(("error", "code"), VARIES)
@pytest.mark.parametrize("resource", CHILDREN, ids=[each.kind for each in CHILDREN])
async def test_a_webhook_that_words_each_refusal_differently_makes_no_busy_loop(
    resource: Resource[Any], error: type[ApiError], code: int
) -> None:
    """Each message changes the status, whose change wakes its own key: that must not end the backoff."""
    async with World() as world:
        asked: list[float] = []

        def refuse(_: Manifest) -> None:
            asked.append(world.clock.monotonic())
            assert len(asked) < 1000, "a busy loop"
            raise error(f"read tcp 10.0.0.1:{len(asked)}: i/o timeout", code=code, reason="InternalError")

        world.sandbox.server.validating[world.sandbox.server.kinds.served(resource).id] = refuse
        world.apply(quickstart())
        world.start()
        await world.pass_seconds(3600)
        assert 5 < len(asked) < 5 * 3600 / 30
        del world.sandbox.server.validating[world.sandbox.server.kinds.served(resource).id]
        await world.until(
            lambda: all(
                world.state_of(aim.SERVICES, name, space) == "Running" for space, name in services(world)
            ),
            limit_seconds=1200,
        )


def services(world: World) -> list[tuple[str, str]]:
    return [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in world.all(aim.SERVICES)]
