"""What GitOps programs see and do: health at each stage, pruning, and backups that are restored.

The health checks are those of docs/guides/gitops.md, run as they stand there.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    EVENTS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.sandbox.jobs import ImageBehaviour
from tests.simulation.catalog import IMAGE, NAMESPACE, config, image, routed, service, template
from tests.simulation.world import World
from tests.support.health import argo, flux, kstatus

CATALOG = [
    config(storage={"accessModes": ["ReadWriteOnce"]}),
    image(defaultServiceTemplate="fast"),
    template(caching={"enabled": True}),
]
SERVICE = service(cacheModel=True, routing=routed("/chat"))
WAITING = ("InProgress", "InProgress", "Progressing")
FINE = ("Current", "Current", "Healthy")
BROKEN = ("InProgress", "Failed", "Degraded")


def health(obj: dict[str, Any]) -> tuple[str, str, str]:
    """What kstatus, Flux and Argo CD make of an object."""
    return kstatus(obj), flux(obj), argo(obj)[0]


def health_of(world: World, resource: Any, name: str) -> tuple[str, str, str]:
    found = world.find(resource, name, NAMESPACE)
    assert found is not None
    return health(found)


def all_health(world: World) -> dict[str, tuple[str, str, str]]:
    return {o["kind"]: health(o) for resource in aim.ALL_KINDS for o in world.all(resource)}


async def test_before_the_operator_has_looked_nothing_counts_as_healthy() -> None:
    """kstatus alone calls it Current: that is why the page has checks of its own."""
    async with World() as world:
        world.apply([*CATALOG, SERVICE])
        assert set(all_health(world).values()) == {("Current", "InProgress", "Progressing")}


async def test_each_kind_is_healthy_in_the_end_and_none_before() -> None:
    async with World() as world:
        world.sandbox.jobs.run_seconds = 60
        world.apply([*CATALOG, SERVICE])
        world.start()
        await world.pass_seconds(30)
        assert health_of(world, aim.TEMPLATES, "fast") == WAITING
        assert health_of(world, aim.SERVICES, "chat") == WAITING
        await world.until(lambda: bool(world.all(aim.MODEL_CACHES)))
        await world.pass_seconds(30)
        (cache,) = world.all(aim.MODEL_CACHES)
        assert health(cache) == WAITING
        assert health_of(world, aim.SERVICES, "chat") == WAITING
        await world.until(lambda: health_of(world, aim.SERVICES, "chat") == FINE)
        got = all_health(world)
        assert set(got.values()) == {FINE}
        assert len(got) == 6, "each kind that a namespace has"


async def test_what_is_degraded_is_told_with_its_message_and_heals() -> None:
    async with World() as world:
        world.start()
        world.apply([SERVICE])
        await world.pass_seconds(5)
        assert health_of(world, aim.SERVICES, "chat") == BROKEN
        found = world.find(aim.SERVICES, "chat", NAMESPACE)
        assert found is not None
        assert "'model'" in argo(found)[1]
        world.apply([image(defaultServiceTemplate="missing")])
        await world.pass_seconds(5)
        assert health_of(world, aim.IMAGES, "model") == BROKEN
        world.apply(CATALOG)
        await world.until(lambda: health_of(world, aim.SERVICES, "chat") == FINE)


async def test_a_discovery_and_a_download_that_fail_for_ever_are_told() -> None:
    async with World() as world:
        world.sandbox.jobs.behaviours[IMAGE] = ImageBehaviour(outcome="fails", message="broken", exit_code=1)
        world.apply(CATALOG)
        world.start()
        await world.pass_seconds(3600)
        assert health_of(world, aim.TEMPLATES, "fast") == BROKEN
        del world.sandbox.jobs.behaviours[IMAGE]
        away = ImageBehaviour(outcome="fails", message="DownloadFailed: no route to the hub", exit_code=14)
        world.sandbox.jobs.behaviours["hf://sandbox/model"] = away
        await world.until(lambda: health_of(world, aim.TEMPLATES, "fast") == FINE, limit_seconds=3700)
        await world.pass_seconds(3600)
        (cache,) = world.all(aim.MODEL_CACHES)
        assert health(cache) == BROKEN
        assert "no route to the hub" in argo(cache)[1]


async def test_a_change_that_was_not_looked_at_is_not_healthy_and_neither_is_a_paused_object() -> None:
    async with World() as world:
        world.apply([*CATALOG, SERVICE])
        operator = world.start()
        await world.until(lambda: health_of(world, aim.SERVICES, "chat") == FINE)
        await world.stop(operator)
        world.apply([{**SERVICE, "spec": {**SERVICE["spec"], "replicas": 3}}])
        assert health_of(world, aim.SERVICES, "chat") == WAITING
        paused = {"metadata": {"annotations": {"aim.silogen.ai/reconciliation-paused": "true"}}}
        world.patch(aim.SERVICES, "chat", NAMESPACE, paused)
        world.start()
        await world.pass_seconds(60)
        assert health_of(world, aim.SERVICES, "chat") == ("InProgress", "InProgress", "Suspended")


async def test_a_service_that_is_stopped_on_purpose_is_no_failure() -> None:
    async with World() as world:
        world.apply([*CATALOG, {**SERVICE, "spec": {**SERVICE["spec"], "replicas": 0}}])
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Stopped")
        await world.pass_seconds(60)
        assert health_of(world, aim.SERVICES, "chat")[1:] == ("Current", "Suspended")


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_service_that_is_pruned_takes_its_children_along_and_none_comes_back(
    propagation: Any,
) -> None:
    async with World() as world:
        world.apply([*CATALOG, SERVICE])
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        before = world.writes()
        await world.admin.delete(aim.SERVICES, "chat", namespace=NAMESPACE, propagation=propagation)
        await world.pass_seconds(600)
        assert not any(world.all(each) for each in (aim.SERVICES, INFERENCE_SERVICES, HTTP_ROUTES))
        after = [write for write in world.writes()[len(before) :] if write[1] != "events"]
        assert not [write for write in after if write[0] == "apply"], "nothing is made again meanwhile"
        assert world.all(aim.MODEL_CACHES), "files stay"


TRACKING = {
    "app.kubernetes.io/instance": "models",
    "argocd.argoproj.io/instance": "models",
    "kustomize.toolkit.fluxcd.io/name": "models",
    "helm.toolkit.fluxcd.io/name": "models",
}
TRACKING_ANNOTATIONS = {
    "argocd.argoproj.io/tracking-id": "models:aim.silogen.ai/AIMService:team/chat",
    "argocd.argoproj.io/sync-wave": "2",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
}


async def test_no_child_carries_what_says_to_whom_its_parent_belongs() -> None:
    """Whatever is handed on: `propagate` has a prefix for each of these keys."""
    async with World() as world:
        chosen = {"labels": ["a", "k", "h"], "annotations": ["a", "k"]}
        parents = [
            config(propagate=chosen),
            image(defaultServiceTemplate="fast"),
            template(caching={"enabled": True}),
            service(cacheModel=True, overrides={"metric": "throughput"}, routing=routed("/chat")),
        ]
        for parent in parents:
            parent["metadata"] |= {"labels": TRACKING, "annotations": TRACKING_ANNOTATIONS}
        world.apply(parents)
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        own = {(p["kind"], p["metadata"]["name"]) for p in parents}
        children = [
            stored.obj
            for stored in world.sandbox.server.storage.everything()
            if (stored.obj["kind"], stored.key.name) not in own and stored.key.namespace == NAMESPACE
        ]
        assert {"Job", "Pod", "InferenceService", "HTTPRoute", "ServingRuntime", "AIMModelCache"} <= {
            child["kind"] for child in children
        }
        for child in children:
            text = json.dumps(child)
            assert not [key for key in (*TRACKING, *TRACKING_ANNOTATIONS) if f'"{key}"' in text], child
        for parent in parents:
            found = next(
                o
                for o in world.all(resource_of(parent))
                if o["metadata"]["name"] == parent["metadata"]["name"]
            )
            assert TRACKING.items() <= found["metadata"]["labels"].items()


def resource_of(obj: dict[str, Any]) -> Any:
    return next(resource for resource in aim.ALL_KINDS if resource.kind == obj["kind"])


def restored(world: World) -> list[dict[str, Any]]:
    """What Velero restores of a namespace, in its order: claims first, then by resource.

    resetMetadata and resetStatus in pkg/restore/restore.go take owner references, uid, generation, versions
    and the status away; labels of the restore are added.
    """
    kinds = (PERSISTENT_VOLUME_CLAIMS, *sorted(BACKED_UP, key=lambda resource: resource.plural))
    found = [obj for resource in kinds for obj in world.all(resource, NAMESPACE)]
    out = []
    for obj in found:
        kept = {f: obj["metadata"][f] for f in ("name", "namespace", "annotations") if f in obj["metadata"]}
        labels = {**obj["metadata"].get("labels", {}), "velero.io/restore-name": "monday"}
        body = {field: value for field, value in obj.items() if field != "status"}
        out.append({**body, "metadata": {**kept, "labels": labels}})
    return out


BACKED_UP = (
    *(resource for resource in aim.ALL_KINDS if resource.namespaced),
    INFERENCE_SERVICES,
    SERVING_RUNTIMES,
    HTTP_ROUTES,
)


async def backup() -> list[dict[str, Any]]:
    async with World(seed=1) as world:
        # A derived template as well: it has no owner.
        world.apply(
            [*CATALOG, {**SERVICE, "spec": {**SERVICE["spec"], "overrides": {"metric": "throughput"}}}]
        )
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        return restored(world)


@pytest.mark.parametrize("running", [False, True], ids=["before the operator starts", "beside the operator"])
@pytest.mark.parametrize("changed", [False, True], ids=["", "and the catalog is another"])
async def test_what_velero_restores_is_adopted_again(
    running: bool,  # noqa: FBT001 - a table
    changed: bool,  # noqa: FBT001 - a table
) -> None:
    saved = await backup()
    async with World(seed=2) as world:
        if running:
            world.start()
        for obj in saved:
            world.apply([obj])
            if running:
                await world.pass_seconds(0.2)
        servers = [o["metadata"]["uid"] for o in world.all(INFERENCE_SERVICES)]
        if changed:
            # What is rendered is not what was saved: the labels of versions differ.
            world.apply([image(defaultServiceTemplate="fast", resources={"requests": {"cpu": "3"}})])
        if not running:
            world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        await world.pass_seconds(600)
        assert world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running"
        assert [o["metadata"]["uid"] for o in world.all(INFERENCE_SERVICES)] == servers
        for resource in (PERSISTENT_VOLUME_CLAIMS, INFERENCE_SERVICES, HTTP_ROUTES, SERVING_RUNTIMES):
            for obj in world.all(resource, NAMESPACE):
                (owner,) = obj["metadata"]["ownerReferences"]
                assert world.sandbox.server.storage.by_uid(owner["uid"]) is not None
                assert obj["metadata"]["labels"]["velero.io/restore-name"] == "monday"
        names = {o["metadata"]["name"] for o in saved if o["kind"] == "PersistentVolumeClaim"}
        assert {o["metadata"]["name"] for o in world.all(PERSISTENT_VOLUME_CLAIMS)} == names
        (cache,) = world.all(aim.MODEL_CACHES)
        assert cache["status"]["persistentVolumeClaim"] in names
        quiet = world.writes()
        await world.pass_seconds(1200)
        assert world.writes() == quiet


@pytest.mark.parametrize("seconds", [0, 20], ids=["at once", "while another is being filled"])
async def test_a_claim_that_is_restored_after_its_cache_takes_the_place_of_the_new_one(
    seconds: float,
) -> None:
    """As long as nothing is whole on the new one. That stays, as the operator deletes no claim."""
    saved = await backup()
    (claim,) = [obj for obj in saved if obj["kind"] == "PersistentVolumeClaim"]
    async with World(seed=2) as world:
        world.sandbox.jobs.run_seconds = 30
        world.start()
        world.apply([obj for obj in saved if obj is not claim])
        await world.pass_seconds(seconds)
        made = world.all(PERSISTENT_VOLUME_CLAIMS)
        assert len(made) == 1
        world.apply([claim])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        await world.pass_seconds(600)
        (cache,) = world.all(aim.MODEL_CACHES)
        assert cache["status"]["persistentVolumeClaim"] == claim["metadata"]["name"]
        unused = [each["metadata"]["name"] for each in made]
        assert len(world.all(PERSISTENT_VOLUME_CLAIMS)) == 1 + len(unused)
        told = next(each for each in cache["status"]["conditions"] if each["type"] == "StorageReady")[
            "message"
        ]
        assert [f"claim {name!r}" in told and told.endswith("delete it") for name in unused] == [True] * len(
            unused
        )
        quiet = world.writes()
        await world.pass_seconds(1200)
        assert world.writes() == quiet


async def test_a_claim_that_is_restored_after_everything_was_downloaded_again_changes_nothing() -> None:
    saved = await backup()
    (claim,) = [obj for obj in saved if obj["kind"] == "PersistentVolumeClaim"]
    async with World(seed=2) as world:
        world.start()
        world.apply([obj for obj in saved if obj is not claim])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        quiet = world.writes()
        world.apply([claim])
        await world.pass_seconds(600)
        assert world.writes() == quiet
        assert len(world.all(PERSISTENT_VOLUME_CLAIMS)) == 2


async def test_children_restored_with_an_owner_that_is_gone_are_made_anew() -> None:
    """The garbage collector takes them; nothing is in conflict meanwhile or after."""
    saved = await backup()
    stale = {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMService",
        "name": "chat",
        "uid": "uid-of-before",
        "controller": True,
        "blockOwnerDeletion": True,
    }
    async with World(seed=2) as world:
        world.start()
        for obj in saved:
            if obj["kind"] in ("InferenceService", "HTTPRoute"):
                obj["metadata"]["ownerReferences"] = [stale]
            world.apply([obj])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        events = [e for e in world.all(EVENTS) if e.get("reason") == "NameConflict"]
        assert events == []
        for resource in (INFERENCE_SERVICES, HTTP_ROUTES):
            (obj,) = world.all(resource)
            assert obj["metadata"]["ownerReferences"][0]["uid"] != "uid-of-before"
