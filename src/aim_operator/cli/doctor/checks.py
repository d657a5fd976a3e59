"""Judges what a cluster has: one check a part, each with what was found and what to do. Pure.

The versions are those of docs/operations/install.md, "What it works with".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.cli.doctor.gather import Node, Surroundings
from aim_operator.cli.everyday.addresses import Gateway
from aim_operator.controllers.kserve_version import lacks_what_0_16_has
from aim_operator.core.hardware import AMD_RESOURCE, NVIDIA_RESOURCE

OLDEST_KUBERNETES = (1, 29)
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
INSTALL_CRDS = "aimctl crds | kubectl apply --server-side -f -"
_GPU_LABELS = re.compile(r"(beta\.)?amd\.com/gpu\.(product-name|device-id)(\..+)?|nvidia\.com/gpu\.product")
_MINOR = re.compile(r"v?(\d+)\.(\d+)")


class Verdict(StrEnum):
    """`warning` is what some services miss; `problem` is what none can do without."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


class Check(Struct, frozen=True, kw_only=True):
    """`remedy` is "" where there is nothing to do."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Report(Struct, frozen=True, kw_only=True):
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is known that keeps every service from running."""
        return all(check.verdict != Verdict.PROBLEM for check in self.checks)


def judge(cluster: Surroundings) -> Report:
    """Return all checks, in the order in which things are installed."""
    return Report(
        checks=(
            _kubernetes(cluster),
            _crds(cluster),
            _operator(cluster),
            _kserve(cluster),
            _gateway_api(cluster),
            _gateways(cluster),
            _gpus(cluster),
            _gpu_labels(cluster),
            _storage(cluster),
            _keda(cluster),
        )
    )


def _unseen(name: str, cluster: Surroundings, field: str) -> Check:
    return Check(name=name, verdict=Verdict.UNKNOWN, found=cluster.unseen.get(field, "it could not be read"))


def _kubernetes(cluster: Surroundings) -> Check:
    if cluster.nodes is None:
        return _unseen("Kubernetes", cluster, "nodes")
    known = [(version, node) for node in cluster.nodes if (version := _minor(node)) is not None]
    if not known:
        return Check(name="Kubernetes", verdict=Verdict.UNKNOWN, found="no node says which version it has")
    version, node = min(known, key=lambda each: each[0])
    found = f"nodes with {node.status.node_info.kubelet_version}"
    if version >= OLDEST_KUBERNETES:
        return Check(name="Kubernetes", verdict=Verdict.OK, found=found)
    needed = ".".join(map(str, OLDEST_KUBERNETES))
    return Check(
        name="Kubernetes", verdict=Verdict.PROBLEM, found=found, remedy=f"upgrade to {needed} or newer"
    )


def _minor(node: Node) -> tuple[int, int] | None:
    match = _MINOR.match(node.status.node_info.kubelet_version)
    return (int(match[1]), int(match[2])) if match is not None else None


def _crds(cluster: Surroundings) -> Check:
    crds = cluster.installed.crds
    # What follows is the remedy, as `aimctl version` has it in the same line.
    found = re.split("; (?:if this|install them)", crds)[0]
    if crds.startswith("none") or " missing" in crds:
        return Check(name="CRDs", verdict=Verdict.PROBLEM, found=found, remedy=INSTALL_CRDS)
    if found != crds:
        newer = f"if this aimctl is the newer one: {INSTALL_CRDS}"
        return Check(name="CRDs", verdict=Verdict.WARNING, found=found, remedy=newer)
    return Check(name="CRDs", verdict=Verdict.OK, found=found)


def _operator(cluster: Surroundings) -> Check:
    operators = cluster.installed.operators
    if cluster.down:
        return Check(
            name="operator",
            verdict=Verdict.PROBLEM,
            found=f"{', '.join(cluster.down)} has no Pod that is ready",
            remedy="see its Pods and their log: kubectl describe pod -n "
            f"{cluster.down[0].partition('/')[0]} -l app.kubernetes.io/name=aim-operator",
        )
    if len(operators) == 1:
        only = operators[0]
        return Check(
            name="operator", verdict=Verdict.OK, found=f"{only.namespace}/{only.name}, image {only.image}"
        )
    if operators:
        named = ", ".join(f"{each.namespace}/{each.name}" for each in operators)
        return Check(
            name="operator",
            verdict=Verdict.WARNING,
            found=f"several: {named}",
            remedy="give each its own namespaces (the chart's value namespaces), or remove all but one",
        )
    if cluster.installed.unseen:
        return Check(name="operator", verdict=Verdict.UNKNOWN, found=cluster.installed.unseen[0])
    return Check(
        name="operator",
        verdict=Verdict.PROBLEM,
        found="none: no Deployment has the label app.kubernetes.io/name=aim-operator",
        remedy="install it with its Helm chart",
    )


