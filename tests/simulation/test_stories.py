"""Stories that exploring found: what several harmless changes, one after the other, once did to a cluster.

Each ended in a state that only an unrelated event or a restart put right, or never came to rest.
"""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import HTTP_ROUTES
from aim_operator.api.v1alpha1 import MODEL_CACHES, SERVICES, TEMPLATE_CACHES
from aim_operator.core import labels
from aim_operator.core.naming import model_cache_name
from tests.simulation.catalog import NAMESPACE, config, image, routed, service, template
from tests.simulation.test_caches import SOURCE, model_cache, running, template_cache
from tests.simulation.world import World

CACHING: dict[str, Any] = {"caching": {"enabled": True}}


def ready(world: World, name: str) -> str:
    return world.reason(TEMPLATE_CACHES, name, NAMESPACE, "Ready")


async def test_editing_the_operators_own_template_cache_to_name_another_template_comes_to_rest() -> None:
    """Two controllers once created and deleted it for ever, 20 writes a second."""
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(**CACHING), template("slow")])
        world.start()
        await world.until(lambda: ready(world, "fast").startswith("True"))
        world.patch(TEMPLATE_CACHES, "fast", NAMESPACE, {"spec": {"templateRef": "slow"}})
        await world.pass_seconds(60)
        world.apply([template(**CACHING, env=[{"name": "A", "value": "1"}])])
        await world.pass_seconds(60)
        before = world.writes()
        await world.pass_seconds(3600)
        assert world.writes() == before


async def test_a_model_cache_in_the_way_that_is_deleted_as_the_message_says_is_replaced() -> None:
    async with World() as world:
        taken = model_cache_name(SOURCE, "", "")
        world.apply([image(), model_cache(taken, uri="hf://sandbox/other"), template(**CACHING)])
        world.start()
        await world.until(lambda: "NameConflict" in ready(world, "fast"))
        world.delete(MODEL_CACHES, taken, NAMESPACE)
        await world.until(lambda: ready(world, "fast").startswith("True"), limit_seconds=120)


@pytest.mark.parametrize("caching", [{"template": CACHING}, {"service": {"cacheModel": True}}], ids=str)
@pytest.mark.parametrize("away", ["deleted", "edited"])
async def test_a_template_cache_in_the_way_that_goes_is_replaced(caching: dict[str, Any], away: str) -> None:
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template_cache("fast", "another")])
        world.start()
        world.apply([template(**caching.get("template", {})), service(**caching.get("service", {}))])
        await world.pass_seconds(30)
        assert not running(world)
        if away == "deleted":
            world.delete(TEMPLATE_CACHES, "fast", NAMESPACE)
        else:
            world.apply([template_cache("fast", "fast")])
        await world.until(lambda: running(world), limit_seconds=120)


async def test_a_users_cache_that_is_edited_to_name_the_template_takes_the_place_of_the_operators() -> None:
    async with World() as world:
        world.apply([image(), template(**CACHING), template_cache("mine", "another")])
        world.start()
        await world.until(lambda: ready(world, "fast").startswith("True"))
        await world.pass_seconds(5)
        world.apply([template_cache("mine", "fast")])
        await world.until(lambda: world.find(TEMPLATE_CACHES, "fast", NAMESPACE) is None, limit_seconds=30)


async def test_a_cache_is_filled_with_the_token_of_who_still_uses_it() -> None:
    """The oldest template cache names the references of a shared model cache; another takes over from it."""
    async with World() as world:
        world.sandbox.jobs.run_seconds = 10
        world.apply([image(), image("other", ref="ghcr.io/example/other:v1")])
        world.apply([template("slow"), template("fast"), template("elsewhere", model="other")])
        world.start()
        await world.pass_seconds(30)
        world.apply([template_cache("senior", "slow", env=token("one"))])
        await world.pass_seconds(2)
        world.apply([template_cache("junior", "fast", env=token("two"))])
        await world.pass_seconds(2)
        assert tokens(world) == {"one"}
        world.apply([template_cache("senior", "elsewhere", env=token("one"))])
        await world.pass_seconds(5)
        shared = world.status(TEMPLATE_CACHES, "junior", NAMESPACE)["modelCaches"][0]["name"]
        assert tokens(world, shared) == {"two"}


def token(secret: str) -> list[dict[str, Any]]:
    return [{"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret, "key": "token"}}}]


def tokens(world: World, name: str = "") -> set[str]:
    """The secrets whose token fills the model caches."""
    return {
        variable["valueFrom"]["secretKeyRef"]["name"]
        for cache in world.all(MODEL_CACHES)
        if not name or cache["metadata"]["name"] == name
        for variable in cache["spec"].get("env", ())
        if variable["name"] == "HF_TOKEN"
    }


def paths(world: World) -> list[str]:
    return [
        match["path"]["value"]
        for route in world.all(HTTP_ROUTES)
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
    ]


@pytest.mark.parametrize("restarted", [False, True], ids=["running on", "restarted"])
@pytest.mark.parametrize("older", ["misses its template", "misses its configuration", "is paused"])
async def test_a_path_that_is_routed_is_given_to_nobody_else_while_its_service(
    older: str,
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        first = service("first", routing=routed("/chat"), runtimeConfigName="mine", templateRef="fast")
        world.apply([image(), template(), template("beside"), config("mine"), first])
        operator = world.start()
        await world.until(lambda: world.state_of(SERVICES, "first", NAMESPACE) == "Running")
        await world.pass_seconds(2)
        match older:
            case "misses its template":
                world.apply([service("first", **{**first["spec"], "templateRef": "gone"})])
            case "misses its configuration":
                world.apply([service("first", **{**first["spec"], "runtimeConfigName": "gone"})])
            case "is paused":
                first["metadata"]["annotations"] = {labels.PAUSED: "true"}
                world.apply([first])
                await world.pass_seconds(2)
                first["spec"] = {**first["spec"], "routing": routed("/elsewhere")}
                world.apply([first])
        await world.pass_seconds(5)
        if restarted:
            await world.stop(operator)
            world.start()
            await world.pass_seconds(5)
        second = service("second", routing=routed("/chat"), templateRef="beside")
        world.apply([second])
        await world.pass_seconds(60)
        assert paths(world) == ["/chat"]
        assert world.state_of(SERVICES, "second", NAMESPACE) == "Degraded"
        assert world.reason(SERVICES, "second", NAMESPACE, "RoutingReady") == "False/RouteConflict"
