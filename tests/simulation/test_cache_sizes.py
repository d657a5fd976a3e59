"""Model caches whose size discovery does not know, and those that hold chosen files of a source."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS
from aim_operator.api.v1alpha1 import MODEL_CACHES, SERVICES, TEMPLATE_CACHES, TEMPLATES
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Rates
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, service, template
from tests.simulation.test_caches import SOURCE, catalog, downloads, model_cache, running, template_cache
from tests.simulation.world import World

DISCOVERED = [
    {
        "filename": "p.yaml",
        "profile": {"aim_id": "sandbox/model", "model_id": "sandbox/model", "metadata": {"engine": "vllm"}},
        "models": [{"name": "sandbox/model", "source": SOURCE, "size_gb": None}],
    }
]
"""What an image prints that can't ask the hub."""


def isolated(world: World) -> None:
    world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(log=json.dumps(DISCOVERED).encode())


def listings(world: World) -> list[str]:
    return [each for each in world.created if each.startswith("Job ") and "/list-" in each]


def the_cache(world: World) -> dict[str, Any]:
    (found,) = world.all(MODEL_CACHES)
    return found


def ready_message(world: World) -> str:
    ready = next(c for c in the_cache(world)["status"]["conditions"] if c["type"] == "Ready")
    text: str = ready["message"]
    return text


def state(world: World) -> str:
    found = world.all(MODEL_CACHES)
    return found[0].get("status", {}).get("status", "") if found else ""


async def test_a_size_that_discovery_does_not_know_is_asked_for_and_shown_all_the_way_up() -> None:
    async with World() as world:
        isolated(world)
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        assert (len(listings(world)), len(downloads(world))) == (1, 1)
        assert "size" not in the_cache(world)["spec"]
        status = the_cache(world)["status"]
        assert (status["size"], status["files"], status["listing"]["totalBytes"]) == ("1Gi", 7, 1024**3)
        claim = world.find(PERSISTENT_VOLUME_CLAIMS, status["persistentVolumeClaim"], NAMESPACE)
        assert claim is not None
        assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi", "with the headroom, in whole Gi"
        (cached,) = world.status(TEMPLATE_CACHES, "fast", NAMESPACE)["modelCaches"]
        assert cached["size"] == "1Gi"
        warm = next(
            c for c in world.status(TEMPLATES, "fast", NAMESPACE)["conditions"] if c["type"] == "CacheWarm"
        )
        assert warm["message"].endswith("verified: 7 files, 1Gi")
        await world.pass_seconds(60)
        assert not [j for j in world.all(JOBS) if j["metadata"]["name"].startswith("list-")]


async def test_a_size_that_is_known_is_not_asked_for() -> None:
    async with World() as world:
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        assert listings(world) == []


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        pytest.param("AuthenticationFailed: set HF_TOKEN", 10, "AuthenticationFailed", id="a gated model"),
        pytest.param("SourceNotFound: no such model", 11, "SourceNotFound", id="no such model"),
        pytest.param("DownloadFailed: can't reach hub", 14, "ListingFailed", id="no way to the hub"),
    ],
)
async def test_a_source_that_can_not_be_listed_is_told_for_as_long_as_it_lasts_and_heals(
    message: str, code: int, reason: str
) -> None:
    async with World() as world:
        isolated(world)
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message=message, exit_code=code
        )
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        name = the_cache(world)["metadata"]["name"]
        assert world.reason(MODEL_CACHES, name, NAMESPACE, "Failure") == f"True/{reason}"
        assert world.reason(MODEL_CACHES, name, NAMESPACE, "StorageReady") == "False/Listing"
        assert world.reason(SERVICES, "chat", NAMESPACE, "CacheReady") == f"False/{reason}"
        # 10 s, 20 s, … 2560 s make nine pauses in 1 h 25 min; from then on it is one an hour.
        await world.pass_seconds(2 * 3600)
        tried = len(listings(world))
        assert 10 <= tried <= 11
        assert ready_message(world) == message.partition(": ")[2]
        await world.pass_seconds(10 * 3600)
        assert 9 <= len(listings(world)) - tried <= 10
        assert not world.all(PERSISTENT_VOLUME_CLAIMS)
        assert len([j for j in world.all(JOBS) if j["metadata"]["name"].startswith("list-")]) == 1
        del world.sandbox.jobs.behaviours[SOURCE]
        await world.until(lambda: running(world), limit_seconds=3700)


