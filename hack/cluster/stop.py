"""Stops an instance from its directory alone, however it was started and however its starter ended.

Newest first, and the API server before its etcd: it waits for an etcd that went first. Nothing is left: no
process, mount, control group, bridge or file.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from hack.cluster import kernel, processes
from hack.cluster.cache import locked
from hack.cluster.errors import ClusterError
from hack.cluster.instance import SECOND_DIRECTORY, SECOND_PART, Instance
from hack.cluster.progress import Progress

# What ends together, in this order. Processes not named here are ended by their mark, after these.
ORDER = (
    ("reaper", "provisioner", "service-address", "service-address-node2", "traefik", "kserve"),
    ("kubelet", "kubelet-node2"),
    ("containerd", "containerd-node2"),
    ("kube-controller-manager", "kube-scheduler"),
    ("kube-apiserver",),
    ("etcd",),
)
# Pods' data in memory and on disk are thrown away, so there is nothing to be graceful for after this.
GRACE_SECONDS = 3.0


def instance_lock_subject(directory: Path) -> str:
    """What start, add and stop of one instance lock, so that they never overlap."""
    return f"instance {directory}"


def stop_instance(directory: Path, progress: Progress, *, keep_logs: bool = False) -> bool:
    """Ends everything of the instance and removes its directory. False if there was nothing."""
    directory = directory.resolve()
    with locked(instance_lock_subject(directory)):
        instance = Instance.load(directory)
        if instance is None:
            if not processes.marked(directory):
                return False
            instance = Instance(directory)
        with progress.step("cluster", f"stopping {directory}", "stopped in"):
            end_everything(instance)
            remove_directory(directory, keep_logs=keep_logs)
    return True


def end_everything(instance: Instance) -> None:
    """Ends processes and undoes what they left in the kernel; the directory stays."""
    directory = instance.directory
    known = processes.recorded(directory)
    for names in ORDER:
        processes.end(
            [known[name] for name in names if name in known and known[name].pid != os.getpid()], GRACE_SECONDS
        )
        if "kubelet" in names:
            _remove_cgroups(instance)
    # Containerd's shims, and whatever was started but not yet recorded when its starter was killed.
    processes.end(processes.marked(directory), GRACE_SECONDS)
    _undo_node(instance)


def undo_part(instance: Instance, before: dict[str, processes.Process]) -> None:
    """Ends what a part started before it failed: whatever is not among the processes of before."""
    new = [process for name, process in processes.recorded(instance.directory).items() if name not in before]
    processes.end(new, GRACE_SECONDS)
    for process in new:
        (instance.directory / "processes" / f"{process.name}.json").unlink(missing_ok=True)
    if "node" not in instance.parts:
        _undo_node(instance)
        instance.network = instance.node_ip = ""
        instance.save()
    elif SECOND_PART not in instance.parts and instance.second_network:
        kernel.remove_cgroup(instance.second_network)
        kernel.unmount_under(instance.directory / SECOND_DIRECTORY)
        kernel.remove_network(instance.second_network)
        instance.second_network = instance.second_node_ip = ""
        instance.save()


def _networks(instance: Instance) -> list[str]:
    return [network for network in (instance.network, instance.second_network) if network]


def _remove_cgroups(instance: Instance) -> None:
    for network in _networks(instance):
        kernel.remove_cgroup(network)


def _undo_node(instance: Instance) -> None:
    _remove_cgroups(instance)
    kernel.unmount_under(instance.directory)
    kernel.remove_networks(instance.directory)
    _remove_stray_files(instance)


def _remove_stray_files(instance: Instance) -> None:
    """What containerd and the kubelet keep at fixed places, whatever directory they are given."""
    for address in instance.directory.glob("**/containerd/state/*/k8s.io/*/address"):
        # A killed shim leaves its socket.
        Path(address.read_text().strip().removeprefix("unix://")).unlink(missing_ok=True)
    for link in Path("/var/log/containers").glob("*.log"):
        if link.is_symlink() and link.readlink().is_relative_to(instance.directory):
            link.unlink(missing_ok=True)
    for network in _networks(instance):
        for result in Path("/var/lib/cni/results").glob(f"{network}-*"):
            result.unlink(missing_ok=True)


def remove_directory(directory: Path, *, keep_logs: bool = False) -> None:
    """Removes an instance's directory, or all but its logs."""
    if not directory.exists():
        return
    if kernel.mounts_under(directory):
        raise ClusterError(
            f"{directory} still holds mounts, so its files are kept", "Unmount them, stop again."
        )
    if not keep_logs:
        shutil.rmtree(directory)
        return
    for entry in directory.iterdir():
        if entry.name in {"logs", "audit.log"}:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
