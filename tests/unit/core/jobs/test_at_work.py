"""Which Jobs go on under another version of the operator."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import convert, structs

from aim_operator.api.external import Job, JobSpec, Pod
from aim_operator.core.jobs.at_work import AtWork, at_work
from tests.support.cache_builders import make_download_pod
from tests.support.template_builders import make_job

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENDED = "2026-01-31T11:58:00Z"
NAME, IMAGE = "download-a-00000000", "operator:before"
PROXY, OURS = {"name": "proxy", "image": "x"}, {"name": "download", "image": IMAGE}
SPEC = {"template": {"spec": {"containers": [PROXY, OURS]}}}
RUNS, FAILED = make_download_pod(), make_download_pod(phase="Failed", exit_code=1)
ENDS = make_download_pod(phase="Succeeded", exit_code=0)


def job(spec: object = SPEC, **fields: object) -> Job:
    return structs.replace(make_job(NAME, **fields), spec=convert(spec, JobSpec))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("job", "pods", "goes_on"),
    [
        pytest.param(job(), (RUNS,), True, id="it runs"),
        pytest.param(job(complete=ENDED), (), True, id="it has ended well, and its Pod is gone"),
        pytest.param(
            job(), (make_download_pod(exit_code=0, sidecar=True),), True, id="it has, beside a sidecar"
        ),
        pytest.param(
            job(),
            (ENDS,),
            True,
            id="its Job does not say so yet",
        ),
        pytest.param(job(failed=ENDED), (FAILED,), False, id="it failed"),
        pytest.param(
            job(), (make_download_pod(exit_code=1, sidecar=True),), False, id="it failed beside a sidecar"
        ),
        pytest.param(
            job(),
            (make_download_pod(phase="Pending", waiting=("ImagePullBackOff", "no such image")),),
            False,
            id="its image can't be pulled",
        ),
        pytest.param(job(), (), False, id="its Pod was refused"),
        pytest.param(job(deleted=True), (RUNS,), False, id="it is being deleted"),
        pytest.param(job({}), (RUNS,), False, id="nothing is known of its containers"),
        pytest.param(
            job({"template": {"spec": {"containers": [PROXY]}}}),
            (RUNS,),
            False,
            id="it has no container of ours",
        ),
    ],
)
def test_a_job(job: Job, pods: tuple[Pod, ...], goes_on: bool) -> None:  # noqa: FBT001 - the expected answer
    assert at_work(job, pods, "download", NOW) == (AtWork(NAME, IMAGE) if goes_on else None)
