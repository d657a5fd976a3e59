"""The storage budget of a namespace, and caches that nobody uses any more."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import INFERENCE_SERVICES, PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.v1alpha1 import MODEL_CACHES, SERVICES, TEMPLATE_CACHES
from aim_operator.errors import Forbidden
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import NAMESPACE, cluster_config, config, service
from tests.simulation.test_caches import SOURCE, catalog, downloads, model_cache, running, the_cache
from tests.simulation.test_claim_growth import events
from tests.simulation.world import World

HOURS = 3600
DAY = 24 * HOURS
LONG = 3 * HOURS
"""What does not go away within that does not go away: nothing is put off for longer than an hour."""
OTHER = "hf://sandbox/other"


def budget(amount: str) -> dict[str, Any]:
    return cluster_config(storage={"budget": amount})


def condition(world: World, name: str, type_: str = "Ready") -> dict[str, Any]:
    told = world.status(MODEL_CACHES, name, NAMESPACE).get("conditions", [])
    return next((c for c in told if c["type"] == type_), {})


def reason(world: World, name: str) -> str:
    text: str = condition(world, name).get("reason", "")
    return text


def states(world: World, *names: str) -> list[str]:
    return [world.state_of(MODEL_CACHES, name, NAMESPACE) for name in names]


def taken(world: World) -> int:
    """GiB that the claims of the namespace ask for."""
    claims = world.all(PERSISTENT_VOLUME_CLAIMS, NAMESPACE)
    return sum(int(c["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) for c in claims)


async def test_a_budget_holds_back_the_second_model_and_lets_it_go_when_the_first_is_removed() -> None:
    async with World() as world:
        world.start()
        world.apply([budget("3Gi"), model_cache("first")])
        await world.until(lambda: states(world, "first") == ["Available"])
        world.apply([model_cache("second", uri=OTHER)])
        await world.until(lambda: reason(world, "second") == "AwaitingStorageBudget")
        writes = len(world.writes())
        await world.pass_seconds(LONG)
        assert world.writes()[writes:] == [], "waiting costs nothing, however long"
        assert states(world, "second") == ["Pending"]
        assert condition(world, "second")["message"] == (
            "2Gi do not fit the storage budget of this namespace, 3Gi (AIMClusterRuntimeConfig 'default'): "
            "1 claim has 2Gi of it; delete an AIMModelCache that is not used, or raise the budget"
        )
        assert condition(world, "second", "StorageReady")["reason"] == "AwaitingStorageBudget"
        world.delete(MODEL_CACHES, "first", NAMESPACE)
        await world.until(lambda: states(world, "second") == ["Available"], limit_seconds=60)


async def test_a_service_says_what_its_model_waits_for_and_goes_on_when_the_budget_is_raised() -> None:
    async with World() as world:
        world.start()
        world.apply([budget("3Gi"), model_cache("first", uri=OTHER)])
        await world.until(lambda: states(world, "first") == ["Available"])
        world.apply([*catalog(), service()])
        await world.until(lambda: "storage budget" in str(world.status(SERVICES, "chat", NAMESPACE)))
        assert world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == "False/WaitingForCache"
        await world.pass_seconds(LONG)
        assert not world.all(INFERENCE_SERVICES)
        world.apply([budget("1Ti")])
        await world.until(lambda: running(world))


async def test_a_namespace_can_neither_raise_nor_leave_the_budget_of_its_cluster() -> None:
    async with World() as world:
        world.start()
        world.apply([budget("3Gi"), config(storage={"budget": "1Pi"})])
        world.apply([config("mine", storage={"budget": "1Pi"}), cluster_config("free")])
        world.apply([model_cache("first")])
        await world.until(lambda: states(world, "first") == ["Available"])
        names = ("default", "mine", "free")
        for name in names:
            more = {} if name == "default" else {"runtimeConfigName": name}
            world.apply([model_cache(f"by-{name}", uri=f"{OTHER}-{name}", **more)])
        waiting = [f"by-{name}" for name in names]
        await world.until(lambda: [reason(world, name) for name in waiting] == ["AwaitingStorageBudget"] * 3)
        await world.pass_seconds(LONG)
        assert taken(world) == 2
        world.apply([config(storage={"budget": "1Gi"})])
        await world.until(lambda: reason(world, "by-default") == "ExceedsStorageBudget")
        assert states(world, "by-default") == ["Degraded"]
        assert "AIMRuntimeConfig 'default'" in condition(world, "by-default")["message"], "it may lower it"


async def test_budgets_are_of_each_namespace() -> None:
    async with World() as world:
        world.start()
        elsewhere = model_cache("there")
        elsewhere["metadata"]["namespace"] = "elsewhere"
        world.apply([budget("2Gi"), model_cache("here"), elsewhere])
        await world.until(lambda: states(world, "here") == ["Available"])
        await world.until(lambda: world.state_of(MODEL_CACHES, "there", "elsewhere") == "Available")


@pytest.mark.parametrize("restart", [False, True])
async def test_caches_made_at_once_never_take_more_together_and_the_oldest_goes_first(
    *, restart: bool
) -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 30
        operator = world.start()
        world.apply([budget("5Gi")])
        most = 0
        for number in range(6):
            world.apply([model_cache(f"m{number}", uri=f"{OTHER}-{number}")])
            await world.pass_seconds(1)
        done: list[str] = []

        def look() -> bool:
            nonlocal most
            most = max(most, taken(world))
            for number in range(6):
                name = f"m{number}"
                if name not in done and states(world, name) == ["Available"]:
                    done.append(name)
            return len(done) == 6

        async def remove_one() -> None:
            await world.until(lambda: (bool(done) and len(done) > removed) or look(), limit_seconds=600)

        removed = 0
        while len(done) < 6:
            await remove_one()
            if restart:
                await world.stop(operator)
                operator = world.start()
            if removed < len(done):
                world.delete(MODEL_CACHES, done[removed], NAMESPACE)
                removed += 1
        assert most <= 5
        assert done == sorted(done), "the oldest first"


async def test_a_large_model_does_not_wait_for_ever_behind_small_ones() -> None:
    async with World() as world:
        world.start()
        world.apply([budget("5Gi"), model_cache("small-0")])
        await world.until(lambda: states(world, "small-0") == ["Available"])
        world.apply([model_cache("large", uri=f"{OTHER}-large", size="4Gi")])
        await world.until(lambda: reason(world, "large") == "AwaitingStorageBudget")
        world.apply([model_cache("small-1", uri=f"{OTHER}-1")])
        await world.until(lambda: "first 'large' with 5Gi" in condition(world, "small-1").get("message", ""))
        world.delete(MODEL_CACHES, "small-0", NAMESPACE)
        await world.until(lambda: states(world, "large") == ["Available"])
        assert reason(world, "small-1") == "AwaitingStorageBudget"
        world.delete(MODEL_CACHES, "large", NAMESPACE)
        await world.until(lambda: states(world, "small-1") == ["Available"])


async def test_a_cache_whose_claim_is_refused_for_ever_holds_up_no_younger_one() -> None:
    async with World() as world:
        world.sandbox.claims.failing["broken"] = "no pool"
        server = world.sandbox.server

        def refuse(claim: dict[str, Any]) -> None:
            if claim["spec"]["resources"]["requests"]["storage"] == "4Gi":
                raise Forbidden("exceeded quota: team", code=403)

        server.validating[server.kinds.served(PERSISTENT_VOLUME_CLAIMS).id] = refuse
        world.start()
        world.apply([budget("5Gi"), model_cache("refused", size="3Gi")])
        await world.until(lambda: reason(world, "refused") == "ProvisioningFailed")
        world.apply([model_cache("young", uri=OTHER)])
        await world.until(lambda: states(world, "young") == ["Available"])


async def test_a_claim_that_is_to_grow_waits_for_room_too() -> None:
    async with World() as world:
        world.start()
        world.apply([storage_class("gold", default=False, expands=True)])
        world.apply([cluster_config(storage={"budget": "5Gi"}, defaultStorageClassName="gold")])
        world.apply([model_cache("first"), model_cache("second", uri=OTHER)])
        await world.until(lambda: states(world, "first", "second") == ["Available"] * 2)
        world.apply([model_cache("first", size="3Gi")])
        await world.until(
            lambda: condition(world, "first", "StorageReady")["reason"] == "AwaitingStorageBudget"
        )
        await world.pass_seconds(LONG)
        assert (taken(world), states(world, "first")) == (4, ["Available"])
        world.delete(MODEL_CACHES, "second", NAMESPACE)
        await world.until(lambda: taken(world) == 4 and reason(world, "first") == "Downloaded")
        await world.until(lambda: condition(world, "first", "StorageReady")["reason"] == "StorageReady")


async def test_a_size_that_nobody_knows_is_asked_for_before_the_budget_is() -> None:
    async with World() as world:
        world.start()
        world.apply([budget("1Gi"), model_cache("listed", size=None)])
        await world.until(lambda: reason(world, "listed") == "ExceedsStorageBudget")
        assert world.status(MODEL_CACHES, "listed", NAMESPACE)["size"] == "1Gi"
        world.apply([budget("2Gi")])
        await world.until(lambda: states(world, "listed") == ["Available"])


async def test_a_cache_is_shown_as_unused_since_its_last_service_went_and_stays() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(caching={"enabled": False}), service(cacheModel=True)])
        await world.until(lambda: running(world))
        assert "unusedSince" not in the_cache(world)["status"]
        world.delete(SERVICES, "chat", NAMESPACE)
        await world.until(lambda: "unusedSince" in the_cache(world)["status"])
        name = the_cache(world)["metadata"]["name"]
        assert condition(world, name, "InUse")["reason"] == "Unused"
        writes = len(world.writes())
        await world.pass_seconds(LONG)
        assert world.writes()[writes:] == [], "nothing says that it goes, so it stays"
        world.apply([service(cacheModel=True)])
        await world.until(lambda: running(world))
        assert "unusedSince" not in the_cache(world)["status"]
        assert not condition(world, name, "InUse")
        assert len(downloads(world)) == 1


async def test_an_unused_cache_goes_where_a_policy_says_so_a_day_after_it_was_announced() -> None:
    async with World() as world:
        operator = world.start()
        world.apply([cluster_config(storage={"unused": {"afterDays": 2, "policy": "Delete"}})])
        world.apply([*catalog(caching={"enabled": False}), service(cacheModel=True)])
        world.apply([model_cache("mine", uri=OTHER)])
        await world.until(lambda: running(world))
        await world.pass_seconds(LONG)
        own = next(c["metadata"]["name"] for c in world.all(MODEL_CACHES) if c["metadata"]["name"] != "mine")
        assert states(world, own) == ["Available"], "a service mounts it"
        world.delete(SERVICES, "chat", NAMESPACE)
        await world.pass_seconds(0.5 * DAY)
        assert condition(world, own, "InUse")["reason"] == "Unused"
        await world.stop(operator)
        operator = world.start()
        await world.pass_seconds(0.6 * DAY)
        assert condition(world, own, "InUse")["reason"] == "RemovalScheduled"
        assert len(events(world, "RemovalScheduled")) == 1
        await world.pass_seconds(0.8 * DAY)
        assert states(world, own) == ["Available"]
        await world.until(lambda: not world.find(MODEL_CACHES, own, NAMESPACE), limit_seconds=DAY)
        await world.until(lambda: len(world.all(PERSISTENT_VOLUME_CLAIMS)) == 1)
        assert states(world, "mine") == ["Available"], "what a person made is a person's to delete"
        assert condition(world, "mine", "InUse")["reason"] == "Unused"


async def test_a_cache_that_is_used_again_in_its_last_day_stays() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_config(storage={"unused": {"afterDays": 2, "policy": "Delete"}})])
        world.apply([*catalog(caching={"enabled": False}), service(cacheModel=True)])
        await world.until(lambda: running(world))
        world.delete(SERVICES, "chat", NAMESPACE)
        await world.pass_seconds(1.1 * DAY)
        name = the_cache(world)["metadata"]["name"]
        assert condition(world, name, "InUse")["reason"] == "RemovalScheduled"
        world.apply([service(cacheModel=True)])
        await world.until(lambda: running(world))
        await world.pass_seconds(1.1 * DAY)
        assert "removalTime" not in the_cache(world)["status"]
        assert states(world, name) == ["Available"]
        assert len(downloads(world)) == 1


async def test_a_cache_that_never_got_its_files_is_used_as_long_as_somebody_waits_for_it() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10
        )
        world.start()
        world.apply([cluster_config(storage={"unused": {"afterDays": 1, "policy": "Delete"}})])
        world.apply([*catalog(), service()])
        await world.until(lambda: world.state_of(TEMPLATE_CACHES, "fast", NAMESPACE) == "Failed")
        await world.pass_seconds(LONG)
        assert "unusedSince" not in the_cache(world)["status"]
