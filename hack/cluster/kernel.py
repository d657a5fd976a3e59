"""What a node leaves in the kernel besides processes: mounts, control groups, a bridge.

Each is found again from the instance's directory or network name alone, so that removal does not depend on
how the instance ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from hack.cluster.errors import CannotError, ClusterError

MNT_DETACH = 2
NETWORKS = range(1, 255)
CGROUP_SECONDS = 10.0
POLL_SECONDS = 0.05


def mounts_under(directory: Path) -> list[Path]:
    """Mount points below a directory, deepest first."""
    points = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        # Spaces and the like are written as octal escapes.
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split(" ")[1]))
        if point != directory and point.is_relative_to(directory):
            points.append(point)
    return sorted(points, key=lambda point: len(point.parts), reverse=True)


def unmount_under(directory: Path) -> None:
    """Detaches every mount below a directory; a busy one goes when its last user does."""
    libc = ctypes.CDLL(None, use_errno=True)
    for point in mounts_under(directory):
        if libc.umount2(os.fsencode(point), MNT_DETACH) != 0:
            reason = os.strerror(ctypes.get_errno())
            raise ClusterError(f"cannot unmount {point}: {reason}", "Unmount it as root, then stop again.")


def overlay_works(directory: Path) -> bool:
    """An overlay cannot lie on an overlay: inside a container, layers are copied instead."""
    answer = subprocess.run(
        ["stat", "--file-system", "--format=%T", directory], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() != "overlayfs"


def cgroup_roots() -> list[Path]:
    """The top of every control-group hierarchy (several in version 1, one in version 2)."""
    roots = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, kind, *_ = line.split(" ")
        if kind in {"cgroup", "cgroup2"}:
            roots.append(Path(point))
    return roots


def make_cgroup(name: str) -> None:
    """The parent of all Pods' groups of one instance: kubelets sharing one would end each other's Pods."""
    for root in cgroup_roots():
        group = root / name
        try:
            group.mkdir(exist_ok=True)
        except OSError as error:
            raise CannotError(
                f"cannot make a control group: {error}", "Run outside of a container."
            ) from error
        # A version 1 cpuset starts empty, and nothing can run in it or below.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if (root / "cpuset.clone_children").exists():
                (group / setting).write_text((root / setting).read_text())
        controllers = root / "cgroup.subtree_control"
        if controllers.exists() and (group / "cgroup.controllers").exists():
            available = (group / "cgroup.controllers").read_text().split()
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{entry}" for entry in available))
        # What a kubelet gives all its Pods beside the node's other processes: the weight of all CPUs. The
        # groups of the Pods are below this one, which would weigh as a single process.
        shares = 1024 * (os.cpu_count() or 1)
        for setting, value in (("cpu.shares", shares), ("cpu.weight", 1 + (shares - 2) * 9999 // 262142)):
            if (group / setting).exists():
                (group / setting).write_text(str(value))


def cgroup_pids(name: str) -> set[int]:
    """Every process in an instance's groups: the containers of its Pods."""
    pids: set[int] = set()
    for root in cgroup_roots():
        for group in _groups_under(root / name):
            try:
                pids |= {int(pid) for pid in (group / "cgroup.procs").read_text().split()}
            except OSError:
                continue  # the group went away meanwhile
    return pids


def remove_cgroup(name: str) -> None:
    """Kills what is in the groups and removes them."""
    deadline = time.monotonic() + CGROUP_SECONDS
    while pids := cgroup_pids(name):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise ClusterError(
                f"processes {sorted(pids)} of Pods cannot be killed", "Look at them with `ps`."
            )
        time.sleep(POLL_SECONDS)
    for group in (root / name for root in cgroup_roots()):
        for path in _groups_under(group):
            _remove_directory(path, deadline)


def _groups_under(group: Path) -> list[Path]:
    """A control group and all below it, children first. Unlike rglob, os.walk bears that they vanish."""
    return [Path(path) for path, _, _ in os.walk(group, topdown=False)]


def _remove_directory(path: Path, deadline: float) -> None:
    # The kernel may need a moment after the last process of a group.
    while path.exists():
        try:
            path.rmdir()
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"cannot remove the control group {path}: {error}") from error
            time.sleep(POLL_SECONDS)


def reserve_network(directory: Path) -> tuple[str, str]:
    """A bridge that no other instance has, and its address 10.214.N.1. The kernel is the registry.

    The directory is the bridge's alias: that is how a start that was killed right here is undone. Its
    hardware address is set: otherwise a bridge takes the lowest of its ports', and a Pod that comes or goes
    changes it under all the others, whose packets are lost until they ask for it again (seconds).
    """
    for number in NETWORKS:
        name, address = f"aim{number}", f"10.214.{number}.1"
        if _ip("link", "add", name, "address", f"02:00:0a:d6:{number:02x}:01", "type", "bridge"):
            if _ip("link", "set", name, "alias", str(directory), "up") and _ip(
                "addr", "add", f"{address}/24", "dev", name
            ):
                return name, address
            _ip("link", "del", name)
            break
    raise CannotError(
        "cannot make a network bridge",
        "That takes CAP_NET_ADMIN and the bridge module; `ip -brief link` shows those named aim1, aim2, ….",
    )


def add_address(network: str, address: str) -> bool:
    """Gives a bridge a further address; it goes with the bridge."""
    return _ip("addr", "add", address, "dev", network)


def remove_networks(directory: Path) -> None:
    """Removes the bridges of an instance; the Pods' ends of it go with their network namespaces."""
    if shutil.which("ip") is None:
        return
    answer = subprocess.run(["ip", "-json", "link"], capture_output=True, text=True, check=False)
    for link in json.loads(answer.stdout or "[]"):
        if link.get("ifalias") == str(directory):
            _ip("link", "del", str(link["ifname"]))


def remove_network(name: str) -> None:
    """Removes one bridge."""
    _ip("link", "del", name)


def _ip(*arguments: str) -> bool:
    return subprocess.run(["ip", *arguments], capture_output=True, check=False).returncode == 0
