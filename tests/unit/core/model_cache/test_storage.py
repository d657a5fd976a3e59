"""Which claims can be mounted, and whose files count as there."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import convert

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1 import Download
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache.attempt import is_complete
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.storage import alive, judge
from aim_operator.errors import Unavailable
from tests.support.cache_builders import make_claim, make_model_cache, make_storage_class

GOING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}


def claim(phase: str = "Bound", **metadata: str) -> PersistentVolumeClaim:
    fields = {"metadata": {"name": "files", "uid": "this claim", **metadata}, "status": {"phase": phase}}
    return convert(fields, PersistentVolumeClaim)


@pytest.mark.parametrize(
    ("found", "want"),
    [
        pytest.param(claim(), True, id="one that is bound"),
        pytest.param(None, False, id="not one that is gone"),
        pytest.param(claim(**GOING), False, id="not one that is going: Pods on it would never start"),
        pytest.param(claim("Lost"), False, id="not one whose volume is lost"),
        pytest.param(claim("Pending"), False, id="not one that waits for a volume"),
    ],
)
def test_on_which_claim_a_service_can_start(found: PersistentVolumeClaim | None, *, want: bool) -> None:
    assert alive(found) is want


@pytest.mark.parametrize(
    ("download", "want"),
    [
        pytest.param({"claimUid": "this claim", "attempts": 0}, True, id="a download to this claim"),
        pytest.param(
            {"claimUid": "another", "attempts": 0}, False, id="not one to a former claim of the cache"
        ),
        pytest.param({"claimUid": "this claim", "attempts": 2}, False, id="not one that failed"),
    ],
)
def test_whose_files_are_there(download: dict[str, object], *, want: bool) -> None:
    record = convert({"specHash": "h", "lastAttemptTime": "2026-01-31T12:00:00Z", **download}, Download)
    assert is_complete(record, claim()) is want


EXISTING = make_model_cache(size=None, existingClaim={"name": "files"})
PENDING = make_claim(phase="Pending")
CLASSLESS = convert({"metadata": {"name": "files"}, "status": {"phase": "Pending"}}, PersistentVolumeClaim)
JUDGED: dict[str, tuple[dict[str, Any], bool, str, str, str]] = {
    # what is observed; usable, reason, state while it is not, words
    "it is bound": ({"claim": make_claim()}, True, "StorageReady", "Pending", "is bound"),
    "it is bound, and another was there before a restore": (
        {"claim": make_claim(), "superseded": claim()},
        True,
        "StorageReady",
        "Pending",
        "is bound; claim 'files', made before it was restored, is not used: delete it",
    ),
    "its volume is lost": ({"claim": claim("Lost")}, False, "ClaimLost", "Failed", "delete the claim"),
    "it waits for its first Pod": (
        {"claim": PENDING, "storage_class": make_storage_class(wait=True)},
        True,
        "Provisioning",
        "Pending",
        "is bound when its first Pod is placed",
    ),
    "its volume can't be made where its first Pod was placed: another node may do": (
        {
            "claim": PENDING,
            "storage_class": make_storage_class(wait=True),
            "provisioning_failure": "node1\nis full",
        },
        True,
        "ProvisioningFailed",
        "Failed",
        ": node1 is full",
    ),
    "its volume can't be made": (
        {"claim": PENDING, "storage_class": make_storage_class(), "provisioning_failure": "pool is full"},
        False,
        "ProvisioningFailed",
        "Failed",
        ": pool is full",
    ),
    "its volume is made": (
        {"claim": PENDING, "storage_class": make_storage_class()},
        False,
        "Provisioning",
        "Pending",
        "waiting for a volume of class",
    ),
    "its class does not exist": (
        {"claim": PENDING},
        False,
        "ProvisioningFailed",
        "Failed",
        "which does not exist; create it",
    ),
    "it has no class, and there is no default": (
        {"claim": CLASSLESS},
        False,
        "ProvisioningFailed",
        "Failed",
        "no storage class, and the cluster has no default",
    ),
    "a user's own is bound": (
        {"cache": EXISTING, "claim": claim()},
        True,
        "StorageReady",
        "Pending",
        "claim 'files' is bound",
    ),
    "a user's own is not there": (
        {"cache": EXISTING},
        False,
        "ClaimNotFound",
        "Degraded",
        "no claim 'files' in namespace",
    ),
    "whether a user's own is there is not known": (
        {"cache": EXISTING, "claim_unread": Unavailable("no\nanswer")},
        False,
        "Provisioning",
        "Pending",
        "claim 'files' can't be looked up, the operator tries again: no answer",
    ),
    "a user's own goes": (
        {"cache": EXISTING, "claim": claim(**GOING)},
        False,
        "ClaimTerminating",
        "Degraded",
        "is being deleted, and the files with it",
    ),
    "a user's own has lost its volume": (
        {"cache": EXISTING, "claim": claim("Lost")},
        False,
        "ClaimLost",
        "Failed",
        "bring it back",
    ),
    "a user's own is not bound": (
        {"cache": EXISTING, "claim": claim("Pending")},
        False,
        "Provisioning",
        "Pending",
        "so that there are no files on it; fill it",
    ),
}


@pytest.mark.parametrize("name", JUDGED)
def test_where_a_claim_stands(name: str) -> None:
    seen, usable, reason, state, words = JUDGED[name]
    got = judge(
        ModelCacheObserved(**{"cache": make_model_cache(), "runtime_config": RuntimeConfig(), **seen})
    )
    assert (got.usable, got.reason, got.state) == (usable, reason, state)
    assert words in got.message
