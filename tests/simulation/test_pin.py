"""What runs is pinned: while newer inputs are missing, pending or broken, a service can still be changed."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, SERVING_RUNTIMES
from aim_operator.errors import Unavailable
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World

BAD = "ghcr.io/example/model:no-such-tag"
CATALOG = [image(defaultServiceTemplate="fast"), template(), config(routing={"enabled": True})]


def live(world: World, name: str = "chat") -> dict[str, Any]:
    found = world.find(INFERENCE_SERVICES, name, NAMESPACE)
    assert found is not None
    predictor: dict[str, Any] = found["spec"]["predictor"]
    return predictor


def state(world: World, name: str = "chat") -> str:
    return world.state_of(aim.SERVICES, name, NAMESPACE)


def condition(world: World, type_: str, name: str = "chat") -> str:
    return world.reason(aim.SERVICES, name, NAMESPACE, type_)


async def running(world: World, **spec: Any) -> None:
    world.apply([*CATALOG, service(routing=routed("/chat"), **spec)])
    world.start()
    await world.until(lambda: state(world) == "Running")


def break_image_tag(world: World) -> None:
    world.sandbox.jobs.behaviours[BAD] = ImageBehaviour(outcome="fails", message="no such model", exit_code=1)
    world.apply([image(ref=BAD, defaultServiceTemplate="fast")])


def delete_template(world: World) -> None:
    world.delete(aim.TEMPLATES, "fast", NAMESPACE)


def delete_image(world: World) -> None:
    world.delete(aim.IMAGES, "model", NAMESPACE)


def lose_config(world: World) -> None:
    world.apply([template(runtimeConfigName="gone")])


BROKEN = [
    pytest.param(break_image_tag, "DiscoveryFailed", id="the catalog names an image that is not there"),
    pytest.param(delete_template, "TemplateNotFound", id="its template is deleted"),
    pytest.param(delete_image, "ImageNotFound", id="its image is deleted"),
    pytest.param(lose_config, "RuntimeConfigMissing", id="its configuration is missing"),
]


@pytest.mark.parametrize(("break_it", "reason"), BROKEN)
async def test_a_service_is_scaled_changed_and_routed_while(break_it: Any, reason: str) -> None:
    async with World() as world:
        await running(world)
        break_it(world)
        await world.until(lambda: condition(world, "Failure") == f"True/{reason}", limit_seconds=120)
        world.apply([service(replicas=3, env=[{"name": "A", "value": "b"}], routing=routed("/moved"))])
        await world.pass_seconds(5)
        assert live(world)["minReplicas"] == 3
        assert {"name": "A", "value": "b"} in live(world)["model"]["env"]
        assert live(world)["model"]["image"] == IMAGE
        (route,) = world.all(HTTP_ROUTES)
        assert route["spec"]["rules"][0]["matches"][0]["path"]["value"] == "/moved"
        status = world.status(aim.SERVICES, "chat", NAMESPACE)
        assert status["status"] == "Degraded"
        assert status["active"]["image"] == IMAGE
        assert status["active"]["resolvedTemplate"]["name"] == "fast"
        assert condition(world, "RuntimeReady") == "True/RuntimeReady"
        assert condition(world, "Failure") == f"True/{reason}"


@pytest.mark.parametrize(("break_it", "reason"), BROKEN)
async def test_a_deleted_inference_service_comes_back_while(break_it: Any, reason: str) -> None:
    async with World() as world:
        await running(world)
        break_it(world)
        await world.until(lambda: condition(world, "Failure") == f"True/{reason}", limit_seconds=120)
        world.delete(INFERENCE_SERVICES, "chat", NAMESPACE)
        await world.pass_seconds(5)
        assert live(world)["model"]["image"] == IMAGE


async def test_the_runtime_of_a_service_without_a_template_is_repaired_like_every_child() -> None:
    async with World() as world:
        await running(world)
        delete_template(world)
        await world.until(lambda: live(world)["model"]["runtime"] == "chat-active")
        await world.pass_seconds(30)
        made = world.find(SERVING_RUNTIMES, "chat-active", NAMESPACE)
        assert made is not None
        (container,) = made["spec"]["containers"]
        edited = {**made["spec"], "containers": [{**container, "image": BAD}]}
        world.apply([{**made, "spec": edited}])
        await world.pass_seconds(5)
        repaired = world.find(SERVING_RUNTIMES, "chat-active", NAMESPACE)
        assert repaired is not None
        assert repaired["spec"] == made["spec"]
        world.delete(SERVING_RUNTIMES, "chat-active", NAMESPACE)
        await world.pass_seconds(5)
        assert world.find(SERVING_RUNTIMES, "chat-active", NAMESPACE) is not None
        assert state(world) == "Degraded"
        assert condition(world, "RuntimeReady") == "True/RuntimeReady"


async def test_a_slow_rediscovery_holds_up_no_change_of_a_service() -> None:
    async with World() as world:
        await running(world)
        world.sandbox.jobs.run_seconds = 300
        world.apply([image(ref="ghcr.io/example/model:v2", defaultServiceTemplate="fast")])
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Progressing")
        world.apply([service(replicas=2, routing=routed("/chat"))])
        await world.pass_seconds(5)
        assert (live(world)["minReplicas"], live(world)["model"]["image"]) == (2, IMAGE)
        assert state(world) == "Running"
        assert condition(world, "Resolved") == "False/TemplateNotAvailable"
        await world.until(lambda: live(world)["model"]["image"].endswith(":v2"), limit_seconds=600)
        await world.until(lambda: condition(world, "Resolved") == "True/Resolved", limit_seconds=5)


async def test_a_changed_runtime_moves_no_service_but_by_its_own_reconcile() -> None:
    async with World() as world:
        one, two = (service(name, routing=routed(f"/{name}")) for name in ("one", "two"))
        world.apply([*CATALOG, one, two])
        world.start()
        await world.until(lambda: state(world, "one") == state(world, "two") == "Running")
        annotations = {"aim.silogen.ai/reconciliation-paused": "true"}
        world.apply([{**two, "metadata": {**two["metadata"], "annotations": annotations}}])
        await world.until(lambda: condition(world, "Paused", "two") == "True/Paused")
        before = live(world, "two")
        world.apply([image(ref="ghcr.io/example/model:v2", defaultServiceTemplate="fast")])
        await world.until(lambda: live(world, "one")["model"]["image"].endswith(":v2"), limit_seconds=120)
        (runtime,) = world.all(SERVING_RUNTIMES)
        (container,) = runtime["spec"]["containers"]
        assert set(container) == {"name", "image", "ports"}, "all else would reach the Pods of others"
        assert live(world, "two") == before
        assert before["model"]["image"] == IMAGE


async def test_nothing_moves_back_when_the_status_of_a_move_is_lost() -> None:
    """Whatever is written first, the pin is: from then on the service is rendered from where it went."""
    async with World() as world:
        await running(world)
        lost = Fault(error=Unavailable("lost"), verb="patch_status", resource="aimservices", times=40)
        world.network.fail(lost)
        world.apply([image(ref="ghcr.io/example/model:v2", defaultServiceTemplate="fast")])
        await world.until(lambda: lost.times < 35, limit_seconds=600)
        assert live(world)["model"]["image"] == IMAGE, "nothing moves before the move is recorded"
        lost.times = 0
        await world.until(lambda: live(world)["model"]["image"].endswith(":v2"), limit_seconds=600)
        break_image_tag(world)
        await world.until(lambda: condition(world, "Failure") == "True/DiscoveryFailed", limit_seconds=120)
        await world.pass_seconds(30)
        assert live(world)["model"]["image"].endswith(":v2")
