"""A node without containers: it registers, takes Pods, ends them as their image would, and serves logs."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web

from aim_operator.api.meta import Manifest
from aim_operator.errors import AlreadyExists, ApiError
from hack.cluster.api import Api
from hack.cluster.node import GPU_LABELS
from tests.support.http_serving import Serving
from tests.support.stand_ins import images
from tests.support.stand_ins.common import Key, Plain, Queue, Surroundings, condition, resource

NODE = "stand-in"
PODS = resource("v1", "Pod", "pods")
NODES = resource("v1", "Node", "nodes", namespaced=False)
LEASES = resource("coordination.k8s.io/v1", "Lease", "leases")
LEASE_NAMESPACE = "kube-node-lease"
RENEW_SECONDS = 10
CAPACITY = {"cpu": "512", "memory": "2048Gi", "pods": "5000", "amd.com/gpu": "512"}


class Node:
    def __init__(self, around: Surroundings, api: Api, certificates: Path) -> None:
        self._around, self._api, self._certificates = around, api, certificates
        self._pods = around.informer(PODS, field_selector=f"spec.nodeName={NODE}")
        self._queue = Queue(self._look)
        self._queue.watch(self._pods)
        around.when_released(self._queue, self._pods)

    async def register(self) -> None:
        """Serve logs, and tell the API server where."""
        port = await self._serve_logs()
        client = self._around.client
        metadata = {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, **GPU_LABELS}}
        await client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        ready = condition("Ready", "True", "KubeletReady", "a stand-in is always ready", _now())
        status = {
            "capacity": CAPACITY,
            "allocatable": CAPACITY,
            "conditions": [ready | {"lastHeartbeatTime": _now()}],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        await client.patch_status(NODES, NODE, {"status": status})

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            tasks.create_task(self._queue.run())

    async def _beat(self) -> None:
        """Renew the node's Lease, without which it counts as dead after 40 s."""
        lease: Manifest = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": NODE, "namespace": LEASE_NAMESPACE},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40},
        }
        while True:
            lease["spec"]["renewTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            # The API server may be away; the next beat comes in time.
            with suppress(ApiError):
                await self._renew(lease)
            await asyncio.sleep(RENEW_SECONDS)

    async def _renew(self, lease: Manifest) -> None:
        try:
            await self._around.client.create(LEASES, lease, namespace=LEASE_NAMESPACE)
        except AlreadyExists:
            patch = {"spec": lease["spec"]}
            await self._around.client.patch(LEASES, NODE, patch, namespace=LEASE_NAMESPACE)

    async def _look(self, key: Key) -> None:
        pod = self._pods.store.get(*key)
        if pod is None:
            return
        if pod.metadata.deletion_timestamp is not None:
            path = f"{PODS.object_path(key.name, key.namespace)}?gracePeriodSeconds=0"
            await asyncio.to_thread(self._api.delete, path)
            return
        if pod.status.get("phase") in ("Succeeded", "Failed"):
            return
        await self._around.client.patch_status(
            PODS, key.name, {"status": self._status(pod)}, namespace=key.namespace
        )

    def _status(self, pod: Plain) -> Manifest:
        image, env = _container(pod)
        refusal = images.pull_error(image)
        if refusal is not None:
            return _pod_status(pod, "Pending", {"waiting": {"reason": "ErrImagePull", "message": refusal}})
        if self._around.held(pod.metadata.namespace, "node"):
            return _pod_status(pod, "Running", {"running": {"startedAt": _now()}})
        ended = images.run(image, env)
        terminated: Manifest = {"exitCode": ended.exit_code, "finishedAt": _now(), "startedAt": _now()}
        if ended.exit_code:
            # What FallbackToLogsOnError makes of it.
            terminated["message"] = ended.log.decode()[-2048:]
        return _pod_status(pod, "Failed" if ended.exit_code else "Succeeded", {"terminated": terminated})

    async def _serve_logs(self) -> int:
        """Answer as a kubelet does; return the port. The API server here verifies no kubelet."""
        app = web.Application()
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._log)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificates / "tls.crt", self._certificates / "tls.key")
        return (await Serving.start(app, tls=context)).port

    async def _log(self, request: web.Request) -> web.Response:
        pod = self._pods.store.get(request.match_info["namespace"], request.match_info["pod"])
        if pod is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.Response(body=images.run(*_container(pod)).log)


def _container(pod: Plain) -> tuple[str, dict[str, str]]:
    container: dict[str, Any] = pod.spec["containers"][0]
    return container["image"], {v["name"]: v.get("value", "") for v in container.get("env", [])}


def _pod_status(pod: Plain, phase: str, state: Manifest) -> Manifest:
    container = pod.spec["containers"][0]
    status = {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "state": state,
    }
    return {"phase": phase, "startTime": _now(), "containerStatuses": [status]}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
