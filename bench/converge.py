"""How fast services converge, what that costs, and how that compares with the bare writes.

python -m bench.converge [--services N] [--json FILE]

In one run on one control plane: the floor, the operator, the floor again. The operator has the same time
to answer for as the floor: from the first service's creation until the last has InferenceService, HTTPRoute
and status. Then the children are made ready, all at once, and it counts until all services run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from bench import floor, report, scene
from bench.api import Api, each
from bench.counts import WRITES, Call, Calls, difference
from bench.floor import Floor
from bench.operator import Operator, running
from bench.process import cluster_rests
from bench.scene import Name, Seen
from hack.cluster.cluster import Cluster
from hack.cluster.instance import OPERATOR
from hack.cluster.progress import Progress

WARM_UP = 100
NAMESPACES = 10
POLL_SECONDS = 0.1

STARTING_GOAL = 0.85
CPU_GOAL_MS = 4.0
WRITES_GOAL = 4.0


class Phase(Struct, frozen=True, kw_only=True):
    """One stretch of the operator's work."""

    seconds: float
    cpu_ms_per_service: float
    memory_mib: float
    calls: dict[str, float]
    """Per service, what the API server answered, to anybody."""


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    services: int
    floor_before: float
    """Services per second; so are the next two."""
    operator: float
    floor_after: float
    ratio: float
    """Of the operator to the mean of both floors."""
    idle_mib: float
    starting: Phase
    running: Phase
    operator_writes: float
    """Per service until Running, without Events."""
    event_writes: float


async def measure(cluster: Cluster, services: int, profile: Path | None = None) -> Result:
    """Measure on a fresh control plane of `scene.control_plane`; `profile` takes cProfile's statistics."""
    async with Api(cluster) as api, Api(cluster, OPERATOR) as writer:
        spaces = [f"bench-{number}" for number in range(NAMESPACES)]
        await scene.make_namespaces(api, spaces)
        await scene.publish(api, scene.Catalog())
        async with running(cluster):
            await scene.templates_available(api, 1)
        bodies = await Floor.prepare(api)

        async def run_floor(prefix: str, number: int) -> float:
            await cluster_rests(cluster)
            rate = await bodies.run(api, writer, scene.names(prefix, range(number), spaces))
            await floor.clear(api, spaces)
            return rate

        await run_floor("warm", min(WARM_UP, services))
        before = await run_floor("before", services)
        async with running(cluster, profile=profile) as operator:
            await cluster_rests(cluster)
            await operator.idle()
            idle = operator.memory_mib
            work = scene.names("service", range(services), spaces)
            first = await api.calls()
            starting = await _until_starting(api, operator, work)
            between = await api.calls()
            await operator.idle()
            ready = await _until_running(api, operator, work)
            await operator.idle()
            last = await api.calls()
        await floor.clear(api, spaces)
        after = await run_floor("after", services)
    total = difference(last, first)
    rate = services / starting.seconds
    return Result(
        machine=report.machine(),
        services=services,
        floor_before=before,
        operator=rate,
        floor_after=after,
        ratio=rate / ((before + after) / 2),
        idle_mib=idle,
        starting=_with_calls(starting, difference(between, first), services),
        running=_with_calls(ready, difference(last, between), services),
        operator_writes=operator_writes(total) / services,
        event_writes=sum(n for c, n in total.items() if c.resource == "events" and c.verb in WRITES)
        / services,
    )


def operator_writes(calls: Calls) -> int:
    """Count the operator's own writes about services: nobody else applies, or patches their status."""
    return (
        calls[Call("APPLY", "inferenceservices")]
        + calls[Call("POST", "inferenceservices")]
        + calls[Call("APPLY", "httproutes")]
        + calls[Call("POST", "httproutes")]
        + calls[Call("PATCH", "aimservices/status")]
    )


async def _until_starting(api: Api, operator: Operator, services: list[Name]) -> Phase:
    number = len(services)
    cpu, began = operator.cpu_seconds, time.monotonic()
    creating = asyncio.create_task(each(services, lambda name: scene.create_service(api, name)))
    for path in (scene.INFERENCE_SERVICES_PATH, scene.HTTP_ROUTES_PATH):
        while await api.count(path) < number:
            await asyncio.sleep(POLL_SECONDS)
    await creating
    ended = await _all(api, number, "Starting")
    return _phase(operator, number, cpu, ended - began)


async def _until_running(api: Api, operator: Operator, services: list[Name]) -> Phase:
    cpu, began = operator.cpu_seconds, time.monotonic()
    await each(services, lambda name: scene.make_ready(api, name))
    ended = await _all(api, len(services), "Running")
    return _phase(operator, len(services), cpu, ended - began)


async def _all(api: Api, number: int, state: str) -> float:
    """Wait until all services are in a state; when the list that showed it was asked for."""
    while True:
        asked = time.monotonic()
        seen = await api.list(scene.SERVICES_PATH, Seen)
        if sum(service.status.status == state for service in seen) == number:
            return asked
        await asyncio.sleep(POLL_SECONDS)


def _phase(operator: Operator, number: int, cpu_before: float, seconds: float) -> Phase:
    return Phase(
        seconds=seconds,
        cpu_ms_per_service=(operator.cpu_seconds - cpu_before) * 1000 / number,
        memory_mib=operator.memory_mib,
        calls={},
    )


def _with_calls(phase: Phase, calls: Calls, services: int) -> Phase:
    shown = {f"{c.verb} {c.resource}": n / services for c, n in calls.most_common() if n >= services / 20}
    return msgspec.structs.replace(phase, calls=shown)


def tables(result: Result) -> str:
    start, run = result.starting, result.running
    speed = report.table(
        f"{result.services} services with routing, {result.machine.cores} cores, all on one machine",
        ("", "services/s", "ratio"),
        [
            ("floor before", result.floor_before, None),
            ("operator", result.operator, result.ratio),
            ("floor after", result.floor_after, None),
        ],
    )
    costs = report.table(
        "Operator process",
        ("", "seconds", "CPU ms/service", "MiB"),
        [
            ("idle", None, None, result.idle_mib),
            ("until Starting", start.seconds, start.cpu_ms_per_service, start.memory_mib),
            ("from ready until Running", run.seconds, run.cpu_ms_per_service, run.memory_mib),
        ],
    )
    calls = report.table(
        "API requests per service, by anybody",
        ("", "until Starting", "until Running"),
        [
            (call, start.calls.get(call, 0.0), run.calls.get(call, 0.0))
            for call in dict.fromkeys((*start.calls, *run.calls))
        ],
    )
    goals = report.table(
        "Goals",
        ("", "measured", "goal"),
        [
            ("ratio to the floor", result.ratio, f"≥ {STARTING_GOAL}"),
            ("CPU ms per service until Starting", start.cpu_ms_per_service, f"≤ {CPU_GOAL_MS:g}"),
            ("writes per service until Running", result.operator_writes, f"{WRITES_GOAL:g}"),
            ("Events written per service", result.event_writes, "apart"),
            ("MiB idle", result.idle_mib, "≤ 70"),
            (f"MiB at {result.services} services", run.memory_mib, "≤ 90 at 2000"),
        ],
    )
    return f"{speed}\n\n{costs}\n\n{calls}\n\n{goals}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--services", type=int, default=2000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    parser.add_argument(
        "--profile",
        type=Path,
        metavar="FILE",
        help="run the operator under cProfile; its numbers are worse then",
    )
    options = parser.parse_args()
    with scene.control_plane(Progress(sys.stderr)) as cluster:
        result = asyncio.run(measure(cluster, options.services, options.profile))
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
