"""examples/stand-in-image: built as its page says, the quickstart answers on a node with pretended GPUs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from hack.cluster.cache import locked
from hack.cluster.cluster import Cluster
from hack.cluster.images import EXAMPLE_IMAGE
from hack.cluster.node import NODE
from hack.cluster.operator_image import LOCK, builder
from hack.cluster.progress import Progress
from tests.docs.blocks import commands_for
from tests.support.cluster import REPOSITORY, StartCluster, aim_crds
from tests.support.helm import run_as_reader
from tests.support.operator_process import eventually, grant_roles, running_operator, status_of
from tests.support.served_models import chat, containers, models

pytestmark = [
    pytest.mark.needs_node,
    pytest.mark.needs_kserve,
    pytest.mark.needs_gateway,
    pytest.mark.needs_operator_image,
]

BUILD, PRETEND = commands_for("tests/e2e/test_stand_in_image.py", "examples/stand-in-image/README.md")
MODEL = "meta-llama/Llama-3.1-8B-Instruct"


def built_as_readers_do(directory: Path) -> Path:
    """Run the page's command with buildah in Docker's place, on a base without a registry; an archive."""
    buildah, base = builder(Progress(None))
    call = " ".join(buildah)
    docker = directory / "docker"
    options = f"--isolation=chroot --pull-never --build-arg=BASE={base}"
    docker.write_text(f'#!/bin/sh\nshift\nexec {call} build {options} "$@"\n')
    docker.chmod(0o755)
    archive = directory / "stand-in.tar"
    env = {**os.environ, "PATH": f"{directory}:{os.environ['PATH']}"}
    push = f"{call} push --quiet {EXAMPLE_IMAGE} docker-archive:{archive}:{EXAMPLE_IMAGE}"
    with locked(LOCK):
        for command in (BUILD, push):
            done = subprocess.run(
                ["bash", "-c", command], cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return archive


def without_gpus(cluster: Cluster) -> None:
    nothing = {"amd.com/gpu": None}
    status = {"status": {"capacity": nothing, "allocatable": nothing}}
    cluster.api.request("PATCH", f"/api/v1/nodes/{NODE}/status", status, "application/merge-patch+json")


def test_the_quickstart_runs_on_a_node_without_gpus_and_answers_a_chat(
    own_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = own_cluster(("node", "kserve", "gateway", "operator-image"), crds=aim_crds())
    grant_roles(cluster)
    without_gpus(cluster)
    cluster.load_images(built_as_readers_do(tmp_path))
    run_as_reader(cluster, PRETEND)
    with running_operator(cluster):
        cluster.kubectl("apply", "--filename=examples/quickstart")
        eventually(
            lambda: status_of(cluster, "aimsvc", "llama-chat", "ml-team").get("status") == "Running",
            "the quickstart's service runs",
            timeout_seconds=120,
        )
        path = status_of(cluster, "aimsvc", "llama-chat", "ml-team")["routing"]["path"]
        assert models(cluster, path) == [MODEL]
        assert chat(cluster, path, MODEL, "Are you there?").endswith("You asked: Are you there?")
        assert containers(cluster, "ml-team", "llama-chat") == [["kserve-container"]]
        where = ("deploy/llama-chat-predictor", "--namespace=ml-team", "--", "python3", "-c")
        told = cluster.kubectl("exec", *where, "import os; print(os.getuid(), os.getcwd())")
        assert told.split() == ["65532", "/workspace"], "it is the image that was built"
