"""An upgrade of the operator while Jobs run: none is made again, and none that has ended is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, JOBS, PODS, SERVING_RUNTIMES
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.core import labels
from aim_operator.sandbox.apply import applied
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.ownership import Manager
from aim_operator.sandbox.profiles import image
from aim_operator.sandbox.storage import Key
from tests.simulation.catalog import NAMESPACE
from tests.simulation.upgrade.leave import BROKEN, SLOW
from tests.simulation.world import WRITES, World

LEFT = Path(__file__).parent / "upgrade" / "jobs_at_work.yaml"
NEXT_IMAGE = "ghcr.io/silogen/aim-operator:next"
FAILING = "discover-broken"
DRY_RUN = image(SLOW, {}, {}).dry_run({}).log
BAD_REQUEST = 400
DOWNLOADED = {"reason": "Downloaded", "downloadedBytes": 5, "totalBytes": 5, "revision": "main"}


async def left_by_the_version_before(world: World) -> list[dict[str, Any]]:
    """Restore its objects as they were, uids and all: names of Jobs are hashes of these."""
    world.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
    world.sandbox.jobs.behaviours[BROKEN] = ImageBehaviour(outcome="fails", exit_code=1)
    world.sandbox.jobs.start_seconds = 1e6  # whatever is restored has its Pod
    await world.pass_seconds(120)
    server = world.sandbox.server
    left = list(yaml.safe_load_all(LEFT.read_text()))
    for obj in left:
        kind = server.kinds.named(obj["apiVersion"], obj["kind"])
        assert kind is not None
        metadata = obj["metadata"]
        ours = labels.APPLIED in metadata.get("annotations", {})
        owner = Manager("aim-operator" if ours else "kubectl", "Apply", kind.api_version)
        new = json.loads(json.dumps(obj))
        _, managers = applied(kind.schema, {"metadata": {}}, {}, new, owner, force=True, without=("status",))
        server.storage.put(Key(kind.id, metadata["namespace"], metadata["name"]), new, managers, kind.schema)
    await world.pass_seconds(1)
    world.sandbox.jobs.start_seconds = 0.0
    return left


def jobs(world: World) -> dict[str, dict[str, Any]]:
    """Return all Jobs by name, but for those of the template that fails: they are retried, as before."""
    every = {job["metadata"]["name"]: job for job in world.all(JOBS)}
    return {name: job for name, job in every.items() if not name.startswith(FAILING)}


def of(template_or_cache: str, world: World) -> str:
    """Return the name of its one Job."""
    (name,) = (name for name in jobs(world) if name.startswith(template_or_cache))
    return name


def made_since(count: int, world: World) -> list[str]:
    return [each for each in world.created[count:] if "Job" in each and FAILING not in each]


def written(world: World) -> list[tuple[str, str]]:
    return [
        (verb, name)
        for verb, resource, name in world.writes()
        if resource == "jobs.batch" and not name.startswith(FAILING)
    ]


def refused(world: World) -> list[str]:
    return [
        f"{entry.verb} {entry.resource} {entry.name}: {entry.code}"
        for entry in world.sandbox.server.audit
        if entry.user.startswith("operator") and entry.verb in WRITES and entry.code >= BAD_REQUEST
    ]


def end(world: World, name: str, *, message: str = "", log: bytes | None = None, code: int = 0) -> None:
    """Have a restored Job end, as kubelet and Job controller would: `message` is its container's last."""
    server, at = world.sandbox.server, world.sandbox.jobs.now()
    (pod,) = (p for p in world.all(PODS) if p["metadata"]["ownerReferences"][0]["name"] == name)
    container = pod["spec"]["containers"][0]["name"]
    if log is not None:
        server.logs[NAMESPACE, pod["metadata"]["name"], container] = log
    state = {"terminated": {"exitCode": code, "finishedAt": at, "message": message}}
    phase, type_ = ("Failed", "Failed") if code else ("Succeeded", "Complete")
    pod_status = {"phase": phase, "containerStatuses": [{"name": container, "state": state}]}
    condition = {"type": type_, "status": "True", "lastTransitionTime": at}
    for resource, each, status in (
        (PODS, pod["metadata"]["name"], pod_status),
        (JOBS, name, {"ready": 0, "completionTime": at, "conditions": [condition]}),
    ):
        kind = server.kinds.served(resource)
        server.patch(kind, each, {"status": status}, namespace=NAMESPACE, subresource="status")


