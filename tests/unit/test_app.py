"""The composition root: who hears of what arrives, and what is wired to which watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES
from aim_operator.app import Operator
from aim_operator.core.naming import discovery_job_name, download_job_name
from aim_operator.errors import NotLeader
from aim_operator.runtime.metrics import MetricSink
from aim_operator.settings import Settings
from tests.support.fake_client import FakeClient
from tests.support.filled_stores import FilledStores
from tests.support.virtual_clock import VirtualClock

HASH = "0a1b2c3d"
Samples = Callable[[], Iterable[tuple[tuple[str, ...], float]]]


class Gauges(MetricSink):
    """Keeps what the gauges say."""

    def __init__(self) -> None:
        self.samples: dict[str, Samples] = {}

    def gauge(self, name: str, help_text: str, labels: tuple[str, ...], read: Samples) -> None:
        self.samples[name] = read

    def of(self, name: str) -> dict[str, float]:
        return {labels[0]: value for labels, value in self.samples[name]()}


class Wired:
    """An operator that does not run, whose watches are fed by hand, and the keys that wait for it."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.gauges = VirtualClock(), Gauges()
        self.operator = Operator(FakeClient(), Settings(**settings), clock=self.clock, metrics=self.gauges)
        self.stores = FilledStores(self.operator.watched)

    def fill(self) -> None:
        self.stores.new("cluster_images", "llama", spec={"image": "x/llama:1"})
        self.stores.new("cluster_templates", "fast", spec={"aimImageName": "llama"})
        self.stores.new("templates", "team/own", spec={"aimImageName": "llama"})
        self.stores.new("services", "team/chooses", spec={"model": "llama"})
        self.stores.new("services", "team/names", spec={"model": "llama", "templateRef": "fast"})
        for lane in self.operator._controllers._lanes:
            while (taken := lane.queue.take()) is not None:
                lane.queue.done(taken[0])

    def waiting(self) -> set[str]:
        lanes = self.operator._controllers._by_name
        names = ("templates", "services")
        return {f"{name} {ref.namespace}/{ref.name}" for name in names for ref in lanes[name].queue._since}

    def kind(self, controller: str) -> Any:
        reconciler: Any = self.operator._controllers._by_name[controller]._reconciler
        return reconciler._kind


ALL_SERVICES = {"services team/chooses", "services team/names"}
ALL_TEMPLATES = {"templates /fast", "templates team/own"}


@pytest.fixture
def wired() -> Wired:
    wired = Wired()
    wired.fill()
    return wired


@pytest.mark.parametrize(
    ("kind", "woken"),
    [
        ("inference_services", ALL_SERVICES),
        ("http_routes", ALL_SERVICES),
        ("scaled_objects", ALL_SERVICES),
        ("serving_runtimes", ALL_TEMPLATES),
        ("cluster_serving_runtimes", ALL_TEMPLATES),
    ],
)
def test_who_waits_for_a_kind_hears_that_it_is_served(wired: Wired, kind: str, woken: set[str]) -> None:
    informer = getattr(wired.operator.watched, kind)
    informer._installed = False
    informer.stream_changed()
    assert wired.waiting() == woken


@pytest.mark.parametrize(
    "kind",
    [
        "inference_services",
        "serving_runtimes",
        "other_runtimes",
        "cluster_serving_runtimes",
        "scaled_objects",
        "http_routes",
        "other_routes",
        "images",
        "model_caches",
    ],
)
async def test_a_crd_that_comes_has_its_kind_looked_for_at_once(wired: Wired, kind: str) -> None:
    informer = getattr(wired.operator.watched, kind)
    watcher = informer._streams[""].watcher
    watcher.is_missing = True
    wired.stores.new("crds", informer.resource.qualified)
    assert watcher._recheck.is_set()
    await wired.operator._kserve.close()


async def test_new_gpu_nodes_wake_all_templates_and_the_services_that_choose(wired: Wired) -> None:
    """A choice may have been open for want of them; a template says whether nodes have its GPUs."""
    wired.stores.new("nodes", "node-1", metadata={"labels": {"amd.com/gpu.product-name": "MI300X"}})
    await wired.clock.advance(2)
    assert wired.waiting() == {*ALL_TEMPLATES, "services team/chooses"}


def test_a_clock_that_was_set_wakes_every_object_of_ours(wired: Wired) -> None:
    wired.operator._reconcile_all()
    assert wired.waiting() == {*ALL_TEMPLATES, *ALL_SERVICES}
    images = wired.operator._controllers._by_name["images"].queue
    assert list(images._since) == [ObjectRef(CLUSTER_IMAGES.kind, "", "llama")]


