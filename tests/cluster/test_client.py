"""kube.client against a real API server: that its answers mean what we take them for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from aim_operator import errors
from aim_operator.api.external import INFERENCE_SERVICES, JOBS, NODES
from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.resource import Resource, WatchEvent
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, IMAGES, SERVICES
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import load
from aim_operator.kube.transport import SilentObserver
from hack.cluster.cluster import Cluster


class ConfigMap(KubeObject):
    data: dict[str, str] | None = None


CONFIG_MAPS = Resource(
    group="", version="v1", plural="configmaps", kind="ConfigMap", namespaced=True, type=ConfigMap
)
CONFIG_MAP_METADATA = Resource(
    group="",
    version="v1",
    plural="configmaps",
    kind="ConfigMap",
    namespaced=True,
    type=KubeObject,
    metadata_only=True,
)


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace of this test's own."""
    name = f"client-{secrets.token_hex(4)}"
    control_plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    control_plane.api.delete(f"/api/v1/namespaces/{name}")


@asynccontextmanager
async def connected(
    cluster: Cluster, *, as_operator: bool = False, observer: Any = None
) -> AsyncIterator[Client]:
    path = cluster.operator_kubeconfig if as_operator else cluster.kubeconfig
    client = Client(load(str(path)), observer=observer)
    try:
        yield client
    finally:
        await client.close()


def make_config_map(
    namespace: str, name: str = "a", *, labels: dict[str, str] | None = None, **data: str
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "data": data,
    }


async def first(events: AsyncIterator[WatchEvent[Any]], count: int) -> list[WatchEvent[Any]]:
    """So many events, bookmarks of no consequence left out."""
    got: list[WatchEvent[Any]] = []
    async with asyncio.timeout(30):
        async for event in events:
            if event.type != "BOOKMARK" or event.initial_events_end:
                got.append(event)
            if len(got) == count:
                break
    return got


async def test_apply_creates_merges_and_removes(control_plane: Cluster, namespace: str) -> None:
    """What our field manager no longer names is gone; nothing changes when nothing changed."""
    async with connected(control_plane) as client:
        made = await client.apply(CONFIG_MAPS, make_config_map(namespace, a="1", b="2"))
        assert made.data == {"a": "1", "b": "2"}
        same = await client.apply(CONFIG_MAPS, make_config_map(namespace, a="1", b="2"))
        assert same.metadata.resource_version == made.metadata.resource_version
        less = await client.apply(CONFIG_MAPS, make_config_map(namespace, a="1"))
        assert less.data == {"a": "1"}


