"""How cost and reaction change with the number of services.

python -m bench.scale [--full] [--sizes N,N] [--json FILE]

One operator, one control plane, 200 templates, 50 images; every tenth service uses the first image. The
services of each size are added to those of the size before, over so many namespaces: 100 over 1, 1,000 over
50, 10,000 over 500 (`--full` only: it takes minutes). At each size: the cost of bringing them up, memory,
what one change costs, and a restart.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

from msgspec import Struct

from aim_operator.api.external import INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, SERVICES
from bench import report, scene
from bench.api import Api, each
from bench.converge import operator_writes
from bench.counts import Buckets, buckets_of, difference, quantile, samples
from bench.operator import Operator, running
from bench.process import cluster_rests
from bench.scene import Name
from hack.cluster.cluster import Cluster
from hack.cluster.progress import Progress

CATALOG = scene.Catalog(images=50, templates=200)
POPULAR = 10
NAMESPACES = {100: 1, 1000: 50, 10_000: 500}
SIZES, FULL = (100, 1000), (100, 1000, 10_000)
RUNNING_UP_TO = 1000
"""Larger sizes stay Starting: playing KServe and gateway for 10,000 services takes longer than they do."""
TRIALS = 100
REST_SECONDS = 10.0


class Stage(Struct, frozen=True, kw_only=True):
    """What was measured with `services` in place. Milliseconds, seconds and MiB as named."""

    services: int
    namespaces: int
    added_per_second: float
    cpu_ms_per_service: float
    """From creation to Starting, of the services that were added."""
    queue_p50_ms: float
    queue_p99_ms: float
    """How long keys of services waited to be reconciled meanwhile."""
    memory_mib: float
    """At rest: everything Running, beyond RUNNING_UP_TO Starting."""
    rest_cpu_percent: float
    image_services: int
    image_seconds: float
    """From a change of the first image until the last of its services' InferenceServices has it."""
    change_p50_ms: float
    change_p99_ms: float
    """From the answer to a change of one service until its InferenceService has it."""
    bare_p50_ms: float
    bare_p99_ms: float
    """The same two hops by a bare client: service seen changed, InferenceService patched and seen."""
    restart_synced_seconds: float
    restart_rest_seconds: float
    restart_memory_mib: float
    restart_writes: int


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    idle_mib: float
    stages: list[Stage]


async def measure(cluster: Cluster, sizes: tuple[int, ...], json: Path | None = None) -> Result:
    """Measure on a fresh control plane of `scene.control_plane`; `json` has what there is so far."""
    async with Api(cluster) as api:
        await scene.publish(api, CATALOG)
        async with running(cluster):
            await scene.templates_available(api, CATALOG.templates)
        result = Result(machine=report.machine(), idle_mib=0.0, stages=[])
        for number, size in enumerate(sizes):
            spaces = [f"scale-{size}-{i}" for i in range(NAMESPACES.get(size, 50))]
            await scene.make_namespaces(api, spaces)
            await cluster_rests(cluster)
            before = sizes[number - 1] if number else 0
            work = scene.names("svc", range(before, size), spaces, CATALOG.images, popular=POPULAR)
            async with running(cluster) as operator:
                await operator.idle()
                idle = result.idle_mib or operator.memory_mib
                stage = await _stage(cluster, api, operator, work, size)
            result = Result(machine=result.machine, idle_mib=idle, stages=[*result.stages, stage])
            if json is not None:
                report.dump(json, result)
    return result


async def _stage(cluster: Cluster, api: Api, operator: Operator, work: list[Name], size: int) -> Stage:
    cpu, began, waited = operator.cpu_seconds, time.monotonic(), _queue(operator)
    await each(work, lambda name: scene.create_service(api, name))
    for path in (scene.INFERENCE_SERVICES_PATH, scene.HTTP_ROUTES_PATH):
        while await api.count(path) < size:
            await asyncio.sleep(0.1)
    seconds = time.monotonic() - began
    await operator.idle()
    cost = (operator.cpu_seconds - cpu) * 1000 / len(work)
    queue = _queue(operator)
    _say(f"{size}: up in {seconds:.1f} s")

    if size <= RUNNING_UP_TO:
        await each(work, lambda name: scene.make_ready(api, name))
        await operator.idle()
    await cluster_rests(cluster)
    memory, cpu = operator.memory_mib, operator.cpu_seconds
    await asyncio.sleep(REST_SECONDS)
    resting = (operator.cpu_seconds - cpu) / REST_SECONDS * 100
    _say(f"{size}: at rest, {memory:.0f} MiB")

    changed = [await _change(api, name, replicas=2) for name in _some(work)]
    bare = [await _bare_change(api, name) for name in _some(work)]
    affected = (size + POPULAR - 1) // POPULAR
    image_seconds = await _image_change(api, operator, affected, cpus=f"{3000 + size // 100}m")
    await operator.idle()
    _say(f"{size}: an image of {affected} services in {image_seconds:.1f} s")
    operator.stop()

    calls = await api.calls()
    async with running(cluster) as again:
        synced = again.synced_seconds
        began = time.monotonic()
        await again.idle()
        rested = synced + time.monotonic() - began
        writes = operator_writes(difference(await api.calls(), calls))
        _say(f"{size}: restarted, synced in {synced:.1f} s")
        return Stage(
            services=size,
            namespaces=len({name.namespace for name in work}),
            added_per_second=len(work) / seconds,
            cpu_ms_per_service=cost,
            queue_p50_ms=quantile(queue, 0.5, waited) * 1000,
            queue_p99_ms=quantile(queue, 0.99, waited) * 1000,
            memory_mib=memory,
            rest_cpu_percent=resting,
            image_services=affected,
            image_seconds=image_seconds,
            change_p50_ms=_share(changed, 50),
            change_p99_ms=_share(changed, 99),
            bare_p50_ms=_share(bare, 50),
            bare_p99_ms=_share(bare, 99),
            restart_synced_seconds=synced,
            restart_rest_seconds=rested,
            restart_memory_mib=again.memory_mib,
            restart_writes=writes,
        )


