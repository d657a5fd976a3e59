"""What an operator costs that starts beside many services, and how fast it reacts among them.

python -m bench.restart [--sizes N,N] [--nodes N] [--json FILE]

Without a cluster: a stand-in (bench.replay) serves services that have converged, the operator fills its
caches from it and must find nothing to write. Then single services change, one at a time: until the apply
of the InferenceService is back, which is the operator's own part of the reaction.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

from msgspec import Struct

from bench import report, scene
from bench.operator import started
from bench.replay import Server, serving

SIZES = (0, 100, 1000, 2000, 10_000)
NAMESPACES = 50
NODES = 2000
CHANGES = 200


class Stage(Struct, frozen=True, kw_only=True):
    services: int
    synced_seconds: float
    """From the start of the process until its caches are filled."""
    cpu_seconds: float
    """From its start until it rests."""
    memory_mib: float
    writes: int
    rest_cpu_percent: float
    change_p50_ms: float
    change_p99_ms: float


class Result(Struct, frozen=True, kw_only=True):
    machine: report.Machine
    nodes: int
    stages: list[Stage]


async def measure(size: int, nodes: int, directory: Path) -> Stage:
    spaces = [f"team-{number}" for number in range(NAMESPACES)]
    services = scene.names("svc", range(size), spaces)
    server = Server(services, nodes)
    async with serving(server, directory) as kubeconfig, started(directory, kubeconfig) as operator:
        await operator.idle()
        memory, cpu, writes = operator.memory_mib, operator.cpu_seconds, server.writes
        began = time.monotonic()
        await asyncio.sleep(5)
        resting = (operator.cpu_seconds - cpu) / (time.monotonic() - began) * 100
        changed = services[:: max(1, size // CHANGES)][:CHANGES]
        seconds = [await server.change(name, replicas=2) for name in changed] or [0.0, 0.0]
        shares = quantiles(seconds, n=100, method="inclusive")
        return Stage(
            services=size,
            synced_seconds=operator.synced_seconds,
            cpu_seconds=cpu,
            memory_mib=memory,
            writes=writes,
            rest_cpu_percent=resting,
            change_p50_ms=shares[49] * 1000,
            change_p99_ms=shares[98] * 1000,
        )


def tables(result: Result) -> str:
    none = result.stages[0]
    head = ["services", *(str(stage.services) for stage in result.stages)]
    per = [
        (stage.memory_mib - none.memory_mib) * 1024 / stage.services if stage.services else None
        for stage in result.stages
    ]
    rows: list[tuple[str, list[Any]]] = [
        ("s until caches are filled", [s.synced_seconds for s in result.stages]),
        ("CPU s until at rest", [s.cpu_seconds for s in result.stages]),
        ("MiB at rest", [s.memory_mib for s in result.stages]),
        ("KiB per service", per),
        ("writes", [s.writes for s in result.stages]),
        ("CPU at rest, %", [s.rest_cpu_percent for s in result.stages]),
        ("change of one service p50, ms", [s.change_p50_ms for s in result.stages]),
        ("change of one service p99, ms", [s.change_p99_ms for s in result.stages]),
    ]
    title = f"Started beside converged services and {result.nodes} nodes, served by a stand-in"
    return report.table(title, head, [(name, *values) for name, values in rows])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", metavar="N,N", help="other sizes")
    parser.add_argument("--nodes", type=int, metavar="N", default=NODES, help="nodes with GPUs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there as well")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else list(SIZES)
    stages = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as directory:
            stages.append(asyncio.run(measure(size, options.nodes, Path(directory))))
        print(f"  {size} done", file=sys.stderr, flush=True)
    result = Result(machine=report.machine(), nodes=options.nodes, stages=stages)
    print(tables(result))
    if options.json is not None:
        report.dump(options.json, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
