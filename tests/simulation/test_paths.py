"""One path, one route: a live HTTPRoute keeps its path, whatever its service says by now, and restarts."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES
from aim_operator.core import labels
from aim_operator.errors import Unavailable
from aim_operator.sandbox.network import Fault, Rates
from aim_operator.sandbox.storage import Change
from tests.simulation.catalog import NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

OTHER = "other"
TYPO = "/{.metadata.labels['team']}"
CATALOG = [
    made
    for namespace in (NAMESPACE, OTHER)
    for made in (
        image(namespace=namespace, defaultServiceTemplate="fast"),
        template(namespace=namespace),
        config(namespace=namespace),
    )
]


class Routes:
    """Every HTTPRoute there is, looked at after each change: two on one path are written down."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.doubles: list[str] = []
        world.sandbox.server.storage.listen(self._changed)

    def paths(self) -> dict[str, str]:
        """Return the path of each route by its namespace and name."""
        return {
            f"{route['metadata']['namespace']}/{route['metadata']['name']}": path
            for route in self._world.all(HTTP_ROUTES)
            for path in [route["spec"]["rules"][0]["matches"][0]["path"]["value"]]
        }

    def _changed(self, change: Change) -> None:
        if change.new.key.id.kind == HTTP_ROUTES.kind:
            paths = self.paths()
            shared = [path for path, count in Counter(paths.values()).items() if count > 1]
            self.doubles += [f"{path}: {sorted(n for n, p in paths.items() if p == path)}" for path in shared]


def state(world: World, name: str, namespace: str = NAMESPACE) -> tuple[str, str]:
    reason = world.reason(aim.SERVICES, name, namespace, "RoutingReady").partition("/")[2]
    return world.state_of(aim.SERVICES, name, namespace), reason


def message(world: World, name: str, namespace: str = NAMESPACE) -> str:
    conditions = world.status(aim.SERVICES, name, namespace).get("conditions", [])
    return next((str(c["message"]) for c in conditions if c["type"] == "RoutingReady"), "")


def annotated(made: dict[str, Any], annotations: dict[str, str]) -> dict[str, Any]:
    return {**made, "metadata": {**made["metadata"], "annotations": annotations}}


def with_typo(world: World) -> None:
    world.apply([service("older", routing=routed(TYPO))])


def with_a_missing_configuration(world: World) -> None:
    world.apply([service("older", routing=routed("/same"), runtimeConfigName="gone")])


def without_its_image(world: World) -> None:
    world.delete(aim.IMAGES, "model", NAMESPACE)


def paused_with_another_path(world: World) -> None:
    world.apply([annotated(service("older", routing=routed("/moved")), {labels.PAUSED: "true"})])


BROKEN = [with_typo, with_a_missing_configuration, without_its_image, paused_with_another_path]


async def started(world: World, **younger: Any) -> Any:
    """Return the operator, once `older` has the path `/same` and `younger`, elsewhere, has not."""
    world.apply([*CATALOG, service("older", routing=routed("/same"))])
    operator = world.start()
    await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
    await world.pass_seconds(1)
    world.apply([service("younger", namespace=OTHER, routing=routed("/same"), **younger)])
    await world.until(lambda: state(world, "younger", OTHER) == ("Degraded", "RouteConflict"))
    return operator


