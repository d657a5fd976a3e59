"""What users may do with the chart's roles is what docs/guides/teams.md says, asked of a real API server."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
import yaml

from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from hack import plain_manifests
from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.errors import ClusterError
from tests.docs.blocks import ROOT, read_page

PAGE = "docs/guides/teams.md"
TEXT = (ROOT / PAGE).read_text()
VERBS = {"read": ("get", "list", "watch"), "write": ("create", "update", "patch", "delete")}
PLURALS = {resource.kind: resource.plural for resource in ALL_KINDS}
ROLES = ("view", "edit", "admin")
ROW = re.compile(r"^\| (read|write) (.*?) \| (yes|no) \| (yes|no) \| (yes|no) \|$", re.MULTILINE)
AGGREGATED = "rbac.authorization.k8s.io/aggregate-to-"
AGGREGATION_SECONDS = 30.0


def promises() -> Iterator[tuple[str, str, str, bool]]:
    """Each cell of the page's table: role, verb, resource, and whether the role may."""
    for action, kinds, *cells in ROW.findall(TEXT):
        for kind in re.findall(r"`(\w+)`", kinds):
            for role, cell in zip(ROLES, cells, strict=True):
                for verb in VERBS[action]:
                    yield role, verb, PLURALS[kind], cell == "yes"


def test_the_table_has_each_kind_once_for_reading_and_once_for_writing() -> None:
    got = sorted((role, verb, resource) for role, verb, resource, _ in promises())
    verbs = [verb for some in VERBS.values() for verb in some]
    assert got == sorted(
        (role, verb, plural) for role in ROLES for verb in verbs for plural in PLURALS.values()
    )


def user_roles() -> list[Manifest]:
    """The roles for users of the chart as `helm install` gives it."""
    objects = [one for one in yaml.safe_load_all(plain_manifests.PATH.read_text()) if one]
    return [
        one
        for one in objects
        if any(label.startswith(AGGREGATED) for label in one["metadata"].get("labels", {}))
        or (one["kind"].startswith("ClusterRole") and one["metadata"]["name"].endswith("-catalog"))
    ]


def binding(role: str, namespace: str) -> Manifest:
    """The page's RoleBinding, for another role and namespace; its group has the role's name."""
    (shown,) = (
        yaml.safe_load(block.text)
        for block in read_page(PAGE, TEXT).blocks
        if "kind: RoleBinding" in block.text
    )
    shown["metadata"] = {"name": role, "namespace": namespace}
    shown["roleRef"]["name"] = role
    shown["subjects"][0]["name"] = f"{namespace}-{role}"
    return dict(shown)


def named_for(role: Manifest, namespace: str) -> Manifest:
    """The same under a name of its own, by which a binding leads to it: another worker has its own set."""
    role["metadata"]["name"] += f"-{namespace}"
    if role["kind"] == "ClusterRoleBinding":
        role["roleRef"]["name"] += f"-{namespace}"
    return role


def may(cluster: Cluster, role: str, verb: str, resource: str, namespace: str) -> bool:
    asked = {"group": "aim.silogen.ai", "verb": verb, "resource": resource, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "somebody",
            "groups": [f"{namespace}-{role}", "system:authenticated"],
            "resourceAttributes": asked,
        },
    }
    answer = cluster.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def can_i(cluster: Cluster, namespace: str, role: str, *question: str) -> bool:
    """What `kubectl auth can-i` says to a member of the team."""
    somebody = ("--as=somebody", f"--as-group={namespace}-{role}", "--as-group=system:authenticated")
    try:
        answer = cluster.kubectl("auth", "can-i", *question, "-n", namespace, *somebody)
    except ClusterError:
        return False  # "no" is exit code 1
    return answer.strip() == "yes"


@pytest.fixture
def team(control_plane: Cluster) -> Iterator[str]:
    """A namespace where a group has each role, on a cluster with the chart's roles for users."""
    with control_plane.namespace("team") as namespace:
        roles = [named_for(one, namespace) for one in user_roles()]
        assert len(roles) == 5
        try:
            for one in roles:
                control_plane.api.apply(one)
            for role in ROLES:
                control_plane.api.apply(binding(role, namespace))
            # The controller manager adds up the rules of aggregated roles.
            deadline = time.monotonic() + AGGREGATION_SECONDS
            while not may(control_plane, "admin", "create", PLURALS["AIMRuntimeConfig"], namespace):
                assert time.monotonic() < deadline, "the roles were not aggregated"
                time.sleep(0.1)
            yield namespace
        finally:
            for one in roles:
                control_plane.api.request("DELETE", object_path(one))


def test_each_role_may_what_the_page_says(control_plane: Cluster, team: str) -> None:
    wrong = [
        f"{role} may{'' if allowed else ' not'} {verb} {resource}: wrong"
        for role, verb, resource, allowed in promises()
        if may(control_plane, role, verb, resource, team) is not allowed
    ]
    assert wrong == []


def test_a_member_of_the_team_sees_the_catalog_and_makes_services(control_plane: Cluster, team: str) -> None:
    asked = {
        ("create", "aimservices.aim.silogen.ai"): True,
        ("create", "aimruntimeconfigs.aim.silogen.ai"): False,
        ("list", "aimclusterimages.aim.silogen.ai"): True,
        ("create", "aimclusterimages.aim.silogen.ai"): False,
        ("patch", "aimservices.aim.silogen.ai", "--subresource=scale"): True,
        ("update", "aimservices.aim.silogen.ai", "--subresource=status"): False,
    }
    assert {question: can_i(control_plane, team, "edit", *question) for question in asked} == asked
    assert can_i(control_plane, team, "admin", "create", "aimruntimeconfigs.aim.silogen.ai")
    viewer = {
        ("list", "aimclusterservicetemplates.aim.silogen.ai"): True,
        ("get", "aimruntimeconfigs.aim.silogen.ai"): True,
        ("create", "aimservices.aim.silogen.ai"): False,
        ("patch", "aimservices.aim.silogen.ai", "--subresource=scale"): False,
    }
    assert {question: can_i(control_plane, team, "view", *question) for question in viewer} == viewer
