"""Beside a queue for Jobs, as Kueue is one: it suspends a Job as it is created, and admits it when it likes.

The stand-in does what pkg/controller/jobs/job of Kueue does: its webhook suspends each new Job with a queue's
name; admission sets spec.suspend to false and adds a node selector; a preempted Job is suspended again.
"""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import JOBS, PODS
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, service, template
from tests.simulation.world import World

QUEUE = "kueue.x-k8s.io/queue-name"
LONG = 3 * 3600
"""More than any deadline of a discovery."""
NODE = ("kubernetes.io/hostname", "node-1")


def queued(world: World) -> None:
    """Have the stand-in suspend each new Job that names a queue."""

    def suspend(job: dict[str, Any]) -> dict[str, Any]:
        new = "resourceVersion" not in job["metadata"]
        if new and QUEUE in (job["metadata"].get("labels") or {}):
            job["spec"]["suspend"] = True
        return job

    server = world.sandbox.server
    server.mutating[server.kinds.served(JOBS).id] = suspend


def jobs(world: World, prefix: str) -> list[dict[str, Any]]:
    return [job for job in world.all(JOBS) if job["metadata"]["name"].startswith(prefix)]


def made(world: World, prefix: str) -> int:
    """How many Jobs there were."""
    return sum(name.startswith("Job ") and f"/{prefix}" in name for name in world.created)


def resume(world: World, prefix: str, **where: Any) -> None:
    for job in jobs(world, prefix):
        template = {"template": {"spec": where}} if where else {}
        spec = {"suspend": False, **template}
        world.patch(JOBS, job["metadata"]["name"], job["metadata"]["namespace"], {"spec": spec})


def admit(world: World, prefix: str) -> None:
    """Admit Jobs to the nodes of a flavor."""
    resume(world, prefix, nodeSelector=dict([NODE]))


def take_back(world: World, prefix: str) -> None:
    for job in jobs(world, prefix):
        world.patch(JOBS, job["metadata"]["name"], NAMESPACE, {"spec": {"suspend": True}})


def ready(world: World, resource: Any, name: str) -> tuple[str, str, str]:
    status = world.status(resource, name, NAMESPACE)
    found = next(c for c in status["conditions"] if c["type"] == "Ready")
    return status["status"], found["reason"], found["message"]


def with_queue(obj: dict[str, Any], queue: str) -> dict[str, Any]:
    return {**obj, "metadata": {**obj["metadata"], "labels": {QUEUE: queue}}}


def catalog(**spec: Any) -> list[dict[str, Any]]:
    chosen = config(routing={"enabled": False}, **spec)
    return [chosen, image(defaultServiceTemplate="fast"), template(caching={"enabled": True})]


BY_CONFIGURATION = catalog(jobs={"pods": {"labels": {QUEUE: "batch"}}})
BY_LABEL = [
    with_queue(each, "batch") if each["kind"] == "AIMServiceTemplate" else each
    for each in catalog(propagate={"labels": ["kueue.x-k8s.io/"]})
]


@pytest.mark.parametrize("objects", [BY_CONFIGURATION, BY_LABEL], ids=["by configuration", "by a label"])
async def test_discovery_and_download_wait_for_their_queue_as_long_as_it_takes_and_say_so(
    objects: list[dict[str, Any]],
) -> None:
    async with World() as world:
        queued(world)
        world.apply([*objects, service()])
        world.start()
        await world.until(lambda: bool(jobs(world, "discover-")))
        await world.pass_seconds(LONG)
        (job,) = jobs(world, "discover-")
        state, reason, message = ready(world, aim.TEMPLATES, "fast")
        assert (state, reason) == ("Pending", "Suspended")
        assert message == (
            f"Job {job['metadata']['name']!r} is suspended until queue 'batch' admits it ({QUEUE}); see its "
            f"events and kubectl get workloads -n {NAMESPACE}"
        )
        assert "is suspended until queue 'batch' admits it" in ready(world, aim.SERVICES, "chat")[2]
        assert not world.all(PODS)

        admit(world, "discover-")
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        assert made(world, "discover-") == 1, "no attempt failed"

        await world.until(lambda: bool(jobs(world, "download-")))
        await world.pass_seconds(LONG)
        (cache,) = world.all(aim.MODEL_CACHES)
        assert ready(world, aim.MODEL_CACHES, cache["metadata"]["name"])[:2] == ("Pending", "Suspended")
        assert "is suspended until queue 'batch' admits it" in ready(world, aim.TEMPLATE_CACHES, "fast")[2]
        admit(world, "download-")
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        assert made(world, "download-") == 1