def _queue(operator: Operator) -> Buckets:
    return buckets_of(operator.metrics(), "aim_queue_seconds", controller="services")


def _some(names: list[Name]) -> list[Name]:
    """Return TRIALS of them, spread evenly."""
    return names[:: max(1, len(names) // TRIALS)][:TRIALS]


def _share(seconds: list[float], percent: int) -> float:
    return quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000


async def _change(api: Api, name: Name, *, replicas: int) -> float:
    """Return the seconds from the API server's answer to a change until the child shows it."""
    children = INFERENCE_SERVICES.collection_path(name.namespace)
    async with api.watching(children, f"fieldSelector=metadata.name={name.name}") as child:
        await api.merge(SERVICES.object_path(name.name, name.namespace), {"spec": {"replicas": replicas}})
        began = time.monotonic()
        await child.until(lambda found: found["spec"]["predictor"].get("minReplicas") == replicas)
        return time.monotonic() - began


async def _bare_change(api: Api, name: Name) -> float:
    """Return the seconds that the same takes without an operator between the two objects."""
    mark = {"metadata": {"annotations": {"example.com/bench": str(time.monotonic_ns())}}}

    def marked(found: scene.Plain) -> bool:
        annotations = found["metadata"].get("annotations") or {}
        return bool(annotations.items() >= mark["metadata"]["annotations"].items())

    query = f"fieldSelector=metadata.name={name.name}"
    async with (
        api.watching(SERVICES.collection_path(name.namespace), query) as service,
        api.watching(INFERENCE_SERVICES.collection_path(name.namespace), query) as child,
    ):
        await api.merge(SERVICES.object_path(name.name, name.namespace), mark)
        began = time.monotonic()
        await service.until(marked)
        await api.merge(INFERENCE_SERVICES.object_path(name.name, name.namespace), mark)
        await child.until(marked)
        return time.monotonic() - began


async def _image_change(api: Api, operator: Operator, affected: int, *, cpus: str) -> float:
    """Change the first image's default resources, which all its services inherit."""

    def applied() -> float:
        calls = samples(operator.metrics(), "aim_api_calls_total")
        wanted = {"verb": "patch", "resource": INFERENCE_SERVICES.qualified}
        return sum(value for labels, value in calls if wanted.items() <= labels.items())

    before, began = applied(), time.monotonic()
    path = CLUSTER_IMAGES.object_path("model-0")
    await api.merge(path, {"spec": {"resources": {"requests": {"cpu": cpus}}}})
    while applied() - before < affected:
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def tables(result: Result) -> str:
    rows: list[tuple[str, list[Any]]] = [
        ("namespaces", [s.namespaces for s in result.stages]),
        ("services/s, created to Starting", [s.added_per_second for s in result.stages]),
        ("CPU ms per service", [s.cpu_ms_per_service for s in result.stages]),
        ("queue latency p50, ms", [s.queue_p50_ms for s in result.stages]),
        ("queue latency p99, ms", [s.queue_p99_ms for s in result.stages]),
        ("MiB at rest", [s.memory_mib for s in result.stages]),
        ("KiB per service", [kib_per_service(result, s) for s in result.stages]),
        ("CPU at rest, %", [s.rest_cpu_percent for s in result.stages]),
        ("services of the changed image", [s.image_services for s in result.stages]),
        ("  s until all have it", [s.image_seconds for s in result.stages]),
        ("change of one service p50, ms", [s.change_p50_ms for s in result.stages]),
        ("change of one service p99, ms", [s.change_p99_ms for s in result.stages]),
        ("  the API server's own p50, ms", [s.bare_p50_ms for s in result.stages]),
        ("  the API server's own p99, ms", [s.bare_p99_ms for s in result.stages]),
        ("restart: s until caches are synced", [s.restart_synced_seconds for s in result.stages]),
        ("restart: s until at rest", [s.restart_rest_seconds for s in result.stages]),
        ("restart: MiB at rest", [s.restart_memory_mib for s in result.stages]),
        ("restart: writes", [s.restart_writes for s in result.stages]),
    ]
    title = (
        f"{CATALOG.templates} templates, {CATALOG.images} images, {result.machine.cores} cores; "
        f"{result.idle_mib:.0f} MiB without services"
    )
    head = ("services", *(s.services for s in result.stages))
    return report.table(title, [str(cell) for cell in head], [(name, *values) for name, values in rows])


def kib_per_service(result: Result, stage: Stage) -> float:
    """Return what each service adds to the memory of an operator without any."""
    return (stage.memory_mib - result.idle_mib) * 1024 / stage.services


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="with 10,000 services")
    parser.add_argument("--sizes", metavar="N,N", help="other sizes, in ascending order")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args()
    sizes: tuple[int, ...] = FULL if options.full else SIZES
    if options.sizes:
        sizes = tuple(int(size) for size in options.sizes.split(","))
    with scene.control_plane(Progress(sys.stderr)) as cluster:
        result = asyncio.run(measure(cluster, sizes, options.json))
    print(tables(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
