"""Whose an object is: copies stay, predecessors are waited for, children without owner are adopted."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.resource import Resource
from tests.simulation.catalog import (
    NAMESPACE,
    cluster_image,
    cluster_template,
    config,
    image,
    routed,
    service,
    template,
)
from tests.simulation.world import World

FOREVER_SECONDS = 7200
HELD = {"metadata": {"finalizers": ["example.com/held"]}}
LET_GO = {"metadata": {"finalizers": None}}


def state(world: World, name: str = "chat") -> str:
    return world.state_of(aim.SERVICES, name, NAMESPACE)


def copied(original: dict[str, Any], name: str) -> dict[str, Any]:
    """What `kubectl get -o yaml`, another name and `kubectl apply` make of an object."""
    metadata = {
        "name": name,
        **{
            field: original["metadata"][field]
            for field in ("namespace", "labels", "annotations", "ownerReferences")
            if field in original["metadata"]
        },
    }
    return {**{k: original[k] for k in ("apiVersion", "kind", "spec")}, "metadata": metadata}


def only(world: World, resource: Resource[Any]) -> dict[str, Any]:
    (found,) = world.all(resource)
    return found


async def outlives(
    world: World, operator: Any, resource: Resource[Any], copies: list[dict[str, Any]]
) -> None:
    """Have the service go, and the operator restarted: the copies are still there, as they were made."""
    world.delete(aim.SERVICES, "chat", NAMESPACE)
    await world.pass_seconds(60)
    await world.stop(operator)
    world.start()
    await world.pass_seconds(FOREVER_SECONDS)
    names = [copy["metadata"]["name"] for copy in copies]
    assert sorted(o["metadata"]["name"] for o in world.all(resource, NAMESPACE)) == sorted(names)
    for copy in copies:
        found = world.find(resource, copy["metadata"]["name"], NAMESPACE)
        assert found is not None
        assert found["spec"] == copy["spec"]


async def test_copies_of_a_derived_template_are_never_deleted() -> None:
    async with World() as world:
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        operator = world.start()
        world.apply([service(overrides={"metric": "throughput"})])
        await world.until(lambda: state(world) == "Running")
        derived = only(world, aim.TEMPLATES)
        name = derived["metadata"]["name"]
        copies = [copied(derived, each) for each in ("mine", f"{name}-copy", "fast-ovr-mine")]
        world.apply(copies)
        await world.pass_seconds(60)
        assert state(world) == "Running"
        assert all(world.find(aim.TEMPLATES, copy["metadata"]["name"], NAMESPACE) for copy in copies)
        await outlives(world, operator, aim.TEMPLATES, copies)


async def test_copies_of_a_template_cache_are_never_deleted() -> None:
    async with World() as world:
        world.apply([cluster_image(defaultServiceTemplate="fast"), cluster_template()])
        operator = world.start()
        world.apply([service(cacheModel=True)])
        await world.until(lambda: state(world) == "Running")
        copies = [copied(only(world, aim.TEMPLATE_CACHES), "mine")]
        assert "labels" in copies[0]["metadata"]
        world.apply(copies)
        await world.pass_seconds(60)
        assert state(world) == "Running"
        await outlives(world, operator, aim.TEMPLATE_CACHES, copies)


async def test_copies_of_children_are_left_alone() -> None:
    """They carry all that the operator writes, owner reference included, but for the name."""
    resources = (SERVING_RUNTIMES, INFERENCE_SERVICES, HTTP_ROUTES)
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template()])
        operator = world.start()
        world.apply([service(routing=routed("/chat"))])
        await world.until(lambda: state(world) == "Running")
        world.apply([copied(only(world, resource), "mine") for resource in resources])
        await world.pass_seconds(60)
        await world.stop(operator)
        world.start()
        await world.pass_seconds(60)
        assert state(world) == "Running"
        assert all(world.find(resource, "mine", NAMESPACE) for resource in resources)
        assert not [write for write in world.writes() if write[2] == "mine"]


@pytest.mark.parametrize("resource", [INFERENCE_SERVICES, HTTP_ROUTES], ids=lambda r: r.kind)
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
async def test_a_service_made_again_waits_for_what_its_predecessor_leaves(
    resource: Resource[Any],
    restarted: bool,  # noqa: FBT001 - a table
) -> None:
    """KServe's or the gateway's finalizer still runs: that is a child of ours, nothing has to be renamed."""
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template()])
        operator = world.start()
        made = service(routing=routed("/chat"))
        world.apply([made])
        await world.until(lambda: state(world) == "Running")
        world.patch(resource, "chat", NAMESPACE, HELD)
        before = only(world, resource)["metadata"]["uid"]
        world.delete(aim.SERVICES, "chat", NAMESPACE)
        if restarted:
            await world.stop(operator)
        world.apply([made])
        if restarted:
            world.start()
        await world.pass_seconds(60)
        status = world.status(aim.SERVICES, "chat", NAMESPACE)
        assert status["status"] == "Pending"
        waiting = [c for c in status["conditions"] if "WaitingForDeletion" in c["reason"]]
        assert waiting
        assert all("to be deleted" in c["message"] for c in waiting)
        assert not [c for c in status["conditions"] if c["reason"] == "NameConflict"]
        await world.pass_seconds(FOREVER_SECONDS)
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == status, "what is said stays"
        world.patch(resource, "chat", NAMESPACE, LET_GO)
        await world.until(lambda: state(world) == "Running", limit_seconds=60)
        assert only(world, resource)["metadata"]["uid"] != before


async def test_a_service_made_again_at_once_takes_over_nothing_and_ends_well() -> None:
    """Garbage collection has not even begun when the next service is there."""
    async with World() as world:
        world.apply([image(defaultServiceTemplate="fast"), template()])
        world.start()
        made = service(routing=routed("/chat"))
        world.apply([made])
        await world.until(lambda: state(world) == "Running")
        for _ in range(3):
            before = {only(world, r)["metadata"]["uid"] for r in (INFERENCE_SERVICES, HTTP_ROUTES)}
            world.delete(aim.SERVICES, "chat", NAMESPACE)
            world.apply([made])
            await world.pass_seconds(1)
            await world.until(lambda: state(world) == "Running", limit_seconds=60)
            after = {only(world, r)["metadata"]["uid"] for r in (INFERENCE_SERVICES, HTTP_ROUTES)}
            assert not before & after


CHILDREN = [
    pytest.param(INFERENCE_SERVICES, aim.SERVICES, id="InferenceService"),
    pytest.param(HTTP_ROUTES, aim.SERVICES, id="HTTPRoute"),
    pytest.param(SERVING_RUNTIMES, aim.TEMPLATES, id="ServingRuntime"),
    pytest.param(CLUSTER_SERVING_RUNTIMES, aim.CLUSTER_TEMPLATES, id="ClusterServingRuntime"),
    pytest.param(aim.TEMPLATE_CACHES, aim.TEMPLATES, id="AIMTemplateCache"),
    pytest.param(PERSISTENT_VOLUME_CLAIMS, aim.MODEL_CACHES, id="PersistentVolumeClaim"),
]


def owners(obj: dict[str, Any]) -> list[str]:
    return [owner["kind"] for owner in obj["metadata"].get("ownerReferences", [])]


@pytest.mark.parametrize(("child", "owner"), CHILDREN)
@pytest.mark.parametrize("restored", [False, True], ids=["", "while the operator was down"])
async def test_a_child_whose_owner_reference_a_backup_tool_dropped_is_adopted_again(
    child: Resource[Any],
    owner: Resource[Any],
    restored: bool,  # noqa: FBT001 - a table
) -> None:
    async with World() as world:
        # Their names are the same in both scopes; the namespaced one caches and has a service.
        world.apply([cluster_image(), cluster_template(), config(routing={"enabled": True})])
        world.apply([image(defaultServiceTemplate="fast"), template(caching={"enabled": True})])
        operator = world.start()
        world.apply([service(routing=routed("/chat"))])
        await world.until(
            lambda: state(world) == "Running" and bool(world.all(CLUSTER_SERVING_RUNTIMES)), limit_seconds=600
        )
        children = [o for o in world.all(child) if owner.kind in owners(o)]
        assert children
        before = world.status(aim.SERVICES, "chat", NAMESPACE)
        if restored:
            await world.stop(operator)
        for each in children:
            metadata = each["metadata"]
            dropped = {"metadata": {"ownerReferences": None}}
            world.patch(child, metadata["name"], metadata.get("namespace", ""), dropped)
        if restored:
            world.start()
        await world.pass_seconds(120)
        for each in children:
            metadata = each["metadata"]
            found = world.find(child, metadata["name"], metadata.get("namespace", ""))
            assert found is not None
            assert found["metadata"]["uid"] == metadata["uid"]
            assert owners(found) == [owner.kind]
        assert world.status(aim.SERVICES, "chat", NAMESPACE) == before


async def test_a_discovery_job_whose_owner_reference_was_dropped_goes_on() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 60
        world.apply([image(), template()])
        world.start()
        await world.until(lambda: bool(world.all(JOBS)))
        job = only(world, JOBS)["metadata"]
        world.patch(JOBS, job["name"], NAMESPACE, {"metadata": {"ownerReferences": None}})
        await world.until(lambda: world.state_of(aim.TEMPLATES, "fast", NAMESPACE) == "Available")
        assert only(world, JOBS)["metadata"]["uid"] == job["uid"]
