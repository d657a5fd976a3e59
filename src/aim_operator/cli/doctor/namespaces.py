"""Judges whether namespaces would refuse what the operator renders there: Pod Security, quotas. Pure.

Looked at are the namespaces of services, those of operators, whose Jobs discover cluster templates, and the
one that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from aim_operator.api import quantity
from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.policies import Quota
from aim_operator.cli.doctor.verdicts import Check, ok, some, unknown, warning

ENFORCED = "pod-security.kubernetes.io/enforce"
_COUNTED = (
    "pods",
    "count/pods",
    "count/jobs.batch",
    "count/inferenceservices.serving.kserve.io",
    "count/deployments.apps",
    "persistentvolumeclaims",
    "count/persistentvolumeclaims",
)
_WANTED = frozenset({"requests.ephemeral-storage", "limits.ephemeral-storage"})
"""What a quota wants of every container, and ours don't say.

Of cpu and memory Jobs say both; KServe's own defaults stand in for what a server doesn't say of them.
"""


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


def quotas(cluster: Surroundings) -> Check:
    """Say which quotas have no room for one more object, or want what Jobs do not say."""
    name = "quotas"
    if cluster.quotas is None or cluster.limit_ranges is None:
        return unknown(name, cluster.why("quotas" if cluster.quotas is None else "limit_ranges"))
    if "services" in cluster.unseen:
        return unknown(name, cluster.why("services"))
    looked_at = cluster.serving | cluster.homes
    here = [each for each in cluster.quotas if each.metadata.namespace in looked_at]
    found = sorted(words for each in here for words in _against(each, cluster))
    if found:
        return warning(
            name,
            some(found),
            "raise the quota or free some of it; what it wants of every container can be a LimitRange's "
            "default, or jobs.*.resources in the runtime configuration",
        )
    return ok(name, f"{len(here)} in {len(looked_at)} namespaces, each with room" if here else "none")


def _against(quota: Quota, cluster: Surroundings) -> Iterator[str]:
    namespace = quota.metadata.namespace or ""
    if quota.spec.scopes or quota.spec.scope_selector:
        return  # about some Pods only
    where = f"{namespace}/{quota.metadata.name}"
    used = quota.status.used or {}
    for key, hard in (quota.spec.hard or {}).items():
        most, taken = quantity.parse(str(hard)), quantity.parse(str(used.get(key, 0)))
        counts = key in _COUNTED or key.startswith(("limits.", "requests.")) or key in ("cpu", "memory")
        if counts and most is not None and taken is not None and taken >= most:
            yield f"{where} has no room: {key} {used.get(key, 0)} of {hard}"
        elif key in _WANTED and key not in _defaults(namespace, cluster):
            yield f"{where} wants {key} of every container, which ours don't say"


def _defaults(namespace: str, cluster: Surroundings) -> frozenset[str]:
    """Return what the LimitRanges of a namespace give containers, as a quota spells it."""
    limits = [
        limit
        for each in cluster.limit_ranges or ()
        if each.metadata.namespace == namespace
        for limit in each.spec.limits
        if limit.type == "Container"
    ]
    most = {key for limit in limits for key in limit.default or ()}
    # A limit alone is the request, too.
    asked = most | {key for limit in limits for key in limit.default_request or ()}
    return frozenset({f"limits.{key}" for key in most} | {f"requests.{key}" for key in asked})
