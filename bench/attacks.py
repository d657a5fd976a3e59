"""What a hostile user of one namespace does, all at once, until the measurement ends.

Each attack is one coroutine that goes on for ever and takes refusals as they come: `Hostile.counts` says how
many requests were accepted and how many refused. The user has the rights of `admin` in the namespace.

Run as a program by `at_work`: what the attacks cost their own client must not delay whoever measures.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct
from msgspec.json import decode, encode

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES, JOBS
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import IMAGES, MODEL_CACHES, RUNTIME_CONFIGS, SERVICES, TEMPLATES
from bench.api import JSON, MERGE, Api
from bench.scene import GATEWAY, Plain
from hack.cluster.cluster import Cluster

HEAVY_SERVICES, LARGE_SERVICES, TEMPLATES_THAT_NEVER_COME, CACHES = 200, 40, 150, 60
CONNECTIONS = 600
# Each step takes every value of every list of every variable: what a JSONPath of this length can cost most.
HEAVY_PATH = "/{.metadata.name}/{.spec.env[*,*,*,*,*,*,*,*].name[0]}"
GO_TEMPLATE = '{{define "a"}}{{end}}'


class Target(Struct, frozen=True, kw_only=True):
    directory: str
    """Of the cluster."""
    user: str
    namespace: str
    """The user's own."""
    path: str
    """Of the victim, which the user is after."""
    listeners: Sequence[tuple[str, int]]
    """The operator's metrics and probes: host and port of each."""


@asynccontextmanager
async def at_work(target: Target) -> AsyncIterator[Counter[str]]:
    """Attack in all ways until the block ends, from a process of its own; what was counted is there then.

    Raises RuntimeError where the attacks ended by themselves.
    """
    counts: Counter[str] = Counter()
    attacking = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.attacks", encode(target).decode(), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield counts
        if attacking.returncode is not None:
            raise RuntimeError(f"the attacks ended by themselves, with exit code {attacking.returncode}")
    finally:
        if attacking.returncode is None:
            attacking.send_signal(signal.SIGTERM)
        printed, _ = await attacking.communicate()
    counts.update(decode(printed, type=dict[str, int]))


