"""The operator's label on what is not its own, and off what is: anybody, and any tool, may put it."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.resource import Resource
from aim_operator.core import labels
from aim_operator.core.naming import derived_template_name, model_cache_name, short_hash
from tests.simulation.catalog import (
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    routed,
    service,
    template,
)
from tests.simulation.test_caches import SOURCE, model_cache, running, template_cache
from tests.simulation.test_path_tenants import by_hand
from tests.simulation.world import World

DAY = 86400.0
CATALOG = [cluster_image(defaultServiceTemplate="fast"), cluster_template()]
OVERRIDES: dict[str, Any] = {"overrides": {"metric": "throughput"}}
OWN_NAME = model_cache_name(SOURCE, "", "")


def labelled(obj: dict[str, Any], **more: str) -> dict[str, Any]:
    """What a tool makes of an object that labels whatever it sees as managed by one program."""
    metadata = {**obj["metadata"], "labels": {labels.MANAGED_BY: labels.CONTROLLER, **more}}
    return {**obj, "metadata": metadata}


def label(
    resource: Resource[Any], world: World, name: str, value: str | None, namespace: str = NAMESPACE
) -> None:
    world.patch(resource, name, namespace, {"metadata": {"labels": {labels.MANAGED_BY: value}}})


def told(world: World, resource: Resource[Any] = aim.SERVICES, name: str = "chat") -> str:
    """Return the message of Ready."""
    conditions = world.status(resource, name, NAMESPACE).get("conditions", [])
    return next((str(each["message"]) for each in conditions if each["type"] == "Ready"), "")


def jobs_of(world: World) -> list[str]:
    return [each for each in world.created if each.startswith("Job ")]


async def stays(world: World, resource: Resource[Any], made: dict[str, Any]) -> None:
    """Let time pass, days where a policy counts them, and a restart: it is there as its user made it."""
    world.sandbox.server.bookmark_seconds = DAY
    for seconds in (2.5 * DAY if resource is aim.MODEL_CACHES else 600, 60):
        await world.pass_seconds(seconds)
        found = world.find(resource, made["metadata"]["name"], NAMESPACE)
        assert found is not None
        assert (found["spec"], found["metadata"]["uid"]) == (made["spec"], made["metadata"]["uid"])
        await world.stop(world.running[-1])
        world.start()


POLICY = config(storage={"unused": {"policy": "Delete", "afterDays": 1}})


@pytest.mark.parametrize("before", [True, False], ids=["when it is made", "later"])
@pytest.mark.parametrize(
    ("resource", "made"),
    [
        pytest.param(aim.TEMPLATE_CACHES, template_cache("fast"), id="a template cache"),
        pytest.param(aim.MODEL_CACHES, model_cache(OWN_NAME), id="a model cache, beside a policy"),
        pytest.param(
            aim.TEMPLATES,
            template(derived_template_name("fast", short_hash(template()["spec"]))),
            id="a template named as a derived one of its spec",
        ),
    ],
)
async def test_what_a_user_made_is_not_deleted_for_the_label_that_somebody_puts_on_it(
    resource: Resource[Any],
    made: dict[str, Any],
    before: bool,  # noqa: FBT001 - a table
) -> None:
    """None of them is asked for, so that the operator's own would go."""
    derived = {labels.MANAGED_BY: labels.DERIVED_MANAGER, labels.DERIVED_TEMPLATE: "true"}
    marks = derived if resource is aim.TEMPLATES else {}
    async with World() as world:
        world.apply([image(), POLICY, labelled(made, **marks) if before else made])
        world.start()
        await world.pass_seconds(60)
        if not before:
            patch = {"metadata": {"labels": {labels.MANAGED_BY: labels.CONTROLLER, **marks}}}
            world.patch(resource, made["metadata"]["name"], NAMESPACE, patch)
        found = world.find(resource, made["metadata"]["name"], NAMESPACE)
        assert found is not None
        await stays(world, resource, found)


async def test_the_label_offers_nobody_a_cache_that_its_user_does_not_share() -> None:
    """Whoever fills one decides from where: `shared` says that others may use it, not a label."""
    private = labelled(template_cache("fast", shared=False))
    async with World() as world:
        world.apply([*CATALOG, private, service(cacheModel=True)])
        world.start()
        await world.pass_seconds(600)
        assert not running(world)
        assert "is not shared" in told(world)
        world.patch(aim.TEMPLATE_CACHES, "fast", NAMESPACE, {"spec": {"shared": True}})
        await world.until(lambda: running(world), limit_seconds=120)


