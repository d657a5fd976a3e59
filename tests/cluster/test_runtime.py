"""runtime/ against a real API server: caches that follow, writes that end, one leader, events people see."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aim_operator.api.external import CUSTOM_RESOURCE_DEFINITIONS, JOBS
from aim_operator.api.meta import KubeObject, Manifest, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import IMAGES, SERVICES, AIMServiceStatus
from aim_operator.errors import AlreadyExists, Invalid
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import load
from aim_operator.runtime.apply import Applier
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.events import EventRecorder
from aim_operator.runtime.foreign import ForeignWatches, Name
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.leader import LEASES, LeaderElector, LeaseSpec
from aim_operator.runtime.pace import Pace
from hack.cluster.cluster import Cluster

KEY = ObjectRef("Owner", "ns", "owner")
APPLIED = "example.com/applied"
CONFIG_MAPS = Resource(
    group="", version="v1", plural="configmaps", kind="ConfigMap", namespaced=True, type=KubeObject
)


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace of this test's own."""
    name = f"runtime-{secrets.token_hex(4)}"
    control_plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    control_plane.api.delete(f"/api/v1/namespaces/{name}")


@asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[Client]:
    client = Client(load(str(cluster.kubeconfig)))
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def following(*informers: Informer[Any]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    try:
        async with asyncio.timeout(30):
            for informer in informers:
                await informer.wait_synced()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Wait for something the server does; it has no event to wait on."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def make_applier(client: Client, *informers: Informer[Any]) -> Applier:
    return Applier(
        client,
        informers=informers,
        clock=SystemClock(),
        applied_annotation=APPLIED,
        fence=lambda: None,
        pace=Pace(12, SystemClock()),
    )


async def caught_up(applier: Applier) -> None:
    fresh = asyncio.Event()
    applier.on_caught_up(KEY, fresh.set)
    async with asyncio.timeout(30):
        await fresh.wait()


def make_job(namespace: str, name: str = "j", image: str = "registry.example/x:1") -> Manifest:
    container = {
        "name": "c",
        "image": image,
        "args": [],
        "env": [{"name": "EMPTY", "value": ""}],
        "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": {"ours": "yes"}},
        "spec": {
            "backoffLimit": 0,
            "suspend": True,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }


async def test_a_child_is_written_once_also_after_a_restart(control_plane: Cluster, namespace: str) -> None:
    """Defaults and quantities of the server are no drift; many are created at once."""
    async with connected(control_plane) as client:
        jobs = Informer(client, JOBS, clock=SystemClock(), namespaces=(namespace,), label_selector="ours=yes")
        async with following(jobs):
            applier = make_applier(client, jobs)
            manifests = [make_job(namespace, f"j{number}") for number in range(20)]
            made = await asyncio.gather(*(applier.apply(KEY, JOBS, m, live=None) for m in manifests))
            assert {outcome.action for outcome in made} == {"created"}
            await caught_up(applier)
            assert len(jobs.store) == 20
            versions = {job.metadata.resource_version for job in jobs.store.all()}
            for again in (applier, make_applier(client, jobs)):
                for manifest in manifests:
                    live = jobs.store.get(namespace, manifest["metadata"]["name"])
                    assert (await again.apply(KEY, JOBS, manifest, live=live)).action == "unchanged"
            assert {job.metadata.resource_version for job in jobs.store.all()} == versions


async def test_a_child_that_lost_its_label_is_found_as_it_is(control_plane: Cluster, namespace: str) -> None:
    """What is wanted now can't be made of it: a Job's containers never change, nor does a claim's class."""
    async with connected(control_plane) as client:
        jobs = Informer(client, JOBS, clock=SystemClock(), namespaces=(namespace,), label_selector="ours=yes")
        async with following(jobs):
            applier = make_applier(client, jobs)
            await applier.apply(KEY, JOBS, make_job(namespace), live=None)
            await until(lambda: len(jobs.store) == 1)
            await client.patch(JOBS, "j", {"metadata": {"labels": {"ours": "no"}}}, namespace=namespace)
            await until(lambda: not jobs.store)
            other = make_job(namespace, image="registry.example/x:2")
            with pytest.raises(AlreadyExists):
                await applier.apply(KEY, JOBS, other, live=None)
            found = await applier.apply(KEY, JOBS, other, live=await applier.probe(JOBS, namespace, "j"))
            assert (found.action, found.message) == ("found", "")
            await caught_up(applier)
            live = jobs.store.get(namespace, "j")
            assert live is not None
            assert live.metadata.generation == 1
            with pytest.raises(Invalid, match="field is immutable"):
                await applier.apply(KEY, JOBS, other, live=live)


async def test_a_deleted_child_is_waited_for(control_plane: Cluster, namespace: str) -> None:
    """Then its name is free again."""
    async with connected(control_plane) as client:
        jobs = Informer(client, JOBS, clock=SystemClock(), namespaces=(namespace,))
        async with following(jobs):
            applier = make_applier(client, jobs)
            await applier.apply(KEY, JOBS, make_job(namespace), live=None)
            await caught_up(applier)
            live = jobs.store.get(namespace, "j")
            assert live is not None
            await applier.delete(KEY, JOBS, live)
            await caught_up(applier)
            gone = jobs.store.get(namespace, "j")
            assert gone is None or gone.metadata.deletion_timestamp is not None
            await until(lambda: jobs.store.get(namespace, "j") is None)
            await applier.apply(KEY, JOBS, make_job(namespace), live=None)
            await caught_up(applier)
            anew = jobs.store.get(namespace, "j")
            assert anew is not None
            assert anew.metadata.uid != live.metadata.uid


async def test_a_status_is_written_once(control_plane: Cluster, namespace: str) -> None:
    """The second time it is what the server has."""
    async with connected(control_plane) as client:
        services = Informer(client, SERVICES, clock=SystemClock(), namespaces=(namespace,))
        async with following(services):
            applier = make_applier(client, services)
            manifest = {
                "apiVersion": SERVICES.api_version,
                "kind": SERVICES.kind,
                "metadata": {"name": "s", "namespace": namespace},
                "spec": {"model": "m"},
            }
            made = (await applier.apply(KEY, SERVICES, manifest, live=None)).object
            assert made is not None
            status = AIMServiceStatus(status="Pending", observed_generation=1)
            assert await applier.patch_status(KEY, SERVICES, made, status)
            await caught_up(applier)
            live = services.store.get(namespace, "s")
            assert live is not None
            assert not await applier.patch_status(KEY, SERVICES, live, status)


async def test_a_kind_comes_goes_and_comes_again(control_plane: Cluster) -> None:
    """Without a restart; the watch of CRDs is what wakes it."""
    group = f"g{secrets.token_hex(4)}.example.com"
    gadgets = Resource(
        group=group, version="v1", plural="gadgets", kind="Gadget", namespaced=False, type=KubeObject
    )
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"gadgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [version],
        },
    }
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    async with connected(control_plane) as client:
        crds = Informer(client, CUSTOM_RESOURCE_DEFINITIONS, clock=SystemClock())
        informer = Informer(client, gadgets, clock=SystemClock())
        crds.add_handler(lambda _old, _new: informer.recheck())
        async with following(crds, informer):
            assert not informer.installed
            for _ in range(2):
                control_plane.api.request("POST", path, crd)
                await until(lambda: informer.installed)
                made: Manifest = {
                    "apiVersion": f"{group}/v1",
                    "kind": "Gadget",
                    "metadata": {"name": "g"},
                }
                await client.apply(gadgets, made)
                await until(lambda: len(informer.store) == 1)
                control_plane.api.delete(f"{path}/gadgets.{group}")
                await until(lambda: not informer.installed)
                assert len(informer.store) == 0


