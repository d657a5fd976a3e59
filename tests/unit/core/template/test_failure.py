"""Why a discovery failed, in its own words and one line."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import Job, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.pods import Verdict
from aim_operator.core.template.failure import failure, no_match
from tests.support.template_builders import make_job, make_pod, make_template

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


@pytest.mark.parametrize(
    ("spec", "said", "want"),
    [
        pytest.param(
            {"gpuSelector": {"model": "MI355X", "count": 4}, "precision": "fp8", "metric": "latency"},
            '"15 gpu_mismatch"',
            'the image has no profile for MI355X, 4 GPUs, fp8, latency; it says "15 gpu_mismatch"',
            id="all that was asked for, and the image's own words",
        ),
        pytest.param(
            {"gpuSelector": {"model": "MI300X", "count": 1}},
            "",
            "the image has no profile for MI300X, 1 GPU",
            id="a silent image",
        ),
        pytest.param(
            {},
            "",
            "the image has no profile for a template that asks for nothing; set spec.gpuSelector.model: "
            "discovery has no GPU that the image could look at",
            id="no GPU model: what to add",
        ),
    ],
)
def test_no_matching_profile_says(spec: dict[str, Any], said: str, want: str) -> None:
    assert no_match(make_template(**spec), said) == Verdict(Reason.NO_MATCHING_PROFILE, want)