async def test_another_token_is_tried_at_once() -> None:
    async with World() as world:
        isolated(world)
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(
            outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10
        )
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: state(world) == "Failed")
        await world.pass_seconds(2 * 3600)
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply(catalog(env=[{"name": "HF_TOKEN", "value": "another"}]))
        before = world.clock.monotonic()
        await world.until(lambda: running(world))
        assert world.clock.monotonic() - before < 60


async def test_listings_take_no_slots_of_discoveries() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="hangs")
        world.start(max_discovery_jobs=1)
        world.apply([model_cache("one", size=None), model_cache("two", size=None, exclude=["*.md"])])
        await world.until(lambda: len(listings(world)) == 2)
        await world.until(lambda: ready_messages(world) == {f"asking {SOURCE} for its files"})
        world.apply([image(), template()])
        await world.until(lambda: world.state_of(TEMPLATES, "fast", NAMESPACE) == "Available")


def ready_messages(world: World) -> set[str]:
    return {
        c["message"]
        for cache in world.all(MODEL_CACHES)
        for c in cache["status"]["conditions"]
        if c["type"] == "Ready"
    }


async def test_a_listing_that_is_refused_says_so_and_goes_on_once_it_is_not() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="quota", message="quota of Pods is 0")
        world.start()
        world.apply([model_cache(size=None)])
        await world.until(lambda: "quota of Pods is 0" in str(the_cache(world).get("status")))
        assert world.reason(MODEL_CACHES, "own", NAMESPACE, "Ready") == "False/JobRefused"
        await world.pass_seconds(12 * 3600)
        assert len(listings(world)) == 1
        assert ready_message(world) == "the listing Pod was refused: Error creating: quota of Pods is 0"


async def test_a_size_that_is_given_while_the_source_can_not_be_listed_is_taken() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[SOURCE] = ImageBehaviour(outcome="hangs")
        world.start()
        world.apply([model_cache(size=None)])
        await world.until(lambda: len(listings(world)) == 1)
        del world.sandbox.jobs.behaviours[SOURCE]
        world.apply([model_cache(size="3Gi")])
        await world.until(lambda: state(world) == "Available")
        await world.until(lambda: not [j for j in world.all(JOBS) if "list-" in j["metadata"]["name"]])


async def test_other_files_of_one_source_are_another_cache_and_the_same_are_shared() -> None:
    async with World() as world:
        world.start()
        world.apply([config(), image()])
        world.apply([template("all"), template("part", caching={"exclude": ["*.md", "onnx/*"]})])
        world.apply(
            [
                template_cache("all", "all"),
                template_cache("part", "part"),
                template_cache("own", "all", exclude=["onnx/*", "*.md"]),
            ]
        )
        names = ("all", "part", "own")
        await world.until(
            lambda: {world.state_of(TEMPLATE_CACHES, name, NAMESPACE) for name in names} == {"Available"}
        )
        used = {
            name: world.status(TEMPLATE_CACHES, name, NAMESPACE)["modelCaches"][0]["name"] for name in names
        }
        assert used["part"] == used["own"] != used["all"]
        assert len(downloads(world)) == 2
        assert len(listings(world)) == 1, "the size that discovery knows is of all files"
        part = world.find(MODEL_CACHES, used["part"], NAMESPACE)
        assert part is not None
        assert part["spec"]["exclude"] == ["*.md", "onnx/*"]
        writes = len(world.writes())
        await world.pass_seconds(300)
        assert world.writes()[writes:] == []


async def test_killed_after_any_write_it_ends_in_the_same_state_with_one_listing_and_one_download() -> None:
    async with World() as world:
        isolated(world)
        world.start()
        world.apply([*catalog(), service()])
        await world.until(lambda: running(world))
        await world.pass_seconds(60)
        want, writes = world.snapshot(), world.writes()
    for number, write in enumerate(writes, 1):
        async with World() as world:
            isolated(world)
            world.apply([*catalog(), service()])
            doomed = world.start(crash_after_write=number)
            await world.until(doomed.done)
            world.start()
            await world.until(lambda: running(world))
            await world.pass_seconds(60)
            assert world.snapshot() == want, f"killed after write {number}: {write}"
            assert (len(listings(world)), len(downloads(world))) == (1, 1), f"write {number}: {write}"


@pytest.mark.parametrize("seed", range(10))
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
        isolated(world)
        world.sandbox.jobs.run_seconds = 20
        world.apply([*catalog(), service()])
        world.start(rates=rates, seed=seed)
        await world.until(lambda: running(world), limit_seconds=3600)
        assert len(downloads(world)) == 1
        assert the_cache(world)["status"]["size"] == "1Gi"