class Hostile:
    """One namespace's attacks on operator and neighbours. `victim` is the path that it is after."""

    def __init__(self, api: Api, namespace: str, victim: str, listeners: Sequence[tuple[str, int]]) -> None:
        self._api, self._namespace, self._victim, self._listeners = api, namespace, victim, listeners
        self.counts: Counter[str] = Counter()

    async def attack(self, stop: asyncio.Event) -> None:
        """Attack in all ways until told to stop. Raises what an attack raised, if one ended by itself."""
        attacks: tuple[Callable[[], Awaitable[None]], ...] = (
            self.heavy_paths,
            self.large_objects,
            self.paths_of_others,
            self.templates_that_never_come,
            self.downloads_that_trickle,
            self.children_deleted,
            self.go_templates,
            self.configurations_changed,
            self.secrets_in_sources,
            self.forged_jobs,
            self.connections_held,
        )
        tasks = [asyncio.ensure_future(attack()) for attack in attacks]
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((*tasks, stopping), return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
                    raise RuntimeError("an attack ended by itself")
        finally:
            stopping.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)

    async def heavy_paths(self) -> None:
        """Route templates that take long to evaluate, on services that are edited all the time."""
        env = [{"name": f"VARIABLE_{i}", "value": "x" * 200} for i in range(100)]
        routing = {"enabled": True, "gatewayRef": GATEWAY, "routeTemplate": HEAVY_PATH}
        for i in range(HEAVY_SERVICES):
            await self._create(SERVICES, f"heavy-{i}", {"model": "model", "env": env, "routing": routing})
        for i in itertools.count():
            patch = {"spec": {"env": [*env[:50], {"name": "TURN", "value": str(i)}]}}
            await self._patch(SERVICES, f"heavy-{i % HEAVY_SERVICES}", patch)
            await asyncio.sleep(0.03)

    async def large_objects(self) -> None:
        """Objects as large as the API server takes them, with annotations that no schema bounds."""
        annotations = {f"example.com/{i}": "x" * 20_000 for i in range(12)}
        env = [{"name": f"LARGE_{i}", "value": "x" * 500} for i in range(120)]
        for i in range(LARGE_SERVICES):
            await self._create(SERVICES, f"large-{i}", {"model": "model", "env": env}, annotations)
        for i in itertools.count():
            patch = {"metadata": {"annotations": {"example.com/turn": str(i)}}}
            await self._patch(SERVICES, f"large-{i % LARGE_SERVICES}", patch)
            await asyncio.sleep(0.5)

    async def paths_of_others(self) -> None:
        """The victim's path, above it, below it, on a section and a port of its own, and the well-known."""
        gateways = (GATEWAY, GATEWAY | {"sectionName": "http"}, GATEWAY | {"port": 80})
        parent = self._victim.rpartition("/")[0] or "/"
        paths = (self._victim, f"{self._victim}/v1", parent, "/.well-known/acme-challenge", "//", "/%2e%2e/x")
        for turn in itertools.count():
            for i, (path, gateway) in enumerate(itertools.product(paths, gateways)):
                routing = {"enabled": True, "gatewayRef": gateway, "routeTemplate": path}
                if turn == 0:
                    await self._create(SERVICES, f"path-{i}", {"model": "model", "routing": routing})
                else:
                    await self._patch(SERVICES, f"path-{i}", {"spec": {"replicas": 1 + turn % 2}})
            await asyncio.sleep(2)

    async def templates_that_never_come(self) -> None:
        """Discoveries of images that no registry has, asked for again and again."""
        await self._create(IMAGES, "gone", {"image": "registry.invalid/gone:1"})
        spec = {"aimImageName": "gone", "metric": "latency"}
        for i in range(TEMPLATES_THAT_NEVER_COME):
            await self._create(TEMPLATES, f"gone-{i}", spec)
        for i in itertools.count():
            patch = {"metadata": {"annotations": {"aim.silogen.ai/rediscover": str(i)}}}
            await self._patch(TEMPLATES, f"gone-{i % TEMPLATES_THAT_NEVER_COME}", patch)
            await asyncio.sleep(0.1)

    async def downloads_that_trickle(self) -> None:
        """Model caches, more than can be downloaded at once, of a hub that never answers."""
        env = [{"name": "HF_ENDPOINT", "value": "http://192.0.2.1"}]
        for i in range(CACHES):
            await self._create(MODEL_CACHES, f"cache-{i}", {"sourceUri": f"hf://a/b-{i}", "env": env})
        for i in itertools.count():
            patch = {"metadata": {"annotations": {"aim.silogen.ai/retry": str(i)}}}
            await self._patch(MODEL_CACHES, f"cache-{i % CACHES}", patch)
            await asyncio.sleep(0.5)

    async def children_deleted(self) -> None:
        """Whatever the operator makes in the namespace goes again at once."""
        for i in itertools.count():
            for resource in (INFERENCE_SERVICES, HTTP_ROUTES):
                path = resource.object_path(f"heavy-{i % HEAVY_SERVICES}", self._namespace)
                await self._send("DELETE", path)
            await asyncio.sleep(0.2)

    async def go_templates(self) -> None:
        """What KServe would execute: refused at admission, or by the operator."""
        source = {"fieldRef": {"apiVersion": GO_TEMPLATE, "fieldPath": "metadata.name"}}
        for i in itertools.count():
            for variable in ({"value": GO_TEMPLATE}, {"valueFrom": source}):
                await self._create(SERVICES, f"go-{i % 10}", _env("model", {"name": "A", **variable}))
                await self._patch(SERVICES, f"go-{i % 10}", {"spec": {"env": [{"name": "A", **variable}]}})
            await asyncio.sleep(0.5)

    async def configurations_changed(self) -> None:
        """One object that all services of the namespace hang on, changed all the time."""
        await self._create(RUNTIME_CONFIGS, "default", {})
        for i in itertools.count():
            env = [{"name": "TURN", "value": str(i)}]
            await self._patch(RUNTIME_CONFIGS, "default", {"spec": {"env": env}})
            await asyncio.sleep(0.5)

    async def secrets_in_sources(self) -> None:
        """References that the kubelet would put the value of a Secret into."""
        for i in itertools.count():
            uri = f"s3://bucket/$(AWS_SECRET_ACCESS_KEY)/{i}"
            await self._create(MODEL_CACHES, f"secret-{i}", {"sourceUri": uri})
            await asyncio.sleep(1)

    async def forged_jobs(self) -> None:
        """Jobs that look like the operator's discoveries."""
        labels = {
            "app.kubernetes.io/managed-by": "aim-controller",
            "app.kubernetes.io/component": "discovery-job",
        }
        container = {"name": "discovery", "image": "registry.invalid/forged:1"}
        pod = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        for i in itertools.count():
            manifest = _manifest(JOBS, f"forged-{i}", {"template": pod, "suspend": True})
            manifest["metadata"]["labels"] = labels
            await self._send("POST", JOBS.collection_path(self._namespace), manifest)
            await asyncio.sleep(2)

    async def connections_held(self) -> None:
        """Connections to metrics and probes: requests of which half never end."""
        timeout = aiohttp.ClientTimeout(total=5)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def ask(host: str, port: int) -> None:
                while True:
                    try:
                        async with session.get(f"http://{host}:{port}/metrics") as response:
                            await response.read()
                            self.counts["metrics read"] += 1
                    except (aiohttp.ClientError, TimeoutError, OSError):
                        self.counts["metrics refused"] += 1
                    await asyncio.sleep(0.5)

            async def hold(host: str, port: int) -> None:
                while True:
                    try:
                        _, writer = await asyncio.open_connection(host, port)
                        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Half: ")
                        await asyncio.sleep(20)
                        writer.close()
                    except OSError:
                        self.counts["connections refused"] += 1
                        await asyncio.sleep(1)

            async with asyncio.TaskGroup() as group:
                for index in range(CONNECTIONS):
                    host, port = self._listeners[index % len(self._listeners)]
                    group.create_task((ask if index % 2 else hold)(host, port))

    async def _create(
        self, resource: Resource[Any], name: str, spec: Plain, annotations: Plain | None = None
    ) -> None:
        manifest = _manifest(resource, name, spec)
        manifest["metadata"]["annotations"] = annotations or {}
        await self._send("POST", resource.collection_path(self._namespace), manifest)

    async def _patch(self, resource: Resource[Any], name: str, patch: Plain) -> None:
        await self._send("PATCH", resource.object_path(name, self._namespace), patch)

    async def _send(self, method: str, path: str, body: Plain | None = None) -> None:
        try:
            await self._api.send(method, path, None if body is None else encode(body), _type(method))
        except RuntimeError:
            self.counts["requests refused"] += 1
        else:
            self.counts["requests accepted"] += 1


def _type(method: str) -> str:
    return MERGE if method == "PATCH" else JSON


def _env(model: str, *variables: Plain) -> Plain:
    return {"model": model, "env": list(variables)}


def _manifest(resource: Resource[Any], name: str, spec: Plain) -> Plain:
    metadata = {"name": name}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": spec}


async def main() -> None:
    """Attack until SIGTERM, then print what was counted."""
    target = decode(sys.argv[1], type=Target)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Api(Cluster.attach(Path(target.directory)), impersonated=target.user) as api:
        hostile = Hostile(api, target.namespace, target.path, target.listeners)
        await hostile.attack(stop)
    sys.stdout.buffer.write(encode(hostile.counts))


if __name__ == "__main__":
    asyncio.run(main())