def forms(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """What an upgrade must not change of the objects of a kind, by name."""
    return {
        obj["metadata"]["name"]: (obj["metadata"]["uid"], obj["metadata"]["labels"], obj["spec"])
        for obj in objects
        if obj["kind"] == kind
    }


async def test_an_upgrade_makes_no_job_again() -> None:
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        before, count = jobs(world), len(world.created)
        assert len(before) == 6
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(400)
        assert (jobs(world), made_since(count, world), written(world), refused(world)) == (before, [], [], [])


async def test_an_upgrade_restarts_no_model_server() -> None:
    async with World(seed=7) as world:
        left = await left_by_the_version_before(world)
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(400)
        for kind in (INFERENCE_SERVICES, SERVING_RUNTIMES):
            assert forms(world.all(kind), kind.kind) == forms(left, kind.kind)
        # The one change of this upgrade, which the changelog announces: no time limit of ours.
        for route in (obj for obj in left if obj["kind"] == "HTTPRoute"):
            route["spec"]["rules"][0]["timeouts"] = {"request": "0s"}
        assert forms(world.all(HTTP_ROUTES), "HTTPRoute") == forms(left, "HTTPRoute")
        assert [world.state_of(aim.SERVICES, name, NAMESPACE) for name in ("chat", "lean")] == ["Running"] * 2


async def test_what_ended_while_no_operator_was_there_is_taken_by_the_next_version() -> None:
    """Each Job of another version: its result is read, it gets its TTL and nothing else, and goes."""
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        count = len(world.created)
        end(world, of("discover-slow", world), log=DRY_RUN)
        end(world, of("download-large", world), message=json.dumps(DOWNLOADED))
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(60)
        assert world.state_of(aim.TEMPLATES, "slow", NAMESPACE) == "Available"
        assert world.state_of(aim.MODEL_CACHES, "large", NAMESPACE) == "Available"
        ended = {of("discover-slow", world), of("download-large", world)}
        assert sorted(written(world)) == sorted(("patch", name) for name in ended)
        assert {jobs(world)[name]["spec"]["ttlSecondsAfterFinished"] for name in ended} == {600}
        await world.pass_seconds(900)
        assert not ended & set(jobs(world))
        assert (made_since(count, world), refused(world)) == ([], [])


async def test_a_download_that_fails_after_an_upgrade_is_continued_by_the_new_version() -> None:
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(10)
        before = of("download-large", world)
        end(world, before, code=1, message=json.dumps({"reason": "DownloadFailed", "message": "no route"}))
        await world.pass_seconds(30)
        now = of("download-large", world)
        assert now != before
        (container,) = jobs(world)[now]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == NEXT_IMAGE


async def test_a_job_that_can_not_start_is_made_anew_by_the_version_that_can() -> None:
    """Its image, the operator's own, could not be pulled: an upgrade is what helps."""
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        name = of("download-large", world)
        (pod,) = (p for p in world.all(PODS) if p["metadata"]["ownerReferences"][0]["name"] == name)
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
        status = {"phase": "Pending", "containerStatuses": [{"name": "download", "state": waiting}]}
        server = world.sandbox.server
        kind = server.kinds.served(PODS)
        where = {"namespace": NAMESPACE, "subresource": "status"}
        server.patch(kind, pod["metadata"]["name"], {"status": status}, **where)
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(30)
        assert of("download-large", world) != name
        assert of("list-unlisted", world)


@pytest.mark.parametrize(
    ("resource", "name", "job", "patch"),
    [
        pytest.param(
            aim.MODEL_CACHES,
            "large",
            "download-large",
            {"metadata": {"annotations": {labels.RETRY: "now"}}},
            id="a download",
        ),
        pytest.param(
            aim.TEMPLATES,
            "slow",
            "discover-slow",
            {"metadata": {"annotations": {labels.REDISCOVER: "now"}}},
            id="a discovery",
        ),
    ],
)
async def test_another_input_ends_a_job_of_the_version_before(
    resource: Resource[Any], name: str, job: str, patch: Manifest
) -> None:
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        world.start(downloader_image=NEXT_IMAGE)
        await world.pass_seconds(10)
        before = of(job, world)
        world.patch(resource, name, NAMESPACE, patch)
        await world.pass_seconds(30)
        assert of(job, world) != before


async def test_every_further_upgrade_leaves_jobs_as_they_are() -> None:
    """Back and forth: what the version after the next finds is of two versions."""
    async with World(seed=7) as world:
        await left_by_the_version_before(world)
        before, count = jobs(world), len(world.created)
        for each in (NEXT_IMAGE, "ghcr.io/silogen/aim-operator:after", NEXT_IMAGE):
            operator = world.start(downloader_image=each)
            await world.pass_seconds(60)
            await world.stop(operator)
        assert (jobs(world), made_since(count, world), written(world), refused(world)) == (before, [], [], [])
