"""Replicas of a release: which of them leads, how to kill one, and what each of them wrote."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from aim_operator.app import LEASE_NAME
from hack.cluster.kernel import cgroup_pids
from tests.support.helm import Release

READS = {"get", "list", "watch"}
BESIDE = {"leases", "events"}
"""The Lease is what replicas agree by; events are written behind, and never waited for."""


class Leadership(NamedTuple):
    identity: str
    """Of the process: a container that is started again is another one."""
    pod: str
    since: datetime


class Write(NamedTuple):
    pod: str
    resource: str
    name: str


def leadership(release: Release) -> Leadership | None:
    """Who leads, and since when, by its own clock; None while nobody does."""
    path = f"/apis/coordination.k8s.io/v1/namespaces/{release.namespace}/leases/{LEASE_NAME}"
    lease = release.cluster.api.get(path)
    holder = lease["spec"]["holderIdentity"] if lease is not None else ""
    pod = next((pod for pod in _names(release) if holder.startswith(f"{pod}-")), None)
    if pod is None:
        return None
    return Leadership(holder, pod, datetime.fromisoformat(lease["spec"]["acquireTime"]))


def kill(release: Release, pod: str) -> None:
    """SIGKILL to a Pod's operator, as the kernel does to one that takes too much memory."""
    found = release.cluster.api.get(f"/api/v1/namespaces/{release.namespace}/pods/{pod}")
    uid = found["metadata"]["uid"]
    (process,) = [
        pid
        for pid in cgroup_pids(release.cluster.network)
        if b"aimctl" in _proc(pid, "cmdline") and uid.encode() in _proc(pid, "cgroup").replace(b"_", b"-")
    ]
    os.kill(process, signal.SIGKILL)


def writes(release: Release, *, since: datetime) -> Iterator[Write]:
    """What the replicas wrote, in the order in which the API server was asked."""
    asked = [
        event
        for event in release.audit()
        if event["verb"] not in READS
        and event["objectRef"]["resource"] not in BESIDE
        and datetime.fromisoformat(event["requestReceivedTimestamp"]) >= since
    ]
    for event in sorted(asked, key=lambda event: str(event["requestReceivedTimestamp"])):
        (pod,) = event["user"]["extra"]["authentication.kubernetes.io/pod-name"]
        yield Write(pod, event["objectRef"]["resource"], event["objectRef"]["name"])


def writers(written: list[Write]) -> list[str]:
    """Who wrote, each as often as it began anew."""
    return [pod for pod, _ in groupby(written, key=lambda write: write.pod)]


def _names(release: Release) -> list[str]:
    return [pod.partition("/")[2] for pod in release.pods()]


def _proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # it has ended
