"""Judges whether the LimitRanges of a namespace let Pods of the operator's in. Pure.

As the API server does, in the order of its admission (LimitRanger of Kubernetes 1.35,
plugin/pkg/admission/limitranger): what a container does not say is set by the ranges, one after the other;
then every range is compared with what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from aim_operator.api import quantity
from aim_operator.cli.doctor.gather import Surroundings
from aim_operator.cli.doctor.policies import Amounts, Limit, LimitRange
from aim_operator.cli.doctor.verdicts import Check, ok, some, unknown, warning

OF_PODS = ("pods", "services", "configured")
"""What has to be read to know which Pods there are."""
_ABOUT_PODS = ("Container", "Pod")


def limits(cluster: Surroundings) -> Check:
    """Say which LimitRanges refuse Jobs of the operator's, or servers that are there."""
    name = "limit ranges"
    if cluster.limit_ranges is None or cluster.pods is None:
        return unknown(name, cluster.why("limit_ranges", *OF_PODS))
    by_namespace: dict[str, list[LimitRange]] = {}
    for each in cluster.limit_ranges:
        by_namespace.setdefault(each.metadata.namespace, []).append(each)
    found = [
        f"{pod.namespace}: {pod.what}, {words}"
        for pod in cluster.pods
        for words in refusals(by_namespace.get(pod.namespace, []), pod.requests, pod.limits)
    ]
    if found:
        return warning(
            name,
            some(found),
            "ask for what the LimitRange allows (resources of a service; of Jobs jobs.discovery.resources "
            "and jobs.download.resources in the runtime configuration), or change the LimitRange",
        )
    looked_at = {pod.namespace for pod in cluster.pods}
    here = sum(each.metadata.namespace in looked_at for each in cluster.limit_ranges)
    return ok(name, f"{here}, which let Jobs and servers in" if here else "none")


def refusals(ranges: Sequence[LimitRange], requests: Amounts, limits: Amounts) -> Iterator[str]:
    """Yield why a Pod of one container is refused that asks for so much."""
    asked, most = defaulted(ranges, requests, limits)
    for resource in sorted(asked.keys() & most.keys()):
        if _parsed(asked[resource]) > _parsed(most[resource]):
            default = "" if resource in limits else ", which a LimitRange sets"
            yield f"{resource} request {asked[resource]} is over its limit {most[resource]}{default}"
    for each in ranges:
        for limit in each.spec.limits:
            if limit.type in _ABOUT_PODS:
                for words in _against(limit, asked, most):
                    yield f"{words} by {each.metadata.name}"


def defaulted(
    ranges: Sequence[LimitRange], requests: Amounts, limits: Amounts
) -> tuple[dict[str, str | int], dict[str, str | int]]:
    """Return requests and limits as admission has them: a limit alone is the request, too."""
    most = dict(limits)
    asked = {**limits, **requests}
    for each in ranges:
        for limit in each.spec.limits:
            if limit.type == "Container":
                asked = {**(limit.default_request or {}), **asked}
                most = {**(limit.default or {}), **most}
    return asked, most


def _against(limit: Limit, asked: Amounts, most: Amounts) -> Iterator[str]:
    per = limit.type
    for resource, bound in sorted((limit.min or {}).items()):
        for what, amount in (("request", asked.get(resource)), ("limit", most.get(resource))):
            if amount is None and what == "request":
                yield f"{resource} has no {what}, of which {bound} is the minimum per {per}"
            elif amount is not None and _parsed(amount) < _parsed(bound):
                yield f"{resource} {what} {amount} is under the minimum {bound} per {per}"
    for resource, bound in sorted((limit.max or {}).items()):
        for what, amount in (("limit", most.get(resource)), ("request", asked.get(resource))):
            if amount is None and what == "limit":
                yield f"{resource} has no {what}, of which {bound} is the maximum per {per}"
            elif amount is not None and _parsed(amount) > _parsed(bound):
                yield f"{resource} {what} {amount} is over the maximum {bound} per {per}"
    for resource, bound in sorted((limit.max_limit_request_ratio or {}).items()):
        yield from _ratio(resource, bound, asked, most, per)


def _ratio(resource: str, bound: str | int, asked: Amounts, most: Amounts, per: str) -> Iterator[str]:
    request, limit = _parsed(asked.get(resource, 0)), _parsed(most.get(resource, 0))
    if not request or not limit:
        yield f"{resource} has no {'limit' if request else 'request'}, of which a ratio is asked per {per}"
    elif limit / request > _parsed(bound):
        far = f"{bound} times its request {asked[resource]}"
        yield f"{resource} limit {most[resource]} is over {far} per {per}"


def _parsed(amount: str | int) -> Decimal:
    """What is no quantity, the API server has not taken."""
    return quantity.parse(amount) or Decimal(0)