async def test_a_foreign_name_is_watched_until_it_is_free(control_plane: Cluster, namespace: str) -> None:
    """By field selector, metadata only."""
    woken: list[str] = []
    async with connected(control_plane) as client:
        # A kind that no controller changes by itself: every wake is one of ours.
        metadata = {"name": "j", "namespace": namespace}
        await client.apply(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        foreign = ForeignWatches(client, clock=SystemClock())
        foreign.ensure(KEY, Name(CONFIG_MAPS, namespace, "j"), lambda: woken.append("woken"))
        await until(lambda: len(woken) == 1)
        await client.delete(CONFIG_MAPS, "j", namespace=namespace)
        await until(lambda: len(woken) == 2)
        await foreign.close()


async def test_one_of_two_leads_and_the_other_takes_over(control_plane: Cluster, namespace: str) -> None:
    """A released Lease is taken within one look at it."""
    leading: list[str] = []
    async with connected(control_plane) as client:

        def start(identity: str) -> asyncio.Task[None]:
            elector = LeaderElector(
                client, clock=SystemClock(), namespace=namespace, name="op", identity=identity
            )

            async def work() -> None:
                leading.append(identity)
                await asyncio.Event().wait()

            return asyncio.create_task(elector.run(work))

        one = start("one")
        await until(lambda: leading == ["one"])
        two = start("two")
        await asyncio.sleep(3)
        assert leading == ["one"]
        one.cancel()
        await asyncio.gather(one, return_exceptions=True)
        await until(lambda: leading == ["one", "two"], seconds=5)
        two.cancel()
        await asyncio.gather(two, return_exceptions=True)
        lease = await client.get(LEASES, "op", namespace=namespace)
        spec = lease.spec or LeaseSpec()
        assert (spec.holder_identity, spec.lease_transitions) == ("", 1)


async def test_events_are_seen_by_kubectl(control_plane: Cluster, namespace: str) -> None:
    """About namespaced and cluster objects; repetitions as a series."""
    async with connected(control_plane) as client:
        manifest = {
            "apiVersion": IMAGES.api_version,
            "kind": IMAGES.kind,
            "metadata": {"name": "i", "namespace": namespace},
            "spec": {"image": "registry.example/x:1"},
        }
        image = await client.apply(IMAGES, manifest)
        recorder = EventRecorder(client, clock=SystemClock(), component="aim-operator", instance="test")
        for _ in range(3):
            recorder.record(IMAGES, image.metadata, "Warning", "Tried", "ä" * 2000, "Try")
        await recorder.close(seconds=10)
    found = json.loads(control_plane.kubectl("events", "-n", namespace, "--for", "aimimage/i", "-o", "json"))[
        "items"
    ]
    assert [(event["reason"], event["type"]) for event in found] == [("Tried", "Warning")]
