"""`aimctl run` against a real API server: what it refuses, and what it bears."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hack.cluster.cluster import Cluster
from tests.support.cluster import StartCluster, aim_crds
from tests.support.operator_process import (
    eventually,
    grant_roles,
    reasons,
    running_operator,
    status_of,
)

AIMCTL = Path(sys.executable).with_name("aimctl")


def run(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(AIMCTL), "run", *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_without_permission_it_names_the_verb_and_the_resource(control_plane: Cluster) -> None:
    done = run(f"--kubeconfig={control_plane.operator_kubeconfig}")
    assert done.returncode == 2
    assert re.search(r"error: .*list.*customresourcedefinitions\.apiextensions\.k8s\.io", done.stderr)
    assert "Traceback" not in done.stderr


BROKEN = [
    pytest.param(lambda text: re.sub(r'("?token"?: "?)', r"\1wrong", text), "not accept", id="a wrong token"),
    pytest.param(lambda text: re.sub(r":\d{4,5}", ":9", text), "can't be used", id="a dead server"),
    pytest.param(lambda _: "clusters: [", "kubeconfig", id="broken YAML"),
]


@pytest.mark.parametrize(("damage", "want"), BROKEN)
def test_a_kubeconfig_that_leads_nowhere_is_one_line_and_exit_code_2(
    control_plane: Cluster, tmp_path: Path, damage: object, want: str
) -> None:
    assert callable(damage)
    broken = tmp_path / "kubeconfig"
    broken.write_text(damage(control_plane.kubeconfig.read_text()))
    done = run(f"--kubeconfig={broken}")
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert want in done.stderr


def test_a_wrong_context_names_those_that_exist(control_plane: Cluster) -> None:
    done = run(f"--kubeconfig={control_plane.kubeconfig}", "--context=nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.needs_control_plane
def test_on_a_bare_cluster_it_stays_up_and_tells_what_is_missing(own_cluster: StartCluster) -> None:
    cluster = own_cluster(crds=aim_crds())
    grant_roles(cluster)
    with cluster.namespace() as namespace, running_operator(cluster) as operator:
        eventually(operator.synced, "the operator is at work")
        cluster.kubectl(
            "apply",
            "-f",
            "-",
            stdin=f"""
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {{name: chat, namespace: {namespace}}}
spec: {{model: not-there}}
""",
        )
        eventually(
            lambda: (
                reasons(status_of(cluster, "aimsvc", "chat", namespace)).get("Resolved")
                == "False/ImageNotFound"
            ),
            "the service says what it lacks",
        )
        got = reasons(status_of(cluster, "aimsvc", "chat", namespace))
        assert got["Resolved"] == "False/ImageNotFound"
        assert got["RuntimeReady"] == "False/ImageNotFound"
