"""Judges whether the Pod Security of a namespace would refuse what the operator renders there. Pure."""

from __future__ import annotations

from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.verdicts import Check, ok, some, unknown, warning

ENFORCED = "pod-security.kubernetes.io/enforce"


def pod_security(cluster: Surroundings) -> Check:
    """Say which namespaces enforce `restricted` while nothing gives servers a user who is not root.

    Everything else that the level asks for is the default of servers, and Jobs fit it.
    """
    name = "Pod Security"
    if cluster.namespaces is None:
        return unknown(name, cluster.why("namespaces"))
    if "services" in cluster.unseen:
        return unknown(name, cluster.why("services"))
    levels = {
        each.metadata.name: (each.metadata.labels or {}).get(ENFORCED, "privileged")
        for each in cluster.namespaces
    }
    restricted = sorted(
        each
        for each in cluster.serving
        # The admission plugin takes a level that it does not know for the strictest.
        if levels.get(each, "privileged") not in ("privileged", "baseline")
    )
    if not restricted:
        return ok(name, f"no namespace of services enforces restricted: {len(cluster.serving)} looked at")
    if cluster.configured is None:
        return unknown(name, f"{some(restricted)}: restricted; {cluster.why('configured')}")
    bare = [each for each in restricted if not {"", each} & cluster.configured]
    if not bare:
        return ok(name, f"restricted, and servers are not root: {some(restricted)}")
    return warning(
        name,
        f"restricted, which refuses servers that may be root: {some(bare)}",
        "set securityContext with runAsNonRoot and runAsUser in the runtime configuration default, or in "
        "each service",
    )
