"""Judges what a cluster has: one check a part, each with what was found and what to do. Pure.

The versions are those of docs/operations/install.md, "What it works with".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from aim_operator.api import quantity
from aim_operator.api.external import StorageClass
from aim_operator.cli.doctor import access, limits, namespaces, quotas
from aim_operator.cli.doctor.gather import Node, Surroundings
from aim_operator.cli.doctor.verdicts import Check, Report, ok, problem, some, unknown, warning
from aim_operator.cli.everyday.addresses import Gateway
from aim_operator.controllers.kserve_version import lacks_what_0_16_has
from aim_operator.core.hardware import AMD_RESOURCE, NVIDIA_RESOURCE

OLDEST_KUBERNETES = (1, 29)
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
INSTALL_CRDS = "aimctl crds | kubectl apply --server-side -f -"
_SHARING = frozenset(
    {
        "driver.longhorn.io",
        "efs.csi.aws.com",
        "file.csi.azure.com",
        "filestore.csi.storage.gke.io",
        "fsx.csi.aws.com",
        "nfs.csi.k8s.io",
    }
)
_SHARING_ENDS = ("cephfs.csi.ceph.com",)  # Rook puts its own namespace before it
# Of file systems, which caches are: blocks can be shared by some of them.
_SINGLE = frozenset(
    {
        "cinder.csi.openstack.org",
        "disk.csi.azure.com",
        "ebs.csi.aws.com",
        "pd.csi.storage.gke.io",
        "rancher.io/local-path",
        "topolvm.io",
    }
)
_GPU_LABELS = re.compile(r"(beta\.)?amd\.com/gpu\.(product-name|device-id)(\..+)?|nvidia\.com/gpu\.product")
_MINOR = re.compile(r"v?(\d+)\.(\d+)")


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
            _access_modes(cluster),
            _keda(cluster),
            namespaces.pod_security(cluster),
            quotas.quotas(cluster),
            limits.limits(cluster),
            access.network(cluster),
            access.rights(cluster),
        )
    )


def _unseen(name: str, cluster: Surroundings, field: str) -> Check:
    return unknown(name, cluster.why(field))


def _kubernetes(cluster: Surroundings) -> Check:
    if cluster.nodes is None:
        return _unseen("Kubernetes", cluster, "nodes")
    known = [(version, node) for node in cluster.nodes if (version := _minor(node)) is not None]
    if not known:
        return unknown("Kubernetes", "no node says which version it has")
    version, node = min(known, key=lambda each: each[0])
    found = f"nodes with {node.status.node_info.kubelet_version}"
    if version >= OLDEST_KUBERNETES:
        return ok("Kubernetes", found)
    needed = ".".join(map(str, OLDEST_KUBERNETES))
    return problem("Kubernetes", found, f"upgrade to {needed} or newer")


def _minor(node: Node) -> tuple[int, int] | None:
    match = _MINOR.match(node.status.node_info.kubelet_version)
    return (int(match[1]), int(match[2])) if match is not None else None


def _crds(cluster: Surroundings) -> Check:
    crds = cluster.installed.crds
    # What follows is the remedy, as `aimctl version` has it in the same line.
    found = re.split("; (?:if this|install them)", crds)[0]
    if crds.startswith("none") or " missing" in crds:
        return problem("CRDs", found, INSTALL_CRDS)
    if found != crds:
        newer = f"if this aimctl is the newer one: {INSTALL_CRDS}"
        return warning("CRDs", found, newer)
    return ok("CRDs", found)


def _operator(cluster: Surroundings) -> Check:
    operators = cluster.installed.operators
    if cluster.down:
        return problem(
            "operator",
            f"{', '.join(cluster.down)} has no Pod that is ready",
            "see its Pods and their log: kubectl describe pod -n "
            f"{cluster.down[0].partition('/')[0]} -l app.kubernetes.io/name=aim-operator",
        )
    if len(operators) == 1:
        only = operators[0]
        return ok("operator", f"{only.namespace}/{only.name}, image {only.image}")
    if operators:
        named = ", ".join(f"{each.namespace}/{each.name}" for each in operators)
        return warning(
            "operator",
            f"several: {named}",
            "give each its own namespaces (the chart's value namespaces), or remove all but one",
        )
    if cluster.installed.unseen:
        return unknown("operator", cluster.installed.unseen[0])
    return problem(
        "operator",
        "none: no Deployment has the label app.kubernetes.io/name=aim-operator",
        "install it with its Helm chart",
    )


def _kserve(cluster: Surroundings) -> Check:
    if cluster.kserve is None:
        return _unseen("KServe", cluster, "kserve")
    if not cluster.kserve:
        return problem(
            "KServe",
            "not installed",
            "install KServe 0.16 or newer; the operator continues by itself then",
        )
    if cluster.kserve_crd is None:
        return ok("KServe", "installed, in a version that you may not read")
    if lacks_what_0_16_has(cluster.kserve_crd):
        return problem(
            "KServe",
            "0.15 or older",
            "upgrade it to 0.16 or newer",
        )
    return ok("KServe", "0.16 or newer")


def _gateway_api(cluster: Surroundings) -> Check:
    if cluster.routes is None:
        return _unseen("Gateway API", cluster, "routes")
    if not cluster.routes:
        return warning(
            "Gateway API",
            "not installed in v1",
            "install its CRDs and a gateway controller, if services are to be routed",
        )
    return ok("Gateway API", cluster.bundle_version or "v1")


def _gateways(cluster: Surroundings) -> Check:
    if cluster.gateways is None:
        return _unseen("Gateways", cluster, "gateways")
    if not cluster.gateways:
        return warning(
            "Gateways",
            "none",
            "make a Gateway and name it in routing.gatewayRef, if services are to be routed",
        )
    ready = [gateway for gateway in cluster.gateways if _is_programmed(gateway)]
    named = ", ".join(f"{each.metadata.namespace}/{each.metadata.name}" for each in ready or cluster.gateways)
    if not ready:
        return warning(
            "Gateways",
            f"none is Programmed: {named}",
            "see that the controller of their GatewayClass runs",
        )
    return ok("Gateways", f"{len(ready)} of {len(cluster.gateways)} ready: {named}")


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
        return warning(
            "GPUs",
            f"no node has {AMD_RESOURCE} or {NVIDIA_RESOURCE}",
            "install the device plugin of your GPUs; only models for CPUs run without",
        )
    return ok(
        "GPUs",
        ", ".join(f"{count} {resource}" for resource, count in sorted(counts.items())),
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
        return warning(
            "GPU labels",
            f"{', '.join(sorted(bare)[:3])}{more} do not say which GPUs they have",
            "install the node labeller of your GPUs: a GPU model chooses nodes by its labels",
        )
    found = f"on all nodes with GPUs: {len(with_gpus)}" if with_gpus else "no node has GPUs"
    return ok("GPU labels", found)


def _storage(cluster: Surroundings) -> Check:
    if cluster.storage_classes is None:
        return _unseen("storage", cluster, "storage_classes")
    default = [each.metadata.name for each in _of_caches(cluster)]
    if cluster.cache_class:
        if default:
            return ok("storage", f"class {cluster.cache_class}, as the runtime configuration says")
        return warning(
            "storage",
            f"no storage class {cluster.cache_class}, which the runtime configuration names",
            "create it, or name another in defaultStorageClassName of the runtime configuration",
        )
    if default:
        return ok("storage", f"default class {', '.join(default)}")
    names = ", ".join(each.metadata.name for each in cluster.storage_classes)
    return warning(
        "storage",
        f"no default class; there is {names}" if names else "no storage class",
        "name one in the runtime configuration's defaultStorageClassName, or mark one as default, for caches",
    )


def _of_caches(cluster: Surroundings) -> list[StorageClass]:
    """Return the class that the cluster's runtime configuration names, else those that are default."""
    return [
        each
        for each in cluster.storage_classes or ()
        if (
            each.metadata.name == cluster.cache_class
            if cluster.cache_class
            else each.metadata.annotation(DEFAULT_CLASS) == "true"
        )
    ]