@pytest.mark.parametrize("break_it", BROKEN, ids=lambda each: each.__name__)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_an_older_service_keeps_its_route(
    break_it: Callable[[World], None],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        routes = Routes(world)
        operator = await started(world)
        if restarted:
            await world.stop(operator)
        break_it(world)
        if restarted:
            world.start()
        await world.pass_seconds(60)
        assert routes.paths() == {"team/older": "/same"}
        assert state(world, "younger", OTHER) == ("Degraded", "RouteConflict")
        assert "team/older" in message(world, "younger", OTHER)
        world.delete(aim.SERVICES, "older", NAMESPACE)
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        assert routes.paths() == {"other/younger": "/same"}
        assert routes.doubles == []


async def test_a_path_is_free_once_its_route_is_deleted_by_hand() -> None:
    """Of a service that can't have it back: its routeTemplate has a typo by now."""
    async with World() as world:
        routes = Routes(world)
        await started(world)
        with_typo(world)
        await world.until(lambda: state(world, "older")[1] == "RouteTemplateInvalid")
        world.delete(HTTP_ROUTES, "older", NAMESPACE)
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        assert state(world, "younger", OTHER) == ("Degraded", "RouteConflict")
        assert routes.doubles == []


async def test_a_deleted_route_comes_back_to_the_older_service() -> None:
    async with World() as world:
        routes = Routes(world)
        await started(world)
        world.delete(HTTP_ROUTES, "older", NAMESPACE)
        await world.until(lambda: routes.paths() == {"team/older": "/same"})
        await world.pass_seconds(10)
        assert state(world, "younger", OTHER) == ("Degraded", "RouteConflict")
        assert routes.doubles == []


@pytest.mark.parametrize("spoilt", [False, True], ids=["", "whose routeTemplate has a typo by now"])
async def test_a_younger_service_gives_its_path_up_before_the_older_one_takes_it(
    spoilt: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        routes = Routes(world)
        world.apply([*CATALOG, service("older")])
        world.start(rates=Rates(delivery_seconds=2.0), seed=3)
        await world.pass_seconds(1)
        world.apply([service("younger", namespace=OTHER, routing=routed("/same"))])
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        if spoilt:
            world.apply([service("younger", namespace=OTHER, routing=routed(TYPO))])
            await world.until(lambda: state(world, "younger", OTHER)[1] == "RouteTemplateInvalid")
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        await world.pass_seconds(10)
        assert routes.paths() == {"team/older": "/same"}
        reason = "RouteTemplateInvalid" if spoilt else "RouteConflict"
        assert state(world, "younger", OTHER) == ("Degraded", reason)
        assert routes.doubles == []


async def test_a_route_that_cannot_go_is_waited_for_by_name() -> None:
    """The younger service is paused: nobody else may take its route away."""
    async with World() as world:
        routes = Routes(world)
        younger = service("younger", namespace=OTHER, routing=routed("/same"))
        world.apply([*CATALOG, service("older")])
        operator = world.start()
        await world.pass_seconds(1)
        world.apply([younger])
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        world.apply([annotated(younger, {labels.PAUSED: "true"})])
        await world.until(lambda: bool(world.reason(aim.SERVICES, "younger", OTHER, "Paused")))
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: state(world, "older")[1] == "ConfiguringRoute")
        await world.stop(operator)
        world.start()
        await world.pass_seconds(120)
        assert routes.paths() == {"other/younger": "/same"}
        assert "other/younger" in message(world, "older")
        writes = len(world.writes())
        await world.pass_seconds(600)
        assert len(world.writes()) == writes
        world.apply([annotated(younger, {labels.PAUSED: "false"})])
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        assert routes.paths() == {"team/older": "/same"}
        assert routes.doubles == []


async def test_a_path_is_taken_only_when_the_route_of_a_deleted_service_is_gone() -> None:
    async with World() as world:
        routes = Routes(world)
        await started(world)
        held = {"metadata": {"finalizers": ["example.com/gateway"]}}
        world.patch(HTTP_ROUTES, "older", NAMESPACE, held)
        world.delete(aim.SERVICES, "older", NAMESPACE)
        await world.until(lambda: state(world, "younger", OTHER)[1] == "ConfiguringRoute")
        await world.pass_seconds(120)
        assert routes.paths() == {"team/older": "/same"}
        assert "team/older" in message(world, "younger", OTHER)
        world.patch(HTTP_ROUTES, "older", NAMESPACE, {"metadata": {"finalizers": None}})
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        assert routes.doubles == []


async def test_services_that_swap_their_paths_both_get_them() -> None:
    async with World() as world:
        routes = Routes(world)
        one, two = service("one"), service("two")
        world.apply([*CATALOG, service("one", routing=routed("/a")), service("two", routing=routed("/b"))])
        world.start()
        await world.until(lambda: len(routes.paths()) == 2)
        one["spec"]["routing"], two["spec"]["routing"] = routed("/b"), routed("/a")
        world.apply([one, two])
        await world.until(lambda: routes.paths() == {"team/one": "/b", "team/two": "/a"})
        await world.until(lambda: state(world, "one") == state(world, "two") == ("Running", "RouteReady"))
        assert routes.doubles == []


async def test_a_route_whose_creation_got_no_answer_keeps_its_path() -> None:
    async with World() as world:
        routes = Routes(world)
        world.apply([*CATALOG, service("older")])
        world.start()
        await world.until(lambda: state(world, "older")[0] == "Running")
        await world.pass_seconds(1)
        world.network.delay("httproutes", 5)
        lost = Fault(error=Unavailable("lost"), verb="apply", resource="httproutes", when="after", times=1)
        world.network.fail(lost)
        world.apply([service("younger", namespace=OTHER, routing=routed("/same"))])
        await world.until(lambda: lost.times == 0)
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        assert routes.doubles == []


PATHS = ["/a", "/b", "/c"]


async def live_through(seed: int) -> None:
    """Whatever happens, no two routes have one path; in the end each path is the oldest's of who wants it."""
    chance = random.Random(seed)
    async with World(seed=seed) as world:
        routes = Routes(world)
        world.apply(CATALOG)
        names = [(namespace, f"s{number}") for number in range(3) for namespace in (NAMESPACE, OTHER)]
        rates = Rates(fail_after=0.05, fail_before=0.05, drop_stream=0.02, delivery_seconds=1.0)
        operator = world.start(rates=rates, seed=seed)

        def put(namespace: str, name: str, path: str, *, paused: bool = False) -> None:
            made = service(name, namespace=namespace, routing=routed(path))
            world.apply([annotated(made, {labels.PAUSED: "true" if paused else "false"})])

        for step in range(30):
            namespace, name = chance.choice(names)
            exists = world.find(aim.SERVICES, name, namespace) is not None
            act = chance.random()
            if act < 0.1 and exists:
                world.delete(aim.SERVICES, name, namespace)
                if act < 0.05:
                    put(namespace, name, chance.choice(PATHS))
            elif act < 0.2 and world.find(HTTP_ROUTES, name, namespace) is not None:
                world.delete(HTTP_ROUTES, name, namespace)
            elif act < 0.3:
                await world.stop(operator)
                operator = world.start(rates=rates, seed=seed + step)
            else:
                put(namespace, name, chance.choice([*PATHS, TYPO]), paused=chance.random() < 0.2)
            await world.pass_seconds(chance.choice([0.1, 1, 5, 30]))
        wanted = {}
        for place, (namespace, name) in enumerate(names):
            if world.find(aim.SERVICES, name, namespace) is not None:
                wanted[namespace, name] = PATHS[place % 3]
                put(namespace, name, PATHS[place % 3])
        await world.pass_seconds(1200)
        assert routes.doubles == []
        ages = {
            key: (found["metadata"]["creationTimestamp"], *key)
            for key in wanted
            if (found := world.find(aim.SERVICES, key[1], key[0])) is not None
        }
        want = {}
        for key in sorted(ages, key=lambda each: ages[each], reverse=True):
            want[wanted[key]] = f"{key[0]}/{key[1]}"
        assert {path: name for name, path in routes.paths().items()} == want
        for key, path in wanted.items():
            has_it = want[path] == f"{key[0]}/{key[1]}"
            assert state(world, key[1], key[0]) == (
                ("Running", "RouteReady") if has_it else ("Degraded", "RouteConflict")
            )


@pytest.mark.parametrize("seed", range(12))
async def test_no_two_routes_ever_have_one_path(seed: int) -> None:
    await live_through(seed)


async def test_a_service_made_again_is_younger_than_it_was() -> None:
    async with World() as world:
        routes = Routes(world)
        await started(world)
        world.delete(aim.SERVICES, "older", NAMESPACE)
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: state(world, "older") == ("Degraded", "RouteConflict"))
        assert state(world, "younger", OTHER) == ("Running", "RouteReady")
        world.delete(aim.SERVICES, "younger", OTHER)
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        assert routes.doubles == []


@pytest.mark.parametrize("writes", range(1, 16))
async def test_a_path_changes_hands_whenever_the_operator_dies(writes: int) -> None:
    async with World() as world:
        routes = Routes(world)
        world.apply([*CATALOG, service("older")])
        operator = world.start()
        await world.pass_seconds(1)
        world.apply([service("younger", namespace=OTHER, routing=routed("/same"))])
        await world.until(lambda: state(world, "younger", OTHER) == ("Running", "RouteReady"))
        await world.stop(operator)
        world.apply([service("older", routing=routed("/same"))])
        world.start(crash_after_write=writes)
        await world.pass_seconds(30)
        world.start()
        await world.until(lambda: state(world, "older") == ("Running", "RouteReady"))
        await world.pass_seconds(30)
        assert routes.paths() == {"team/older": "/same"}
        assert routes.doubles == []
