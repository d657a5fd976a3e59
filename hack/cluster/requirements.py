"""Says which parts this machine cannot do, why, and what would help.

Asked before anything is started; Debian packages that a node needs are installed here when that is
possible, so that a bare machine needs one command.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.build import is_built
from hack.cluster.cache import locked
from hack.cluster.components import BY_PART
from hack.cluster.errors import CannotError, Missing
from hack.cluster.kernel import cgroup_roots
from hack.cluster.progress import Progress
from hack.cluster.toolchain import ensure_go

NOT_BUILT = "not built on this machine yet"
BUILD_THEM = (
    "Run `make test-all`, or `make cluster-build` once (half an hour on two idle cores);"
    " then `make test` runs these too."
)
CNI_PLUGINS = Path("/usr/lib/cni")
# Each Debian package that a part takes, with a file or program that shows it is there.
PACKAGES = {
    "node": {
        "containerd": "containerd",
        "runc": "runc",
        "containernetworking-plugins": str(CNI_PLUGINS / "bridge"),
        "busybox-static": "busybox",
        "iproute2": "ip",
    },
    "second-node": {},
    "operator-image": {"buildah": "buildah", "mmdebstrap": "mmdebstrap"},
    # No part of a cluster: for tests of the docs site.
    "browser": {"chromium": "chromium"},
    # For tests of metrics and alerts.
    "prometheus": {"prometheus": "prometheus"},
    # Neither: for images of another architecture.
    "emulator": {"qemu-user-static": "qemu-aarch64-static", "arch-test": "arch-test"},
}


def unbuilt_parts(parts: Sequence[str]) -> list[Missing]:
    """The parts, of those asked for, whose programs could be built here and are not built yet."""
    if sys.platform != "linux":
        return []  # `missing_parts` says what stands in the way there
    unbuilt = (part for part in dict.fromkeys(parts) if not all(map(is_built, BY_PART.get(part, ()))))
    return [Missing(part, NOT_BUILT, BUILD_THEM) for part in unbuilt]


def missing_parts(parts: Sequence[str], progress: Progress, *, install: bool = True) -> list[Missing]:
    """The parts, of those asked for, that this machine cannot do. May install packages."""
    checked = (_missing(part, progress, install=install) for part in dict.fromkeys(parts))
    return [entry for entry in checked if entry is not None]


def _missing(part: str, progress: Progress, *, install: bool) -> Missing | None:
    if sys.platform != "linux":
        return Missing(
            part, f"it needs Linux, this is {platform.system()}", "Use a Linux machine or a container."
        )
    if not all(is_built(component) for component in BY_PART.get(part, ())):
        try:
            ensure_go(progress)
        except CannotError as error:
            return error.missing(part)
    return _missing_for_containers(part, progress, install=install) if part in PACKAGES else None


def _missing_for_containers(part: str, progress: Progress, *, install: bool) -> Missing | None:
    if os.geteuid() != 0:
        return Missing(
            part, "containers, mounts and bridges need root", "Run as root, for example with sudo."
        )
    if not cgroup_roots():
        return Missing(part, "no control groups are mounted", "Mount cgroup2 at /sys/fs/cgroup.")
    return missing_packages(part, progress, install=install)


def missing_packages(part: str, progress: Progress, *, install: bool = True) -> Missing | None:
    """What a part lacks of Debian's packages, after installing them where that is possible."""
    packages = _absent_packages(part)
    if packages and install and shutil.which("apt-get") and os.geteuid() == 0:
        with locked("apt-get"):
            _install(part, _absent_packages(part), progress)
        packages = _absent_packages(part)
    if packages:
        names = " ".join(packages)
        return Missing(part, f"not installed: {names}", f"Run `apt-get install {names}`.")
    return None


def _absent_packages(part: str) -> list[str]:
    return [name for name, sign in PACKAGES[part].items() if shutil.which(sign) is None]


def _install(part: str, packages: list[str], progress: Progress) -> None:
    """Failure shows by the packages still missing."""
    if not packages:
        return  # another process was quicker
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(part, f"installing {' '.join(packages)}", f"installed {' '.join(packages)} in"):
        for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", *packages]):
            subprocess.run(["apt-get", *command], env=env, check=False, **quiet)  # type: ignore[call-overload]
