"""A model cache whose size nobody says: the source is asked, then the claim is made."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import JobSpec, JobStatus, PodStatus
from aim_operator.api.plan import OutcomeType, Plan
from aim_operator.api.v1alpha1 import AIMModelCache, AIMModelCacheStatus, Listing
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core import conditions
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.model_cache import desired, digests, listing
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import decide
from aim_operator.core.naming import listing_job_name
from aim_operator.errors import Unavailable
from tests.support.cache_builders import (
    make_claim,
    make_download_job,
    make_download_pod,
    make_model_cache,
    make_storage_class,
)
from tests.support.outcomes import Trouble, report_of
from tests.support.status import assert_status_well_formed

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED = "2026-01-31T11:59:59Z"
GIB = 1024**3
OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"}, ttl_seconds=600)
CONFIG = RuntimeConfig()
CACHE = make_model_cache(size=None)
JOB = listing_job_name("example-model", digests.listing(CACHE, CONFIG, OPTIONS))


def observed(**fields: Any) -> ModelCacheObserved:
    base: dict[str, Any] = {
        "cache": CACHE,
        "runtime_config": CONFIG,
        "storage_class": make_storage_class(),
    }
    return ModelCacheObserved(**{**base, **fields})


def planned(seen: ModelCacheObserved, now: datetime = NOW) -> Plan[AIMModelCacheStatus]:
    return decide(seen, now=now, options=OPTIONS)


def with_status(seen: ModelCacheObserved, status: AIMModelCacheStatus | None) -> ModelCacheObserved:
    assert status is not None
    return structs.replace(seen, cache=structs.replace(seen.cache, status=status))


def condition(plan: Plan[AIMModelCacheStatus], type_: str) -> tuple[str, str]:
    assert plan.status is not None
    assert_status_well_formed(plan.status)
    found = conditions.find(plan.status.conditions or (), type_)
    assert found is not None
    return found.reason, found.message


def children(plan: Plan[AIMModelCacheStatus]) -> list[str]:
    return [child.resource.kind for child in plan.children]


def pod(**fields: Any) -> Any:
    return make_download_pod(**{"container": "list", **fields})


def ended(message: dict[str, Any], *, code: int = 0) -> dict[str, Any]:
    phase = "Failed" if code else "Succeeded"
    job = make_download_job(JOB, failed=ENDED) if code else make_download_job(JOB, complete=ENDED)
    return {
        "listing_jobs": (job,),
        "pods": (pod(phase=phase, exit_code=code, message=json.dumps(message)),),
    }


TOLD = {
    "reason": "Listed",
    "totalBytes": 10 * GIB,
    "files": 12,
    "revision": "abc",
    "leftOut": [{"pattern": "original/*", "files": 3, "totalBytes": 9 * GIB}],
}
DONE = observed(**ended(TOLD))
LONG_AGO = "2026-01-31T10:00:00Z"
STUCK = msgspec.convert({"startTime": LONG_AGO}, JobStatus)
RUNNING_SINCE_LONG_AGO = msgspec.convert(
    {
        "phase": "Running",
        "containerStatuses": [{"name": "list", "state": {"running": {"startedAt": LONG_AGO}}}],
    },
    PodStatus,
)
FAILED_INIT = msgspec.convert(
    {
        "phase": "Failed",
        "initContainerStatuses": [
            {"name": "vault", "state": {"terminated": {"exitCode": 3, "message": "no token"}}}
        ],
        "containerStatuses": [{"name": "list", "state": {"waiting": {"reason": "PodInitializing"}}}],
    },
    PodStatus,
)
SUSPENDED = structs.replace(make_download_job(JOB), spec=msgspec.convert({"suspend": True}, JobSpec))
CASES: dict[str, tuple[ModelCacheObserved, tuple[str, str, str, list[str]]]] = {
    # name: snapshot, (state, Ready's reason, part of its message, children)
    "nobody says a size": (observed(), ("Progressing", "Listing", f"listing Job {JOB} is starting", ["Job"])),
    "somebody says one": (
        observed(cache=make_model_cache()),
        ("Pending", "Provisioning", "is being created", ["PersistentVolumeClaim"]),
    ),
    "the claim is there": (
        observed(claim=make_claim()),
        ("Progressing", "DownloadPending", "download Job", ["Job"]),
    ),
    "the configuration is missing": (
        observed(runtime_config=MissingRuntimeConfig("gone")),
        ("Degraded", "RuntimeConfigMissing", "'gone'", []),
    ),
    "its Pod is starting": (
        observed(listing_jobs=(make_download_job(JOB),), pods=(pod(phase="Pending"),)),
        ("Progressing", "Listing", "the listing Pod is starting", []),
    ),
    "it runs": (
        observed(listing_jobs=(make_download_job(JOB),), pods=(pod(),)),
        ("Progressing", "Listing", "asking hf://example/model for its files", []),
    ),
    "a Secret of its env is missing": (
        observed(
            listing_jobs=(make_download_job(JOB),),
            pods=(pod(phase="Pending", waiting=("CreateContainerConfigError", "secret hf not found")),),
        ),
        ("Degraded", "Listing", "the listing Pod waits: secret hf not found", []),
    ),
    "its image can't be pulled": (
        observed(
            listing_jobs=(make_download_job(JOB),),
            pods=(pod(phase="Pending", waiting=("ErrImagePull", "not found")),),
        ),
        ("Degraded", "ImagePullFailed", "not found", []),
    ),
    "its Pod is refused": (
        observed(listing_jobs=(make_download_job(JOB),), refusal="exceeded quota"),
        ("Degraded", "JobRefused", "the listing Pod was refused: exceeded quota", []),
    ),
    "its Job is on its way out": (
        observed(listing_jobs=(make_download_job(JOB, deleting=True),)),
        ("Progressing", "Listing", "to be gone", []),
    ),
    "a queue holds it back": (
        observed(listing_jobs=(SUSPENDED,)),
        ("Pending", "Suspended", f"Job {JOB!r} is suspended, and names no queue", []),
    ),
    "the source takes more than an hour": (
        observed(
            listing_jobs=(structs.replace(make_download_job(JOB), status=STUCK),),
            pods=(structs.replace(pod(), status=RUNNING_SINCE_LONG_AGO),),
        ),
        ("Failed", "ListingFailed", "the source did not name its files within", []),
    ),
    "what was injected into its Pod fails": (
        observed(
            listing_jobs=(make_download_job(JOB, failed=ENDED),),
            pods=(structs.replace(pod(), status=FAILED_INIT),),
        ),
        (
            "Failed",
            "ListingFailed",
            "container 'vault' of the listing Pod exited with code 3: no token",
            [],
        ),
    ),
    "a listing with other inputs is no obstacle": (
        observed(listing_jobs=(make_download_job("list-other"),)),
        ("Progressing", "Listing", "is starting", ["Job"]),
    ),
    "its Pod can't be looked up": (
        observed(listing_jobs=DONE.listing_jobs, unread=Unavailable("no\nanswer")),
        ("Progressing", "Listing", "can't be looked up yet: no answer", []),
    ),
    "it is done": (DONE, ("Pending", "Provisioning", "is being created", [])),
    "the source refuses": (
        observed(**ended({"reason": "AuthenticationFailed", "message": "set HF_TOKEN"}, code=10)),
        ("Failed", "AuthenticationFailed", "set HF_TOKEN", []),
    ),
    "there is no such source": (
        observed(**ended({"reason": "SourceNotFound", "message": "no such model"}, code=11)),
        ("Failed", "SourceNotFound", "no such model", []),
    ),
    "the source can't be reached": (
        observed(**ended({"reason": "DownloadFailed", "message": "can't reach hub"}, code=14)),
        ("Failed", "ListingFailed", "can't reach hub", []),
    ),
    "the source does not answer": (
        observed(**ended({"reason": "Stalled", "message": "no answer from hub"}, code=13)),
        ("Failed", "ListingFailed", "no answer from hub", []),
    ),
    "it ends without a word": (
        observed(**ended({})),
        ("Failed", "ListingFailed", f"listing Job {JOB} has ended without saying how large", []),
    ),
    "it says what can't be": (
        observed(**ended({**TOLD, "totalBytes": -5})),
        ("Failed", "ListingFailed", "without saying how large", []),
    ),
    "its Job fails without a Pod": (
        observed(listing_jobs=(make_download_job(JOB, failed=ENDED),)),
        ("Failed", "ListingFailed", "Job has failed", []),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_cache_without_a_size_does(name: str) -> None:
    seen, (state, reason, words, want_children) = CASES[name]
    plan = planned(seen)
    got_reason, message = condition(plan, c.READY)
    assert plan.status is not None
    assert (plan.status.status, got_reason, children(plan)) == (state, reason, want_children)
    assert words in message
    again = planned(with_status(seen, plan.status), NOW + timedelta(seconds=1))
    assert (again.status, again.events) == (plan.status, ())


def test_the_claim_is_made_and_the_job_goes_once_the_status_has_what_was_listed() -> None:
    first = planned(DONE)
    assert (first.children, first.removals) == ((), ())
    assert first.status is not None
    assert (first.status.size, first.status.files) == ("10Gi", 12)
    assert [(one.pattern, one.files) for one in first.status.left_out or ()] == [("original/*", 3)]
    assert (first.status.listing or Listing()).revision == "abc"
    again = planned(with_status(DONE, first.status))
    assert [removal.live.metadata.name for removal in again.removals] == [JOB]
    (claim,) = again.children
    assert claim.manifest["spec"]["resources"]["requests"]["storage"] == "11Gi"
    gone = planned(with_status(observed(), first.status))
    assert (children(gone), gone.removals) == (["PersistentVolumeClaim"], ())


def test_a_listing_that_failed_is_tried_again_after_its_pause() -> None:
    plan = planned(observed(**ended({"reason": "SourceNotFound"}, code=11)))
    assert plan.requeue_after_seconds == 10


def test_what_other_inputs_have_listed_is_no_size() -> None:
    """Other files of a source may be chosen by now, or another endpoint asked for them."""
    digest = digests.listing(CACHE, CONFIG, OPTIONS)
    for listed, want in ((digest, 10 * GIB), ("other", None)):
        record = Listing(spec_hash=listed, attempts=0, last_attempt_time=ENDED, total_bytes=10 * GIB)
        assert listing.known_size(observed(), AIMModelCacheStatus(listing=record), digest) == want
    assert (
        listing.known_size(observed(cache=make_model_cache(size="1Gi")), AIMModelCacheStatus(), "") == "1Gi"
    )


def test_a_listing_job_that_goes_is_not_deleted_again() -> None:
    jobs = (make_download_job(JOB, deleting=True), make_download_job("list-other"))
    plan = planned(observed(listing_jobs=jobs, claim=make_claim()))
    assert [removal.live.metadata.name for removal in plan.removals] == ["list-other"]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"cache": make_model_cache()}, id="a size is given meanwhile"),
        pytest.param({"claim": make_claim()}, id="the claim is there"),
        pytest.param({"claim": make_claim(phase="Pending")}, id="the claim waits"),
    ],
)
def test_a_listing_that_is_needed_no_longer_is_removed(changed: dict[str, Any]) -> None:
    plan = planned(observed(listing_jobs=(make_download_job(JOB),), **changed))
    assert [removal.live.metadata.name for removal in plan.removals] == [JOB]


def test_the_status_says_meanwhile_why_the_last_attempt_failed_and_how_many_there_were() -> None:
    seen = observed(**ended({"reason": "SourceNotFound", "message": "no such model"}, code=11))
    status = planned(seen).status
    for attempts, seconds in ((1, 10), (2, 20), (3, 40)):
        assert status is not None
        assert (status.listing or Listing()).attempts == attempts
        waits = planned(with_status(seen, status))
        assert waits.requeue_after_seconds == pytest.approx(seconds)
        due = planned(with_status(observed(), status), NOW + timedelta(seconds=seconds))
        assert children(due) == ["Job"]
        _, message = condition(due, c.READY)
        assert message.endswith(f"; attempt {attempts} failed: no such model")
        # The next Job fails like the one before.
        job = structs.replace(seen.listing_jobs[0])
        metadata = structs.replace(job.metadata, uid=f"job-{attempts}")
        seen = structs.replace(seen, listing_jobs=(structs.replace(job, metadata=metadata),))
        status = planned(with_status(seen, due.status)).status


def test_the_log_of_a_listing_is_not_followed() -> None:
    """Also not while the kubelet has not reported its container."""
    for seen in (pod(), pod(phase="Running", container="another")):
        assert planned(observed(listing_jobs=(make_download_job(JOB),), pods=(seen,))).follow is None


def test_each_failed_attempt_is_an_event() -> None:
    seen = observed(**ended({"reason": "SourceNotFound", "message": "no such model"}, code=11))
    assert [(e.type, e.reason) for e in planned(seen).events] == [("Warning", "SourceNotFound")]


@pytest.mark.parametrize(
    ("cache", "config", "options"),
    [
        pytest.param(make_model_cache(size=None, env=[{"name": "HF_TOKEN"}]), CONFIG, OPTIONS, id="env"),
        pytest.param(make_model_cache(size=None, include=["*.json"]), CONFIG, OPTIONS, id="patterns"),
        pytest.param(
            make_model_cache(size=None, metadata={"annotations": {"aim.silogen.ai/retry": "now"}}),
            CONFIG,
            OPTIONS,
            id="a user who asks for it",
        ),
        pytest.param(CACHE, RuntimeConfig(service_account_name="x"), OPTIONS, id="service account"),
        pytest.param(CACHE, CONFIG, DownloadOptions(image="other", requests={}), id="image"),
    ],
)
def test_other_inputs_are_tried_at_once(
    cache: AIMModelCache, config: RuntimeConfig, options: DownloadOptions
) -> None:
    failed = planned(observed(**ended({"reason": "SourceNotFound"}, code=11))).status
    seen = with_status(observed(cache=cache, runtime_config=config), failed)
    assert children(decide(seen, now=NOW, options=options)) == ["Job"]
    assert children(planned(with_status(observed(), failed))) == [], "the same are not"


def test_where_a_claim_is_gone_the_source_is_asked_anew() -> None:
    """It may have grown since."""
    status = planned(DONE).status
    there = planned(with_status(observed(claim=make_claim()), status)).status
    assert there is not None
    assert (there.size, (there.listing or Listing()).total_bytes) == ("10Gi", 10 * GIB)
    plan = planned(with_status(observed(), there))
    assert children(plan) == ["Job"]
    assert plan.status is not None
    assert (plan.status.size, plan.status.files, plan.status.listing) == (None, None, None)


@pytest.mark.parametrize(
    ("type_", "want"),
    [
        pytest.param(OutcomeType.REFUSED, ("Failed", "JobRefused"), id="refused"),
        pytest.param(OutcomeType.FOREIGN, ("Degraded", "NameConflict"), id="somebody else's name"),
    ],
)
def test_a_listing_job_that_can_not_be_written_is_in_the_status(
    type_: OutcomeType, want: tuple[str, str]
) -> None:
    status = report_of(planned(observed()), Trouble("Job", type_, "no")).status
    ready = conditions.find(status.conditions or (), c.READY)
    assert ready is not None
    assert (status.status, ready.reason) == want


def test_the_job_has_the_downloads_credentials_and_no_volume() -> None:
    cache = make_model_cache(
        size=None, env=[{"name": "HF_TOKEN", "value": "x"}], exclude=["*.bin"], include=["*"]
    )
    config = RuntimeConfig(service_account_name="downloader")
    asks = desired.listing_job(cache, config, OPTIONS, digest="12345678").manifest["spec"]["template"]
    download = desired.job(cache, config, make_claim(cache), OPTIONS, digest="12345678")
    (ours,), (theirs,) = (
        spec["containers"] for spec in (asks["spec"], download.manifest["spec"]["template"]["spec"])
    )
    assert ours["args"][:3] == ["fetch", "hf://example/model", "--list"]
    for argument in ("--include=*", "--exclude=*.bin"):
        assert argument in ours["args"]
        assert argument in theirs["args"]
    for field in ("image", "env", "resources", "securityContext", "terminationMessagePath"):
        assert ours[field] == theirs[field]
    assert asks["spec"]["serviceAccountName"] == "downloader"
    assert asks["spec"]["automountServiceAccountToken"] is False
    assert [volume["name"] for volume in asks["spec"]["volumes"]] == ["tmp"]


def test_a_download_tells_the_contents_of_a_cache_whose_size_was_given() -> None:
    claim = make_claim()
    cache = make_model_cache()
    digest = digests.download(cache, CONFIG, claim, OPTIONS)
    message = json.dumps({**TOLD, "reason": "Downloaded", "downloadedBytes": 10 * GIB})
    plan = planned(
        observed(
            cache=cache,
            claim=claim,
            jobs=(make_download_job(f"download-example-model-{digest}", complete=ENDED),),
            pods=(make_download_pod(phase="Succeeded", exit_code=0, message=message),),
        )
    )
    assert plan.status is not None
    assert (plan.status.size, plan.status.files, plan.status.listing) == ("10Gi", 12, None)
    assert condition(plan, c.READY)[1] == (
        "all files are on the volume and verified: 12 files, 10Gi; left out: 3 files, 9Gi (original/*)"
    )
    later = planned(with_status(observed(cache=cache, claim=claim), plan.status))
    assert later.status == plan.status
