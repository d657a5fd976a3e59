"""Pieces of plans: owner references, environments laid over each other, plain JSON values."""

from __future__ import annotations

import pytest

from aim_operator.api.meta import KubeObject, Manifest, ObjectMeta, OwnerReference
from aim_operator.api.v1alpha1 import GpuSelector, LocalObjectReference
from aim_operator.core import manifests


def reference(uid: str, *, controller: bool | None) -> OwnerReference:
    return OwnerReference(api_version="v1", kind="Owner", name="owner", uid=uid, controller=controller)


@pytest.mark.parametrize(
    ("owners", "want"),
    [
        pytest.param((), False, id="nobody's"),
        pytest.param((reference("mine", controller=True),), True, id="controlled by the owner"),
        pytest.param((reference("mine", controller=False),), False, id="owned, but not controlled"),
        pytest.param((reference("mine", controller=None),), False, id="null is not true"),
        pytest.param((reference("other", controller=True),), False, id="a namesake with another uid"),
        pytest.param(
            (reference("other", controller=False), reference("mine", controller=True)),
            True,
            id="one owner of several is the controller",
        ),
    ],
)
def test_controlled_by(owners: tuple[OwnerReference, ...], want: bool) -> None:  # noqa: FBT001
    live = KubeObject(metadata=ObjectMeta(name="child", owner_references=owners))
    assert manifests.controlled_by(live, ObjectMeta(name="owner", uid="mine")) is want


def test_owner_reference_controls_and_blocks_foreground_deletion() -> None:
    assert manifests.owner_reference("v1", "Owner", ObjectMeta(name="owner", uid="mine")) == {
        "apiVersion": "v1",
        "kind": "Owner",
        "name": "owner",
        "uid": "mine",
        "controller": True,
        "blockOwnerDeletion": True,
    }


A1, A2, B, C = (
    {"name": "A", "value": "1"},
    {"name": "A", "value": "2"},
    {"name": "B", "value": "b"},
    {"name": "C", "value": "c"},
)


@pytest.mark.parametrize(
    ("layers", "want"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([[A1, B]], [A1, B], id="one layer stays as it is"),
        pytest.param([[A1, B], [C]], [A1, B, C], id="layers follow each other"),
        pytest.param([[A1, B], [A2]], [A2, B], id="a later value wins and keeps the earlier place"),
        pytest.param([[A1, A2]], [A2], id="within a layer the last wins too"),
    ],
)
def test_merge_env(layers: list[list[Manifest]], want: list[Manifest]) -> None:
    assert manifests.merge_env(*layers) == want


def test_plain_leaves_out_what_is_unset_and_makes_tuples_lists() -> None:
    assert manifests.plain((LocalObjectReference(name="x"), GpuSelector(count=2))) == [
        {"name": "x"},
        {"count": 2},
    ]
