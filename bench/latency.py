"""How long one service takes, from its creation to its HTTPRoute and to the first HTTP 200.

python -m bench.latency [--trials N] [--json FILE]

On a real node, with KServe's controller and a real gateway; the template is discovered before by a real Job.
What KServe, kubelet and gateway take of it is the difference between the columns. Needs root on Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from msgspec import Struct

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.api.v1alpha1 import CLUSTER_IMAGES, CLUSTER_TEMPLATES, SERVICES
from bench import report, scene
from bench.api import Api
from bench.operator import running
from hack.cluster import control_plane
from hack.cluster.cluster import SERVING_PARTS, Cluster
from hack.cluster.errors import CANNOT
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_parts

IMAGE = "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0"
NAMESPACE = "latency"
POLL_SECONDS = 0.01
ANSWER_SECONDS = 120.0


class Trial(Struct, frozen=True, kw_only=True):
    """Seconds since the service's creation was answered."""

    inference_service: float
    http_route: float
    answered: float


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    trials: list[Trial]


async def measure(cluster: Cluster, trials: int) -> Result:
    """Measure on a cluster with node, KServe, gateway and our CRDs."""
    scene.allow_everything(cluster)
    async with Api(cluster) as api, running(cluster):
        await scene.make_namespaces(api, [NAMESPACE])
        await _catalog(api)
        await scene.templates_available(api, 1)
        # The first one pays for what a cluster does once, such as the gateway's first listener.
        await _trial(cluster, api, "warm-up")
        found = [await _trial(cluster, api, f"chat-{number}") for number in range(trials)]
    return Result(machine=report.machine(), trials=found)


async def _catalog(api: Api) -> None:
    await scene.publish_config(api)
    wanted = {"metric": "latency", "gpuSelector": {"count": 1, "model": "MI300X"}}
    for resource, name, spec in (
        (CLUSTER_IMAGES, "model-0", {"image": IMAGE, "defaultServiceTemplate": "template-0"}),
        (
            CLUSTER_TEMPLATES,
            "template-0",
            {"aimImageName": "model-0", **wanted},
        ),
    ):
        manifest = {"apiVersion": resource.api_version, "kind": resource.kind, "spec": spec}
        await api.create(resource.collection_path(), manifest | {"metadata": {"name": name}})


async def _trial(cluster: Cluster, api: Api, name: str) -> Trial:
    small: dict[str, Any] = {
        "requests": {"cpu": "5m", "memory": "16Mi", "amd.com/gpu": "1"},
        "limits": {"cpu": "1", "memory": "128Mi", "amd.com/gpu": "1"},
    }
    manifest = scene.service_manifest(scene.Name(NAMESPACE, name, "model-0"))
    manifest["spec"]["resources"] = small
    query = f"fieldSelector=metadata.name={name}"
    async with (
        api.watching(INFERENCE_SERVICES.collection_path(NAMESPACE), query) as service,
        api.watching(HTTP_ROUTES.collection_path(NAMESPACE), query) as route,
    ):
        await api.create(SERVICES.collection_path(NAMESPACE), manifest)
        began = time.monotonic()
        await service.until(lambda _: True)
        created = time.monotonic() - began
        await route.until(lambda _: True)
        routed = time.monotonic() - began
    await _answer(f"{cluster.gateway_url}/{NAMESPACE}/{name}/v1/models")
    answered = time.monotonic() - began
    await api.send("DELETE", SERVICES.object_path(name, NAMESPACE))
    while await api.count("/api/v1/namespaces/" + NAMESPACE + "/pods"):
        await asyncio.sleep(0.2)
    return Trial(inference_service=created, http_route=routed, answered=answered)


async def _answer(url: str) -> None:
    """Ask until the model server answers; a gateway says 404 and 503 until it knows the Pod."""
    deadline = time.monotonic() + ANSWER_SECONDS
    async with aiohttp.ClientSession() as session:
        while time.monotonic() < deadline:
            async with session.get(url) as response:
                if response.status == 200:
                    return
            await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"{url} did not answer with 200 in {ANSWER_SECONDS:.0f} s")


def tables(result: Result) -> str:
    columns = {
        "InferenceService": [trial.inference_service for trial in result.trials],
        "HTTPRoute": [trial.http_route for trial in result.trials],
        "HTTP 200 through the gateway": [trial.answered for trial in result.trials],
    }
    rows = [(name, min(s) * 1000, median(s) * 1000, max(s) * 1000) for name, s in columns.items()]
    title = f"Milliseconds from a service's creation, {len(result.trials)} trials, one at a time"
    return report.table(title, ("", "least", "median", "most"), rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, default=10, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args()
    progress = Progress(sys.stderr)
    missing = missing_parts((control_plane.PART, *SERVING_PARTS), install=True, progress=progress)
    for entry in missing:
        print(f"{entry.part} can't run on this machine: {entry.reason}\n  {entry.remedy}", file=sys.stderr)
    if missing:
        return CANNOT
    with Cluster.start(SERVING_PARTS, crds=scene.aim_crds(), progress=progress) as cluster:
        result = asyncio.run(measure(cluster, options.trials))
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
