"""An object that this version can't decode, as a newer one may write it, is there all the same."""

from __future__ import annotations

import copy
from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import INFERENCE_SERVICES
from tests.simulation.catalog import NAMESPACE, image, service, template
from tests.simulation.world import World


def rewrite(world: World, name: str, replicas: Any) -> None:
    """Change a service in storage, past the schema of this version."""
    storage = world.sandbox.server.storage
    stored = next(
        each for each in storage.everything() if each.key.id.kind == "AIMService" and each.key.name == name
    )
    changed = copy.deepcopy(stored.obj)
    changed["spec"]["replicas"] = replicas
    storage.put(stored.key, changed, stored.managers)


async def test_a_service_that_can_not_be_decoded_keeps_what_it_has_also_over_a_restart() -> None:
    """Its derived template is in no index of users, and must not be deleted for that."""
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template()])
        world.apply([service("one", overrides={"precision": "fp8"}), service("two")])
        operator = world.start()
        await world.until(
            lambda: all(world.state_of(aim.SERVICES, name, NAMESPACE) == "Running" for name in ("one", "two"))
        )
        templates = sorted(each["metadata"]["name"] for each in world.all(aim.TEMPLATES))
        assert len(templates) == 2
        await world.stop(operator)
        rewrite(world, "one", ["as many", "as needed"])
        world.start()
        world.apply([service("two", replicas=2)])
        for _ in range(10):
            await world.pass_seconds(60)
            assert sorted(each["metadata"]["name"] for each in world.all(aim.TEMPLATES)) == templates
            assert world.find(INFERENCE_SERVICES, "one", NAMESPACE)
        other = world.find(INFERENCE_SERVICES, "two", NAMESPACE)
        assert other
        assert other["spec"]["predictor"]["minReplicas"] == 2
        rewrite(world, "one", 3)

        def replicas() -> int:
            live = world.find(INFERENCE_SERVICES, "one", NAMESPACE)
            return int(live["spec"]["predictor"]["minReplicas"]) if live else 0

        await world.until(lambda: replicas() == 3)
