"""`make demo-cluster`: starts a whole cluster, runs `aimctl demo --cluster` on it, stops it.

python -m hack.demo_cluster [--dir DIR] [--example NAME]

Exit code: the demo's; 2 if this machine can't do a part, or there is no such example.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

from aim_operator.cli import quickstart
from aim_operator.errors import UserError
from hack.cluster import control_plane
from hack.cluster.cluster import SERVING_PARTS, Cluster
from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress
from hack.cluster.requirements import missing_parts
from hack.cluster.stop import stop_instance

WRONG = 2
MISSING = 2
INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dir", type=Path, help="of the cluster; one of its own in /tmp if left out")
    parser.add_argument("--example", default="quickstart", help="which of examples/ to run")
    arguments = parser.parse_args()
    # Killed by `kill` or a CI runner, the cluster must go as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    progress = Progress(sys.stdout)
    try:
        quickstart.find(None, arguments.example)
        return _demo(arguments.dir, arguments.example, progress)
    except ClusterError as error:
        print(f"\nerror: {error.reason}\n{error.remedy}".rstrip(), file=sys.stderr)
        return 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        return INTERRUPTED


def _demo(directory: Path | None, example: str, progress: Progress) -> int:
    missing = missing_parts((control_plane.PART, *SERVING_PARTS), install=True, progress=progress)
    for entry in missing:
        print(f"\n{entry.part} can't run on this machine: {entry.reason}\n  {entry.remedy}", file=sys.stderr)
    if missing:
        return MISSING
    if directory is not None:
        # A cluster that an earlier run could not stop would not be fresh.
        stop_instance(directory, progress)
    with Cluster.start(SERVING_PARTS, directory, progress=progress) as cluster:
        aimctl = str(Path(sys.executable).with_name("aimctl"))
        options = [
            "--cluster",
            f"--example={example}",
            f"--kubeconfig={cluster.kubeconfig}",
            f"--gateway-url={cluster.gateway_url}",
        ]
        code = subprocess.run([aimctl, "demo", *options], check=False).returncode
    print("The cluster of this demo is stopped. For one that stays: make cluster-up")
    return code


if __name__ == "__main__":
    sys.exit(main())