def _access_modes(cluster: Surroundings) -> Check:
    name = "access modes"
    if cluster.storage_classes is None:
        return _unseen(name, cluster, "storage_classes")
    asked = cluster.access_modes or ("ReadWriteMany",)
    default = _of_caches(cluster) or ([] if cluster.cache_class else list(cluster.storage_classes))
    if not {"ReadWriteMany", "ReadOnlyMany"} & set(asked):
        return ok(name, f"caches ask for {', '.join(asked)}")
    if any(_shares(each.provisioner) for each in default):
        return ok(name, f"{', '.join(asked)}, as caches ask for")
    single = [each for each in default if _shares(each.provisioner) is False]
    if single and len(single) == len(default):
        named = some([f"{each.metadata.name} ({each.provisioner})" for each in single])
        return warning(
            name,
            f"{named} can't be mounted on many nodes, as caches ask for",
            "set storage.accessModes: [ReadWriteOnce] in the runtime configuration, or name a class that can",
        )
    if not default:
        return ok(name, f"no storage class{f' {cluster.cache_class}' if cluster.cache_class else ''}")
    return unknown(name, f"no API says what {some([each.provisioner for each in default])} can")


def _shares(provisioner: str) -> bool | None:
    """Return whether volumes of a provisioner can be mounted on many nodes; None where we don't know it."""
    if provisioner in _SHARING or provisioner.endswith(_SHARING_ENDS):
        return True
    return False if provisioner in _SINGLE else None


def _keda(cluster: Surroundings) -> Check:
    if cluster.keda is None:
        return _unseen("KEDA", cluster, "keda")
    return ok(
        "KEDA",
        "installed" if cluster.keda else "not installed; only autoscaling by queue or query needs it",
    )
