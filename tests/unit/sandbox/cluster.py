"""A sandbox on a virtual clock, with the manifests that its tests are about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aim_operator.api.external import PODS, Pod
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.sandbox import Sandbox
from tests.support.virtual_clock import VirtualClock

IMAGE = "example.com/model:1"


class Cluster:
    """`advance` lets time pass and the stand-ins act."""

    def __init__(self, clock: VirtualClock, sandbox: Sandbox) -> None:
        self.clock, self.sandbox = clock, sandbox
        self.server = sandbox.server
        self.client = sandbox.client()

    async def advance(self, seconds: float = 0.0) -> None:
        await self.clock.advance(seconds)

    def stored(self, resource: Resource[Any], name: str, namespace: str = "default") -> Manifest:
        return self.server.read(self.server.kinds.served(resource), name, namespace).obj

    def conditions(self, resource: Resource[Any], name: str) -> dict[str, tuple[str, str]]:
        """Status and message by type."""
        found = self.stored(resource, name).get("status", {}).get("conditions", ())
        return {each["type"]: (each["status"], each.get("message", "")) for each in found}

    async def pods(self) -> tuple[Pod, ...]:
        return (await self.client.list(PODS)).items

    async def log(self, pod: str, container: str = "discovery") -> bytes:
        return b"".join([chunk async for chunk in self.client.logs("default", pod, container=container)])


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[Cluster]:
    clock = VirtualClock()
    sandbox = Sandbox(clock, **options)
    acting = asyncio.ensure_future(sandbox.run())
    cluster = Cluster(clock, sandbox)
    await cluster.advance()
    try:
        yield cluster
    finally:
        await sandbox.close()
        await acting


def make_job(name: str = "job", *, env: dict[str, str] | None = None, **spec: Any) -> Manifest:
    variables = [{"name": key, "value": value} for key, value in (env or {}).items()]
    container = {
        "name": "discovery",
        "image": IMAGE,
        "env": variables,
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    pod = {"restartPolicy": "Never", "containers": [container]}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"backoffLimit": 0, "template": template} | spec,
    }


def make_service(name: str = "service", **spec: Any) -> Manifest:
    return {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"model": "llama"} | spec,
    }
