"""A claim that exists already: checked instead of filled, never written to, never made, never removed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.external import PersistentVolumeClaim
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.model_cache import desired, digests
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import decide
from aim_operator.core.naming import download_job_name
from tests.support.cache_builders import (
    make_claim,
    make_download_job,
    make_download_pod,
    make_model_cache,
    make_storage_class,
)
from tests.support.outcomes import report_of

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"})
CONFIG = RuntimeConfig()
CACHE = make_model_cache(size=None, existingClaim={"name": "models", "subPath": "llama/8b"})
WAITS = make_storage_class(wait=True)


def existing(**fields: Any) -> PersistentVolumeClaim:
    made = make_claim(CACHE, **fields)
    return structs.replace(made, metadata=structs.replace(made.metadata, name="models"))


def observed(**fields: Any) -> ModelCacheObserved:
    return ModelCacheObserved(cache=CACHE, runtime_config=CONFIG, **fields)


def test_the_check_reads_a_folder_of_it_and_changes_not_even_its_group() -> None:
    (child,) = decide(observed(claim=existing()), now=NOW, options=OPTIONS).children
    assert child.resource.kind == "Job"
    pod = child.manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["args"][:4] == ["fetch", CACHE.spec.source_uri, desired.MOUNT_PATH, "--check"]
    assert container["volumeMounts"][0] == {
        "name": "model",
        "mountPath": desired.MOUNT_PATH,
        "readOnly": True,
        "subPath": "llama/8b",
    }
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert "fsGroup" not in pod["securityContext"]


@pytest.mark.parametrize(
    ("claim", "want"),
    [
        pytest.param(None, (State.DEGRADED, Reason.CLAIM_NOT_FOUND, "no claim 'models'"), id="none"),
        pytest.param(
            existing(deleting=True),
            (State.DEGRADED, Reason.CLAIM_TERMINATING, "is being deleted"),
            id="going",
        ),
        pytest.param(existing(phase="Lost"), (State.FAILED, Reason.CLAIM_LOST, "bring it back"), id="lost"),
        pytest.param(
            existing(phase="Pending"),
            (State.PENDING, Reason.PROVISIONING, "no files on it"),
            id="not bound: a check would bind it, empty, wherever it ran",
        ),
    ],
)
def test_where_there_is_nothing_to_check_nothing_is_made(
    claim: PersistentVolumeClaim | None, want: tuple[str, str, str]
) -> None:
    plan = decide(observed(claim=claim, storage_class=WAITS), now=NOW, options=OPTIONS)
    assert (plan.children, plan.removals) == ((), ())
    status = report_of(plan).status
    assert status is not None
    ready = conditions.find(status.conditions or (), "Ready")
    assert ready is not None
    state, reason, words = want
    assert (status.status, ready.reason) == (state, reason)
    assert words in ready.message


def test_what_the_check_found_is_told_and_its_claim_is_what_servers_mount() -> None:
    claim = existing()
    name = download_job_name(CACHE.metadata.name, digests.download(CACHE, CONFIG, claim, OPTIONS))
    found = {"reason": "Verified", "message": "7 files are there", "totalBytes": 5, "files": 7}
    pod = make_download_pod(phase="Succeeded", exit_code=0, message=json.dumps(found))
    job = make_download_job(name, complete="2026-01-31T11:59:00Z")
    plan = decide(observed(claim=claim, jobs=(job,), pods=(pod,)), now=NOW, options=OPTIONS)
    status = report_of(plan).status
    assert status is not None
    assert (status.status, status.persistent_volume_claim) == (State.AVAILABLE, "models")
    ready = conditions.find(status.conditions or (), "Ready")
    assert ready is not None
    assert "claim 'models': 7 files are there" in ready.message
