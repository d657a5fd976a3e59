"""Starts a node of an instance: containerd and a kubelet that runs real Pods, with stand-in images and GPUs.

Several nodes of several instances share one kernel, so each has a bridge, a Pod network and a parent
control group of its own. There is no kube-proxy and no DNS: Pods reach each other and the host by address,
and the API server by the address of its Service.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hack.cluster import kernel, processes
from hack.cluster.api import condition
from hack.cluster.build import program
from hack.cluster.components import CONTROL_PLANE
from hack.cluster.errors import ClusterError
from hack.cluster.images import PAUSE_IMAGE, write_archive
from hack.cluster.instance import SECOND_DIRECTORY, SECOND_PART, Instance
from hack.cluster.progress import Progress
from hack.cluster.provisioner import STORAGE_CLASSES
from hack.cluster.reaper import python_environment
from hack.cluster.service_address import start_service_address

NODE, SECOND_NODE = "node1", "node2"
START_SECONDS = 60.0
GPUS = "64"
# As the AMD GPU operator's node labeller writes them for an 8-GPU machine's kind of card.
GPU_LABELS = {
    "amd.com/gpu.device-id": "74a1",
    "amd.com/gpu.family": "AI",
    "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
    "amd.com/gpu.vram": "192G",
    "beta.amd.com/gpu.device-id": "74a1",
    "beta.amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
}


class Place(NamedTuple):
    """Where one node of an instance lives: what is its own on this machine."""

    instance: Instance
    name: str
    directory: Path
    network: str
    ip: str
    suffix: str = ""
    """Of its processes' names."""


def place(instance: Instance) -> Place:
    """The place of the node that every instance with nodes has."""
    return Place(instance, NODE, instance.directory, instance.network, instance.node_ip)


def second_place(instance: Instance) -> Place:
    """The place of the other one. Unix sockets below its directory must stay under the kernel's 108 bytes."""
    return Place(
        instance,
        SECOND_NODE,
        instance.directory / SECOND_DIRECTORY,
        instance.second_network,
        instance.second_node_ip,
        f"-{SECOND_NODE}",
    )


def start_node(instance: Instance, progress: Progress) -> None:
    """Starts the node and returns when it is Ready and has its images, GPUs and storage classes."""
    with progress.step("node", "starting containerd and kubelet", "ready in"):
        instance.network, instance.node_ip = kernel.reserve_network(instance.directory)
        instance.save()
        here = place(instance)
        _start(here, GPU_LABELS)
        _start_provisioner(instance)
        api = instance.api()
        gpus = {"amd.com/gpu": GPUS}
        status = {"status": {"capacity": gpus, "allocatable": gpus}}
        api.request("PATCH", f"/api/v1/nodes/{NODE}/status", status, "application/merge-patch+json")
        _wait_until_ready(here)


def start_second_node(instance: Instance, progress: Progress) -> None:
    """Starts a node without GPUs beside the first. Volumes of class `local-wait` belong to one of the two."""
    if "node" not in instance.parts:
        raise ClusterError(f"{SECOND_PART} needs a first one", f"Start both: `--parts node,{SECOND_PART}`.")
    with progress.step(SECOND_PART, "starting containerd and kubelet", "ready in"):
        instance.second_network, instance.second_node_ip = kernel.reserve_network(instance.directory)
        instance.save()
        here = second_place(instance)
        here.directory.mkdir(exist_ok=True)
        _start(here, {})
        _wait_until_ready(here)


def _start(here: Place, labels: Mapping[str, str]) -> None:
    kernel.make_cgroup(here.network)
    start_service_address(here.instance, here.network, here.suffix)
    _start_containerd(here)
    _import_images(here)
    _start_kubelet(here, labels)


def _wait_until_ready(here: Place) -> None:
    here.instance.api().wait_for(
        f"/api/v1/nodes/{here.name}",
        lambda found: condition(found, "Ready") == "True",
        START_SECONDS,
        "the node is",
    )


def _start_containerd(here: Place) -> None:
    directory = here.directory
    cni = directory / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "10-bridge.conflist").write_text(json.dumps(_network_configuration(here)))
    configuration = directory / "containerd.toml"
    configuration.write_text(_containerd_configuration(directory))
    root = here.instance.directory
    argv = ["containerd", "--config", str(configuration)]
    process = processes.start(root, f"containerd{here.suffix}", argv)
    processes.wait_until(
        lambda: _ctr(directory, "version").returncode == 0, root, process, START_SECONDS, "containerd"
    )


