"""The operator's own model caches that something keeps as they are: what users read meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import NAMESPACE, image, template
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
POLICY = Forbidden('admission webhook "policies" denied the request: caches are not changed', code=403)
FAILING = Unavailable('failed calling webhook "policies": context deadline exceeded', code=500)


def caching(token: str) -> dict[str, Any]:
    secret = {"secretKeyRef": {"name": token, "key": "token"}}
    return template(caching={"enabled": True, "env": [{"name": "HF_TOKEN", "valueFrom": secret}]})


def ready(world: World) -> tuple[str, str]:
    conditions = world.status(aim.TEMPLATE_CACHES, "fast", NAMESPACE).get("conditions", [])
    found = next((c for c in conditions if c["type"] == "Ready"), {"status": "", "message": ""})
    return found["status"], found["message"]


@pytest.mark.parametrize("error", [POLICY, FAILING], ids=["denied", "failing"])
@pytest.mark.parametrize("outcome", ["succeeds", "fails"])
async def test_a_token_that_can_t_be_handed_on_to_the_model_cache_is_told(
    error: ApiError, outcome: Any
) -> None:
    """Else the download goes on to fail with the old token, and nothing says that it is the old one."""
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome=outcome)
        world.start()
        world.apply([image(), caching("old")])
        wanted = "Available" if outcome == "succeeds" else "Failed"
        await world.until(lambda: world.state_of(aim.TEMPLATE_CACHES, "fast", NAMESPACE) == wanted)
        fault = Fault(error, verb="apply", resource=aim.MODEL_CACHES.plural, times=10**9)
        world.network.fail(fault)
        world.apply([caching("new")])
        await world.pass_seconds(1200)
        (cache,) = world.all(aim.MODEL_CACHES)
        assert cache["spec"]["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "old"
        status, message = ready(world)
        assert status == ("True" if outcome == "succeeds" else "False")
        assert message.endswith(f"its settings can't be brought up to date: {told(error)}")
        assert world.status(aim.TEMPLATE_CACHES, "fast", NAMESPACE)["status"] == wanted
        writes = len(world.writes())
        await world.pass_seconds(1200)
        assert len(world.writes()) - writes <= 60, "no busy loop"
        del world.sandbox.jobs.behaviours[SOURCE]
        fault.times = 0
        await world.until(
            lambda: "up to date" not in ready(world)[1] and ready(world)[0] == "True", limit_seconds=900
        )
        (cache,) = world.all(aim.MODEL_CACHES)
        assert cache["spec"]["env"][0]["valueFrom"]["secretKeyRef"]["name"] == "new"


def told(error: ApiError) -> str:
    refused = isinstance(error, Forbidden)
    return (
        f"the AIMModelCache was refused: {error}"
        if refused
        else f"the AIMModelCache can't be written, the operator tries again: {error}"
    )
