"""What the operator did, as RBAC spells it, and whether the code declares it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

import yaml

from aim_operator.sandbox.audit import AuditEntry
from hack.roles import declared

RULES = Path(__file__).parents[2] / "charts" / "aim-operator" / "files" / "rules"
Act = tuple[str, str]
"""(verb, resource.group[/subresource])."""

_VERBS = {"apply": "patch", "replace": "update", "patch_status": "patch", "logs": "get"}
_SUBRESOURCES = {"patch_status": "/status", "logs": "/log"}


@cache
def declared_acts(*roles: str) -> frozenset[Act]:
    """Everything that the named roles allow; all of the operator's own if none is named."""
    rules = declared()._asdict()
    return frozenset(act for role in (roles or rules) for rule in rules[role] for act in acts_of(rule))


def rules_of(role: str) -> list[dict[str, list[str]]]:
    """The rules of a role as the chart has them."""
    rules: list[dict[str, list[str]]] = yaml.safe_load((RULES / f"{role}.yaml").read_text())
    return rules


def acts_of(rule: dict[str, list[str]]) -> Iterator[Act]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            name, slash, subresource = resource.partition("/")
            qualified = f"{name}.{group}" if group else name
            for verb in rule["verbs"]:
                yield verb, f"{qualified}{slash}{subresource}"


def acts_in_sandbox(audit: Iterable[AuditEntry]) -> frozenset[Act]:
    """What the operators of a simulation asked for, refused or not."""
    return frozenset(
        (_VERBS.get(entry.verb, entry.verb), entry.resource + _SUBRESOURCES.get(entry.verb, ""))
        for entry in audit
        if entry.user.startswith("operator")
    )


def acts_in_audit_log(events: Iterable[dict[str, Any]]) -> frozenset[Act]:
    """What a user did on a real API server, and was not refused.

    An apply that created its object was checked for two verbs, and shows as one.
    """
    acts: set[Act] = set()
    for event in events:
        reference = event.get("objectRef")
        if not reference or event.get("responseStatus", {}).get("code", 0) == HTTPStatus.FORBIDDEN:
            continue
        group, subresource = reference.get("apiGroup", ""), reference.get("subresource", "")
        name = f"{reference['resource']}.{group}" if group else reference["resource"]
        resource = f"{name}/{subresource}" if subresource else name
        acts.add((event["verb"], resource))
        if event["verb"] == "patch" and event["responseStatus"]["code"] == HTTPStatus.CREATED:
            acts.add(("create", resource))
    return frozenset(acts)