async def test_a_queue_that_takes_a_running_job_back_is_no_failure() -> None:
    async with World() as world:
        queued(world)
        world.sandbox.jobs.run_seconds = 120
        world.apply([*BY_CONFIGURATION, service()])
        world.start()
        await world.until(lambda: bool(jobs(world, "discover-")))
        for _ in range(3):
            admit(world, "discover-")
            await world.until(lambda: ready(world, aim.TEMPLATES, "fast")[1] == "DiscoveryRunning")
            take_back(world, "discover-")
            await world.until(lambda: ready(world, aim.TEMPLATES, "fast")[1] == "Suspended")
            await world.pass_seconds(900)
        assert "discovery" not in world.status(aim.TEMPLATES, "fast", NAMESPACE), "no attempt is counted"
        admit(world, "discover-")
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        assert made(world, "discover-") == 1


async def test_jobs_that_wait_for_a_queue_hold_up_nobody_who_has_none() -> None:
    """Discoveries and downloads: each has one slot, and those of the queue wait for ever."""
    async with World() as world:
        queued(world)
        for number in range(3):
            stuck = template(f"stuck-{number}")
            stuck["metadata"]["labels"] = {QUEUE: "full"}
            world.apply([stuck])
        world.apply([config(propagate={"labels": [QUEUE]}), image(defaultServiceTemplate="fast")])
        world.start(max_discovery_jobs=1, max_download_jobs=1)
        await world.until(lambda: len(jobs(world, "discover-")) == 3)
        world.apply([template(caching={"enabled": True}), service()])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        assert [ready(world, aim.TEMPLATES, f"stuck-{n}")[1] for n in range(3)] == ["Suspended"] * 3


async def test_a_job_in_the_wrong_queue_is_made_anew_when_it_is_deleted() -> None:
    async with World() as world:
        queued(world)
        world.apply(catalog(propagate={"labels": [QUEUE]}))
        world.apply([with_queue(template(), "misspelt")])
        world.start()
        await world.until(lambda: bool(jobs(world, "discover-")))
        await world.pass_seconds(60)
        world.apply([with_queue(template(), "batch")])
        await world.pass_seconds(60)
        (job,) = jobs(world, "discover-")
        world.delete(JOBS, job["metadata"]["name"], NAMESPACE)
        await world.until(lambda: "queue 'batch'" in ready(world, aim.TEMPLATES, "fast")[2])
        (job,) = jobs(world, "discover-")
        assert job["metadata"]["labels"][QUEUE] == "batch"
        assert job["spec"]["template"]["metadata"]["labels"][QUEUE] == "batch"


async def test_a_job_that_somebody_suspends_says_how_it_goes_on() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="hangs")
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: bool(jobs(world, "discover-")))
        take_back(world, "discover-")
        await world.until(lambda: ready(world, aim.TEMPLATES, "fast")[1] == "Suspended")
        assert "set its spec.suspend to false" in ready(world, aim.TEMPLATES, "fast")[2]
        del world.sandbox.jobs.behaviours[IMAGE]
        resume(world, "discover-")
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")


async def test_a_restart_and_a_queue_change_nothing_at_rest() -> None:
    async with World() as world:
        queued(world)
        world.apply([*BY_CONFIGURATION, service()])
        operator = world.start()
        await world.until(lambda: bool(jobs(world, "discover-")))
        await world.pass_seconds(600)
        before = world.writes()
        await world.stop(operator)
        world.start()
        await world.pass_seconds(LONG)
        assert world.writes() == before
