"""What a shell needs to work with an instance: `eval "$(python -m hack.cluster env)"`.

kubectl comes with the control plane, so a bare machine has one; aimctl is this checkout's.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from hack.cluster.build import program
from hack.cluster.cluster import Cluster
from hack.cluster.components import CONTROL_PLANE

VENV = Path(__file__).resolve().parents[2] / ".venv"


def exports(cluster: Cluster) -> list[str]:
    """Lines for a POSIX shell: KUBECONFIG, GATEWAY_URL where there is a gateway, and kubectl on PATH."""
    commands = cluster.directory / "bin"
    commands.mkdir(exist_ok=True)
    kubectl = commands / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {shlex.quote(str(program(CONTROL_PLANE)))} kubectl "$@"\n')
    kubectl.chmod(0o755)
    path = ":".join(shlex.quote(str(entry)) for entry in (commands, VENV / "bin"))
    lines = [f"export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}", f"export PATH={path}:$PATH"]
    if cluster.gateway_url:
        lines.append(f"export GATEWAY_URL={cluster.gateway_url}")
    return lines
