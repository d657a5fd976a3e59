"""Builds the image for another architecture than this machine's, and tries it in QEMU's user mode.

python3 -m hack.foreign_image arm64

The Dockerfile and the way are those of hack/cluster/operator_image.py; what is added is that the kernel
knows what runs that architecture's programs. As root, on Debian. Minutes the first time: everything that
the build runs is emulated.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from hack.cluster.errors import CannotError, ClusterError
from hack.cluster.operator_image import MACHINES, NATIVE, PART, ensure_archive, reference, run
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_parts

HANDLERS = Path("/proc/sys/fs/binfmt_misc")
TRIED = (["uname", "--machine"], ["aimctl", "--version"], ["aimctl", "demo"])


def register_emulator(architecture: str) -> None:
    """Have the kernel run that architecture's programs by qemu-user-static. Does nothing if it does."""
    machine = MACHINES[architecture]
    if (HANDLERS / f"qemu-{machine}").exists():
        return
    handler = Path(f"/usr/lib/binfmt.d/qemu-{machine}.conf").read_text().strip()
    try:
        if not (HANDLERS / "register").exists():
            subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(HANDLERS)], check=True)
        (HANDLERS / "register").write_text(handler)
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotError(
            f"the kernel does not take a handler for {machine} programs: {error}",
            f"Enable binfmt_misc, or build on a machine of {architecture}.",
        ) from error


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("architecture", choices=sorted(MACHINES))
    architecture = parser.parse_args().architecture
    progress = Progress(sys.stderr)
    try:
        is_foreign = architecture != NATIVE
        for missing in missing_parts([PART, "emulator"] if is_foreign else [PART], progress):
            raise CannotError(missing.reason, missing.remedy)
        if is_foreign:
            register_emulator(architecture)
        archive = ensure_archive(progress, architecture)
        for command in TRIED:
            print(f"$ {' '.join(command)}\n{run(progress, architecture, command)}\n")
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{reference(architecture)}: {archive}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
