"""What namespace users may do with our kinds: rules that the chart adds to the roles view, edit and admin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from aim_operator.api.meta import Manifest
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import ALL_KINDS, GROUP, RUNTIME_CONFIGS, SERVICES

READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")


class UserRoles(NamedTuple):
    """Rules by the role that they are added to; `catalog` is a role of its own."""

    view: list[Manifest]
    edit: list[Manifest]
    admin: list[Manifest]
    catalog: list[Manifest]


def user_roles() -> UserRoles:
    """Return them. A namespace's runtime configurations, which name its credentials, are its admins' matter.

    Nobody writes a status: what the operator says must be the operator's.
    """
    namespaced = [kind for kind in ALL_KINDS if kind.namespaced]
    cluster = [kind for kind in ALL_KINDS if not kind.namespaced]
    return UserRoles(
        view=[_rule(ALL_KINDS, READ), _scale("get")],
        edit=[
            _rule((kind for kind in namespaced if kind is not RUNTIME_CONFIGS), WRITE),
            _scale("patch", "update"),
        ],
        admin=[_rule(namespaced, WRITE), _scale("patch", "update")],
        catalog=[_rule(cluster, READ)],
    )


def _rule(kinds: Iterable[Resource[Any]], verbs: Iterable[str]) -> Manifest:
    return {"apiGroups": [GROUP], "resources": sorted(kind.plural for kind in kinds), "verbs": sorted(verbs)}


def _scale(*verbs: str) -> Manifest:
    """What `kubectl scale` and autoscalers send."""
    return {"apiGroups": [GROUP], "resources": [f"{SERVICES.plural}/scale"], "verbs": list(verbs)}
