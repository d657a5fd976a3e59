"""Which claims can be mounted, and whose files count as there."""

from __future__ import annotations

import pytest
from msgspec import convert

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1 import Download
from aim_operator.core.model_cache.attempt import is_complete
from aim_operator.core.model_cache.storage import alive

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
