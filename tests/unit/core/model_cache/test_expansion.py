"""A cache whose size is raised: what its claim gets, and what a user reads where it gets nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import convert, structs

from aim_operator.api.external import PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim, StorageClass
from aim_operator.api.meta import Condition
from aim_operator.api.plan import OutcomeType, Plan
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, Download, Storage
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions, labels
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache import digests, expansion
from aim_operator.core.model_cache.allowance import Allowance
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import decide
from tests.support.cache_builders import make_claim, make_model_cache, make_storage_class
from tests.support.outcomes import Trouble, report_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"})
NO_ROOM = Allowance(granted=False, reason="AwaitingStorageBudget", message="11Gi do not fit the budget")


def claim(
    *,
    requests: str = "11Gi",
    capacity: str = "11Gi",
    made_for: str | None = "10Gi",
    phase: str = "Bound",
    condition: tuple[str, str] | None = None,
    holds: bool = True,
    deleting: bool = False,
) -> PersistentVolumeClaim:
    """`condition` is a type that is True, if it `holds`, and its message."""
    made = make_claim(phase=phase, deleting=deleting)
    metadata = structs.replace(
        made.metadata, annotations={labels.SIZE: made_for} if made_for is not None else None
    )
    status: dict[str, Any] = {"phase": phase, "capacity": {"storage": capacity}}
    if condition is not None:
        status["conditions"] = [
            {"type": condition[0], "status": "True" if holds else "False", "message": condition[1]}
        ]
    return convert(
        {
            "metadata": convert_back(metadata),
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": "standard",
                "resources": {"requests": {"storage": requests}},
            },
            "status": status,
        },
        PersistentVolumeClaim,
    )


def convert_back(metadata: Any) -> dict[str, Any]:
    return {
        "name": metadata.name,
        "namespace": metadata.namespace,
        "uid": metadata.uid,
        **({"annotations": dict(metadata.annotations)} if metadata.annotations else {}),
        **({"deletionTimestamp": metadata.deletion_timestamp} if metadata.deletion_timestamp else {}),
    }


EXPANDS = structs.replace(make_storage_class(), allow_volume_expansion=True)


def observed(
    size: str | None,
    live: PersistentVolumeClaim,
    *,
    storage_class: StorageClass | None = EXPANDS,
    headroom: int | None = None,
    allowance: Allowance | None = None,
) -> ModelCacheObserved:
    """A cache whose files are all there, with what it has now as its size."""
    filled = AIMModelCacheStatus(
        download=Download(
            spec_hash="0", attempts=0, last_attempt_time="2026-01-31T11:00:00Z", claim_uid=live.metadata.uid
        )
    )
    return ModelCacheObserved(
        cache=structs.replace(make_model_cache(size=size), status=filled),
        runtime_config=RuntimeConfig(storage=Storage(headroom_percent=headroom)),
        claim=live,
        storage_class=storage_class,
        allowance=allowance,
    )


def planned(seen: ModelCacheObserved) -> Plan[AIMModelCacheStatus]:
    return decide(seen, now=NOW, options=OPTIONS)


def storage(status: AIMModelCacheStatus | None) -> Condition:
    assert status is not None
    found = conditions.find(status.conditions or (), c.STORAGE_READY)
    assert found is not None
    return found


def asked(plan: Plan[AIMModelCacheStatus]) -> list[str]:
    return [
        child.manifest["spec"]["resources"]["requests"]["storage"]
        for child in plan.children
        if child.resource is PERSISTENT_VOLUME_CLAIMS
    ]


CASES: dict[str, tuple[ModelCacheObserved, list[str], str, str]] = {
    "as it was made": (observed("10Gi", claim()), [], "StorageReady", "is bound"),
    "a larger size, with the headroom": (
        observed("20Gi", claim()),
        ["22Gi"],
        "Expanding",
        "from 11Gi to 22Gi",
    ),
    "a little more, which the headroom held until now": (
        observed("11Gi", claim()),
        ["13Gi"],
        "Expanding",
        "from 11Gi to 13Gi",
    ),
    "a smaller size: claims never shrink": (observed("5Gi", claim()), [], "StorageReady", "is bound"),
    "another headroom is about new claims": (
        observed("10Gi", claim(), headroom=100),
        [],
        "StorageReady",
        "is bound",
    ),
    "a claim of an earlier version is left alone": (
        observed("10Gi", claim(made_for=None)),
        [],
        "StorageReady",
        "is bound",
    ),
    "and grows where more is asked for than it has": (
        observed("12Gi", claim(made_for=None)),
        ["14Gi"],
        "Expanding",
        "from 11Gi to 14Gi",
    ),
    "enlarged by hand to what is asked for": (
        observed("20Gi", claim(requests="30Gi", capacity="30Gi")),
        [],
        "StorageReady",
        "is bound",
    ),
    "no size, as listed": (observed(None, claim()), [], "StorageReady", "is bound"),
    "the class can't": (
        observed("20Gi", claim(), storage_class=make_storage_class()),
        [],
        "ExpansionNotSupported",
        "storage class 'standard' can't enlarge volumes",
    ),
    "the class is gone": (
        observed("20Gi", claim(), storage_class=None),
        [],
        "ExpansionNotSupported",
        "can't enlarge volumes",
    ),
    "the budget does not allow it": (
        observed("20Gi", claim(), allowance=NO_ROOM),
        [],
        "AwaitingStorageBudget",
        "do not fit the budget",
    ),
    "it is under way": (
        observed("20Gi", claim(requests="22Gi", made_for="20Gi")),
        [],
        "Expanding",
        "from 11Gi to 22Gi",
    ),
    "the file system waits for a Pod": (
        observed("20Gi", claim(requests="22Gi", made_for="20Gi", condition=("FileSystemResizePending", ""))),
        [],
        "Expanding",
        "when a Pod mounts it",
    ),
    "the driver fails": (
        observed(
            "20Gi", claim(requests="22Gi", made_for="20Gi", condition=("ControllerResizeError", "pool full"))
        ),
        [],
        "ExpansionFailed",
        "stays at 11Gi: pool full",
    ),
    "the node fails": (
        observed("20Gi", claim(requests="22Gi", made_for="20Gi", condition=("NodeResizeError", "read-only"))),
        [],
        "ExpansionFailed",
        "stays at 11Gi: read-only",
    ),
    "the driver failed before": (
        observed(
            "20Gi",
            claim(requests="22Gi", made_for="20Gi", condition=("ControllerResizeError", "full"), holds=False),
        ),
        [],
        "Expanding",
        "from 11Gi to 22Gi",
    ),
    "a larger size that it has already, with less headroom": (
        observed("11Gi", claim(), headroom=0),
        [],
        "StorageReady",
        "is bound",
    ),
    "a size that is no quantity": (observed("lots", claim()), [], "ResourcesInvalid", "spec.size: 'lots'"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_claim_when_its_cache_says_another_size(name: str) -> None:
    seen, want, reason, words = CASES[name]
    plan = planned(seen)
    assert asked(plan) == want
    condition = storage(plan.status)
    assert (condition.status, condition.reason) == ("True", reason)
    assert words in condition.message
    assert plan.status is not None
    assert plan.status.status == "Available", "the files are there all the while"


def test_a_claim_that_is_not_bound_can_not_be_changed_yet() -> None:
    assert asked(planned(observed("20Gi", claim(phase="Pending")))) == []
    assert asked(planned(observed("20Gi", claim(deleting=True)))) == []


def test_a_users_own_claim_is_the_users_to_enlarge() -> None:
    existing = make_model_cache(size=None, existingClaim={"name": "files"})
    seen = structs.replace(observed(None, claim(requests="22Gi")), cache=existing)
    assert expansion.judge(seen) is None


def test_nothing_but_the_size_of_the_live_claim_is_changed() -> None:
    seen = observed("20Gi", claim())
    (child,) = planned(seen).children
    assert child.manifest["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "22Gi"}},
    }
    assert child.manifest["metadata"]["annotations"] == {labels.SIZE: "20Gi"}
    assert seen.claim is not None
    assert child.name == seen.claim.metadata.name


def test_a_quota_that_refuses_is_quoted_and_the_files_stay_available() -> None:
    seen = observed("20Gi", claim())
    quota = "exceeded quota: team, requested: requests.storage=11Gi, used: 11Gi, limited: 15Gi"
    trouble = Trouble("PersistentVolumeClaim", OutcomeType.REFUSED, quota)
    status = report_of(planned(seen), trouble).status
    condition = storage(status)
    assert (condition.status, condition.reason, status.status) == ("True", "ExpansionFailed", "Available")
    assert quota in condition.message


@pytest.mark.parametrize(
    ("storage_class", "words"),
    [
        (EXPANDS, "raise spec.size of this AIMModelCache, and its claim is enlarged"),
        (make_storage_class(), "make another AIMModelCache with a larger spec.size"),
        (None, "make another AIMModelCache with a larger spec.size"),
    ],
)
def test_files_that_do_not_fit_tell_what_helps_on_this_very_class(
    storage_class: StorageClass | None, words: str
) -> None:
    seen = observed("10Gi", claim(), storage_class=storage_class)
    assert words in expansion.remedy(seen)


def test_an_enlarged_claim_is_tried_at_once() -> None:
    before, after = claim(), claim(requests="22Gi", capacity="22Gi", made_for="20Gi")
    cache, config = make_model_cache(size="20Gi"), RuntimeConfig()
    both = {digests.download(cache, config, live, OPTIONS) for live in (before, after)}
    assert len(both) == 2
