"""Whether discovery keeps its slots full, and what it asks of the API server.

python -m bench.discovery [--templates N] [--json FILE]

N templates of one image appear at once, with the default number of slots. Scheduler and Job controller are
real; a stand-in (bench.kubelet) runs each Pod for a second and serves what it printed.
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

from aim_operator.api.external import JOBS
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES
from aim_operator.settings import Settings
from bench import kubelet, report, scene
from bench.api import Api, each
from bench.counts import difference
from bench.operator import running
from bench.process import cluster_rests
from hack.cluster.cluster import Cluster
from hack.cluster.progress import Progress

RUN_SECONDS = 1.0
LIMIT = Settings().max_discovery_jobs


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    templates: int
    slots: int
    seconds: float
    occupied: float
    """Share of the slots that held an unfinished Job, from the first until none was left to create."""
    hand_over_p50_ms: float
    hand_over_p99_ms: float
    """From the end of a Job until the next one is there."""
    most_at_once: int
    jobs: int
    cpu_ms_per_template: float
    calls: dict[str, float]
    """Per template, what the API server answered, to anybody."""


class Jobs:
    """What a watch told of Jobs, and when."""

    def __init__(self) -> None:
        self.created: list[float] = []
        self.ended: list[float] = []
        self._unfinished: set[str] = set()
        self.most = 0

    def saw(self, change: dict[str, Any], now: float) -> None:
        name = change["object"]["metadata"]["name"]
        conditions = change["object"].get("status", {}).get("conditions") or []
        ended = any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)
        if change["type"] == "ADDED" and not ended:
            self._unfinished.add(name)
            self.created.append(now)
            self.most = max(self.most, len(self._unfinished))
        elif ended and name in self._unfinished:
            self._unfinished.discard(name)
            self.ended.append(now)

    def occupied(self, slots: int) -> float:
        """Return the mean share of slots in use until the last Job was created."""
        last = self.created[-1]
        busy = sum(last - at for at in self.created) - sum(last - at for at in self.ended if at < last)
        return busy / (slots * (last - self.created[0]))

    def hand_overs(self, slots: int) -> list[float]:
        """Return how long each slot that became free stayed so: the n-th end makes room for Job n+slots."""
        return [new - old for old, new in zip(self.ended, self.created[slots:], strict=False)]


async def measure(cluster: Cluster, number: int) -> Result:
    """Measure on a fresh control plane of `scene.control_plane`."""
    async with Api(cluster) as api:
        await scene.publish(api, scene.Catalog(templates=0))
        await cluster_rests(cluster)
        jobs = Jobs()
        async with (
            kubelet.node(cluster, api, run_seconds=RUN_SECONDS, output=scene.discovery_output()),
            running(cluster) as operator,
        ):
            following = asyncio.create_task(_follow(api, jobs))
            await operator.idle()
            cpu, calls, began = operator.cpu_seconds, await api.calls(), time.monotonic()
            await each(range(number), lambda n: _create(api, n))
            await scene.templates_available(api, number)
            seconds = time.monotonic() - began
            await operator.idle()
            cost = (operator.cpu_seconds - cpu) * 1000 / number
            made = difference(await api.calls(), calls)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    waits = quantiles(jobs.hand_overs(LIMIT), n=100, method="inclusive")
    shown = {f"{c.verb} {c.resource}": n / number for c, n in made.most_common() if n >= number / 20}
    return Result(
        machine=report.machine(),
        templates=number,
        slots=LIMIT,
        seconds=seconds,
        occupied=jobs.occupied(LIMIT),
        hand_over_p50_ms=waits[49] * 1000,
        hand_over_p99_ms=waits[98] * 1000,
        most_at_once=jobs.most,
        jobs=len(jobs.created),
        cpu_ms_per_template=cost,
        calls=shown,
    )


async def _follow(api: Api, jobs: Jobs) -> None:
    async with api.watching(JOBS.collection_path(scene.OPERATOR_NAMESPACE)) as changes:
        async for change in changes:
            jobs.saw(change, time.monotonic())


async def _create(api: Api, number: int) -> None:
    manifest = {
        "apiVersion": CLUSTER_TEMPLATES.api_version,
        "kind": CLUSTER_TEMPLATES.kind,
        "metadata": {"name": f"template-{number:04}"},
        "spec": {"aimImageName": "model-0", "metric": "latency", "gpuSelector": {"count": 1 + number % 8}},
    }
    await api.create(CLUSTER_TEMPLATES.collection_path(), manifest)


def tables(result: Result) -> str:
    rows = [
        ("seconds until all are Available", result.seconds),
        ("slots in use until the last Job, %", result.occupied * 100),
        ("most Jobs at once", result.most_at_once),
        ("Jobs created", result.jobs),
        ("from a Job's end to the next Job, p50 ms", result.hand_over_p50_ms),
        ("from a Job's end to the next Job, p99 ms", result.hand_over_p99_ms),
        ("CPU ms per template", result.cpu_ms_per_template),
    ]
    title = (
        f"Discovery of {result.templates} templates, {result.slots} slots, Pods that run {RUN_SECONDS:g} s"
    )
    calls = report.table(
        "API requests per template, by anybody", ("", "requests"), list(result.calls.items())
    )
    return f"{report.table(title, ('', ''), rows)}\n\n{calls}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--templates", type=int, default=500, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args()
    with scene.control_plane(Progress(sys.stderr)) as cluster:
        result = asyncio.run(measure(cluster, options.templates))
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
