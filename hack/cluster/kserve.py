"""Starts KServe's real controller beside the cluster: its CRDs, configuration, webhooks and the process.

Standard (raw) deployment mode, without Knative, Istio or cert-manager; no ingress of its own. Its storage
initializer runs too, as a stand-in image that downloads nothing.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from pathlib import Path

from hack.cluster import processes
from hack.cluster.api import Manifest
from hack.cluster.build import ensure, program
from hack.cluster.components import (
    KSERVE,
    KSERVE_MANIFESTS,
    OLDEST_KSERVE,
    OLDEST_KSERVE_MANIFESTS,
    OLDEST_KSERVE_PART,
    ModuleManifests,
    ModuleProgram,
)
from hack.cluster.control_plane import make_certificate
from hack.cluster.images import STORAGE_INITIALIZER_IMAGE
from hack.cluster.instance import Instance
from hack.cluster.manifests import crd_manifests, install_crds, read_manifests, replace_crds
from hack.cluster.ports import pick_ports
from hack.cluster.progress import Progress

NAMESPACE = "kserve"
START_SECONDS = 60.0
# What differs from the configuration that KServe ships.
CONFIGURATION: dict[str, dict[str, object]] = {
    "deploy": {"defaultDeploymentMode": "Standard"},
    "ingress": {"disableIngressCreation": True},
    # Its defaults ask for 1 CPU and 2 GiB per model: more than a laptop's node has to give.
    "inferenceService": {"resource": {}},
    "storageInitializer": {
        "image": STORAGE_INITIALIZER_IMAGE,
        "cpuRequest": "10m",
        "memoryRequest": "16Mi",
        "enableModelcar": False,
    },
}


def start_kserve(instance: Instance, progress: Progress) -> None:
    """Starts it and returns when its webhooks answer. An older one that runs is upgraded."""
    older = processes.recorded(instance.directory).get("kserve")
    if older is not None:
        processes.end([older])
    _start(instance, progress, "kserve", KSERVE, KSERVE_MANIFESTS, upgrade=older is not None)


def start_oldest_kserve(instance: Instance, progress: Progress) -> None:
    """The same of the oldest version that the operator works with."""
    _start(instance, progress, OLDEST_KSERVE_PART, OLDEST_KSERVE, OLDEST_KSERVE_MANIFESTS, upgrade=False)


def _start(
    instance: Instance,
    progress: Progress,
    part: str,
    manager: ModuleProgram,
    manifests: ModuleManifests,
    *,
    upgrade: bool,
) -> None:
    ensure(manager, progress)
    crds = crd_manifests(part, progress)
    with progress.step("kserve", f"starting {manager.title}", "ready in"):
        api = instance.api()
        (replace_crds if upgrade else install_crds)(api, crds)
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        api.apply_when_served(_configuration(manifests))
        api.apply_when_served(_storage_container())
        instance.ports |= pick_ports(["kserve-webhook", "kserve-probe"])
        instance.save()
        _start_process(instance, manager)
        authority = (_certificates(instance) / "ca.crt").read_bytes()
        for webhook in read_manifests(manifests, "webhooks"):
            api.apply(_reachable(webhook, instance.ports["kserve-webhook"], authority))


def _configuration(manifests: ModuleManifests) -> Manifest:
    """The ConfigMap as shipped, without its page of examples, with our differences."""
    shipped = read_manifests(manifests, "configuration")[0]
    data = {key: value for key, value in shipped["data"].items() if key != "_example"}
    for section, changes in CONFIGURATION.items():
        data[section] = json.dumps({**json.loads(data[section]), **changes})
    data["inferenceService"] = json.dumps(CONFIGURATION["inferenceService"])
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "inferenceservice-config", "namespace": NAMESPACE},
        "data": data,
    }


def _storage_container() -> Manifest:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterStorageContainer",
        "metadata": {"name": "default"},
        "spec": {
            "container": {
                "name": "storage-initializer",
                "image": STORAGE_INITIALIZER_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                # KServe ships none; without it no Pod fits a namespace that enforces `restricted`.
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "1", "memory": "1Gi"},
                },
            },
            "supportedUriFormats": [{"prefix": "hf://"}, {"prefix": "s3://"}],
            "workloadType": "initContainer",
        },
    }


def _certificates(instance: Instance) -> Path:
    return instance.directory / "kserve" / "k8s-webhook-server" / "serving-certs"


def _start_process(instance: Instance, manager: ModuleProgram) -> None:
    certificates = _certificates(instance)
    certificates.mkdir(parents=True, exist_ok=True)
    make_certificate(str(certificates), "127.0.0.1")
    probe = f"127.0.0.1:{instance.ports['kserve-probe']}"
    process = processes.start(
        instance.directory,
        "kserve",
        [
            program(manager),
            f"--webhook-port={instance.ports['kserve-webhook']}",
            f"--health-probe-addr={probe}",
            "--metrics-addr=0",
        ],
        {
            "KUBECONFIG": str(instance.kubeconfig),
            "POD_NAMESPACE": NAMESPACE,
            # It has no flag for its certificates: they are looked for below the temporary directory.
            "TMPDIR": str(instance.directory / "kserve"),
        },
    )
    processes.wait_until(
        lambda: answers(f"http://{probe}/readyz"),
        instance.directory,
        process,
        START_SECONDS,
        "KServe's controller",
    )


def answers(url: str) -> bool:
    """Whether a plain HTTP server on this machine says 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def _reachable(webhook: Manifest, port: int, authority: bytes) -> Manifest:
    """A webhook configuration that calls our process by address instead of a Service in the cluster."""
    for entry in webhook["webhooks"]:
        path = entry["clientConfig"]["service"]["path"]
        entry["clientConfig"] = {
            "url": f"https://127.0.0.1:{port}{path}",
            "caBundle": base64.b64encode(authority).decode(),
        }
    webhook["metadata"] = {"name": webhook["metadata"]["name"]}
    return webhook