@pytest.mark.parametrize("later", [False, True], ids=["from the beginning", "later"])
async def test_the_label_on_somebodys_route_gives_its_path_to_nobody(
    later: bool,  # noqa: FBT001 - a table
) -> None:
    """Unlabelled routes are respected; for the label it was taken for one that the operator will remove."""
    async with World() as world:
        theirs = by_hand("/site")
        world.apply([*CATALOG, theirs if later else labelled(theirs)])
        world.start()
        if later:
            await world.pass_seconds(30)
            label(HTTP_ROUTES, world, "site", labels.CONTROLLER, "victim")
        await world.pass_seconds(30)
        world.apply([service(routing=routed("/site"))])
        await world.pass_seconds(300)
        conflict = "False/RouteConflict"
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RoutingReady") == conflict
        assert [route["metadata"]["name"] for route in world.all(HTTP_ROUTES)] == ["site"]
        label(HTTP_ROUTES, world, "site", None, "victim")
        await world.pass_seconds(300)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RoutingReady") == conflict
        label(HTTP_ROUTES, world, "site", labels.CONTROLLER, "victim")
        await world.pass_seconds(300)
        world.delete(HTTP_ROUTES, "site", "victim")
        await world.until(lambda: running(world), limit_seconds=30)


@pytest.mark.parametrize("value", [None, "somebody"])
@pytest.mark.parametrize(
    "resource",
    [
        INFERENCE_SERVICES,
        HTTP_ROUTES,
        SERVING_RUNTIMES,
        PERSISTENT_VOLUME_CLAIMS,
        aim.TEMPLATE_CACHES,
    ],
    ids=lambda r: r.kind if isinstance(r, Resource) else str(r),
)
async def test_a_child_with_an_owner_gets_its_label_back_and_nothing_else_happens(
    resource: Resource[Any], value: str | None
) -> None:
    """Without it most watches do not show the child; what runs on it must not notice."""
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template(caching={"enabled": True})])
        world.start()
        world.apply([service(routing=routed("/chat"))])
        await world.until(lambda: running(world))
        await world.pass_seconds(30)
        (child,) = world.all(resource)
        jobs, quiet = jobs_of(world), world.snapshot()
        label(resource, world, child["metadata"]["name"], value)
        await world.pass_seconds(120)
        (found,) = world.all(resource)
        assert found["metadata"]["uid"] == child["metadata"]["uid"]
        assert found["metadata"]["labels"] == child["metadata"]["labels"]
        assert world.snapshot() == quiet
        assert jobs_of(world) == jobs, "nothing is downloaded or discovered again"


async def test_a_running_discovery_whose_label_somebody_takes_away_is_not_run_twice() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 60
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: bool(world.all(JOBS)))
        (job,) = world.all(JOBS)
        label(JOBS, world, job["metadata"]["name"], None)
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        (found,) = world.all(JOBS)
        assert found["metadata"]["uid"] == job["metadata"]["uid"]


async def test_a_template_cache_that_has_no_owner_is_yours_once_you_take_its_label_away() -> None:
    """What runs on it goes on, services are told what they lack, and it is not deleted any more."""
    async with World() as world:
        world.apply([*CATALOG, service(cacheModel=True)])
        world.start()
        await world.until(lambda: running(world))
        label(aim.TEMPLATE_CACHES, world, "fast", None)
        (cache,) = world.all(aim.TEMPLATE_CACHES)
        (server,) = world.all(INFERENCE_SERVICES)
        await world.pass_seconds(300)
        assert "is not shared" in told(world)
        assert world.all(INFERENCE_SERVICES) == [server]
        assert "set spec.shared to let them" in told(world, aim.TEMPLATE_CACHES, "fast")
        world.apply([service("second", cacheModel=True)])
        await world.pass_seconds(60)
        assert "is not shared" in told(world, name="second")
        for name in ("chat", "second"):
            world.delete(aim.SERVICES, name, NAMESPACE)
        await stays(world, aim.TEMPLATE_CACHES, cache)


async def test_a_model_cache_is_yours_once_you_take_its_label_away() -> None:
    async with World() as world:
        world.apply([*CATALOG, POLICY, service(cacheModel=True)])
        world.start()
        await world.until(lambda: running(world))
        (cache,) = world.all(aim.MODEL_CACHES)
        label(aim.MODEL_CACHES, world, cache["metadata"]["name"], None)
        await world.pass_seconds(300)
        assert running(world)
        world.delete(aim.SERVICES, "chat", NAMESPACE)
        await stays(world, aim.MODEL_CACHES, cache)


async def test_a_derived_template_is_yours_once_you_take_its_label_away() -> None:
    async with World() as world:
        world.apply([*CATALOG, service(**OVERRIDES)])
        world.start()
        await world.until(lambda: running(world))
        (derived,) = world.all(aim.TEMPLATES)
        label(aim.TEMPLATES, world, derived["metadata"]["name"], None)
        await world.pass_seconds(300)
        assert running(world)
        world.delete(aim.SERVICES, "chat", NAMESPACE)
        await stays(world, aim.TEMPLATES, derived)
