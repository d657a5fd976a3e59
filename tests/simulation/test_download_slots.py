"""Downloads take turns: so many at once, fair between namespaces, also after a restart."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import JOBS
from aim_operator.api.v1alpha1 import MODEL_CACHES, RUNTIME_CONFIGS
from aim_operator.errors import Forbidden
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import NAMESPACE, config
from tests.simulation.test_caches import model_cache
from tests.simulation.world import World

SOURCE = "hf://sandbox/model"


def cache(name: str, namespace: str = NAMESPACE, *, uri: str = "") -> dict[str, Any]:
    made = model_cache(name, uri=uri or f"{SOURCE}-{name}")
    made["metadata"]["namespace"] = namespace
    return made


def at_work(world: World, namespace: str = "") -> int:
    """How many downloads there are that have not ended."""
    return sum(
        not any(c["status"] == "True" for c in job.get("status", {}).get("conditions") or ())
        for job in world.all(JOBS, namespace)
        if job["metadata"]["name"].startswith("download-")
    )


def ready(world: World, name: str, namespace: str = NAMESPACE) -> tuple[str, str]:
    conditions = world.status(MODEL_CACHES, name, namespace).get("conditions", [])
    found = next((c for c in conditions if c["type"] == "Ready"), {"reason": "", "message": ""})
    return found["reason"], found["message"]


def available(world: World) -> int:
    return sum(c.get("status", {}).get("status") == "Available" for c in world.all(MODEL_CACHES))


@pytest.mark.parametrize("restart", [False, True])
async def test_no_more_downloads_run_at_once_than_there_are_slots_and_all_have_their_turn(
    *, restart: bool
) -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 60
        operator = world.start(max_download_jobs=2)
        for number in range(6):
            world.apply([cache(f"m{number}")])
            await world.pass_seconds(1)
        order: list[str] = []
        most = 0

        def look() -> bool:
            nonlocal most
            most = max(most, at_work(world))
            for number in range(6):
                name = f"m{number}"
                if name not in order and world.state_of(MODEL_CACHES, name, NAMESPACE) == "Available":
                    order.append(name)
            return len(order) == 6

        await world.pass_seconds(5)
        reason, message = ready(world, "m5")
        assert reason == "AwaitingDownloadSlot"
        assert message == (
            "waiting for one of 2 download slots, which namespaces get in turn; "
            "3 of its namespace come before"
        )
        if restart:
            await world.stop(operator)
            world.start(max_download_jobs=2)
        await world.until(look, limit_seconds=1200)
        assert most == 2
        assert order == sorted(order), "the oldest first, also after a restart"


async def test_a_namespace_with_fifty_endless_downloads_holds_up_no_other() -> None:
    async with World() as world:
        for number in range(50):
            world.sandbox.jobs.behaviours[f"{SOURCE}-m{number}"] = ImageBehaviour(outcome="hangs")
        world.start(max_download_jobs=5)
        world.apply([cache(f"m{number}", "greedy") for number in range(50)])
        await world.until(lambda: at_work(world) == 4)
        await world.pass_seconds(3600)
        assert at_work(world) == 4, "a fifth is for namespaces that use none"
        world.apply([cache("mine")])
        await world.until(lambda: world.state_of(MODEL_CACHES, "mine", NAMESPACE) == "Available")


async def test_downloads_whose_image_never_comes_hold_no_slot() -> None:
    async with World() as world:
        for name in ("a", "b"):
            world.sandbox.jobs.behaviours[f"{SOURCE}-{name}"] = ImageBehaviour(
                outcome="pull error", message="not found"
            )
        world.start(max_download_jobs=1)
        world.apply([cache("a"), cache("b")])
        await world.until(lambda: ready(world, "a")[0] == "ImagePullFailed")
        await world.until(lambda: ready(world, "b")[0] == "ImagePullFailed")
        world.apply([cache("c")])
        await world.until(lambda: world.state_of(MODEL_CACHES, "c", NAMESPACE) == "Available")
        await world.pass_seconds(3600)
        assert world.state_of(MODEL_CACHES, "a", NAMESPACE) == "Degraded"


async def test_whoever_takes_the_configuration_from_running_downloads_gets_no_more_than_a_share_at_once() -> (
    None
):
    """The cache is Degraded, and its download goes on: it must not count as one that is stuck."""
    async with World() as world:
        world.sandbox.jobs.run_seconds = 3000
        world.start(max_download_jobs=2)
        for number in range(4):
            own = config(f"c{number}")
            made = cache(f"m{number}")
            made["spec"]["runtimeConfigName"] = f"c{number}"
            world.apply([own, made])
            await world.pass_seconds(120)
            world.delete(RUNTIME_CONFIGS, f"c{number}", NAMESPACE)
            await world.pass_seconds(60)
            assert at_work(world) <= 2
        assert ready(world, "m0")[0] == "RuntimeConfigMissing"
        assert at_work(world) == 2


async def test_jobs_that_are_refused_for_ever_hand_no_slot_in_a_circle() -> None:
    async with World() as world:
        tried: list[str] = []

        def refuse(job: dict[str, Any]) -> None:
            if job["metadata"]["namespace"] == "refused":
                tried.append(job["metadata"]["name"])
                raise Forbidden("exceeded quota: count/jobs.batch=0", code=403)

        server = world.sandbox.server
        server.validating[server.kinds.served(JOBS).id] = refuse
        world.start(max_download_jobs=1)
        world.apply([cache(name, "refused") for name in ("a", "b", "c")])
        await world.pass_seconds(600)
        assert 3 <= len(tried) < 100
        world.apply([cache("mine")])
        await world.until(lambda: world.state_of(MODEL_CACHES, "mine", NAMESPACE) == "Available")


async def test_a_job_that_pretends_takes_no_slot() -> None:
    async with World() as world:
        world.start(max_download_jobs=1)
        world.apply([cache("first")])
        await world.until(lambda: available(world) == 1)
        (first,) = world.all(MODEL_CACHES)
        owner = {
            "apiVersion": first["apiVersion"],
            "kind": "AIMModelCache",
            "name": "first",
            "uid": first["metadata"]["uid"],
            "controller": True,
        }
        fakes = [("download-first-00000000", NAMESPACE), ("download-other-00000000", "elsewhere")]
        for name, namespace in fakes:
            world.apply(
                [
                    {
                        "apiVersion": "batch/v1",
                        "kind": "Job",
                        "metadata": {
                            "name": name,
                            "namespace": namespace,
                            "labels": {"app.kubernetes.io/managed-by": "aim-controller"},
                            "ownerReferences": [owner],
                        },
                        "spec": {
                            "suspend": True,
                            "template": {
                                "spec": {
                                    "restartPolicy": "Never",
                                    "containers": [{"name": "c", "image": "example.com/none"}],
                                }
                            },
                        },
                    }
                ]
            )
        world.apply([cache("second")])
        await world.until(lambda: available(world) == 2)
