"""Whose an object is that has the name we want to write."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.meta import Manifest
from aim_operator.runtime.ownership import Ownership, ownership
from tests.unit.runtime.making import APPLIED, make_stored, make_widget

OWNER: Manifest = {
    "apiVersion": "example.com/v1",
    "kind": "Owner",
    "name": "owner",
    "uid": "uid-of-owner",
    "controller": True,
}
FORMER = {**OWNER, "uid": "uid-of-its-former-namesake"}
LABELS = {"managed-by": "us", "component": "server"}
RECOMMENDED = {f"app.kubernetes.io/{name}": value for name, value in LABELS.items()}
MARKED = {APPLIED: "a hash"}
GOING = "2026-01-31T11:59:00Z"

OWNED = make_widget(labels=LABELS, ownerReferences=[OWNER])
SHARED = make_widget(labels=LABELS)
UNLABELLED = make_widget()


def whose(wanted: Manifest, **live: Any) -> Ownership:
    return ownership(make_stored(**live), wanted, APPLIED)


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(OWNED, {"ownerReferences": [OWNER]}, id="our owner controls it"),
        pytest.param(
            OWNED,
            {"ownerReferences": [{**OWNER, "kind": "Other", "controller": False}, OWNER]},
            id="it has other owners beside",
        ),
        pytest.param(
            OWNED,
            {"ownerReferences": [OWNER], "labels": {}, "annotations": {}},
            id="somebody removed all our marks, but not its owner",
        ),
        pytest.param(
            OWNED,
            {"labels": LABELS, "annotations": MARKED},
            id="a backup tool stripped its owner references",
        ),
        pytest.param(
            OWNED,
            {
                "ownerReferences": [{**OWNER, "kind": "Other", "controller": False}],
                "labels": LABELS,
                "annotations": MARKED,
            },
            id="nobody controls it any more, whoever owns it",
        ),
        pytest.param(
            make_widget(labels={**RECOMMENDED, "app.example.com/version": "2"}, ownerReferences=[OWNER]),
            {"labels": {**RECOMMENDED, "app.example.com/version": "1"}, "annotations": MARKED},
            id="a backup of the day before was restored, of the version before",
        ),
        pytest.param(
            SHARED,
            {"labels": {**LABELS, "team": "red"}, "annotations": MARKED},
            id="one without an owner, labelled further by a user",
        ),
    ],
)
def test_it_is_ours_where(wanted: Manifest, live: dict[str, Any]) -> None:
    assert whose(wanted, **live) is Ownership.OURS


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(OWNED, {}, id="a user made it"),
        pytest.param(OWNED, {"labels": LABELS}, id="a user copied our labels along"),
        pytest.param(SHARED, {"labels": LABELS}, id="a user copied them from one that has no owner"),
        pytest.param(OWNED, {"annotations": MARKED}, id="a user copied our annotation only"),
        pytest.param(
            OWNED,
            {"labels": {**LABELS, "component": "other"}, "annotations": MARKED},
            id="it is another component of ours",
        ),
        pytest.param(
            UNLABELLED, {"annotations": MARKED}, id="no label of ours would tell it from a stranger's"
        ),
        pytest.param(
            SHARED,
            {"ownerReferences": [OWNER], "labels": LABELS, "annotations": MARKED},
            id="somebody controls what we would have without an owner",
        ),
        pytest.param(
            OWNED,
            {
                "ownerReferences": [{**OWNER, "name": "another", "uid": "uid-of-another"}],
                "labels": LABELS,
                "annotations": MARKED,
            },
            id="another object of our owner's kind controls it",
        ),
        pytest.param(
            OWNED,
            {"ownerReferences": [{**FORMER, "kind": "Other"}], "labels": LABELS, "annotations": MARKED},
            id="an object of another kind controls it",
        ),
        pytest.param(
            OWNED,
            {"ownerReferences": [{**FORMER, "apiVersion": "other.com/v1"}], "annotations": MARKED},
            id="an object of another group controls it",
        ),
    ],
)
def test_it_is_left_alone_where(wanted: Manifest, live: dict[str, Any]) -> None:
    assert whose(wanted, **live) is Ownership.FOREIGN


@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        pytest.param(
            OWNED, {"ownerReferences": [FORMER]}, id="the former object of our owner's name controls it"
        ),
        pytest.param(
            OWNED,
            {"ownerReferences": [{**FORMER, "apiVersion": "example.com/v1alpha1"}]},
            id="the former object was of another version",
        ),
        pytest.param(
            OWNED, {"ownerReferences": [OWNER], "deletionTimestamp": GOING}, id="our own is being deleted"
        ),
        pytest.param(OWNED, {"deletionTimestamp": GOING}, id="a user's is being deleted"),
    ],
)
def test_it_is_waited_for_where(wanted: Manifest, live: dict[str, Any]) -> None:
    assert whose(wanted, **live) is Ownership.GOING_AWAY
