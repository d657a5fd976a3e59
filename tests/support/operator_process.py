"""The operator as its users run it: `aimctl run` in a process of its own, against a real cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from aim_operator.api.v1alpha1 import ALL_KINDS
from aim_operator.api.v1alpha1.kinds import KINDS
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience
from tests.support.permissions import rules_of

REPOSITORY = Path(__file__).parents[2]
OPERATOR_NAMESPACE = "kaiwo-system"
_BY_SHORT_NAME = {KINDS[resource.type].short_name: resource for resource in ALL_KINDS}


class OperatorProcess:
    """Starts on construction; `with` stops it. Its log is in `log`, one JSON object a line."""

    def __init__(self, cluster: Cluster, *flags: str, kubeconfig: Path | None = None) -> None:
        self.log = cluster.directory / f"operator-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self._process = self._start(kubeconfig or cluster.operator_kubeconfig, flags, log)

    @staticmethod
    def _start(kubeconfig: Path, flags: tuple[str, ...], log: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                str(Path(sys.executable).with_name("aimctl")),
                "run",
                f"--kubeconfig={kubeconfig}",
                "--log-format=json",
                *flags,
            ],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

    @property
    def peak_bytes(self) -> int:
        """The most memory that it had so far: what a limit would have killed it at."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        [peak] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peak.split()[1]) * 1024

    def synced(self) -> bool:
        """Whether it has read what there is; from then on it also stops in an orderly way."""
        return "caches synced" in self.log.read_text()

    def stop(self, timeout_seconds: float = 20) -> int:
        """SIGTERM, as a kubelet does; the exit code. Raises if it does not end in time."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout_seconds)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_seconds: float) -> int | None:
        """The exit code, or None if it still runs after that long."""
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None


def eventually(check: Callable[[], bool], what: str, timeout_seconds: float = 60) -> None:
    """Wait until `check` holds; fails with `what` otherwise. A busy machine has longer."""
    patience = Patience(timeout_seconds)
    while True:
        began = time.monotonic()
        if check():
            return
        assert not patience.ended, f"not within {timeout_seconds:.0f} s: {what}"
        # A kubectl takes the CPU from what is waited for, above all on a busy machine: half of it at most.
        time.sleep(max(0.1, time.monotonic() - began))


def grant_roles(cluster: Cluster, *others: Manifest) -> None:
    """Give the operator's user exactly the rules that the chart gives, and make its namespace.

    `others` are further subjects that get the same.
    """
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OPERATOR_NAMESPACE}}
    cluster.api.apply(namespace)
    for prefix, role, where in (
        ("Cluster", "everywhere", {}),
        ("", "lease", {"namespace": OPERATOR_NAMESPACE}),
    ):
        group = "rbac.authorization.k8s.io"
        metadata = {"name": f"operator-{role}", **where}
        kind = f"{prefix}Role"
        cluster.api.apply_when_served(
            {"apiVersion": f"{group}/v1", "kind": kind, "metadata": metadata, "rules": rules_of(role)}
        )
        cluster.api.apply(
            {
                "apiVersion": f"{group}/v1",
                "kind": f"{kind}Binding",
                "metadata": metadata,
                "roleRef": {"apiGroup": group, "kind": kind, "name": metadata["name"]},
                "subjects": [cluster.operator_subject, *others],
            }
        )


def apply_yaml(cluster: Cluster, text: str) -> None:
    cluster.kubectl("apply", "--server-side", "--field-manager=test", "-f", "-", stdin=text)


def status_of(cluster: Cluster, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    """The status of an object of ours, its kind by its short name; {} where there is none yet."""
    # Asked ten times a second by whoever waits: a kubectl each would take the CPU from what is waited for.
    found = cluster.api.get(_BY_SHORT_NAME[kind].object_path(name, namespace)) or {}
    status: dict[str, Any] = found.get("status", {})
    return status


def reasons(status: dict[str, Any]) -> dict[str, str]:
    return {c["type"]: f"{c['status']}/{c['reason']}" for c in status.get("conditions", [])}


def writes(cluster: Cluster, *, namespace: str = "") -> Iterator[tuple[str, str, str, int]]:
    """(verb, resource[/subresource], name, HTTP code) of every write of the operator, from the audit log.

    The code 504 is of a process that was killed meanwhile; what it asked for may have been written or not.
    """
    for event in cluster.audit_events():
        reference: Any = event.get("objectRef") or {}
        verb = str(event["verb"])
        if verb in ("get", "list", "watch") or reference.get("resource") in ("leases", "events"):
            continue
        if namespace and reference.get("namespace") != namespace:
            continue
        sub = f"/{reference['subresource']}" if reference.get("subresource") else ""
        response: Any = event.get("responseStatus") or {}
        yield verb, f"{reference['resource']}{sub}", reference.get("name", ""), response.get("code", 0)


@contextmanager
def running_operator(
    cluster: Cluster, *flags: str, kubeconfig: Path | None = None
) -> Iterator[OperatorProcess]:
    """An operator that must still be alive at the end, and go quietly."""
    with OperatorProcess(cluster, *flags, kubeconfig=kubeconfig) as operator:
        yield operator
        assert operator.running, f"the operator died: {operator.log.read_text()[-2000:]}"
    assert operator.exit_code == 0, operator.log.read_text()[-2000:]