async def test_another_kserve_has_its_version_read_and_wakes_all_services(wired: Wired) -> None:
    wired.stores.new("crds", "inferenceservices.serving.kserve.io")
    assert wired.operator._kserve._reading is not None
    await wired.operator._kserve.close()
    wired.operator._kserve._conclude(too_old=True)
    assert wired.waiting() == ALL_SERVICES


def job(stores: FilledStores, where: str, owner: str) -> None:
    stores.new("jobs", where, metadata={"ownerReferences": [owner]})


@pytest.mark.parametrize("job_first", [True, False], ids=["the Job comes first", "the template comes first"])
@pytest.mark.parametrize("scope", ["namespace", "cluster"])
def test_a_running_discovery_is_counted_whichever_is_seen_first(scope: str, *, job_first: bool) -> None:
    wired, name = Wired(), discovery_job_name("fast", HASH)
    kind, namespace = (
        ("AIMServiceTemplate", "team") if scope == "namespace" else ("AIMClusterServiceTemplate", "")
    )

    def template() -> None:
        informer = "templates" if namespace else "cluster_templates"
        metadata = {"uid": f"uid of {kind} fast"}
        wired.stores.new(informer, f"{namespace}/fast", metadata=metadata, spec={"aimImageName": "llama"})

    if not job_first:
        template()
    job(wired.stores, f"{namespace or 'kaiwo-system'}/{name}", f"of {kind} fast")
    if job_first:
        template()
    assert wired.gauges.of("aim_discoveries")["running"] == 1


@pytest.mark.parametrize("job_first", [True, False], ids=["the Job comes first", "the cache comes first"])
def test_a_running_download_is_counted_whichever_is_seen_first(*, job_first: bool) -> None:
    wired, name = Wired(), download_job_name("files", HASH)

    def cache() -> None:
        metadata = {"uid": "uid of AIMModelCache files"}
        wired.stores.new("model_caches", "team/files", metadata=metadata, spec={"sourceUri": "hf://a/b"})

    if not job_first:
        cache()
    job(wired.stores, f"team/{name}", "of AIMModelCache files")
    if job_first:
        cache()
    assert wired.gauges.of("aim_downloads")["running"] == 1


def test_without_the_lease_nothing_can_be_written() -> None:
    with pytest.raises(NotLeader):
        Wired(leader_elect=True).operator._applier._fence()


def test_an_operator_of_some_namespaces_leaves_cluster_kinds_to_the_clusters() -> None:
    limited = Wired(namespaces=("team",))
    kind = limited.kind("images")
    limited.operator.watched.cluster_images.store.upsert(
        Wired().stores.new("cluster_images", "llama", spec={"image": "x/llama:1"})
    )
    assert kind.get(ObjectRef(CLUSTER_IMAGES.kind, "", "llama")) is None


def test_an_operator_of_some_namespaces_sees_the_discoveries_in_its_own() -> None:
    watched = Wired(namespaces=("team",), operator_namespace="kaiwo-system").operator.watched
    assert set(watched.jobs._streams) == {"team", "kaiwo-system"}
    assert set(watched.services._streams) == {"team"}


async def test_nothing_is_done_before_every_cache_is_full() -> None:
    """What is not listed yet would be taken for deleted."""
    wired = Wired()
    wired.stores.new("services", "team/names", spec={"model": "llama", "templateRef": "fast"})
    leading = asyncio.create_task(wired.operator._lead())
    await wired.clock.advance(10)
    assert wired.waiting() == {"services team/names"}
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)


async def test_before_the_first_reconcile_every_service_has_said_which_path_it_wants(wired: Wired) -> None:
    """Else a younger one that is reconciled first would have the path of an older one for a moment."""
    route = {
        "enabled": True,
        "gatewayRef": {"name": "gateway", "namespace": "gateways"},
        "routeTemplate": "/x",
    }
    for name in ("older", "younger"):
        spec = {"model": "llama", "templateRef": "fast", "routing": route}
        wired.stores.new("services", f"team/{name}", spec=spec)
    wired.operator._controllers._limit = 0
    working = asyncio.create_task(wired.operator._work())
    await wired.clock.settle()
    assert set(wired.operator._services._route_owners._wanted) == {("team", "older"), ("team", "younger")}
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