def crash_containerd(instance: Instance) -> None:
    """Kills containerd without a warning and starts it again, as a service manager would. Pods run on."""
    processes.kill([processes.recorded(instance.directory)["containerd"]])
    _start_containerd(place(instance))


def _network_configuration(here: Place) -> dict[str, object]:
    """The CNI configuration: the bridge made before, its address as the gateway.

    So the host is reachable from Pods, and no packet filter rule is needed that could be left behind.
    """
    subnet = f"{here.ip.rpartition('.')[0]}.0/24"
    bridge = {
        "type": "bridge",
        "bridge": here.network,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(here.directory / "cni-addresses"),
            "ranges": [[{"subnet": subnet, "rangeStart": f"{here.ip.rpartition('.')[0]}.2"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    return {"cniVersion": "0.4.0", "name": here.network, "plugins": [bridge]}


def _containerd_configuration(directory: Path) -> str:
    state = directory / "containerd"
    return f"""
version = 2
root = "{state}/root"
state = "{state}/state"
# None of these can work here, and each would log why.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{directory}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{state}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE (inside containers, CI sandboxes) no score may be lowered, and every sandbox
  # would die with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  # Below our directory, so that one sweep of its mounts finds the network namespaces too.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{directory}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "{_snapshotter(directory)}"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        Root = "{state}/runc"
"""


def _snapshotter(directory: Path) -> str:
    return "overlayfs" if kernel.overlay_works(directory) else "native"


def _import_images(here: Place) -> None:
    archive = here.directory / "images.tar"
    write_archive(archive)
    _import(here.directory, archive)


def import_images(instance: Instance, archive: Path) -> None:
    """Makes the images of a docker archive known to each node."""
    nodes = (place(instance), second_place(instance)) if instance.second_network else (place(instance),)
    for here in nodes:
        _import(here.directory, archive)


def _import(directory: Path, archive: Path) -> None:
    """Makes the images of a docker archive known to a node.

    Their names need fixed tags: `latest` is always pulled, and there is no registry.
    """
    snapshotter = f"--snapshotter={_snapshotter(directory)}"
    finished = _ctr(directory, "--namespace=k8s.io", "images", "import", snapshotter, str(archive))
    if finished.returncode != 0:
        raise ClusterError(f"cannot import {archive}: {finished.stderr.strip()}")


def _ctr(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ctr", f"--address={directory}/containerd.sock", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def _start_kubelet(here: Place, node_labels: Mapping[str, str]) -> None:
    instance, directory = here.instance, here.directory
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": here.ip,
        "healthzPort": 0,
        "containerRuntimeEndpoint": f"unix://{directory}/containerd.sock",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(instance.certificates / "ca.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        # A kubelet ends every Pod below its root that it does not know: others' must not be there.
        "cgroupRoot": f"/{here.network}",
        "podLogsDir": str(directory / "pod-logs"),
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": False,
        "failSwapOn": False,
        # No kube-proxy: packet filter rules would only be left behind.
        "makeIPTablesUtilChains": False,
        # Nothing listens there, so look-ups fail at once; without it each Pod gets a warning event.
        "clusterDNS": [here.ip],
        "clusterDomain": "cluster.local",
        # The disk is the developer's: its fill level is no reason to evict Pods or images.
        "evictionHard": {"memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "registerWithTaints": [],
        # How long a change of a Secret or ConfigMap may take to reach Pods.
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
    }
    (directory / "kubelet.json").write_text(json.dumps(configuration))
    labels = ",".join(f"{key}={value}" for key, value in node_labels.items())
    (directory / "kubelet").mkdir(exist_ok=True)
    process = processes.start(
        instance.directory,
        f"kubelet{here.suffix}",
        [
            program(CONTROL_PLANE), "kubelet",
            f"--config={directory / 'kubelet.json'}",
            f"--kubeconfig={instance.kubeconfig}",
            f"--root-dir={directory / 'kubelet'}",
            f"--cert-dir={directory / 'kubelet' / 'pki'}",
            f"--hostname-override={here.name}",
            f"--node-ip={here.ip}",
            f"--node-labels={labels}",
        ],
    )  # fmt: skip
    api = instance.api()
    processes.wait_until(
        lambda: api.get(f"/api/v1/nodes/{here.name}") is not None,
        instance.directory,
        process,
        START_SECONDS,
        "The kubelet",
    )


def _start_provisioner(instance: Instance) -> None:
    api = instance.api()
    for manifest in STORAGE_CLASSES:
        api.apply(manifest)
    processes.start(
        instance.directory,
        "provisioner",
        [sys.executable, "-m", "hack.cluster.provisioner", str(instance.directory)],
        python_environment(),
    )
