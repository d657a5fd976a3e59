"""A claim that is not the operator's, and questions about it that have no answer."""

from __future__ import annotations

import pytest

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.v1alpha1 import MODEL_CACHES
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.sandbox.network import Fault
from tests.simulation.catalog import NAMESPACE
from tests.simulation.test_caches import claim_of_a_user, downloads, model_cache, state
from tests.simulation.world import World

NOT_ALLOWED = Forbidden('the operator may not "get" persistentvolumeclaims: add it to its role', code=403)
OVERLOADED = Unavailable("get persistentvolumeclaims: etcdserver: request timed out", code=500)


@pytest.mark.parametrize("error", [NOT_ALLOWED, OVERLOADED], ids=["forbidden", "failing"])
@pytest.mark.parametrize("checked", [False, True], ids=["before the check", "after it"])
async def test_a_claim_that_exists_and_can_t_be_looked_up_is_told_for_as_long_as_it_lasts(
    error: ApiError, *, checked: bool
) -> None:
    """Files that were found stay found: no service loses them because a question had no answer."""
    async with World() as world:
        world.apply([claim_of_a_user()])
        cache = model_cache(size=None, existingClaim={"name": "models"})
        fault = Fault(error, verb="get", resource=PERSISTENT_VOLUME_CLAIMS.plural, name="models", times=10**9)
        world.start()
        if checked:
            world.apply([cache])
            await world.until(lambda: state(world) == "Available")
        world.network.fail(fault)
        world.apply([{**cache, "metadata": {**cache["metadata"], "annotations": {"a": "changed"}}}])
        await world.pass_seconds(600)
        status = world.status(MODEL_CACHES, "own", NAMESPACE)
        told = next(c for c in status["conditions"] if c["type"] == "StorageReady")
        assert told["status"] == "False"
        assert told["message"] == f"claim 'models' can't be looked up, the operator tries again: {error}"
        assert status["status"] == ("Available" if checked else "Pending")
        assert (status.get("persistentVolumeClaim") == "models") is checked
        assert len(downloads(world)) == int(checked), "the check"
        asked = sum(entry.verb == "get" for entry in world.sandbox.server.audit)
        await world.pass_seconds(600)
        assert world.status(MODEL_CACHES, "own", NAMESPACE) == status, "what is said stays"
        assert sum(entry.verb == "get" for entry in world.sandbox.server.audit) - asked <= 20
        fault.times = 0
        await world.until(
            lambda: world.reason(MODEL_CACHES, "own", NAMESPACE, "StorageReady") == "True/StorageReady",
            limit_seconds=600,
        )
        await world.until(lambda: state(world) == "Available")
        assert len(downloads(world)) == 1
