"""Model caches, from a caching template to a model server that mounts the files."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import INFERENCE_SERVICES, JOBS, PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.v1alpha1 import MODEL_CACHES, SERVICES, TEMPLATE_CACHES, TEMPLATES
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.kinds import NAMESPACE as NAMESPACE_KIND
from aim_operator.sandbox.network import Rates
from tests.simulation.catalog import (
    API,
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    service,
    template,
)
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"
CACHING: dict[str, Any] = {"caching": {"enabled": True}}


def catalog(**template_spec: Any) -> list[dict[str, Any]]:
    return [image(defaultServiceTemplate="fast"), template(**{**CACHING, **template_spec})]


def model_cache(name: str = "own", *, uri: str = SOURCE, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": API,
        "kind": "AIMModelCache",
        "metadata": metadata,
        "spec": {
            k: v
            for k, v in {"sourceUri": uri, "size": "1Gi", "shared": True, **spec}.items()
            if v is not None
        },
    }


def template_cache(name: str, template: str = "fast", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": API,
        "kind": "AIMTemplateCache",
        "metadata": metadata,
        "spec": {k: v for k, v in {"templateRef": template, "shared": True, **spec}.items() if v is not None},
    }


def the_cache(world: World) -> dict[str, Any]:
    (found,) = world.all(MODEL_CACHES)
    return found


def state(world: World) -> str:
    found = world.all(MODEL_CACHES)
    return found[0].get("status", {}).get("status", "") if found else ""


def running(world: World, name: str = "chat") -> bool:
    return world.state_of(SERVICES, name, NAMESPACE) == "Running"


def downloads(world: World) -> list[str]:
    return [each for each in world.created if each.startswith("Job ") and "/download-" in each]


async def test_a_caching_template_and_its_service_end_with_the_files_mounted() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 40
        world.start()
        world.apply([*catalog(), service()])
        seen: list[int] = []

        def ends() -> bool:
            progress = world.all(MODEL_CACHES)[0].get("status", {}).get("progress") if state(world) else None
            if progress and (not seen or seen[-1] != progress["percentage"]):
                seen.append(progress["percentage"])
            return running(world)

        await world.until(lambda: world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") != "")
        assert not world.all(INFERENCE_SERVICES), "nothing starts before its files are there"
        await world.until(ends)
        assert seen == sorted(seen), "progress only rises"
        assert seen[-1] == 100
        assert len(seen) > 2
        cache = the_cache(world)
        claim = cache["status"]["persistentVolumeClaim"]
        assert world.find(PERSISTENT_VOLUME_CLAIMS, claim, NAMESPACE) is not None
        (isvc,) = world.all(INFERENCE_SERVICES)
        predictor = isvc["spec"]["predictor"]
        shared_memory, volume = predictor["volumes"]
        assert shared_memory["name"] == "dshm"
        assert volume["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}
        assert predictor["model"]["volumeMounts"] == [
            {"name": "dshm", "mountPath": "/dev/shm"},
            {
                "name": volume["name"],
                "mountPath": "/workspace/model-cache/sandbox/model",
                "readOnly": True,
            },
        ]
        assert {"name": "AIM_CACHE_PATH", "value": "/workspace/model-cache"} in predictor["model"]["env"]
        assert predictor["model"]["storageUri"] == f"pvc://{claim}", "nothing is downloaded by KServe"
        assert world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == "True/CacheWarm"
        assert world.reason(TEMPLATES, "fast", NAMESPACE, "CacheWarm") == "True/CacheWarm"


async def test_a_second_service_on_the_same_model_downloads_nothing() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        world.apply([service("second")])
        await world.until(lambda: running(world, "second"))
        assert len(downloads(world)) == 1


async def test_at_rest_nothing_is_written_and_a_restart_writes_nothing() -> None:
    async with World() as world:
        operator = world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        await world.pass_seconds(700)  # the Job's TTL
        assert not [j for j in world.all(JOBS) if j["metadata"]["name"].startswith("download-")]
        writes = len(world.writes())
        await world.pass_seconds(7200)
        await world.stop(operator)
        world.start()
        await world.pass_seconds(600)
        assert world.writes()[writes:] == []


async def test_template_caches_of_one_source_share_it_and_never_race() -> None:
    async with World() as world:
        world.start()
        env: dict[str, Any] = {"env": [{"name": "HF_TOKEN", "value": "a"}]}
        world.apply([image(), template("one", **env), template("two")])
        world.apply([template_cache("first", "one"), template_cache("second", "two")])
        await world.until(lambda: world.state_of(TEMPLATE_CACHES, "second", NAMESPACE) == "Available")
        await world.until(lambda: world.state_of(TEMPLATE_CACHES, "first", NAMESPACE) == "Available")
        assert len(world.all(MODEL_CACHES)) == 1
        writes = len(world.writes())
        await world.pass_seconds(300)
        assert world.writes()[writes:] == []


async def test_a_cluster_template_is_cached_for_a_service_and_the_cache_goes_with_it_but_not_the_files() -> (
    None
):
    async with World() as world:
        world.start()
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        world.apply([service(cacheModel=True)])
        await world.until(lambda: running(world))
        (cache,) = world.all(TEMPLATE_CACHES)
        assert cache["metadata"]["name"] == "fast"
        assert not cache["metadata"].get("ownerReferences")
        world.delete(SERVICES, "chat", NAMESPACE)
        await world.until(lambda: not world.all(TEMPLATE_CACHES))
        await world.pass_seconds(60)
        assert state(world) == "Available"


async def test_a_cache_made_by_hand_is_used_instead_of_the_operators() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        world.apply([template_cache("by-hand"), service(cacheModel=True)])
        await world.until(lambda: running(world))
        assert [c["metadata"]["name"] for c in world.all(TEMPLATE_CACHES)] == ["by-hand"]


async def test_a_model_cache_made_by_hand_serves_its_source() -> None:
    async with World() as world:
        world.start()
        world.apply([model_cache(), *catalog(), service()])
        await world.until(lambda: running(world))
        assert the_cache(world)["metadata"]["name"] == "own"
        assert len(downloads(world)) == 1


async def test_deleting_a_cache_deletes_its_files_and_degrades_who_mounts_them_until_they_are_back() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 30
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        old = the_cache(world)["status"]["persistentVolumeClaim"]
        world.delete(MODEL_CACHES, the_cache(world)["metadata"]["name"], NAMESPACE)
        await world.until(lambda: world.state_of(SERVICES, "chat", NAMESPACE) == "Degraded")
        assert world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == "False/CacheLost"
        assert world.reason(SERVICES, "chat", NAMESPACE, "RuntimeReady") == "True/RuntimeReady"
        await world.until(lambda: running(world))
        new = the_cache(world)["status"]["persistentVolumeClaim"]
        assert new != old, "a lingering claim is never mounted again"
        await world.until(lambda: world.find(PERSISTENT_VOLUME_CLAIMS, old, NAMESPACE) is None)


async def test_a_failed_download_is_told_and_retried_with_growing_pauses_for_as_long_as_it_fails() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10
        )
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        name = the_cache(world)["metadata"]["name"]
        assert world.reason(MODEL_CACHES, name, NAMESPACE, "Failure") == "True/AuthenticationFailed"
        assert world.state_of(SERVICES, "chat", NAMESPACE) == "Degraded"
        assert world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == "False/AuthenticationFailed"
        # 10 s, 20 s, … 2560 s make nine pauses in 1 h 25 min; from then on it is one an hour.
        await world.pass_seconds(2 * 3600)
        tried = len(downloads(world))
        assert 10 <= tried <= 11
        ready = next(c for c in the_cache(world)["status"]["conditions"] if c["type"] == "Ready")
        assert ready["message"] == "set HF_TOKEN"
        await world.pass_seconds(10 * 3600)
        assert 9 <= len(downloads(world)) - tried <= 10
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.until(lambda: running(world), limit_seconds=3700)


async def test_a_failed_download_is_tried_at_once_when_a_user_asks_for_it() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10
        )
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        await world.pass_seconds(2 * 3600)
        del world.sandbox.jobs.behaviours[SOURCE]
        name, again = the_cache(world)["metadata"]["name"], {"aim.silogen.ai/retry": "now"}
        world.apply(
            [{**the_cache(world), "metadata": {"name": name, "namespace": NAMESPACE, "annotations": again}}]
        )
        before = world.clock.monotonic()
        await world.until(lambda: running(world))
        assert world.clock.monotonic() - before < 60


async def test_changed_references_retry_at_once() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: no"
        )
        world.start()
        world.apply([*catalog(), service()])
        await world.until(
            lambda: the_cache(world).get("status", {}).get("download", {}).get("attempts") == 5,
            limit_seconds=3600,
        )
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([template(**CACHING, env=[{"name": "HF_TOKEN", "value": "new"}])])
        before = world.clock.monotonic()
        await world.until(lambda: state(world) == "Available")
        assert world.clock.monotonic() - before < 10


async def test_provisioning_trouble_shows_the_provisioners_words_and_heals() -> None:
    async with World() as world:
        world.sandbox.claims.failing["standard"] = "no space left in pool gold"
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        name = the_cache(world)["metadata"]["name"]
        assert world.reason(MODEL_CACHES, name, NAMESPACE, "StorageReady") == "False/ProvisioningFailed"
        ready = next(c for c in the_cache(world)["status"]["conditions"] if c["type"] == "Ready")
        assert "no space left in pool gold" in ready["message"]
        world.sandbox.claims.failing.clear()
        world.sandbox.claims.bind_all()
        await world.until(lambda: running(world))


async def test_a_class_that_binds_for_the_first_pod_gets_its_download_before_the_claim_is_bound() -> None:
    async with World() as world:
        world.start()
        world.apply([storage_class("late", default=False, wait=True)])
        world.apply([config(defaultStorageClassName="late"), *catalog(), service()])
        await world.until(lambda: running(world))


async def test_without_any_storage_class_the_cache_says_so_and_goes_on_once_there_is_one() -> None:
    async with World() as world:
        world.start()
        world.apply([config(defaultStorageClassName="gold"), *catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        ready = next(c for c in the_cache(world)["status"]["conditions"] if c["type"] == "Ready")
        assert "'gold', which does not exist" in ready["message"]
        world.apply([storage_class("gold", default=False)])
        await world.until(lambda: running(world))


async def test_another_default_class_is_about_new_claims_and_downloads_nothing_again() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        world.apply([storage_class("gold", default=False), config(defaultStorageClassName="gold")])
        await world.pass_seconds(300)
        assert len(world.all(MODEL_CACHES)) == 1
        assert len(downloads(world)) == 1


async def test_everything_goes_with_its_namespace() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        world.sandbox.server.delete(world.sandbox.server.kinds.of(NAMESPACE_KIND), NAMESPACE)
        await world.until(lambda: not world.all(MODEL_CACHES) and not world.all(PERSISTENT_VOLUME_CLAIMS))


async def test_killed_after_any_write_it_ends_in_the_same_state_with_one_download() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        await world.pass_seconds(60)
        want, writes = world.snapshot(), world.writes()
    assert len(writes) >= 30, "a cached service takes at least thirty writes"
    for number, write in enumerate(writes, 1):
        async with World() as world:
            world.apply([*catalog(), service()])
            doomed = world.start(crash_after_write=number)
            await world.until(doomed.done)
            world.start()
            await world.until(lambda: running(world))
            await world.pass_seconds(60)
            assert world.snapshot() == want, f"killed after write {number}: {write}"
            assert len(downloads(world)) == 1, f"killed after write {number}: {write}"


@pytest.mark.parametrize("seed", range(20))
async def test_faults_of_the_network_change_nothing_in_the_end(seed: int) -> None:
    rates = Rates(
        fail_before=0.1,
        fail_after=0.1,
        too_many_requests=0.05,
        drop_stream=0.05,
        call_seconds=0.05,
        delivery_seconds=0.3,
    )
    async with World(seed=seed) as world:
        world.sandbox.jobs.run_seconds = 20
        world.apply([*catalog(), service(), service("second")])
        world.start(rates=rates, seed=seed)
        await world.until(lambda: running(world) and running(world, "second"), limit_seconds=3600)
        assert len(downloads(world)) == 1


def claim_of_a_user(name: str = "models") -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Ti"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


async def test_files_on_a_claim_that_exists_are_checked_and_served_and_outlive_everything() -> None:
    """A claim that comes later is found; one that goes is told; deleting the cache leaves it."""
    async with World() as world:
        world.start()
        cache = model_cache(size=None, existingClaim={"name": "models", "subPath": "llama"})
        world.apply([*catalog(), service(), cache])
        await world.until(lambda: state(world) == "Degraded")
        assert world.reason(MODEL_CACHES, "own", NAMESPACE, "Ready") == "False/ClaimNotFound"

        world.apply([claim_of_a_user()])
        await world.until(lambda: running(world))
        [live] = world.all(INFERENCE_SERVICES)
        predictor = live["spec"]["predictor"]
        assert predictor["volumes"][1]["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
        assert predictor["model"]["volumeMounts"][1]["subPath"] == "llama"
        claims = world.all(PERSISTENT_VOLUME_CLAIMS)
        assert [claim["metadata"]["name"] for claim in claims] == ["models"], "none was made"
        assert len(downloads(world)) == 1, "the check"

        world.delete(SERVICES, "chat", NAMESPACE)
        world.delete(MODEL_CACHES, "own", NAMESPACE)
        await world.pass_seconds(60)
        claim = world.find(PERSISTENT_VOLUME_CLAIMS, "models", NAMESPACE)
        assert claim is not None
        assert "deletionTimestamp" not in claim["metadata"]
        assert "ownerReferences" not in claim["metadata"]


async def test_a_cache_made_by_hand_is_used_by_nobody_else_and_says_so() -> None:
    """Whoever makes a cache decides from where, and through which proxy, it is filled."""
    async with World() as world:
        world.start()
        elsewhere = [{"name": "HF_ENDPOINT", "value": "https://hub.attacker.example"}]
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        world.apply([template_cache("planted", shared=None, env=elsewhere), model_cache("loot", shared=None)])
        await world.until(lambda: world.state_of(TEMPLATE_CACHES, "planted", NAMESPACE) == "Available")
        await world.until(lambda: world.state_of(MODEL_CACHES, "loot", NAMESPACE) == "Available")
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="hangs")
        world.apply([service(cacheModel=True)])
        await world.until(lambda: "is not shared" in str(world.status(SERVICES, "chat", NAMESPACE)))
        told = next(
            c["message"]
            for c in world.status(SERVICES, "chat", NAMESPACE)["conditions"]
            if c["type"] == "CacheReady"
        )
        assert "AIMTemplateCache 'planted' is for this template, and is not shared (spec.shared)" in told
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.pass_seconds(300)
        (used,) = world.status(TEMPLATE_CACHES, "fast", NAMESPACE)["modelCaches"]
        own = world.status(TEMPLATE_CACHES, "planted", NAMESPACE)["modelCaches"][0]["name"]
        assert used["name"] not in (own, "loot")
        for kind, name in ((TEMPLATE_CACHES, "planted"), (MODEL_CACHES, "loot")):
            ready = next(c for c in world.status(kind, name, NAMESPACE)["conditions"] if c["type"] == "Ready")
            assert ready["message"].endswith("set spec.shared to let them")
        assert all(download.startswith("Job team/") for download in downloads(world))


async def test_a_template_cache_of_the_templates_own_name_that_is_not_shared_says_what_to_do() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        world.apply([template_cache("fast", shared=None), service(cacheModel=True)])
        await world.until(
            lambda: world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == "False/NameConflict"
        )
        assert "set its spec.shared" in str(world.status(SERVICES, "chat", NAMESPACE))
        world.patch(TEMPLATE_CACHES, "fast", NAMESPACE, {"spec": {"shared": True}})
        await world.until(lambda: running(world))
        assert len(downloads(world)) == 1


async def test_a_cache_made_by_hand_that_is_in_use_when_sharing_arrives_stays_in_use() -> None:
    """Objects as an earlier version wrote them: nothing says that they are shared."""
    async with World() as world:
        operator = world.start()
        world.apply([model_cache(), *catalog(), service()])
        await world.until(lambda: running(world))
        await world.stop(operator)
        world.patch(MODEL_CACHES, "own", NAMESPACE, {"spec": {"shared": None}})
        world.start()
        await world.pass_seconds(3600)
        assert running(world)
        assert len(world.all(MODEL_CACHES)) == 1
        assert len(downloads(world)) == 1


async def test_sharing_a_cache_puts_it_in_the_place_of_the_operators_own() -> None:
    async with World() as world:
        world.start()
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        world.apply([template_cache("by-hand", shared=None), service(cacheModel=True)])
        await world.until(lambda: running(world))
        assert {c["metadata"]["name"] for c in world.all(TEMPLATE_CACHES)} == {"by-hand", "fast"}
        assert len(world.all(MODEL_CACHES)) == 1, "the same files from the same place are one cache"
        world.patch(TEMPLATE_CACHES, "by-hand", NAMESPACE, {"spec": {"shared": True}})
        await world.until(lambda: {c["metadata"]["name"] for c in world.all(TEMPLATE_CACHES)} == {"by-hand"})
        await world.pass_seconds(60)
        assert running(world)
        assert len(downloads(world)) == 1