def _kserve(cluster: Surroundings) -> Check:
    if cluster.kserve is None:
        return _unseen("KServe", cluster, "kserve")
    if not cluster.kserve:
        return Check(
            name="KServe",
            verdict=Verdict.PROBLEM,
            found="not installed",
            remedy="install KServe 0.16 or newer; the operator continues by itself then",
        )
    if cluster.kserve_crd is None:
        return Check(name="KServe", verdict=Verdict.OK, found="installed, in a version that you may not read")
    if lacks_what_0_16_has(cluster.kserve_crd):
        return Check(
            name="KServe",
            verdict=Verdict.PROBLEM,
            found="0.15 or older",
            remedy="upgrade it to 0.16 or newer",
        )
    return Check(name="KServe", verdict=Verdict.OK, found="0.16 or newer")


def _gateway_api(cluster: Surroundings) -> Check:
    if cluster.routes is None:
        return _unseen("Gateway API", cluster, "routes")
    if not cluster.routes:
        return Check(
            name="Gateway API",
            verdict=Verdict.WARNING,
            found="not installed in v1",
            remedy="install its CRDs and a gateway controller, if services are to be routed",
        )
    return Check(name="Gateway API", verdict=Verdict.OK, found=cluster.bundle_version or "v1")


def _gateways(cluster: Surroundings) -> Check:
    if cluster.gateways is None:
        return _unseen("Gateways", cluster, "gateways")
    if not cluster.gateways:
        return Check(
            name="Gateways",
            verdict=Verdict.WARNING,
            found="none",
            remedy="make a Gateway and name it in routing.gatewayRef, if services are to be routed",
        )
    ready = [gateway for gateway in cluster.gateways if _is_programmed(gateway)]
    named = ", ".join(f"{each.metadata.namespace}/{each.metadata.name}" for each in ready or cluster.gateways)
    if not ready:
        return Check(
            name="Gateways",
            verdict=Verdict.WARNING,
            found=f"none is Programmed: {named}",
            remedy="see that the controller of their GatewayClass runs",
        )
    return Check(
        name="Gateways", verdict=Verdict.OK, found=f"{len(ready)} of {len(cluster.gateways)} ready: {named}"
    )


def _is_programmed(gateway: Gateway) -> bool:
    return any(
        each.type == "Programmed" and each.status == "True" for each in gateway.status.conditions or ()
    )


def _gpus(cluster: Surroundings) -> Check:
    if cluster.nodes is None:
        return _unseen("GPUs", cluster, "nodes")
    counts: Counter[str] = Counter()
    for node in cluster.nodes:
        for resource, count in _gpus_of(node):
            counts[resource] += count
    if not counts:
        return Check(
            name="GPUs",
            verdict=Verdict.WARNING,
            found=f"no node has {AMD_RESOURCE} or {NVIDIA_RESOURCE}",
            remedy="install the device plugin of your GPUs; only models for CPUs run without",
        )
    return Check(
        name="GPUs",
        verdict=Verdict.OK,
        found=", ".join(f"{count} {resource}" for resource, count in sorted(counts.items())),
    )


def _gpus_of(node: Node) -> Iterator[tuple[str, int]]:
    for resource, amount in (node.status.allocatable or {}).items():
        # Partitions have names of their own, such as amd.com/cpx_nps4.
        if resource.startswith("amd.com/") or resource == NVIDIA_RESOURCE:
            parsed = quantity.parse(str(amount))
            if parsed is not None and parsed >= 1:
                yield resource, int(parsed)


def _gpu_labels(cluster: Surroundings) -> Check:
    if cluster.nodes is None:
        return _unseen("GPU labels", cluster, "nodes")
    with_gpus = [node for node in cluster.nodes if any(_gpus_of(node))]
    bare = [
        node.metadata.name
        for node in with_gpus
        if not any(_GPU_LABELS.fullmatch(label) for label in node.metadata.labels or ())
    ]
    if bare:
        more = f" and {len(bare) - 3} more" if len(bare) > 3 else ""
        return Check(
            name="GPU labels",
            verdict=Verdict.WARNING,
            found=f"{', '.join(sorted(bare)[:3])}{more} do not say which GPUs they have",
            remedy="install the node labeller of your GPUs: a GPU model chooses nodes by its labels",
        )
    found = f"on all nodes with GPUs: {len(with_gpus)}" if with_gpus else "no node has GPUs"
    return Check(name="GPU labels", verdict=Verdict.OK, found=found)


def _storage(cluster: Surroundings) -> Check:
    if cluster.storage_classes is None:
        return _unseen("storage", cluster, "storage_classes")
    default = [
        each.metadata.name
        for each in cluster.storage_classes
        if each.metadata.annotation(DEFAULT_CLASS) == "true"
    ]
    if default:
        return Check(name="storage", verdict=Verdict.OK, found=f"default class {', '.join(default)}")
    names = ", ".join(each.metadata.name for each in cluster.storage_classes)
    return Check(
        name="storage",
        verdict=Verdict.WARNING,
        found=f"no default class; there is {names}" if names else "no storage class",
        remedy="name a class in the runtime configuration's storage, or mark one as default, for caches",
    )


def _keda(cluster: Surroundings) -> Check:
    if cluster.keda is None:
        return _unseen("KEDA", cluster, "keda")
    return Check(
        name="KEDA",
        verdict=Verdict.OK,
        found="installed" if cluster.keda else "not installed; only autoscaling by queue or query needs it",
    )
