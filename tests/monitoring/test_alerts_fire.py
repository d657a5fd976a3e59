"""Each alert fires on a real Prometheus, for real operators that are in that state; a healthy one has none.

The operators run in this process, on API servers in memory; that of the outage speaks HTTP to a server that
answers 503. The rules are the chart's, hurried: tests/monitoring/test_rules.py has their true times.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from aim_operator.api.meta import Manifest
from aim_operator.app import Operator
from aim_operator.errors import ApiError, Forbidden
from aim_operator.kube.authorization import Anonymous
from aim_operator.kube.client import Client
from aim_operator.kube.credentials import Connection
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.metrics import Metrics
from aim_operator.sandbox import Network, Sandbox
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.network import Fault, Rates
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.sandbox.storage import Stored
from aim_operator.settings import Settings
from hack.cluster.ports import pick_ports
from tests.simulation.catalog import API, NAMESPACE, image, service, template
from tests.simulation.world import OPERATOR_NAMESPACE
from tests.support.http_serving import Serving
from tests.support.prometheus import JOB, RULES, Prometheus, hurried, prometheus

pytestmark = pytest.mark.needs_prometheus
RELEASES = ("healthy", "troubled", "slow", "outage", "absent")
EXPECTED = {
    "absent": {"AimOperatorAbsent"},
    "outage": {"AimOperatorNoLeader", "AimOperatorWatchStale", "AimOperatorApiErrors"},
    "slow": {"AimOperatorQueueStuck", "AimOperatorNamespacesSlowed"},
    "troubled": {
        "AimOperatorForbidden",
        "AimOperatorReconcileErrors",
        "AimOperatorUnreadableObjects",
        "AimServicesDegraded",
        "AimServicesSlowToStart",
        "AimReplicasMissing",
        "AimCatalogDegraded",
        "AimCachesFailed",
        "AimDiscoveriesWaiting",
        "AimDownloadsWaiting",
    },
}
"""Alerts by release. One may have more than these: a slow API server also makes services start slowly."""
RELEASED = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "aim-operator", "namespace": "kaiwo-system"},
    "spec": {"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 1},
}
"""A Lease that nobody holds: after a first one, operators wait 15 s."""
FOR_EVER = 10**9
SECONDS = 120
OPERATORS = 5
HANGS = ImageBehaviour(outcome="hangs")
REFUSED = ImageBehaviour(outcome="fails", message="AuthenticationFailed: set HF_TOKEN", exit_code=10)


class Cluster:
    """Operators of one release, and the API server in memory that they work on."""

    def __init__(self, release: str, ports: Iterable[int]) -> None:
        self.release = release
        self.ports = list(ports)
        self.sandbox = Sandbox(SystemClock())
        # Watches are heard of more often than a hurried alert waits.
        self.sandbox.server.bookmark_seconds = 0.5
        self.sandbox.load([gpu_node("node-1"), storage_class(), OPERATOR_NAMESPACE, RELEASED])
        self.network = Network(self.sandbox.clock)

    @asynccontextmanager
    async def operator(
        self, client: KubeClient, metrics: Metrics, port: int, **more: Any
    ) -> AsyncIterator[None]:
        settings = Settings(metrics_address=f"127.0.0.1:{port}", **more)
        working = Operator(client, settings, metrics=metrics, identity=str(port))
        tasks = [asyncio.create_task(working.run()), asyncio.create_task(self.sandbox.run())]
        try:
            yield
        finally:
            working.stop()
            await asyncio.wait(tasks[:1], timeout=1)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def here(self, **more: Any) -> contextlib.AbstractAsyncContextManager[None]:
        client = self.sandbox.client(network=self.network)
        return self.operator(client, Metrics(), self.ports.pop(0), **more)


def caching(name: str) -> Manifest:
    """Return an AIMModelCache of a source by its name."""
    spec = {"sourceUri": f"hf://sandbox/{name}", "size": "1Gi"}
    return {
        "apiVersion": API,
        "kind": "AIMModelCache",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def the(cluster: Cluster, name: str) -> Stored:
    """Return one of our objects by its name."""
    every = cluster.sandbox.server.storage.everything()
    (found,) = (each for each in every if each.key.name == name and each.key.id.group == "aim.silogen.ai")
    return found


async def make_trouble(cluster: Cluster) -> None:
    """Objects that can't be served, for each of their own reason, and refusals of the API server."""
    sandbox, jobs = cluster.sandbox, cluster.sandbox.jobs
    jobs.behaviours |= {"endless": HANGS, "hf://sandbox/lost": REFUSED}
    jobs.behaviours |= {f"hf://sandbox/d{n}": HANGS for n in range(2)}
    sandbox.kserve.ready_seconds = FOR_EVER
    sandbox.load(
        [
            image(),
            template(),
            service("chat"),
            service("typo", model="no-such-model"),
            image("alone", runtimeConfigName="no-such-configuration"),
            image("endless", ref="endless"),
            *(template(f"endless-{n}", model="endless", precision=p) for n, p in enumerate(("fp8", "fp16"))),
            caching("lost"),
        ]
    )
    for error, name in ((Forbidden("may not"), "no-right"), (ApiError("418 I'm a teapot"), "teapot")):
        sandbox.load([image(name)])
        cluster.network.fail(Fault(error=error, verb="patch_status", name=name, times=FOR_EVER))
    sandbox.load([service("from-the-future", model="no-such-model")])
    # It has the one slot until it has failed.
    while the(cluster, "lost").obj.get("status", {}).get("status") != "Failed":
        await cluster.sandbox.clock.sleep(0.1)
    sandbox.load([caching("d0"), caching("d1")])
    unreadable(cluster)


