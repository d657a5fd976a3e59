"""Helm on a test cluster, and the operator as its release: Pods, their logs, their service account."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hack.cluster.api import condition
from hack.cluster.build import program
from hack.cluster.cluster import Cluster
from hack.cluster.components import CONTROL_PLANE, HELM
from hack.cluster.errors import ClusterError
from hack.cluster.shell import exports
from tests.support.cluster import REPOSITORY

SELECTOR = "app.kubernetes.io/name=aim-operator"


class Release:
    """One release of the chart. `audit` is what its service account asked of the API server."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self.user = f"system:serviceaccount:{namespace}:{name}"

    def run(self, command: str, *settings: str) -> str:
        """Run a command of the docs, such as `helm install …`, in a shell; `settings` are added to it."""
        return run_as_reader(self.cluster, " ".join([command, "--timeout=150s", *_set(settings)]))

    def pods(self) -> list[str]:
        arguments = ("get", "pods", f"--namespace={self.namespace}", f"--selector={SELECTOR}", "-o", "name")
        return self.cluster.kubectl(*arguments).split()

    def ready_pods(self) -> list[str]:
        """The names of those Pods whose caches are synced."""
        path = f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={SELECTOR.replace('=', '%3D')}"
        return [
            pod["metadata"]["name"]
            for pod in self.cluster.api.request("GET", path)["items"]
            if condition(pod, "Ready") == "True"
        ]

    def token(self) -> str:
        arguments = ("create", "token", self.name, f"--namespace={self.namespace}", "--duration=10m")
        return self.cluster.kubectl(*arguments).strip()

    def can(self, token: str, verb: str, resource: str, *where: str) -> bool:
        """What `kubectl auth can-i` says to the release's own token."""
        try:
            said = self.cluster.kubectl("auth", "can-i", verb, resource, *where, f"--token={token}")
        except ClusterError:
            return False  # "no" is exit code 1
        return said.strip() == "yes"

    def audit(self) -> Iterator[dict[str, Any]]:
        """Its requests so far, those of its tokens in tests left out: a Pod says which one it is."""
        for event in self.cluster.audit_events(self.user):
            user: Any = event["user"]
            if "authentication.kubernetes.io/pod-name" in user.get("extra", {}):
                yield event

    @contextmanager
    def followed_logs(self) -> Iterator[list[Path]]:
        """Follow the logs of the Pods there are now, also beyond their end."""
        files, followers = [], []
        try:
            for pod in self.pods():
                path = self.cluster.directory / f"{pod.replace('/', '-')}.log"
                with path.open("wb") as log:
                    followers.append(self._follow(pod, log.fileno()))
                files.append(path)
            yield files
        finally:
            for follower in followers:
                follower.terminate()
                follower.wait()

    def _follow(self, pod: str, output: int) -> subprocess.Popen[bytes]:
        argv = [program(CONTROL_PLANE), "kubectl", "logs", "--follow", pod, f"--namespace={self.namespace}"]
        return subprocess.Popen(argv, stdout=output, stderr=subprocess.DEVNULL, env=self._environment())

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig)}


def run_as_reader(cluster: Cluster, command: str) -> str:
    """Run a command as it stands in the docs: in the checkout, with this cluster, helm and kubectl."""
    exports(cluster)  # also makes bin/kubectl there
    commands = cluster.directory / "bin"
    if not (commands / "helm").exists():
        (commands / "helm").symlink_to(program(HELM))
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "HELM_CACHE_HOME": str(cluster.directory / "helm"),
        "AIM_CLUSTER_DEFAULT": str(cluster.directory),
        "PATH": f"{commands}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "-euc", command],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    pods = "" if done.returncode == 0 else cluster.kubectl("get", "pods,events", "--all-namespaces")
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{pods}"
    return done.stdout


def records(text: str) -> list[dict[str, Any]]:
    """The lines of the operator's log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _set(settings: Sequence[str]) -> list[str]:
    return [f"--set={shlex.quote(setting)}" for setting in settings]
