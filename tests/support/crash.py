"""Kill the operator after each of its writes in turn, start it again, and keep what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aim_operator.api.external import JOBS
from hack.cluster.cluster import Cluster
from tests.support.catalog_yaml import catalog, service
from tests.support.operator_process import (
    REPOSITORY,
    apply_yaml,
    eventually,
    running_operator,
    status_of,
    writes,
)

PATIENCE_SECONDS = 240
"""Several of these share a machine of two cores with the rest of the suite."""

Write = tuple[str, str, str, int]


@dataclass
class CrashResult:
    """`killed_after` 0 is the run that was not killed: what the others are compared with."""

    killed_after: int
    state: dict[str, Any]
    jobs: int
    writes: list[Write]

    def applied(self) -> Counter[tuple[str, str]]:
        """Resource and name of what was written for certain, without status."""
        return self._count(lambda code: code != HTTPStatus.GATEWAY_TIMEOUT)

    def undecided(self) -> Counter[tuple[str, str]]:
        """What was on its way when the operator was killed: written or not, the API server doesn't say."""
        return self._count(lambda code: code == HTTPStatus.GATEWAY_TIMEOUT)

    def _count(self, wanted: Callable[[int], bool]) -> Counter[tuple[str, str]]:
        return Counter(
            (resource, name)
            for _, resource, name, code in self.writes
            if not resource.endswith("/status") and wanted(code)
        )


def crash_after_each_write(cluster: Cluster, *, at_once: int = 4) -> list[CrashResult]:
    """One namespace a run: undisturbed first, then killed after each of as many writes as that took.

    A run may need fewer writes than the first, where two changes fall into one status; then it is not
    killed, and left out.
    """
    reference = _run(cluster, 0)
    assert reference is not None
    with ThreadPoolExecutor(at_once) as pool:
        numbers = range(1, len(reference.writes) + 1)
        results = list(pool.map(lambda number: _run(cluster, number), numbers))
    return [reference, *(result for result in results if result is not None)]


def _run(cluster: Cluster, number: int) -> CrashResult | None:
    with cluster.namespace("crash") as namespace:
        apply_yaml(cluster, catalog(namespace) + service(namespace, "chat"))
        if number and not _killed(cluster, namespace, number):
            return None
        with running_operator(cluster, f"--namespaces={namespace}") as operator:
            eventually(operator.synced, "the operator is at work")
            eventually(
                lambda: status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Running",
                f"the service runs, killed after write {number}",
                timeout_seconds=PATIENCE_SECONDS,
            )
            eventually(lambda: _ttl_is_set(cluster, namespace), "the Job may go")
        names = [(*w[:2], _without_hash(w[2]), w[3]) for w in writes(cluster, namespace=namespace)]
        return CrashResult(number, _state(cluster, namespace), len(_jobs(cluster, namespace)), names)


def _killed(cluster: Cluster, namespace: str, number: int) -> bool:
    """Whether the operator came as far as its n-th write; if not, the service runs without it."""
    program = str(REPOSITORY / "tests/support/crashing_operator.py")
    process = subprocess.Popen(
        [sys.executable, program, str(number), str(cluster.operator_kubeconfig), namespace],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(
            lambda: (
                process.poll() is not None
                or (
                    status_of(cluster, "aimsvc", "chat", namespace).get("status") == "Running"
                    and _ttl_is_set(cluster, namespace)
                )
            ),
            f"write {number} is reached, or the service runs",
            timeout_seconds=PATIENCE_SECONDS,
        )
        if process.poll() is None:
            try:
                process.wait(2)
            except subprocess.TimeoutExpired:
                return False
        assert process.returncode == -9, f"the operator ended by itself: {process.returncode}"
        return True
    finally:
        process.kill()
        process.wait()


def _ttl_is_set(cluster: Cluster, namespace: str) -> bool:
    jobs = _jobs(cluster, namespace)
    return bool(jobs) and all("ttlSecondsAfterFinished" in job["spec"] for job in jobs)


def _jobs(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = cluster.api.get(JOBS.collection_path(namespace))["items"]
    return items


def _without_hash(name: str) -> str:
    return name[:-9] if name.startswith("discover-") else name


def _state(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """What is the same after every run: specs and statuses without times, uids and names drawn from them."""
    kinds = "aimimg,aimst,aimrcfg,aimsvc,servingruntime,isvc,httproute,jobs"
    items = json.loads(cluster.kubectl("get", kinds, f"--namespace={namespace}", "-o", "json"))["items"]
    text = json.dumps({f"{i['kind']}/{_without_hash(i['metadata']['name'])}": _plain(i) for i in items})
    for item in items:
        text = text.replace(item["metadata"]["uid"], "<uid>")
    plain: dict[str, Any] = json.loads(text.replace(namespace, "<namespace>"))
    return plain


_TIMES = frozenset({"lastTransitionTime", "lastAttemptTime", "startTime", "completionTime", "specHash"})
_OURS = frozenset({"AIMImage", "AIMServiceTemplate", "AIMRuntimeConfig", "AIMService"})


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    spec = item.get("spec", {})
    if item["kind"] == "Job":
        spec = {key: spec[key] for key in ("backoffLimit", "ttlSecondsAfterFinished")}
    return {"spec": spec, "status": _without_times(item.get("status", {})) if item["kind"] in _OURS else {}}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(inner) for key, inner in value.items() if key not in _TIMES}
    if isinstance(value, list):
        return [_without_times(inner) for inner in value]
    return value