def unreadable(cluster: Cluster) -> None:
    """Change a service as a newer version may write it, past the schema of this one."""
    storage = cluster.sandbox.server.storage
    found = the(cluster, "from-the-future")
    changed = copy.deepcopy(found.obj)
    changed["spec"]["replicas"] = ["as many", "as needed"]
    storage.put(found.key, changed, found.managers)


async def unavailable(_request: web.BaseRequest) -> web.Response:
    return web.json_response({"kind": "Status", "code": 503, "message": "etcd is away"}, status=503)


def rules() -> dict[str, str]:
    text = hurried(RULES.read_text())
    return {release: text.replace(JOB, f'job="{release}"') for release in RELEASES}


def lacking(fired: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the alerts that are due and don't fire, by release."""
    lack = {release: due - fired.get(release, set()) for release, due in EXPECTED.items()}
    return {release: names for release, names in lack.items() if names}


async def reached(server: Prometheus) -> dict[str, set[str]]:
    """Wait until every release has had its alerts; all that fired until then, or until our patience ends."""
    fired: dict[str, set[str]] = {}
    for _ in range(SECONDS * 5):
        for release, names in (await server.firing()).items():
            fired.setdefault(release, set()).update(names)
        if not lacking(fired):
            break
        await asyncio.sleep(0.2)
    return fired


async def of_healthy(server: Prometheus) -> set[str]:
    """Return what fires for the healthy release, as soon as that is nothing, or when our patience ends.

    A machine with much else to do may be slow at times, as an API server is then; that is remembered longer.
    """
    fired: set[str] = set()
    for _ in range(SECONDS * 5):
        fired = (await server.firing()).get("healthy", set()) - {"AimOperatorNamespacesSlowed"}
        if not fired:
            break
        await asyncio.sleep(0.2)
    return fired


async def test_every_alert_fires_for_an_operator_in_its_state_and_none_for_a_healthy_one(
    tmp_path: Path,
) -> None:
    names = ("leader", "standby", "troubled", "slow", "outage", "absent")
    ports = pick_ports(list(names))
    healthy = Cluster("healthy", [ports["leader"], ports["standby"]])
    healthy.sandbox.load([image(), template(), service("chat")])
    troubled = Cluster("troubled", [ports["troubled"]])
    slow = Cluster("slow", [ports["slow"]])
    slow.network.rates = Rates(call_seconds=2.0)
    slow.sandbox.load([image(), template(), *(service(f"s{number}") for number in range(40))])
    outage = Cluster("outage", [ports["outage"]])
    serving = await Serving.start(web.Server(unavailable))
    metrics = Metrics()
    connection = Connection(server=f"http://127.0.0.1:{serving.port}", authorization=Anonymous())
    client = Client(connection, observer=metrics)
    release_of = {"leader": "healthy", "standby": "healthy"}
    targets = [
        (port, {"job": release_of.get(name, name), "pod": name, "namespace": "aim"})
        for name, port in ports.items()
    ]
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(serving.close)
        stack.push_async_callback(client.close)
        enter = stack.enter_async_context
        await enter(healthy.here(leader_elect=True))
        await enter(healthy.here(leader_elect=True))
        await enter(troubled.here(max_discovery_jobs=1, max_download_jobs=1))
        await enter(slow.here(workers=6))
        await enter(outage.operator(client, metrics, ports["outage"], leader_elect=True))
        server = await enter(prometheus(tmp_path, rules=rules(), targets=targets))
        # Before the first answers every release is absent, and no counter is seen to increase.
        await server.until("aim_leader", OPERATORS)
        await make_trouble(troubled)
        fired = await reached(server)
        assert lacking(fired) == {}
        assert await of_healthy(server) == set()
        every = {
            rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
        }
        assert every == set().union(*EXPECTED.values())
