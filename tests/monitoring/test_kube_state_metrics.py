"""The real kube-state-metrics, with our configuration, on a real API server with objects of all our kinds."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from aim_operator.api.crd import all_crds
from hack.cluster.api import Manifest, object_path
from hack.cluster.build import program
from hack.cluster.cluster import Cluster
from hack.cluster.components import STATE_METRICS
from hack.cluster.ports import pick_ports
from tests.simulation.catalog import (
    cluster_config,
    cluster_image,
    cluster_template,
    config,
    image,
    service,
    template,
)
from tests.support.cluster import REPOSITORY

pytestmark = [pytest.mark.needs_control_plane, pytest.mark.needs_kube_state_metrics]
CONFIG = REPOSITORY / "deploy" / "kube-state-metrics.yaml"
RBAC = "rbac.authorization.k8s.io"
API = "aim.silogen.ai/v1alpha1"
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by the metric's name and all its labels."""

RULES = [
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["list", "watch"],
    },
    {"apiGroups": ["aim.silogen.ai"], "resources": ["*"], "verbs": ["list", "watch"]},
]
"""What the configuration's first lines and docs/operations/observability.md say that it needs."""
CONDITIONS = {"Ready": ("True", "AllIsWell"), "Fits": ("False", "NoRoom"), "Resolved": ("Unknown", "NotYet")}
STATES = {
    crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][
        "status"
    ]["properties"]["status"]["enum"]
    for crd in all_crds()
}


def objects(name: str, namespace: str) -> list[Manifest]:
    """One of each kind, of that name."""
    made = [
        image(name, namespace=namespace),
        cluster_image(name),
        template(name, namespace=namespace),
        cluster_template(name),
        config(name, namespace=namespace),
        cluster_config(name),
        service(name, namespace=namespace),
        *(
            {
                "apiVersion": API,
                "kind": kind,
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            }
            for kind, spec in (
                ("AIMTemplateCache", {"templateRef": "fast"}),
                ("AIMModelCache", {"sourceUri": "hf://org/model"}),
            )
        ),
    ]
    assert {each["kind"] for each in made} == set(STATES)
    return made


