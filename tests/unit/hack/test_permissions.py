"""What the roles allow, and what they must never."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.permissions import scraping_rules
from hack.roles import declared
from hack.user_permissions import READ, user_roles
from tests.support.permissions import acts_of, declared_acts

ROLES = declared()._asdict()
USER_ROLES = user_roles()._asdict()
CLUSTER_KINDS = (
    "aimclusterimages.aim.silogen.ai",
    "aimclusterservicetemplates.aim.silogen.ai",
    "aimclusterruntimeconfigs.aim.silogen.ai",
    "clusterservingruntimes.serving.kserve.io",
    "customresourcedefinitions.apiextensions.k8s.io",
    "nodes",
    "storageclasses.storage.k8s.io",
)


@pytest.mark.parametrize("rules", [*ROLES.values(), *USER_ROLES.values()], ids=[*ROLES, *USER_ROLES])
def test_no_role_has_a_wildcard(rules: list[dict[str, Any]]) -> None:
    assert rules
    assert not [text for rule in rules for texts in rule.values() for text in texts if "*" in text]


@pytest.mark.parametrize("role", ROLES)
def test_nothing_about_secrets_or_rights_is_allowed(role: str) -> None:
    touched = {resource.partition("/")[0] for _, resource in declared_acts(role)}
    never = {"secrets", "configmaps", "serviceaccounts", "namespaces"}
    assert not touched & never
    # KServe's: its Pods, which have the same environment, are watched as well.
    deployments = {verb for verb, resource in declared_acts(role) if resource == "deployments.apps"}
    assert deployments <= {"list", "watch"}
    assert not [resource for resource in touched if resource.endswith(".rbac.authorization.k8s.io")]
    verbs = {verb for verb, _ in declared_acts(role)}
    assert verbs <= {"get", "list", "watch", "create", "patch", "update", "delete"}


def test_authorised_scraping_asks_and_changes_nothing() -> None:
    assert {act for rule in scraping_rules() for act in acts_of(rule)} == {
        ("create", "tokenreviews.authentication.k8s.io"),
        ("create", "subjectaccessreviews.authorization.k8s.io"),
    }


def test_a_limited_instance_reads_cluster_kinds_and_no_more() -> None:
    catalog = declared_acts("catalog")
    assert {resource for _, resource in catalog} == set(CLUSTER_KINDS)
    assert {verb for verb, _ in catalog} == {"list", "watch"}
    others = declared_acts("namespace", "operator_namespace")
    assert not {resource.partition("/")[0] for _, resource in others} & set(CLUSTER_KINDS)


def test_a_limited_instance_may_no_more_than_one_for_the_whole_cluster() -> None:
    assert declared_acts("namespace", "operator_namespace", "catalog") <= declared_acts("everywhere")


def test_in_its_own_namespace_a_limited_instance_only_looks() -> None:
    assert {verb for verb, _ in declared_acts("operator_namespace")} == {"list", "watch"}


def test_the_lease_is_the_only_one_that_it_may_renew() -> None:
    renewing = [rule for rule in ROLES["lease"] if "update" in rule["verbs"]]
    assert [rule["resourceNames"] for rule in renewing] == [["aim-operator"]]


def test_creating_by_apply_takes_two_verbs() -> None:
    acts = declared_acts("everywhere")
    patched = {r for v, r in acts if v == "patch" and "/" not in r}
    assert patched
    assert {("create", resource) for resource in patched} <= acts


def test_users_may_not_write_what_the_operator_says() -> None:
    """Of what is beside the objects themselves they have the number of copies, which is in the spec."""
    for rules in USER_ROLES.values():
        beside = {resource for rule in rules for _, resource in acts_of(rule) if "/" in resource}
        assert beside <= {"aimservices.aim.silogen.ai/scale"}


def test_who_may_edit_a_namespace_does_not_choose_its_credentials() -> None:
    def writable(role: str) -> set[str]:
        return {r for rule in USER_ROLES[role] for v, r in acts_of(rule) if v not in READ}

    assert writable("admin") - writable("edit") == {"aimruntimeconfigs.aim.silogen.ai"}
    assert not writable("view")
    assert not writable("admin") & set(CLUSTER_KINDS)
