"""Why a discovery failed, in its own words and one line."""

from __future__ import annotations

import pytest

from aim_operator.api.external import Job, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.pods import Verdict
from aim_operator.core.template.failure import failure
from tests.support.template_builders import make_job, make_pod

ENDED = "2026-01-31T11:58:00Z"


@pytest.mark.parametrize(
    ("job", "pod", "want"),
    [
        pytest.param(
            make_job(failed=ENDED),
            make_pod(phase="Failed", exit_code=3, message="no such\nmodel\n"),
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 3: no such model"),
            id="an exit code is told with the container's last words",
        ),
        pytest.param(
            make_job(failed=ENDED),
            make_pod(phase="Failed", exit_code=137),
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 137; its log was empty"),
            id="a silent container is told as silent",
        ),
        pytest.param(
            make_job("discover-x", failed=ENDED, message="Job was active longer than specified deadline"),
            None,
            Verdict(
                Reason.JOB_FAILED,
                "discovery Job discover-x failed: Job was active longer than specified deadline",
            ),
            id="a Job whose Pod is gone is told by the Job's own condition",
        ),
        pytest.param(
            make_job("discover-x", failed=ENDED),
            make_pod(phase="Succeeded", exit_code=0),
            Verdict(Reason.JOB_FAILED, "discovery Job discover-x failed: no message was given"),
            id="a container that ended well is not the cause",
        ),
    ],
)
def test_why_a_job_failed(job: Job, pod: Pod | None, want: Verdict) -> None:
    assert failure(job, [pod] if pod else []) == want
