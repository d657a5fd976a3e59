"""Decisions about one model cache, case by case."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.external import (
    ContainerRunning,
    ContainerState,
    ContainerStatus,
    Job,
    JobCondition,
    JobStatus,
    Pod,
    PodStatus,
)
from aim_operator.api.meta import Condition
from aim_operator.api.plan import LogSource, OutcomeType, Plan
from aim_operator.api.v1alpha1 import AIMModelCacheStatus, CacheProgress, Download, Jobs, JobSettings
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig
from aim_operator.core.model_cache import digests
from aim_operator.core.model_cache.allowance import Allowance
from aim_operator.core.model_cache.attempt import progress_of
from aim_operator.core.model_cache.desired import DownloadOptions
from aim_operator.core.model_cache.events import transitions
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import decide
from aim_operator.core.model_cache.report import Progress
from aim_operator.core.model_cache.slots import DownloadSlot
from aim_operator.core.naming import claim_name, download_job_name
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
ENDED = "2026-01-31T11:59:00Z"
GIB = 1024**3
OPTIONS = DownloadOptions(image="ghcr.io/example/fetch:1", requests={"cpu": "100m"}, ttl_seconds=600)
CONFIG = RuntimeConfig()
CLAIM = make_claim()
DIGEST = digests.download(make_model_cache(), CONFIG, CLAIM, OPTIONS)
JOB = download_job_name("example-model", DIGEST)


def observed(**fields: Any) -> ModelCacheObserved:
    base: dict[str, Any] = {
        "cache": make_model_cache(),
        "runtime_config": CONFIG,
        "claim": CLAIM,
        "storage_class": make_storage_class(),
    }
    return ModelCacheObserved(**{**base, **fields})


def planned(seen: ModelCacheObserved, now: datetime = NOW) -> Plan[AIMModelCacheStatus]:
    return decide(seen, now=now, options=OPTIONS)


def status_of(plan: Plan[AIMModelCacheStatus]) -> AIMModelCacheStatus:
    assert plan.status is not None
    assert_status_well_formed(plan.status)
    return plan.status


def said(status: AIMModelCacheStatus, type_: str) -> str:
    found = conditions.find(status.conditions or (), type_)
    assert found is not None
    return f"{found.status}/{found.reason}"


def children(plan: Plan[AIMModelCacheStatus]) -> list[str]:
    return [child.resource.kind for child in plan.children]


def with_status(seen: ModelCacheObserved, status: AIMModelCacheStatus) -> ModelCacheObserved:
    return structs.replace(seen, cache=structs.replace(seen.cache, status=status))


def running(**pod: Any) -> dict[str, Any]:
    return {"jobs": (make_download_job(JOB),), "pods": (make_download_pod(**pod),)}


def failed(
    reason: str = "DownloadFailed", *, downloaded: int = 0, code: int = 14, ended: str = ENDED
) -> dict[str, Any]:
    message = {"reason": reason, "message": "no luck", "totalBytes": 10 * GIB, "downloadedBytes": downloaded}
    pod = make_download_pod(phase="Failed", exit_code=code, message=json.dumps(message))
    return {"jobs": (make_download_job(JOB, failed=ended),), "pods": (pod,)}


SUCCEEDED: dict[str, Any] = {
    "jobs": (make_download_job(JOB, complete=ENDED),),
    "pods": (
        make_download_pod(
            phase="Succeeded",
            exit_code=0,
            message=json.dumps(
                {"reason": "Downloaded", "totalBytes": GIB, "downloadedBytes": GIB, "revision": "abc"}
            ),
        ),
    ),
}

SITUATIONS: dict[str, tuple[ModelCacheObserved, tuple[str, str, str, list[str]]]] = {
    "a new cache asks for a claim": (
        observed(claim=None),
        ("Pending", "Provisioning", "False/Provisioning", ["PersistentVolumeClaim"]),
    ),
    "a claim waits for its volume": (
        observed(claim=make_claim(phase="Pending")),
        ("Pending", "Provisioning", "False/Provisioning", []),
    ),
    "a claim that waits for its first Pod gets the download": (
        observed(claim=make_claim(phase="Pending"), storage_class=make_storage_class(wait=True)),
        ("Progressing", "DownloadPending", "False/Provisioning", ["Job"]),
    ),
    "a claim can't be provisioned": (
        observed(claim=make_claim(phase="Pending"), provisioning_failure="pool is full"),
        ("Failed", "ProvisioningFailed", "False/ProvisioningFailed", []),
    ),
    "a claim has no class": (
        observed(claim=make_claim(phase="Pending", class_name=None), storage_class=None),
        ("Failed", "ProvisioningFailed", "False/ProvisioningFailed", []),
    ),
    "a claim's class does not exist": (
        observed(claim=make_claim(phase="Pending"), storage_class=None),
        ("Failed", "ProvisioningFailed", "False/ProvisioningFailed", []),
    ),
    "a claim is being deleted under mounted Pods": (
        observed(claim=make_claim(deleting=True)),
        ("Degraded", "ClaimTerminating", "False/ClaimTerminating", []),
    ),
    "a claim has lost its volume": (
        observed(claim=make_claim(phase="Lost")),
        ("Failed", "ClaimLost", "False/ClaimLost", []),
    ),
    "a bound claim gets its download": (
        observed(),
        ("Progressing", "DownloadPending", "True/StorageReady", ["Job"]),
    ),
    "a size is no quantity": (
        observed(cache=make_model_cache(size="much"), claim=None),
        ("Failed", "ResourcesInvalid", "False/Provisioning", []),
    ),
    "the configuration is missing": (
        observed(runtime_config=MissingRuntimeConfig("gone")),
        ("Degraded", "RuntimeConfigMissing", "True/StorageReady", []),
    ),
    "the Pod is starting": (
        observed(**running(phase="Pending")),
        ("Progressing", "DownloadPending", "True/StorageReady", []),
    ),
    "the image can't be pulled": (
        observed(**running(phase="Pending", waiting=("ErrImagePull", "not found"))),
        ("Degraded", "ImagePullFailed", "True/StorageReady", []),
    ),
    "a Secret of its env is missing": (
        observed(**running(phase="Pending", waiting=("CreateContainerConfigError", "secret hf not found"))),
        ("Degraded", "DownloadPending", "True/StorageReady", []),
    ),
    "the Pod is refused": (
        observed(jobs=(make_download_job(JOB),), refusal="exceeded quota"),
        ("Degraded", "JobRefused", "True/StorageReady", []),
    ),
    "the download runs": (
        observed(**running(), progress=Progress(downloaded_bytes=GIB, total_bytes=4 * GIB)),
        ("Progressing", "Downloading", "True/StorageReady", []),
    ),
    "the Job is on its way out": (
        observed(jobs=(make_download_job(JOB, deleting=True),)),
        ("Progressing", "DownloadPending", "True/StorageReady", []),
    ),
    "a download with other inputs is in the way": (
        observed(jobs=(make_download_job("download-other"),)),
        ("Progressing", "DownloadPending", "True/StorageReady", []),
    ),
    "the download fails": (
        observed(**failed("AuthenticationFailed", code=10)),
        ("Failed", "AuthenticationFailed", "True/StorageReady", []),
    ),
    "the Job fails without a Pod": (
        observed(jobs=(make_download_job(JOB, failed=ENDED),)),
        ("Failed", "DownloadFailed", "True/StorageReady", []),
    ),
    "the download has ended, and its Pod can't be looked up": (
        observed(jobs=SUCCEEDED["jobs"], unread=Unavailable("no\nanswer")),
        ("Progressing", "DownloadPending", "True/StorageReady", []),
    ),
    "the download has failed, and its Pod can't be looked up": (
        observed(jobs=failed()["jobs"], unread=Unavailable("no answer")),
        ("Progressing", "DownloadPending", "True/StorageReady", []),
    ),
    "the download has failed long ago, and its Pod could never be looked up": (
        observed(jobs=(make_download_job(JOB, failed="2026-01-31T11:50:00Z"),), unread=Unavailable("no")),
        ("Failed", "DownloadFailed", "True/StorageReady", []),
    ),
    "the download fails beside a sidecar": (
        observed(jobs=(make_download_job(JOB),), pods=(make_download_pod(exit_code=11, sidecar=True),)),
        ("Failed", "SourceNotFound", "True/StorageReady", []),
    ),
    "the download is complete beside a sidecar": (
        observed(jobs=(make_download_job(JOB),), pods=(make_download_pod(exit_code=0, sidecar=True),)),
        ("Available", "Downloaded", "True/StorageReady", []),
    ),
    "the download is complete": (
        observed(**SUCCEEDED),
        ("Available", "Downloaded", "True/StorageReady", []),
    ),
}
CLAIM_NAME = claim_name("example-model", "uid-of-example-model")
TO_THE_JOB = "delete it, or set the annotation aim.silogen.ai/retry for another name"
PROBLEMS: dict[str, tuple[ModelCacheObserved, Trouble, tuple[str, str, str, str]]] = {
    # name: snapshot, what goes wrong, (state, Ready's reason, StorageReady, Ready's message)
    "a claim is refused": (
        observed(claim=None),
        Trouble("PersistentVolumeClaim", OutcomeType.REFUSED, "exceeded\nquota"),
        (
            "Failed",
            "ProvisioningFailed",
            "False/ProvisioningFailed",
            "the PersistentVolumeClaim was refused: exceeded quota",
        ),
    ),
    "a claim's name is somebody else's": (
        observed(claim=None),
        Trouble("PersistentVolumeClaim", OutcomeType.FOREIGN),
        (
            "Degraded",
            "NameConflict",
            "False/NameConflict",
            f"PersistentVolumeClaim {CLAIM_NAME!r} exists and is not managed by the operator; delete it",
        ),
    ),
    "the API server does not answer about the claim": (
        observed(claim=None),
        Trouble("PersistentVolumeClaim", OutcomeType.FAILED, "no answer"),
        (
            "Degraded",
            "WriteFailed",
            "False/WriteFailed",
            "the PersistentVolumeClaim can't be written, the operator tries again: no answer",
        ),
    ),
    "the claim of a former cache of its name goes away": (
        observed(claim=None),
        Trouble("PersistentVolumeClaim", OutcomeType.GOING_AWAY),
        (
            "Pending",
            "WaitingForDeletion",
            "False/WaitingForDeletion",
            f"waiting for the previous PersistentVolumeClaim {CLAIM_NAME!r} to be deleted",
        ),
    ),
    "the Job is refused": (
        observed(),
        Trouble("Job", OutcomeType.REFUSED, "denied by policy"),
        ("Failed", "JobRefused", "True/StorageReady", "the Job was refused: denied by policy"),
    ),
    "the Job's name is somebody else's": (
        observed(),
        Trouble("Job", OutcomeType.FOREIGN),
        (
            "Degraded",
            "NameConflict",
            "True/StorageReady",
            f"Job {JOB!r} exists and is not managed by the operator; {TO_THE_JOB}",
        ),
    ),
    "the API server does not answer about the Job": (
        observed(),
        Trouble("Job", OutcomeType.FAILED, "no answer"),
        (
            "Degraded",
            "WriteFailed",
            "True/StorageReady",
            "the Job can't be written, the operator tries again: no answer",
        ),
    ),
    "the Job of a former cache of its name goes away": (
        observed(),
        Trouble("Job", OutcomeType.GOING_AWAY),
        (
            "Pending",
            "WaitingForDeletion",
            "True/StorageReady",
            f"waiting for the previous Job {JOB!r} to be deleted",
        ),
    ),
}
CASES = [pytest.param(seen, want, id=name) for name, (seen, want) in SITUATIONS.items()]


@pytest.mark.parametrize(("seen", "want"), CASES)
def test_where_a_cache_stands(seen: ModelCacheObserved, want: tuple[str, str, str, list[str]]) -> None:
    plan = planned(seen)
    status = status_of(plan)
    ready = said(status, c.READY).split("/")[1]
    assert (status.status, ready, said(status, c.STORAGE_READY), children(plan)) == want


@pytest.mark.parametrize(("seen", "want"), CASES)
def test_at_its_own_result_nothing_new_is_said(
    seen: ModelCacheObserved, want: tuple[str, str, str, list[str]]
) -> None:
    first = status_of(planned(seen))
    again = planned(with_status(seen, first), NOW + timedelta(seconds=1))
    assert again.status == first
    assert again.events == ()


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_child_that_could_not_be_written_is_in_the_status(name: str) -> None:
    seen, trouble, want = PROBLEMS[name]
    status = report_of(planned(seen), trouble).status
    assert_status_well_formed(status)
    ready = conditions.find(status.conditions or (), c.READY)
    assert ready is not None
    assert (status.status, ready.reason, said(status, c.STORAGE_READY), ready.message) == want


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_that_stays_is_told_once_and_leaves_nothing_when_it_is_over(name: str) -> None:
    seen, trouble, _ = PROBLEMS[name]
    first = report_of(planned(seen), trouble)
    again = report_of(planned(with_status(seen, first.status), NOW + timedelta(seconds=1)), trouble)
    assert (again.status, again.events) == (first.status, ())
    assert status_of(planned(with_status(seen, first.status))) == status_of(planned(seen))


def available() -> AIMModelCacheStatus:
    return status_of(planned(observed(**SUCCEEDED)))


def test_the_result_outlives_its_job() -> None:
    status = available()
    assert status.progress == CacheProgress(total_bytes=GIB, downloaded_bytes=GIB, percentage=100)
    assert (status.finished_at, (status.download or Download()).revision) == (ENDED, "abc")
    plan = planned(with_status(observed(), status))
    assert plan.status == status
    assert plan.children == ()


def test_a_finished_job_gets_its_ttl_only_once_its_result_is_kept() -> None:
    plan = planned(with_status(observed(**SUCCEEDED), available()))
    assert plan.children[0].manifest["spec"] == {"ttlSecondsAfterFinished": 600}


def test_a_finished_job_that_takes_no_ttl_may_be_deleted() -> None:
    """A policy of the cluster may refuse any change of a Job, and its result is kept."""
    plan = planned(with_status(observed(**SUCCEEDED), available()))
    assert [child.kind for child in plan.children if child.disposable] == ["Job"]
    told = report_of(plan, Trouble("Job", OutcomeType.FAILED, "timeout"))
    assert (told.status, told.events) == (plan.status, ())
    assert not [child for child in planned(observed()).children if child.disposable]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"cache": make_model_cache(env=[{"name": "A", "value": "b"}])}, id="other env"),
        pytest.param({"runtime_config": RuntimeConfig(service_account_name="x")}, id="other account"),
        pytest.param({"runtime_config": MissingRuntimeConfig("gone")}, id="no configuration"),
    ],
)
def test_what_is_complete_stays_so(changed: dict[str, Any]) -> None:
    seen = observed(**changed)
    plan = planned(with_status(seen, available()))
    assert (status_of(plan).status, plan.children) == ("Available", ())


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(None, id="gone"),
        pytest.param(make_claim(uid="another"), id="another of the same name"),
        pytest.param(make_claim(deleting=True), id="about to go"),
    ],
)
def test_with_the_claim_the_files_are_gone(claim: Any) -> None:
    status = status_of(planned(with_status(observed(claim=claim), available())))
    assert status.status != "Available"
    assert status.progress is None
    assert status.finished_at is None


def test_progress_never_falls_and_is_whole_only_when_verified() -> None:
    seen = observed(**running(), progress=Progress(downloaded_bytes=3 * GIB, total_bytes=4 * GIB))
    first = status_of(planned(seen))
    assert (first.progress or CacheProgress()).percentage == 75
    back = structs.replace(seen, progress=Progress(downloaded_bytes=GIB, total_bytes=4 * GIB))
    assert status_of(planned(with_status(back, first))).progress == first.progress
    full = structs.replace(seen, progress=Progress(downloaded_bytes=4 * GIB, total_bytes=4 * GIB))
    assert (status_of(planned(with_status(full, first))).progress or CacheProgress()).percentage == 99


def test_a_pod_that_could_not_be_looked_up_is_asked_for_again() -> None:
    """It alone says why a download failed, and how far it got."""
    unread = Unavailable("no\nanswer")
    plan = planned(observed(jobs=failed()["jobs"], unread=unread))
    ready = conditions.find(status_of(plan).conditions or (), c.READY)
    assert ready is not None
    assert ready.message == "the download has ended; its Pod can't be looked up yet: no answer"
    assert plan.unread is unread


@pytest.mark.parametrize(
    ("before", "reported", "want"),
    [
        pytest.param((4 * GIB, GIB, 25), (4 * GIB, GIB + 1), (4 * GIB, GIB, 25), id="less than a percent"),
        pytest.param((4 * GIB, GIB, 25), (4 * GIB, 2 * GIB), (4 * GIB, 2 * GIB, 50), id="more percent"),
        pytest.param((4 * GIB, GIB, 25), (8 * GIB, 2 * GIB), (8 * GIB, 2 * GIB, 25), id="another total"),
        pytest.param((4 * GIB, 2 * GIB, 50), (8 * GIB, 2 * GIB), (8 * GIB, 2 * GIB, 50), id="a larger total"),
    ],
)
def test_progress_is_written_when_its_percentage_changes(
    before: tuple[int, int, int], reported: tuple[int, int], want: tuple[int, int, int]
) -> None:
    total, downloaded, percentage = before
    old = CacheProgress(total_bytes=total, downloaded_bytes=downloaded, percentage=percentage)
    got = progress_of(old, Progress(total_bytes=reported[0], downloaded_bytes=reported[1]))
    assert got == CacheProgress(total_bytes=want[0], downloaded_bytes=want[1], percentage=want[2])


LOG = LogSource("team", "download-pod", "uid-of-download-pod", "download")
OLD_POD = make_download_pod(phase="Failed", exit_code=143, name="drained", created="2026-01-31T10:00:00Z")


@pytest.mark.parametrize(
    ("pods", "want"),
    [
        pytest.param((), None, id="no Pod"),
        pytest.param((make_download_pod(phase="Pending"),), None, id="one that starts"),
        pytest.param((make_download_pod(),), LOG, id="one that runs"),
        pytest.param((make_download_pod(sidecar=True),), LOG, id="one that runs beside a sidecar"),
        pytest.param((make_download_pod(sidecar=True, exit_code=0),), None, id="one whose sidecar runs on"),
        pytest.param((make_download_pod(phase="Failed", exit_code=1),), None, id="one that failed"),
        pytest.param((make_download_pod(deleting=True),), None, id="one that is being deleted"),
        pytest.param((make_download_pod(), OLD_POD), LOG, id="the youngest, after one that was drained"),
        pytest.param((OLD_POD,), None, id="one that was drained, before there is another"),
    ],
)
def test_which_log_is_followed(pods: tuple[Pod, ...], want: LogSource | None) -> None:
    assert planned(observed(jobs=(make_download_job(JOB),), pods=pods)).follow == want


def test_a_drained_pod_is_not_the_cause_of_a_failure() -> None:
    failure = make_download_pod(phase="Failed", exit_code=10, message='{"message": "set HF_TOKEN"}')
    status = status_of(
        planned(observed(jobs=(make_download_job(JOB, failed=ENDED),), pods=(failure, OLD_POD)))
    )
    assert said(status, c.FAILURE) == "True/AuthenticationFailed"
    assert (status.download or Download()).message == "set HF_TOKEN"


def after_failures(number: int, *, downloaded: int = 0) -> AIMModelCacheStatus:
    return AIMModelCacheStatus(
        download=Download(
            spec_hash=DIGEST,
            attempts=number,
            last_attempt_time=ENDED,
            claim_uid=CLAIM.metadata.uid,
            downloaded_bytes=downloaded,
            reason="Stalled",
            message="no byte came",
        )
    )


def test_a_failure_waits_for_its_retry_and_keeps_its_job_meanwhile() -> None:
    first = planned(observed(**failed(ended="2026-01-31T12:00:00Z")))
    assert first.requeue_after_seconds == 10
    again = planned(
        with_status(observed(**failed(ended="2026-01-31T12:00:00Z")), status_of(first)),
        NOW + timedelta(seconds=4),
    )
    assert (again.requeue_after_seconds, again.removals, again.children) == (6, (), ())


def test_a_due_retry_removes_the_job_and_then_makes_the_next() -> None:
    first = status_of(planned(observed(**failed())))
    due = NOW + timedelta(seconds=10)
    plan = planned(with_status(observed(**failed()), first), due)
    assert (len(plan.removals), plan.children) == (1, ())
    assert children(planned(with_status(observed(), first), due)) == ["Job"]


def test_attempts_that_get_further_do_not_count() -> None:
    def after(downloaded: int) -> int | None:
        seen = with_status(
            observed(**failed(downloaded=downloaded, ended="2026-01-31T12:00:00Z")),
            after_failures(5, downloaded=GIB),
        )
        return (status_of(planned(seen)).download or Download()).attempts

    assert after(GIB) == 6
    assert after(2 * GIB) == 1


@pytest.mark.parametrize(
    ("failures", "pause_seconds"),
    [
        pytest.param(1, 10, id="ten seconds after the first"),
        pytest.param(2, 20, id="twice as long after each"),
        pytest.param(8, 1280, id="also after eight"),
        pytest.param(10, 3600, id="an hour at most"),
        pytest.param(10_000, 3600, id="for as long as it fails"),
    ],
)
def test_a_download_that_fails_is_tried_again_without_end(failures: int, pause_seconds: int) -> None:
    ended = datetime(2026, 1, 31, 11, 59, tzinfo=UTC)
    seen = with_status(observed(), after_failures(failures))
    early = planned(seen, ended + timedelta(seconds=pause_seconds - 1))
    assert (early.children, early.requeue_after_seconds) == ((), 1)
    ready = conditions.find(status_of(early).conditions or (), c.READY)
    assert ready is not None
    assert (ready.reason, ready.message) == ("Stalled", "no byte came")
    assert children(planned(seen, ended + timedelta(seconds=pause_seconds))) == ["Job"]


def test_other_inputs_are_tried_at_once() -> None:
    cache = make_model_cache(metadata={"annotations": {"aim.silogen.ai/retry": "2"}})
    assert children(planned(with_status(observed(cache=cache), after_failures(100)))) == ["Job"]


def test_a_job_of_earlier_inputs_goes_before_the_next_begins() -> None:
    old: Job = make_download_job("download-other")
    plan = planned(observed(jobs=(old,)))
    assert [removal.live for removal in plan.removals] == [old]
    assert plan.children == ()


def events(old: AIMModelCacheStatus, seen: ModelCacheObserved) -> list[str]:
    return [f"{note.type} {note.reason}: {note.message}" for note in planned(with_status(seen, old)).events]


def test_events_tell_of_transitions() -> None:
    starting = status_of(planned(observed()))
    assert events(starting, observed(**running())) == ["Normal DownloadStarted: the download is running"]
    assert events(starting, observed(**SUCCEEDED)) == [
        "Normal CacheReady: all files are on the volume and verified"
    ]
    assert events(starting, observed(**failed("Stalled", code=13))) == [
        "Warning DownloadFailed: Stalled: no luck (attempt 1)"
    ]
    again = status_of(planned(observed(**failed("Stalled", code=13))))
    assert again.download is not None
    twice = structs.replace(again, download=structs.replace(again.download, attempts=2))
    assert [note.message for note in transitions(again, twice)] == ["Stalled: no luck (attempt 2)"]
    pending = observed(claim=make_claim(phase="Pending"), provisioning_failure="pool is full")
    (told,) = events(starting, pending)
    assert told.startswith("Warning ProvisioningFailed: ")
    assert told.endswith("pool is full")


@pytest.mark.parametrize("reason", ["ExpansionFailed", "ExpansionNotSupported"])
def test_that_a_claim_can_not_grow_is_told_once(reason: str) -> None:
    def status(reason: str, message: str) -> AIMModelCacheStatus:
        told = [
            Condition(type=c.READY, status="True", reason="CacheWarm"),
            Condition(type=c.STORAGE_READY, status="True", reason=reason, message=message),
        ]
        return AIMModelCacheStatus(status="Available", conditions=tuple(told))

    before, after = status("StorageReady", "is bound"), status(reason, "it can't")
    got = [(note.type, note.reason, note.message) for note in transitions(before, after)]
    assert got == [("Warning", reason, "it can't")]
    assert transitions(after, status(reason, "it can't, in other words")) == ()
    assert transitions(after, before) == ()


PULLING_FAILS = "rpc error: failed to resolve reference ghcr.io/example/fetch:1: not found"


def test_a_downloader_image_that_can_t_be_pulled_is_an_error_in_the_words_of_the_registry() -> None:
    seen = observed(**running(phase="Pending", waiting=("ErrImagePull", PULLING_FAILS)))
    first = status_of(planned(seen))
    assert (first.status, said(first, c.FAILURE)) == ("Degraded", "True/ImagePullFailed")
    pause = ("ImagePullBackOff", 'Back-off pulling image "ghcr.io/example/fetch:1"')
    later = with_status(observed(**running(phase="Pending", waiting=pause)), first)
    failure = conditions.find(status_of(planned(later)).conditions or (), c.FAILURE)
    assert failure is not None
    assert failure.message == PULLING_FAILS, "a pause between two pulls is no news"


@pytest.mark.parametrize(
    ("minutes", "want", "requeue"), [(1, "Progressing", 540), (10, "Degraded", None), (600, "Degraded", None)]
)
def test_no_place_for_the_download_is_an_error_after_ten_minutes_in_which_a_cluster_may_grow(
    minutes: int, want: str, requeue: float | None
) -> None:
    started = conditions.timestamp(NOW - timedelta(minutes=minutes))
    job = structs.replace(make_download_job(JOB), status=JobStatus(start_time=started))
    scheduled = JobCondition(
        type="PodScheduled", status="False", reason="Unschedulable", message="0/3 nodes are available"
    )
    pod = structs.replace(make_download_pod(), status=PodStatus(phase="Pending", conditions=(scheduled,)))
    plan = planned(observed(jobs=(job,), pods=(pod,)))
    status = status_of(plan)
    assert (status.status, said(status, c.READY)) == (want, "False/Unschedulable")
    assert plan.requeue_after_seconds == requeue
    assert plan.removals == (), "it starts by itself, once there is a node"


def long_running(seconds: int) -> dict[str, Any]:
    """A download whose container was started that long ago."""
    started = conditions.timestamp(NOW - timedelta(seconds=seconds))
    job = structs.replace(make_download_job(JOB), status=JobStatus(start_time=started))
    state = ContainerState(running=ContainerRunning(started_at=started))
    container = ContainerStatus(name="download", state=state)
    pod = structs.replace(
        make_download_pod(), status=PodStatus(phase="Running", container_statuses=(container,))
    )
    return {"jobs": (job,), "pods": (pod,)}


DEADLINES = [
    pytest.param(None, 86_399, "Downloading", id="a day is the default"),
    pytest.param(None, 86_400, "DeadlineExceeded", id="and no longer"),
    pytest.param(3600, 3599, "Downloading", id="the configuration says an hour"),
    pytest.param(3600, 3600, "DeadlineExceeded", id="and it has passed"),
    pytest.param(604_800, 86_400, "Downloading", id="the configuration says a week"),
]


@pytest.mark.parametrize(("chosen", "seconds", "want"), DEADLINES)
def test_a_download_ends_at_its_deadline_and_continues_with_the_next_attempt(
    chosen: int | None, seconds: int, want: str
) -> None:
    config = RuntimeConfig(jobs=Jobs(download=JobSettings(deadline_seconds=chosen)))
    seen = observed(runtime_config=config, **long_running(seconds))
    plan = planned(seen)
    status = status_of(plan)
    assert said(status, c.READY) == f"False/{want}"
    if want == "Downloading":
        assert plan.requeue_after_seconds == (chosen or 86_400) - seconds
        return
    assert status.download is not None
    assert "jobs.download.deadlineSeconds" in (status.download.message or "")
    assert plan.removals == (), "first it is written down, then the Job goes"
    after = planned(with_status(seen, status), NOW + timedelta(seconds=5))
    assert [removal.live for removal in after.removals] == [seen.jobs[0]]


def test_a_cache_without_room_makes_no_claim_and_says_so() -> None:
    no_room = Allowance(granted=False, reason=Reason.AWAITING_STORAGE_BUDGET, message="no room")
    plan = planned(observed(claim=None, storage_class=None, allowance=no_room))
    ready = conditions.find(status_of(plan).conditions or (), c.READY)
    assert plan.children == ()
    assert ready is not None
    assert (ready.reason, ready.message) == ("AwaitingStorageBudget", "no room")


def test_a_download_without_a_slot_makes_no_job() -> None:
    assert planned(observed(slot=DownloadSlot(granted=False, limit=20))).children == ()
    assert planned(observed(slot=DownloadSlot(granted=True, limit=20))).children != ()


def test_a_claim_that_came_back_from_a_backup_is_adopted_rather_than_another_made() -> None:
    """Its files need not be downloaded again."""
    restored = structs.replace(CLAIM, metadata=structs.replace(CLAIM.metadata, name="example-model-0a1b2c3d"))
    plan = planned(observed(claim=None, storage_class=None, left_behind=restored))
    assert [(child.kind, child.name) for child in plan.children] == [
        ("PersistentVolumeClaim", "example-model-0a1b2c3d")
    ]
