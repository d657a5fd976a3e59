"""Helm on a test cluster, and the operator as its release: Pods, their logs, their service account."""

from __future__ import annotations

import json
import os
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
from tests.support.cluster import REPOSITORY

CHART = REPOSITORY / "charts" / "aim-operator"
SELECTOR = "app.kubernetes.io/name=aim-operator"


class Release:
    """One release of the chart. `audit` is what its service account asked of the API server."""

    def __init__(self, cluster: Cluster, name: str, namespace: str) -> None:
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self.user = f"system:serviceaccount:{namespace}:{name}"

    def install(self, *settings: str) -> None:
        self._helm("install", self.name, str(CHART), "--create-namespace", *_set(settings))

    def upgrade(self, *settings: str) -> None:
        self._helm("upgrade", self.name, str(CHART), "--reuse-values", *_set(settings))

    def uninstall(self) -> None:
        self._helm("uninstall", self.name)

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

    def _helm(self, *arguments: str) -> str:
        argv = [program(HELM), *arguments, f"--namespace={self.namespace}", "--wait", "--timeout=150s"]
        done = subprocess.run(argv, env=self._environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stderr}\n{self._seen()}"
        return done.stdout

    def _seen(self) -> str:
        return self.cluster.kubectl("get", "pods,events", f"--namespace={self.namespace}")

    def _environment(self) -> dict[str, str]:
        home = str(self.cluster.directory / "helm")
        return {**os.environ, "KUBECONFIG": str(self.cluster.kubeconfig), "HELM_CACHE_HOME": home}


def records(text: str) -> list[dict[str, Any]]:
    """The lines of the operator's log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _set(settings: Sequence[str]) -> list[str]:
    return [f"--set={setting}" for setting in settings]