def status(state: str, conditions: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        "status": state,
        "conditions": [
            {
                "type": type_,
                "status": holds,
                "reason": reason,
                "message": "as the test says",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for type_, (holds, reason) in conditions.items()
        ],
    }


def write_status(cluster: Cluster, obj: Manifest, wrote: dict[str, Any]) -> None:
    path = f"{object_path(obj)}/status"
    cluster.api.request("PATCH", path, {"status": wrote}, "application/merge-patch+json")


def series_of(obj: Manifest, state: str, conditions: dict[str, tuple[str, str]]) -> Series:
    """What is to be seen of an object, but for a service's numbers."""
    prefix = f"kube_{obj['kind'].lower()}"
    seen = {
        labelled(obj, f"{prefix}_condition", type=type_, reason=reason): float(holds == "True")
        for type_, (holds, reason) in conditions.items()
    }
    each = {
        labelled(obj, f"{prefix}_status", status=possible): float(possible == state)
        for possible in STATES[obj["kind"]]
    }
    return seen | each


def numbers_of(obj: Manifest, desired: int, ready: int, gpus: int) -> Series:
    by_name = {"desired_replicas": desired, "ready_replicas": ready, "gpus_of_a_replica": gpus}
    return {labelled(obj, f"kube_aimservice_{name}"): float(number) for name, number in by_name.items()}


def labelled(obj: Manifest, metric: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    metadata = obj["metadata"]
    where = {"namespace": metadata["namespace"]} if "namespace" in metadata else {}
    every = {
        "customresource_group": "aim.silogen.ai",
        "customresource_version": "v1alpha1",
        "customresource_kind": obj["kind"],
        "name": metadata["name"],
        **where,
        **labels,
    }
    return metric, frozenset(every.items())


class StateMetrics:
    """One that runs."""

    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/metrics"
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def series(self, name: str) -> Series:
        """Those of objects of that name."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self._url) as response:
                text = await response.text()
        except aiohttp.ClientError:
            return {}
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return {
            (s.name, frozenset(s.labels.items())): s.value for s in samples if s.labels.get("name") == name
        }

    async def until(self, name: str, want: Series) -> None:
        """Wait until exactly these are there; fail with what is different."""
        try:
            async with asyncio.timeout(60):
                while await self.series(name) != want:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            got = await self.series(name)
            assert got == want, self.log[-3000:]


@asynccontextmanager
async def state_metrics(cluster: Cluster, namespace: str, directory: Path) -> AsyncIterator[StateMetrics]:
    """Run it as a service account that may do what RULES say, and nothing else."""
    ports = pick_ports(["metrics", "telemetry"])
    log = directory / "kube-state-metrics.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program(STATE_METRICS),
            f"--kubeconfig={kubeconfig(cluster, namespace, directory)}",
            "--custom-resource-state-only",
            f"--custom-resource-state-config-file={CONFIG}",
            "--host=127.0.0.1",
            f"--port={ports['metrics']}",
            "--telemetry-host=127.0.0.1",
            f"--telemetry-port={ports['telemetry']}",
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield StateMetrics(ports["metrics"], log)
    finally:
        process.kill()
        await process.wait()


def kubeconfig(cluster: Cluster, namespace: str, directory: Path) -> Path:
    name = f"state-metrics-{namespace}"
    cluster.kubectl("create", "serviceaccount", "state-metrics", "-n", namespace)
    subject = {"kind": "ServiceAccount", "name": "state-metrics", "namespace": namespace}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    for kind, more in (
        ("ClusterRole", {"rules": RULES}),
        ("ClusterRoleBinding", {"roleRef": role, "subjects": [subject]}),
    ):
        cluster.api.apply({"apiVersion": f"{RBAC}/v1", "kind": kind, "metadata": {"name": name}, **more})
    token = cluster.kubectl("create", "token", "state-metrics", "-n", namespace).strip()
    given = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in given["users"]:
        user["user"] = {"token": token}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(given))
    return path


async def test_each_metric_of_each_kind_has_the_objects_labels_and_values(
    control_plane: Cluster, tmp_path: Path
) -> None:
    """Also once they change, and none of an object that is gone or that has no status yet."""
    with control_plane.namespace() as namespace:
        made = objects(namespace, namespace)
        want: Series = {}
        try:
            for number, obj in enumerate(made):
                control_plane.api.apply(obj)
                state = STATES[obj["kind"]][number % len(STATES[obj["kind"]])]
                wrote = status(state, CONDITIONS)
                want |= series_of(obj, state, CONDITIONS)
                if obj["kind"] == "AIMService":
                    wrote |= {"desiredReplicas": 3, "readyReplicas": 2}
                    want |= numbers_of(obj, desired=3, ready=2, gpus=0)
                write_status(control_plane, obj, wrote)
            async with state_metrics(control_plane, namespace, tmp_path) as shown:
                await shown.until(namespace, want)
                chat = next(obj for obj in made if obj["kind"] == "AIMService")
                flipped = {"Ready": ("False", "RollingOut")}
                active = {
                    "image": "model",
                    "resolvedImage": {"kind": "AIMImage", "name": "model", "scope": "Namespace"},
                    "resolvedTemplate": {"kind": "AIMServiceTemplate", "name": "fast", "scope": "Namespace"},
                    "gpuCount": 8,
                }
                for number, obj in enumerate(made):
                    if obj is chat:
                        more = {"desiredReplicas": 2, "readyReplicas": 0, "active": active}
                        write_status(control_plane, obj, status("Starting", flipped) | more)
                    elif number % 2:
                        write_status(control_plane, obj, status("Degraded", flipped))
                    else:
                        control_plane.api.delete(object_path(obj))
                after: Series = series_of(chat, "Starting", flipped)
                after |= numbers_of(chat, desired=2, ready=0, gpus=8)
                for number, obj in enumerate(made):
                    if obj is not chat and number % 2:
                        after |= series_of(obj, "Degraded", flipped)
                await shown.until(namespace, after)

                new = service("new", namespace=namespace)
                control_plane.api.apply(new)
                await shown.until("new", numbers_of(new, desired=0, ready=0, gpus=0))
                assert "registry_factory.go" not in shown.log, "where it logs what it can't read of an object"
        finally:
            for obj in made:
                control_plane.api.delete(object_path(obj))
