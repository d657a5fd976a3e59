"""Files that do not fit, and a cache whose size is raised: what grows, and what does not and says why."""

from __future__ import annotations

from typing import Any

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import MODEL_CACHES
from aim_operator.errors import Forbidden
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import NAMESPACE, config
from tests.simulation.test_caches import SOURCE, downloads, model_cache, state, the_cache
from tests.simulation.world import World

LONG = 3 * 3600
"""What does not go away within that does not go away: nothing is put off for longer than an hour."""
TOO_SMALL = ImageBehaviour(outcome="fails", message="InsufficientSpace: the model has 3Gi", exit_code=12)


def growing(name: str = "gold") -> list[dict[str, Any]]:
    return [storage_class(name, default=False, expands=True), config(defaultStorageClassName=name)]


def condition(world: World, type_: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in the_cache(world)["status"]["conditions"] if c["type"] == type_)
    return found


def claimed(world: World) -> list[str]:
    claims = world.all(PERSISTENT_VOLUME_CLAIMS)
    return [claim["spec"]["resources"]["requests"]["storage"] for claim in claims]


def events(world: World, reason: str) -> list[dict[str, Any]]:
    return [
        stored.obj
        for stored in world.sandbox.server.storage.everything()
        if stored.key.id.kind == "Event" and stored.obj.get("reason") == reason
    ]


async def test_files_that_do_not_fit_fit_at_once_when_the_size_is_raised() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = TOO_SMALL
        world.start()
        world.apply([*growing(), model_cache()])
        await world.until(lambda: state(world) == "Failed")
        await world.pass_seconds(LONG)
        message = condition(world, "Failure")["message"]
        assert message == (
            "the model has 3Gi; raise spec.size of this AIMModelCache, and its claim is enlarged"
        )
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([model_cache(size="3Gi")])
        before = world.clock.monotonic()
        await world.until(lambda: state(world) == "Available")
        assert world.clock.monotonic() - before < 30
        assert claimed(world) == ["4Gi"]
        assert condition(world, "StorageReady")["reason"] == "StorageReady"


async def test_a_file_system_that_grows_at_its_next_mount_is_mounted_by_the_next_attempt() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = TOO_SMALL
        world.sandbox.claims.offline.add("gold")
        world.start()
        world.apply([*growing(), model_cache()])
        await world.until(lambda: state(world) == "Failed")
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([model_cache(size="3Gi")])
        await world.until(lambda: state(world) == "Available")
        (claim,) = world.all(PERSISTENT_VOLUME_CLAIMS)
        assert claim["status"]["capacity"] == {"storage": "4Gi"}


async def test_a_class_that_can_t_enlarge_volumes_says_so_for_ever_and_the_files_stay() -> None:
    async with World() as world:
        world.start()
        world.apply([model_cache()])
        await world.until(lambda: state(world) == "Available")
        world.apply([model_cache(size="9Gi")])
        await world.until(lambda: condition(world, "StorageReady")["reason"] == "ExpansionNotSupported")
        writes = len(world.writes())
        await world.pass_seconds(LONG)
        assert world.writes()[writes:] == [], "what is refused for ever is not asked for"
        storage = condition(world, "StorageReady")
        assert storage["status"] == "True"
        assert storage["message"].endswith(
            "has 2Gi, and 10Gi is asked for, but storage class 'standard' can't enlarge volumes "
            "(allowVolumeExpansion); make another AIMModelCache of this size"
        )
        assert (state(world), claimed(world)) == ("Available", ["2Gi"])
        assert len(events(world, "ExpansionNotSupported")) == 1
        world.apply([storage_class(expands=True)])
        await world.until(lambda: claimed(world) == ["10Gi"])


async def test_a_quota_that_refuses_for_ever_is_quoted_and_the_files_stay() -> None:
    async with World() as world:
        words = "exceeded quota: team, requested: requests.storage=8Gi, used: 2Gi, limited: 4Gi"
        asked: list[str] = []

        def quota(claim: Manifest) -> None:
            size = claim["spec"]["resources"]["requests"]["storage"]
            if size != "2Gi":
                asked.append(size)
                raise Forbidden(f'persistentvolumeclaims "own" is forbidden: {words}', code=403)

        server = world.sandbox.server
        server.validating[server.kinds.served(PERSISTENT_VOLUME_CLAIMS).id] = quota
        world.start()
        world.apply([*growing(), model_cache()])
        await world.until(lambda: state(world) == "Available")
        world.apply([model_cache(size="9Gi")])
        await world.until(lambda: condition(world, "StorageReady")["reason"] == "ExpansionFailed")
        await world.pass_seconds(LONG)
        assert words in condition(world, "StorageReady")["message"]
        assert (state(world), claimed(world)) == ("Available", ["2Gi"])
        assert len(asked) < 80, "ever less often, every five minutes at most"
        assert len(events(world, "ExpansionFailed")) == 1
        server.validating.clear()
        await world.until(lambda: claimed(world) == ["10Gi"], limit_seconds=400)
        await world.until(lambda: condition(world, "StorageReady")["reason"] == "StorageReady")


async def test_a_driver_that_can_t_enlarge_the_volume_is_quoted() -> None:
    async with World() as world:
        world.sandbox.claims.stuck["gold"] = "rpc error: pool gold has no space left"
        world.start()
        world.apply([*growing(), model_cache()])
        await world.until(lambda: state(world) == "Available")
        world.apply([model_cache(size="9Gi")])
        await world.until(lambda: condition(world, "StorageReady")["reason"] == "ExpansionFailed")
        await world.pass_seconds(LONG)
        assert (
            "stays at 2Gi: rpc error: pool gold has no space left"
            in (condition(world, "StorageReady")["message"])
        )
        assert state(world) == "Available"


async def test_a_cache_of_an_earlier_version_is_not_written_for_its_size() -> None:
    """Claims of earlier versions have no annotation that says which size they were made for."""
    async with World() as world:
        operator = world.start()
        world.apply([*growing(), model_cache()])
        await world.until(lambda: state(world) == "Available")
        await world.stop(operator)
        (claim,) = world.all(PERSISTENT_VOLUME_CLAIMS)
        name = claim["metadata"]["name"]
        world.patch(
            PERSISTENT_VOLUME_CLAIMS,
            name,
            NAMESPACE,
            {"metadata": {"annotations": {"aim.silogen.ai/size": None}}},
        )
        world.start()
        writes = len(world.writes())
        await world.pass_seconds(3600)
        assert [w for w in world.writes()[writes:] if w[1].startswith("persistentvolumeclaims")] == []
        assert len(downloads(world)) == 1
        assert world.find(MODEL_CACHES, "own", NAMESPACE) is not None