async def test_fields_of_another_manager_conflict_unless_forced(
    control_plane: Cluster, namespace: str
) -> None:
    """Force is for what is ours."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    control_plane.api.request(
        "PATCH",
        f"{path}/a?fieldManager=somebody",
        make_config_map(namespace, a="theirs"),
        "application/apply-patch+yaml",
    )
    async with connected(control_plane) as client:
        with pytest.raises(errors.Conflict, match="somebody"):
            await client.apply(CONFIG_MAPS, make_config_map(namespace, a="ours"))
        forced = await client.apply(CONFIG_MAPS, make_config_map(namespace, a="ours"), force=True)
        assert forced.data == {"a": "ours"}


@pytest.mark.parametrize("exists", [True, False], ids=["a namesake exists", "the name is free"])
@pytest.mark.parametrize("resource", [CONFIG_MAPS, JOBS, IMAGES], ids=lambda r: r.kind)
async def test_a_uid_is_a_precondition_of_apply(
    control_plane: Cluster,
    namespace: str,
    resource: Resource[Any],
    exists: bool,  # noqa: FBT001
) -> None:
    """Another object under that name, or none, is a conflict for every kind."""
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}
    body: dict[str, Manifest] = {
        "ConfigMap": {"data": {"a": "1"}},
        "Job": {"spec": {"template": template}},
        "AIMImage": {"spec": {"image": "registry.example/x:1"}},
    }
    manifest: Manifest = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "a", "namespace": namespace},
        **body[resource.kind],
    }
    async with connected(control_plane) as client:
        if exists:
            live = await client.apply(resource, manifest)
            manifest["metadata"]["uid"] = live.metadata.uid
            await client.apply(resource, manifest, force=True)
        manifest["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
        with pytest.raises(errors.Conflict):
            await client.apply(resource, manifest, force=True)


async def test_deletes_have_preconditions(control_plane: Cluster, namespace: str) -> None:
    """Of uid and resourceVersion, each."""
    async with connected(control_plane) as client:
        old = await client.apply(CONFIG_MAPS, make_config_map(namespace))
        new = await client.apply(CONFIG_MAPS, make_config_map(namespace, a="1"))
        with pytest.raises(errors.Conflict):
            await client.delete(CONFIG_MAPS, "a", namespace=namespace, uid="other")
        with pytest.raises(errors.Conflict):
            await client.delete(
                CONFIG_MAPS,
                "a",
                namespace=namespace,
                uid=new.metadata.uid,
                resource_version=old.metadata.resource_version,
            )
        await client.delete(CONFIG_MAPS, "a", namespace=namespace, uid=new.metadata.uid)
        with pytest.raises(errors.NotFound) as gone:
            await client.delete(CONFIG_MAPS, "a", namespace=namespace, uid=new.metadata.uid)
        assert type(gone.value) is errors.NotFound


async def test_status_is_patched_with_its_precondition(control_plane: Cluster, namespace: str) -> None:
    """A stale resourceVersion conflicts; null removes; the spec stays."""
    manifest: Manifest = {
        "apiVersion": SERVICES.api_version,
        "kind": SERVICES.kind,
        "metadata": {"name": "s", "namespace": namespace},
        "spec": {"model": "m"},
    }
    async with connected(control_plane) as client:
        made = await client.apply(SERVICES, manifest)
        version = {"resourceVersion": made.metadata.resource_version}
        pending = {"metadata": version, "status": {"status": "Pending", "routing": {"path": "/x"}}}
        got = await client.patch_status(SERVICES, "s", pending, namespace=namespace)
        assert isinstance(got.status, msgspec.Struct)
        assert got.status.status == "Pending"
        assert got.metadata.generation == made.metadata.generation
        with pytest.raises(errors.Conflict):
            await client.patch_status(SERVICES, "s", pending, namespace=namespace)
        cleared = await client.patch_status(SERVICES, "s", {"status": {"routing": None}}, namespace=namespace)
        assert isinstance(cleared.status, msgspec.Struct)
        assert cleared.status.routing is None
        assert cleared.status.status == "Pending"


async def test_what_is_not_there(control_plane: Cluster, namespace: str) -> None:
    """An object, a kind, a namespace: told apart."""
    async with connected(control_plane) as client:
        for call in (client.get(JOBS, "no", namespace=namespace), client.get(CLUSTER_IMAGES, "no")):
            with pytest.raises(errors.NotFound) as missing:
                await call
            assert type(missing.value) is errors.NotFound
        for kind in (
            client.get(INFERENCE_SERVICES, "no", namespace=namespace),
            client.list(INFERENCE_SERVICES),
        ):
            with pytest.raises(errors.NotInstalled):
                await kind
        with pytest.raises(errors.NotInstalled):
            await first(client.watch(INFERENCE_SERVICES, send_initial_events=True), 1)
        with pytest.raises(errors.NotFound) as nowhere:
            await client.apply(CONFIG_MAPS, make_config_map("nowhere-at-all"))
        assert type(nowhere.value) is errors.NotFound
        await client.create(CONFIG_MAPS, make_config_map(namespace), namespace=namespace)
        with pytest.raises(errors.AlreadyExists):
            await client.create(CONFIG_MAPS, make_config_map(namespace), namespace=namespace)


async def test_a_bad_object_is_invalid_with_the_servers_words(control_plane: Cluster, namespace: str) -> None:
    """Which people read in a condition."""
    manifest = {
        "apiVersion": IMAGES.api_version,
        "kind": IMAGES.kind,
        "metadata": {"name": "i", "namespace": namespace},
        "spec": {},
    }
    async with connected(control_plane) as client:
        with pytest.raises(errors.Invalid, match=r"spec\.image"):
            await client.apply(IMAGES, manifest)


async def test_a_streamed_list_ends_with_its_bookmark(control_plane: Cluster, namespace: str) -> None:
    """Then come changes; metadata-only streams alike."""
    async with connected(control_plane) as client:
        for name in ("a", "b"):
            await client.apply(CONFIG_MAPS, make_config_map(namespace, name, labels={"ours": "yes"}))
        resources: list[Resource[Any]] = [CONFIG_MAPS, CONFIG_MAP_METADATA]
        for resource in resources:
            events = client.watch(
                resource, namespace=namespace, label_selector="ours=yes", send_initial_events=True
            )
            got = await first(events, 3)
            assert [event.type for event in got] == ["ADDED", "ADDED", "BOOKMARK"]
            assert got[2].initial_events_end
            assert {event.object.kind for event in got[:2] if event.object} == {"ConfigMap"}


async def test_a_lost_label_is_a_deletion_to_the_watch(control_plane: Cluster, namespace: str) -> None:
    """With the resourceVersion of the change that took it away."""
    async with connected(control_plane) as client:
        made = await client.apply(CONFIG_MAPS, make_config_map(namespace, labels={"ours": "yes"}))
        lost = await client.apply(CONFIG_MAPS, make_config_map(namespace))
        events = client.watch(
            CONFIG_MAPS,
            namespace=namespace,
            label_selector="ours=yes",
            resource_version=made.metadata.resource_version,
        )
        (event,) = await first(events, 1)
        assert (event.type, event.resource_version) == ("DELETED", lost.metadata.resource_version)


async def test_pages_continue(control_plane: Cluster, namespace: str) -> None:
    """Until the token is empty; items know their kind."""
    async with connected(control_plane) as client:
        for number in range(5):
            await client.apply(CONFIG_MAPS, make_config_map(namespace, f"c{number}"))
        names: list[str] = []
        token = ""
        while True:
            page = await client.list(CONFIG_MAPS, namespace=namespace, limit=2, continue_token=token)
            names += [item.metadata.name for item in page.items if item.kind == "ConfigMap"]
            token = page.continue_token
            if not token:
                break
        assert {f"c{number}" for number in range(5)} <= set(names)


async def test_an_old_resource_version_is_expired(control_plane: Cluster) -> None:
    """The watch cache of a CRD begins when the CRD does."""
    async with connected(control_plane) as client:
        with pytest.raises(errors.Expired):
            await first(client.watch(IMAGES, resource_version="1"), 1)


async def test_a_large_object_comes_through_a_watch(control_plane: Cluster, namespace: str) -> None:
    """A megabyte in one line."""
    async with connected(control_plane) as client:
        large = "x" * 900_000
        await client.apply(CONFIG_MAPS, make_config_map(namespace, large=large))
        events = client.watch(CONFIG_MAPS, namespace=namespace, send_initial_events=True)
        sizes = [
            len(e.object.data["large"])
            for e in await first(events, 3)
            if e.object and "large" in e.object.data
        ]
        assert sizes == [len(large)]


async def test_missing_rights_name_the_verb(control_plane: Cluster, namespace: str) -> None:
    """As it has to be written into the role."""
    manifest = make_config_map(namespace)
    async with connected(control_plane, as_operator=True) as client:
        with pytest.raises(errors.Forbidden, match=f'may not "patch" configmaps in namespace {namespace}'):
            await client.apply(CONFIG_MAPS, manifest)
        with pytest.raises(errors.Forbidden, match='may not "list" nodes in the whole cluster'):
            await client.list(NODES)
        with pytest.raises(errors.Forbidden, match=r'"patch" aimservices\.aim\.silogen\.ai/status'):
            await client.patch_status(SERVICES, "s", {"status": {}}, namespace=namespace)
        with pytest.raises(errors.Forbidden, match='may not "watch" configmaps'):
            await first(client.watch(CONFIG_MAPS, send_initial_events=True), 1)


async def test_unknown_fields_are_dropped_with_a_warning(control_plane: Cluster, namespace: str) -> None:
    """An older CRD must not stop everything."""

    class Warned(SilentObserver):
        texts: list[str] = []  # noqa: RUF012 - this test's own

        def warned(self, resource: str, text: str) -> None:
            self.texts.append(text)

    observer = Warned()
    manifest = {
        "apiVersion": IMAGES.api_version,
        "kind": IMAGES.kind,
        "metadata": {"name": "i", "namespace": namespace},
        "spec": {"image": "registry.example/x:1", "fromTheFuture": 1},
    }
    async with connected(control_plane, observer=observer) as client:
        await client.create(IMAGES, manifest, namespace=namespace)
    assert any("fromTheFuture" in text for text in observer.texts)
