"""The largest object that the CRDs let in: what docs/operations/sizing.md says of memory rests on it."""

from __future__ import annotations

import pytest

from aim_operator.api import crd
from aim_operator.api.v1alpha1.kinds import ALL_KINDS
from tests.support.largest import largest

KIB = 1024
FREE_FORM = {
    ".spec.engineArgs": 16 * KIB,
    ".status.profile": 64 * KIB,
    # Values of a profile, a configuration and a template, and their names.
    ".status.active.env": (64 + 32 + 32 + 32) * KIB,
    ".status.active.serving": KIB,
    # Of two levels that are merged.
    ".status.active.scheduling": 112 * KIB,
    ".status.active.pods": 32 * KIB,
    ".status.active.templateResources": 2 * 32 * 400,
    ".status.active.imageResources": 2 * 32 * 400,
    ".status.active.securityContext": 2 * 64 * 70,
    ".status.active.podSecurityContext": KIB,
    ".status.active.routing": 4 * KIB,
}
MOST_KIB = {
    "AIMImage": 128,
    "AIMClusterImage": 128,
    "AIMServiceTemplate": 704,
    "AIMClusterServiceTemplate": 576,
    "AIMRuntimeConfig": 576,
    "AIMClusterRuntimeConfig": 576,
    "AIMTemplateCache": 320,
    "AIMModelCache": 384,
    "AIMService": 1152,
}
STORED_KIB = 1536
"""What etcd takes of one object, by default."""
METADATA_KIB = 256
"""What Kubernetes takes of annotations."""


def size_kib(kind: str) -> float:
    [schema] = [crd.schema(resource)["properties"] for resource in ALL_KINDS if resource.kind == kind]
    return sum(largest(schema[part], FREE_FORM, f".{part}") for part in ("spec", "status")) / KIB


@pytest.mark.parametrize("kind", MOST_KIB)
def test_the_largest_accepted_object_has_a_number(kind: str) -> None:
    assert MOST_KIB[kind] * 0.7 < size_kib(kind) <= MOST_KIB[kind]


@pytest.mark.parametrize("kind", MOST_KIB)
def test_a_status_fits_into_the_store_beside_the_largest_spec(kind: str) -> None:
    """Else a user could write a spec beside which no condition can be written."""
    assert size_kib(kind) + METADATA_KIB <= STORED_KIB


def test_all_kinds_have_one() -> None:
    assert MOST_KIB.keys() == {resource.kind for resource in ALL_KINDS}
