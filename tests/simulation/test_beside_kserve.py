"""Beside a KServe that makes HTTPRoutes of our routes' names, and that makes nothing of some services."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.cli.everyday.addresses import base_url
from aim_operator.sandbox.external_crds import kserve_crds
from tests.simulation.catalog import NAMESPACE, image, routed, service, template
from tests.simulation.world import World

CATALOG = [image(defaultServiceTemplate="fast"), template()]
VISIBILITY = "networking.kserve.io/visibility"


def routes(world: World) -> dict[str, str]:
    """Return who controls each HTTPRoute, by its name."""
    found = [r["metadata"] for r in world.all(HTTP_ROUTES)]
    return {metadata["name"]: metadata["ownerReferences"][0]["kind"] for metadata in found}


def runs_routed(world: World, name: str = "chat") -> bool:
    routing = world.reason(aim.SERVICES, name, NAMESPACE, "RoutingReady").partition("/")[0]
    return (world.state_of(aim.SERVICES, name, NAMESPACE), routing) == ("Running", "True")


def pods_of(world: World, name: str = "chat") -> Any:
    """Return what KServe makes the Pods of: its spec, and the labels that it hands on."""
    live = world.find(INFERENCE_SERVICES, name, NAMESPACE)
    assert live is not None
    return live["spec"], live["metadata"]["labels"]


def as_an_earlier_version_left_it(world: World, name: str = "chat") -> None:
    """Take the label off that tells KServe to make no route."""
    world.patch(INFERENCE_SERVICES, name, NAMESPACE, {"metadata": {"labels": {VISIBILITY: None}}})


async def test_a_new_service_has_its_route_to_itself() -> None:
    async with World() as world:
        world.sandbox.kserve.makes_routes = True
        world.apply([*CATALOG, service(routing=routed("/chat"))])
        world.start()
        await world.until(lambda: runs_routed(world))
        assert routes(world) == {"chat": "AIMService"}


async def test_a_route_that_kserve_takes_is_made_again_beside_it_and_nothing_restarts() -> None:
    async with World() as world:
        world.apply([*CATALOG, service(routing=routed("/chat") | {"hostnames": ["models.example.com"]})])
        world.start()
        await world.until(lambda: runs_routed(world))
        as_an_earlier_version_left_it(world)
        await world.pass_seconds(5)
        before = pods_of(world)
        world.sandbox.kserve.makes_routes = True
        world.sandbox.kserve.reconcile_all()
        await world.until(lambda: routes(world) == {"chat": "InferenceService", "chat.aim": "AIMService"})
        await world.until(lambda: runs_routed(world))
        # It does not come back: KServe looks again and again.
        for _ in range(3):
            world.sandbox.kserve.reconcile_all()
            await world.pass_seconds(60)
        assert pods_of(world) == before
        assert VISIBILITY not in before[1]
        assert routes(world) == {"chat": "InferenceService", "chat.aim": "AIMService"}
        # Only that one of the two says the host of the service.
        url = await world.clock.run(base_url(world.admin, NAMESPACE, "chat"))
        assert url == "http://models.example.com/chat/v1"
        quiet = len(world.writes())
        await world.pass_seconds(600)
        assert len(world.writes()) == quiet

        world.delete(aim.SERVICES, "chat", NAMESPACE)
        await world.until(lambda: not world.all(HTTP_ROUTES))


async def test_routing_switched_on_and_off_beside_kserves_route_touches_neither_it_nor_the_pods() -> None:
    async with World() as world:
        world.sandbox.kserve.makes_routes = True
        world.apply([*CATALOG, service()])
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        assert routes(world) == {"chat": "InferenceService"}
        before = pods_of(world)
        world.apply([service(routing=routed("/chat"))])
        await world.until(lambda: runs_routed(world))
        assert world.status(aim.SERVICES, "chat", NAMESPACE)["routing"]["path"] == "/chat"
        world.apply([service(routing={"enabled": False})])
        await world.until(lambda: routes(world) == {"chat": "InferenceService"})
        assert pods_of(world) == before


async def test_a_route_of_another_name_keeps_its_path_to_itself() -> None:
    """Also after the operator starts again, which knows it by the HTTPRoute only."""
    async with World() as world:
        world.sandbox.kserve.makes_routes = True
        world.apply([*CATALOG, service("older")])
        operator = world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "older", NAMESPACE) == "Running")
        world.apply([service("older", routing=routed("/same"))])
        await world.until(lambda: runs_routed(world, "older"))
        assert "older.aim" in routes(world)
        await world.stop(operator)
        world.apply([service("younger", routing=routed("/same"))])
        world.start()
        refused = "False/RouteConflict"
        await world.until(lambda: world.reason(aim.SERVICES, "younger", NAMESPACE, "RoutingReady") == refused)
        assert "younger" not in routes(world)
        world.delete(aim.SERVICES, "older", NAMESPACE)
        await world.until(lambda: runs_routed(world, "younger"))


async def test_a_service_that_kserve_makes_nothing_of_says_why_for_as_long_as_it_lasts() -> None:
    long = "c" * (64 - len(f"-predictor-{NAMESPACE}"))
    async with World() as world:
        world.apply([*CATALOG, service(long, routing=routed("/long"))])
        world.start()
        refused = partial(world.state_of, aim.SERVICES, long, NAMESPACE)
        await world.until(lambda: refused() == "Degraded", limit_seconds=30)
        await world.pass_seconds(7200)
        assert refused() == "Degraded"
        conditions = world.status(aim.SERVICES, long, NAMESPACE)["conditions"]
        [failure] = [c["message"] for c in conditions if c["type"] == "Failure"]
        assert "must be no more than 63 characters" in failure
        assert "use a shorter name" in failure


def kserve_0_15() -> list[dict[str, Any]]:
    """KServe's CRDs as they were before storageUris."""
    crds = copy.deepcopy(kserve_crds())
    for crd in crds:
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["spec"]["properties"].get("predictor", {}).get("properties", {}).pop(
            "storageUris", None
        )
    return crds


async def test_kserve_0_15_is_refused_with_a_sentence_and_an_upgrade_is_noticed() -> None:
    async with World(kserve=False) as world:
        world.sandbox.server.install(kserve_0_15())
        world.apply([*CATALOG, service(routing=routed("/chat"))])
        world.start()
        refused = "False/KServeTooOld"
        await world.until(lambda: world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == refused)
        await world.pass_seconds(3600)
        assert world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Degraded"
        assert not world.all(INFERENCE_SERVICES)
        world.sandbox.install_kserve()
        await world.until(lambda: runs_routed(world))


async def test_a_service_that_runs_is_left_alone_while_kserve_is_replaced_and_goes_on_being_changed() -> None:
    async with World() as world:
        world.apply([*CATALOG, service(routing=routed("/chat"))])
        operator = world.start()
        await world.until(lambda: runs_routed(world))
        before = pods_of(world)
        world.sandbox.server.install(kserve_0_15())
        refused = "False/KServeTooOld"
        await world.until(lambda: world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == refused)
        assert pods_of(world) == before
        assert routes(world) == {"chat": "AIMService"}
        # A restart does not forget it for a moment.
        await world.stop(operator)
        world.start()
        world.apply([service(routing=routed("/chat"), replicas=2)])
        await world.pass_seconds(60)
        assert pods_of(world) == before
        world.sandbox.install_kserve()
        await world.until(lambda: pods_of(world)[0]["predictor"]["minReplicas"] == 2)
        await world.until(lambda: runs_routed(world))
