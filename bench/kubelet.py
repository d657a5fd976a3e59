"""A stand-in for a node: runs every Pod bound to it for so long, and serves what it "printed".

The API server proxies logs to it as to any kubelet; the scheduler and the Job controller are real. What it
leaves out is containers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from bench.api import Api
from hack.cluster.cluster import Cluster
from hack.cluster.ports import pick_ports

NODE = "bench-node"
NODE_PATH = f"/api/v1/nodes/{NODE}"
HEARTBEAT_SECONDS = 10.0
ROOM = {"cpu": "1000", "memory": "1000Gi", "pods": "1000", "amd.com/gpu": "64"}


@asynccontextmanager
async def node(cluster: Cluster, api: Api, *, run_seconds: float, output: bytes) -> AsyncIterator[None]:
    """Have a node as long as the block lasts."""
    port = pick_ports(["kubelet"])["kubelet"]
    runner = await _serve_logs(cluster.directory / "certificates", port, output)
    await api.create("/api/v1/nodes", {"metadata": {"name": NODE}})
    await _beat(api, port)
    tasks = [
        asyncio.create_task(_keep_beating(api, port)),
        asyncio.create_task(_run_pods(api, run_seconds)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


async def _serve_logs(certificates: Path, port: int, output: bytes) -> web.AppRunner:
    async def logs(request: web.Request) -> web.Response:
        del request
        return web.Response(body=output, content_type="text/plain")

    app = web.Application()
    app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    # The API server's own certificate: nobody checks a kubelet's.
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    return runner


async def _keep_beating(api: Api, port: int) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await _beat(api, port)


async def _beat(api: Api, port: int) -> None:
    now = _now()
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    status = {
        "capacity": ROOM,
        "allocatable": ROOM,
        "conditions": [ready],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await api.merge(f"{NODE_PATH}/status", {"status": status})


async def _run_pods(api: Api, seconds: float) -> None:
    """Let each Pod that is bound to the node run and succeed."""
    known: set[str] = set()
    async with (
        asyncio.TaskGroup() as group,
        api.watching("/api/v1/pods", f"fieldSelector=spec.nodeName={NODE}") as pods,
    ):
        async for change in pods:
            metadata = change["object"]["metadata"]
            if change["type"] != "DELETED" and metadata["uid"] not in known:
                known.add(metadata["uid"])
                group.create_task(_run_pod(api, change["object"], seconds))


async def _run_pod(api: Api, pod: dict[str, Any], seconds: float) -> None:
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
    container = pod["spec"]["containers"][0]
    started = _now()
    shown = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    running = {"ready": True, "state": {"running": {"startedAt": started}}}
    await api.merge(
        path, {"status": {"phase": "Running", "startTime": started, "containerStatuses": [shown | running]}}
    )
    await asyncio.sleep(seconds)
    ended = {"exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": _now()}
    done = {"ready": False, "state": {"terminated": ended}}
    await api.merge(path, {"status": {"phase": "Succeeded", "containerStatuses": [shown | done]}})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
