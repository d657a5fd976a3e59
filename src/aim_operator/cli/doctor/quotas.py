"""Judges whether the quotas of a namespace have room for one more of what the operator makes there. Pure.

Looked at are the namespaces of services, those of operators, whose Jobs discover cluster templates, and the
one that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from aim_operator.api import quantity
from aim_operator.cli.doctor import limits
from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.policies import Quota, Scope
from aim_operator.cli.doctor.verdicts import Check, ok, some, unknown, warning

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
_OF_PRIORITY = "PriorityClass"
_OF_OURS = {
    "NotTerminating": True,
    "NotBestEffort": True,
    "Terminating": False,
    "BestEffort": False,
    "CrossNamespacePodAffinity": False,
    "VolumeAttributesClass": False,
}
"""Which scopes have our Pods in them: a Job's deadline is not one of its Pods, and all ask for something."""


def quotas(cluster: Surroundings) -> Check:
    """Say which quotas have no room for one more object, or want what Jobs do not say."""
    name = "quotas"
    if cluster.quotas is None or cluster.limit_ranges is None:
        return unknown(name, cluster.why("quotas" if cluster.quotas is None else "limit_ranges"))
    if "services" in cluster.unseen:
        return unknown(name, cluster.why("services"))
    looked_at = cluster.serving | cluster.homes
    here = [each for each in cluster.quotas if each.metadata.namespace in looked_at]
    # Only these are about priority classes: others need not know the default one.
    about_classes = any(_OF_PRIORITY in _scopes(each) for each in here)
    if about_classes and (cluster.priority_class is None or cluster.pods is None):
        return unknown(name, cluster.why("priority_class", *limits.OF_PODS))
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
    if not _is_about_ours(quota, cluster):
        return
    where = f"{namespace}/{quota.metadata.name}"
    used = quota.status.used or {}
    for key, hard in (quota.spec.hard or {}).items():
        most, taken = quantity.parse(str(hard)), quantity.parse(str(used.get(key, 0)))
        counts = key in _COUNTED or key.startswith(("limits.", "requests.")) or key in ("cpu", "memory")
        if counts and most is not None and taken is not None and taken >= most:
            yield f"{where} has no room: {key} {used.get(key, 0)} of {hard}"
        elif key in _WANTED and key not in _defaults(namespace, cluster):
            yield f"{where} wants {key} of every container, which ours don't say"


def _scopes(quota: Quota) -> dict[str, Scope]:
    """Return the terms of a quota, all of which a Pod has to meet, by their scope."""
    terms = [Scope(scope_name=each) for each in quota.spec.scopes or ()]
    if quota.spec.scope_selector is not None:
        terms += quota.spec.scope_selector.match_expressions or ()
    return {each.scope_name: each for each in terms}


def _is_about_ours(quota: Quota, cluster: Surroundings) -> bool:
    """Whether a quota counts any Pod that the operator makes there."""
    scopes = _scopes(quota)
    if not all(_OF_OURS.get(each, False) for each in scopes if each != _OF_PRIORITY):
        return False
    term = scopes.get(_OF_PRIORITY)
    return term is None or any(
        _has_class(term, pod.priority_class or cluster.priority_class or None)
        for pod in cluster.pods or ()
        if pod.namespace == quota.metadata.namespace
    )


def _has_class(term: Scope, name: str | None) -> bool:
    """Whether a Pod of that priority class, None for one without, is meant."""
    match term.operator:
        case "In":
            return name in (term.values or ())
        case "NotIn":
            return name not in (term.values or ())
        case "Exists":
            return name is not None
        case _:
            return name is None


def _defaults(namespace: str, cluster: Surroundings) -> frozenset[str]:
    """Return what the LimitRanges of a namespace give containers, as a quota spells it."""
    ranges = [each for each in cluster.limit_ranges or () if each.metadata.namespace == namespace]
    asked, most = limits.defaulted(ranges, {}, {})
    return frozenset({f"limits.{key}" for key in most} | {f"requests.{key}" for key in {**most, **asked}})
