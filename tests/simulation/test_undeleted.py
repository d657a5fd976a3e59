"""What the operator may not delete, for as long as that lasts: what users read meanwhile, what it costs."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, JOBS, POD_DISRUPTION_BUDGETS
from aim_operator.api.resource import Resource
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import NAMESPACE, image, routed, service, template
from tests.simulation.test_caches import model_cache
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
POLICY = Forbidden('admission webhook "policies" denied the request: nothing is deleted here', code=403)
FAILING = Unavailable('failed calling webhook "policies": context deadline exceeded', code=500)
FOREVER_SECONDS = 1200


def kept(world: World, resource: Resource[Any], error: ApiError) -> Fault:
    """Have each deletion of that kind fail, until its `times` are 0."""
    fault = Fault(error, verb="delete", resource=resource.plural, times=10**9)
    world.network.fail(fault)
    return fault


def deletions(world: World) -> int:
    return sum(entry.verb == "delete" for entry in world.sandbox.server.audit)


def says(world: World, resource: Resource[Any], name: str, condition: str = "Ready") -> tuple[str, str]:
    conditions = world.status(resource, name, NAMESPACE).get("conditions", [])
    found = next((c for c in conditions if c["type"] == condition), {"status": "", "message": ""})
    return found["status"], found["message"]


def chat(world: World) -> bool:
    return world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running"


@pytest.mark.parametrize("error", [POLICY, FAILING], ids=["denied", "failing"])
async def test_a_route_that_is_turned_off_and_can_t_be_deleted_is_told_to_lead_there_still(
    error: ApiError,
) -> None:
    async with World() as world:
        world.start()
        world.apply([image(defaultServiceTemplate="fast"), template(), service(routing=routed("/one"))])
        await world.until(lambda: chat(world))
        fault = kept(world, HTTP_ROUTES, error)
        world.patch(aim.SERVICES, "chat", NAMESPACE, {"spec": {"routing": {"enabled": False}}})
        await world.pass_seconds(FOREVER_SECONDS)
        assert world.all(HTTP_ROUTES)
        status, message = says(world, aim.SERVICES, "chat", "RoutingReady")
        assert status == "False"
        assert message == f"HTTPRoute 'chat' can't be deleted, the operator tries again: {error}"
        assert world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Degraded"
        assert says(world, aim.SERVICES, "chat", "RuntimeReady")[0] == "True"
        assert world.status(aim.SERVICES, "chat", NAMESPACE)["blockedBy"]["kind"] == "HTTPRoute"
        before, writes = world.status(aim.SERVICES, "chat", NAMESPACE), len(world.writes())
        await world.pass_seconds(FOREVER_SECONDS)
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == before, "what is said stays"
        assert len(world.writes()) - writes <= 40, "no busy loop"
        fault.times = 0
        await world.until(lambda: chat(world) and not world.all(HTTP_ROUTES), limit_seconds=600)
        assert says(world, aim.SERVICES, "chat", "RoutingReady")[0] == ""


@pytest.mark.parametrize("error", [POLICY, FAILING], ids=["denied", "failing"])
async def test_a_budget_that_is_not_wanted_any_more_and_stays_is_told(error: ApiError) -> None:
    async with World() as world:
        world.start()
        world.apply([image(defaultServiceTemplate="fast"), template(), service(replicas=2)])
        await world.until(lambda: chat(world) and bool(world.all(POD_DISRUPTION_BUDGETS)))
        fault = kept(world, POD_DISRUPTION_BUDGETS, error)
        world.patch(aim.SERVICES, "chat", NAMESPACE, {"spec": {"replicas": 1}})
        await world.pass_seconds(FOREVER_SECONDS)
        assert says(world, aim.SERVICES, "chat") == (
            "False",
            f"PodDisruptionBudget 'chat' can't be deleted, the operator tries again: {error}",
        )
        fault.times = 0
        await world.until(lambda: chat(world) and not world.all(POD_DISRUPTION_BUDGETS), limit_seconds=600)


@pytest.mark.parametrize("error", [POLICY, FAILING], ids=["denied", "failing"])
async def test_a_failed_download_that_can_t_make_way_for_the_next_attempt_says_so_beside_why_it_failed(
    error: ApiError,
) -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="fails", message="no such host")
        world.start()
        fault = kept(world, JOBS, error)
        world.apply([model_cache()])
        await world.until(lambda: world.state_of(aim.MODEL_CACHES, "own", NAMESPACE) == "Failed")
        failure = world.status(aim.MODEL_CACHES, "own", NAMESPACE)["download"]["message"]
        await world.pass_seconds(FOREVER_SECONDS)
        status, message = says(world, aim.MODEL_CACHES, "own")
        (job,) = (each["metadata"]["name"] for each in world.all(JOBS))
        assert status == "False"
        assert message == f"Job {job!r} can't be deleted, the operator tries again: {error}; {failure}"
        assert world.status(aim.MODEL_CACHES, "own", NAMESPACE)["blockedBy"]["name"] == job
        del world.sandbox.jobs.behaviours[SOURCE]
        fault.times = 0
        await world.until(
            lambda: world.state_of(aim.MODEL_CACHES, "own", NAMESPACE) == "Available", limit_seconds=900
        )


@pytest.mark.parametrize("error", [POLICY, FAILING], ids=["denied", "failing"])
async def test_a_failed_discovery_that_can_t_make_way_for_the_next_attempt_says_so(error: ApiError) -> None:
    async with World() as world:
        picture = image()["spec"]["image"]
        world.sandbox.jobs.behaviours[picture] = ImageBehaviour(outcome="fails")
        world.start()
        fault = kept(world, JOBS, error)
        world.apply([image(), template()])
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Failed")
        await world.pass_seconds(FOREVER_SECONDS)
        message = says(world, aim.TEMPLATES, "fast")[1]
        (job,) = (each["metadata"]["name"] for each in world.all(JOBS))
        assert message.startswith(f"Job {job!r} can't be deleted, the operator tries again: {error}; ")
        assert message.endswith("; the image's dry run exited with code 1; its log was empty")
        del world.sandbox.jobs.behaviours[picture]
        fault.times = 0
        await world.until(
            lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available", limit_seconds=900
        )
