"""Histories that nobody plans: changes there and back while something is broken, and edited statuses."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES, PERSISTENT_VOLUME_CLAIMS
from aim_operator.errors import Invalid
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import NAMESPACE, config, image, service, template
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
AWAY = ImageBehaviour(outcome="fails", message="DownloadFailed: can't reach hub", exit_code=14)
CATALOG = [image(defaultServiceTemplate="fast"), template()]


def state(world: World) -> str:
    return world.state_of(aim.SERVICES, "chat", NAMESPACE)


def endpoint(url: str) -> dict[str, Any]:
    return config(routing={"enabled": False}, env=[{"name": "HF_ENDPOINT", "value": url}])


async def test_an_endpoint_that_is_taken_back_needs_no_download_of_files_that_are_there() -> None:
    async with World() as world:
        world.apply([*CATALOG, config(routing={"enabled": False}), service(cacheModel=True)])
        world.start()
        await world.until(lambda: state(world) == "Running")
        world.sandbox.jobs.behaviours[SOURCE] = AWAY
        world.apply([endpoint("https://mirror.example.com")])
        await world.until(lambda: state(world) == "Degraded")
        await world.pass_seconds(60)
        world.apply([config(routing={"enabled": False})])
        await world.until(lambda: state(world) == "Running", limit_seconds=60)
        (cached,) = world.status(aim.TEMPLATE_CACHES, "fast", NAMESPACE)["modelCaches"]
        assert cached["status"] == "Available"
        found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        assert found is not None
        (claim,) = [
            v["persistentVolumeClaim"]["claimName"]
            for v in found["spec"]["predictor"]["volumes"]
            if "persistentVolumeClaim" in v
        ]
        assert claim.startswith(cached["name"])


@pytest.mark.parametrize(
    "junk",
    [
        {"env": [{"value": "no name"}]},
        {"env": [{"name": "A", "value": 3}]},
        {"serving": {"startupTimeoutSeconds": "long"}},
        {"routing": {"enabled": "maybe"}},
        {"templateResources": {"limits": 7}},
    ],
    ids=str,
)
async def test_a_record_of_what_runs_that_can_t_be_read_is_not_taken(junk: dict[str, Any]) -> None:
    """It would stop every reconcile of the service, in silence."""
    async with World() as world:
        world.apply([*CATALOG, config(routing={"enabled": False}), service()])
        world.start()
        await world.until(lambda: state(world) == "Running")
        before = world.status(aim.SERVICES, "chat", NAMESPACE)
        kind = world.sandbox.server.kinds.served(aim.SERVICES)
        with pytest.raises(Invalid):
            world.sandbox.server.patch(
                kind, "chat", {"status": {"active": junk}}, namespace=NAMESPACE, subresource="status"
            )
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == before
        world.apply([service(replicas=2)])
        await world.pass_seconds(5)
        found = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        assert found is not None
        assert found["spec"]["predictor"]["minReplicas"] == 2


async def test_no_model_server_is_made_again_on_a_claim_whose_files_are_gone() -> None:
    """It would crash, and a volume that only one node mounts would never be filled."""
    async with World() as world:
        world.apply([*CATALOG, config(routing={"enabled": False}), service(cacheModel=True)])
        world.start()
        await world.until(lambda: state(world) == "Running")
        world.sandbox.jobs.behaviours[SOURCE] = AWAY
        (claim,) = world.all(PERSISTENT_VOLUME_CLAIMS)
        world.delete(PERSISTENT_VOLUME_CLAIMS, claim["metadata"]["name"], NAMESPACE)
        await world.pass_seconds(5)
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "CacheReady") == "False/CacheLost"
        world.delete(INFERENCE_SERVICES, "chat", NAMESPACE)
        await world.pass_seconds(120)
        assert world.find(INFERENCE_SERVICES, "chat", NAMESPACE) is None
        assert world.reason(aim.SERVICES, "chat", NAMESPACE, "RuntimeReady") == "False/DownloadFailed"
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.until(lambda: state(world) == "Running", limit_seconds=3700)


async def test_a_deleted_inference_service_comes_back_on_its_files_while_others_can_t_be_had() -> None:
    async with World() as world:
        world.apply([*CATALOG, config(routing={"enabled": False}), service(cacheModel=True)])
        world.start()
        await world.until(lambda: state(world) == "Running")
        before = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        world.sandbox.jobs.behaviours[SOURCE] = AWAY
        world.apply([endpoint("https://mirror.example.com")])
        await world.until(lambda: state(world) == "Degraded")
        world.delete(INFERENCE_SERVICES, "chat", NAMESPACE)
        await world.pass_seconds(30)
        after = world.find(INFERENCE_SERVICES, "chat", NAMESPACE)
        assert before is not None
        assert after is not None
        assert after["spec"]["predictor"]["volumes"] == before["spec"]["predictor"]["volumes"]
