"""The proof at the end of `aimctl demo --cluster`: the model server answers HTTP 200.

Asks its Pod directly, then the gateway where its address is known. Called by demo_cluster.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import msgspec
from rich.console import Console

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.cli.demo_snapshot import ServiceRow
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock

PORT = 8000
PATH = "/v1/models"
ANSWER_SECONDS = 30.0
ATTEMPT_SECONDS = 5.0
PAUSE_SECONDS = 0.3
SHOWN_BYTES = 200


class ModelPodStatus(Wire):
    pod_ip: str | None = msgspec.field(default=None, name="podIP")


class ModelPod(KubeObject):
    """A Pod, as far as a request to it needs."""

    status: ModelPodStatus = msgspec.field(default_factory=ModelPodStatus)


MODEL_PODS = Resource(group="", version="v1", plural="pods", kind="Pod", namespaced=True, type=ModelPod)


def selector(service: str) -> str:
    """Return the label selector of the Pods that KServe makes for a service."""
    return f"serving.kserve.io/inferenceservice={service}"


async def request_model(
    client: KubeClient, clock: Clock, service: ServiceRow, gateway_url: str | None, console: Console
) -> list[str]:
    """Ask the service's Pods, and the gateway, and show their answers. Returns what failed."""
    pods = await client.list(MODEL_PODS, namespace=service.namespace, label_selector=selector(service.name))
    urls = [
        (f"Pod {pod.metadata.name}", f"http://{_host(pod.status.pod_ip)}:{PORT}{PATH}")
        for pod in pods.items
        if pod.status.pod_ip is not None and pod.metadata.deletion_timestamp is None
    ]
    if not urls:
        return [f"service {service.namespace}/{service.name} is Running, but none of its Pods has an address"]
    if gateway_url and service.path:
        urls.append(("the gateway", f"{gateway_url.rstrip('/')}{service.path}{PATH}"))
    return [
        problem
        for who, url in urls
        if (problem := await _until_answered(clock, who, url, console)) is not None
    ]


async def _until_answered(clock: Clock, who: str, url: str, console: Console) -> str | None:
    """Ask until the answer is 200, and show it. Returns what came instead."""
    deadline = clock.monotonic() + ANSWER_SECONDS
    while True:
        answer = "no answer"
        try:
            async with _opened(url) as response:
                body = (await response.content.read(SHOWN_BYTES)).decode(errors="replace").strip()
                answer = f"HTTP {response.status} {response.reason}"
                if response.status == 200:
                    console.out(f"\nGET {url}  ({who})\n{answer}\n{body}", highlight=False)
                    return None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            answer = str(error) or type(error).__name__
        if clock.monotonic() > deadline:
            return f"{who} does not answer at {url}: {answer}"
        await clock.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    limits = aiohttp.ClientTimeout(total=ATTEMPT_SECONDS)
    async with aiohttp.ClientSession(timeout=limits) as session, session.get(url) as response:
        yield response


def _host(address: str | None) -> str:
    return f"[{address}]" if ":" in str(address) else str(address)
