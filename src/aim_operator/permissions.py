"""What the operator may do: every verb on every kind, each declared once. The chart's roles are made of it.

What is watched is declared in watched.py, what is written stands here. Tests hold both to what the operator
really does: the simulation refuses what is not declared, and the audit log of a real API server shows what
is declared and not used. Called by hack/generate.py, `aimctl doctor` and tests; the operator itself does not
ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SCALED_OBJECTS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    ALL_KINDS,
    CLUSTER_TEMPLATES,
    MODEL_CACHES,
    SERVICES,
    TEMPLATE_CACHES,
    TEMPLATES,
)
from aim_operator.app import LEASE_NAME
from aim_operator.controllers.watched import Watched
from aim_operator.runtime.events import EVENTS
from aim_operator.runtime.leader import LEASES
from aim_operator.runtime.scrapers import ACCESS_REVIEWS, TOKEN_REVIEWS

REPORTED = ALL_KINDS
"""Kinds whose status the operator writes."""

APPLIED: tuple[Resource[Any], ...] = (
    TEMPLATES,  # derived ones
    TEMPLATE_CACHES,
    MODEL_CACHES,
    PERSISTENT_VOLUME_CLAIMS,
    JOBS,
    SERVING_RUNTIMES,
    CLUSTER_SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    POD_DISRUPTION_BUDGETS,
    SCALED_OBJECTS,
    HTTP_ROUTES,
)
"""Kinds of the children. A name that is taken is looked up; creating by apply takes two verbs."""

REMOVED: tuple[Resource[Any], ...] = (
    TEMPLATES,
    TEMPLATE_CACHES,
    MODEL_CACHES,
    JOBS,
    POD_DISRUPTION_BUDGETS,
    SCALED_OBJECTS,
    HTTP_ROUTES,
)
"""Kinds that are deleted by the operator; the other children go with their owner."""

ADOPTED: tuple[Resource[Any], ...] = (SERVING_RUNTIMES, CLUSTER_SERVING_RUNTIMES, INFERENCE_SERVICES)
"""Kinds that get an owner when they come back from a backup without one, beside those that are deleted.

Where the admission plugin of OWNERS is on, that takes the right to delete them. Claims are left out: nobody
shall delete files by this role.
"""

OWNERS: tuple[Resource[Any], ...] = (TEMPLATES, CLUSTER_TEMPLATES, MODEL_CACHES, SERVICES)
"""Kinds that children name as the owner whose deletion they block.

Where the admission plugin OwnerReferencesPermissionEnforcement is on, as on OpenShift, that takes the right
to update the owner's finalizers. Nothing is ever sent there.
"""


class Permission(NamedTuple):
    """One verb on one resource, spelt as RBAC does: `aimservices/status`, not a kind."""

    group: str
    resource: str
    verb: str
    namespaced: bool


class Roles(NamedTuple):
    """Rules by where they apply. An instance for the whole cluster has the first and the last."""

    everywhere: list[Manifest]
    """Cluster-wide, of an instance that serves all namespaces."""
    namespace: list[Manifest]
    """In each namespace that a limited instance serves."""
    operator_namespace: list[Manifest]
    """In its own namespace, of a limited instance."""
    catalog: list[Manifest]
    """Cluster-wide, of a limited instance: cluster kinds, to read."""
    lease: list[Manifest]
    """In its own namespace, of any instance with leader election."""


def permissions(watched: Watched) -> frozenset[Permission]:
    """Return everything that the operator does outside of its Lease."""
    return frozenset(
        (
            *_each((informer.resource for informer in watched.all), "list", "watch"),
            *_each(REPORTED, "patch", subresource="status"),
            *_each(APPLIED, "get", "create", "patch"),
            *_each((*REMOVED, *ADOPTED), "delete"),
            *_each(OWNERS, "update", subresource="finalizers"),
            *_each((PODS,), "get", subresource="log"),
            *_each((EVENTS,), "create", "patch"),
        )
    )


def roles(watched: Watched) -> Roles:
    """Return the rules of the chart's roles: no more than `permissions`, and nothing with a wildcard."""
    everything = permissions(watched)
    own = frozenset(_each(watched.own, "list", "watch"))
    # A limited instance never writes cluster kinds.
    catalog = {p for p in everything if not p.namespaced and p.verb in ("list", "watch")}
    lease = _rules(_each((LEASES,), "get", "update"))
    for rule in lease:
        rule["resourceNames"] = [LEASE_NAME]  # a name can't limit who creates
    return Roles(
        everywhere=_rules(everything),
        namespace=_rules(p for p in everything if p.namespaced),
        operator_namespace=_rules(own),
        catalog=_rules(catalog),
        lease=[*lease, *_rules(_each((LEASES,), "create"))],
    )


def scraping_rules() -> list[Manifest]:
    """Return what `--metrics-authorization` takes: to ask who a token's user is, and what that one may."""
    return _rules(_each((TOKEN_REVIEWS, ACCESS_REVIEWS), "create"))


def _each(resources: Iterable[Resource[Any]], *verbs: str, subresource: str = "") -> Iterable[Permission]:
    tail = f"/{subresource}" if subresource else ""
    for resource in resources:
        for verb in verbs:
            yield Permission(resource.group, resource.plural + tail, verb, resource.namespaced)


def _rules(wanted: Iterable[Permission]) -> list[Manifest]:
    """Return RBAC rules, one for all resources of a group that have the same verbs, in a stable order."""
    verbs: dict[tuple[str, str], set[str]] = {}
    for permission in wanted:
        verbs.setdefault((permission.group, permission.resource), set()).add(permission.verb)
    resources: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), allowed in sorted(verbs.items()):
        resources.setdefault((group, tuple(sorted(allowed))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": names, "verbs": list(allowed)}
        for (group, allowed), names in resources.items()
    ]
