"""Why a discovery failed, in its own words and one line."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.pods import Verdict
from aim_operator.core.template.attempt import job_step
from aim_operator.core.template.failure import cause, no_match, taken_instead
from aim_operator.core.template.observed import OutputUnreadable
from aim_operator.errors import Unavailable
from tests.support.template_builders import (
    NOW,
    OPTIONS,
    container,
    make_job,
    make_pod,
    make_template,
    make_template_observed,
)

ENDED = "2026-01-31T11:58:00Z"
FAILED = make_job(failed=ENDED)
TIMED_OUT = make_job(failed=ENDED, reason="DeadlineExceeded", message="active longer than deadline")


def failed_with(code: int, message: str = "", **fields: Any) -> dict[str, Any]:
    return container("discovery", exit_code=code, message=message, **fields)


@pytest.mark.parametrize(
    ("job", "fields", "want"),
    [
        pytest.param(
            FAILED,
            {"pods": (make_pod(phase="Failed", exit_code=3, message="no such\nmodel\n"),)},
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 3: no such model"),
            id="an exit code is told with the container's last words",
        ),
        pytest.param(
            FAILED,
            {"pods": (make_pod(phase="Failed", exit_code=137),)},
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 137; its log was empty"),
            id="a silent container is told as silent",
        ),
        pytest.param(
            FAILED,
            {
                "pods": (
                    make_pod(
                        phase="Failed",
                        init=(container("istio-init", exit_code=0),),
                        containers=(container("istio-proxy", exit_code=1), failed_with(3, "no such model")),
                    ),
                )
            },
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 3: no such model"),
            id="what was injected is not the cause, whatever its order and its codes",
        ),
        pytest.param(
            FAILED,
            {
                "pods": (
                    make_pod(name="b", created="2026-01-31T11:30:00Z", containers=(failed_with(3, "real"),)),
                    make_pod(name="a", created="2026-01-31T11:00:00Z", containers=(failed_with(143),)),
                )
            },
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 3: real"),
            id="an older Pod that was drained is not the cause",
        ),
        pytest.param(
            FAILED,
            {"pods": (make_pod(phase="Failed", init=(container("istio-init", exit_code=1, message="no"),)),)},
            Verdict(Reason.JOB_FAILED, "container 'istio-init' of the discovery Pod exited with code 1: no"),
            id="an init container before which ours never ran is named",
        ),
        pytest.param(
            TIMED_OUT,
            {},
            Verdict(Reason.JOB_FAILED, "discovery Job NAME failed: active longer than deadline"),
            id="a Job whose Pod is gone is told by the Job's own condition",
        ),
        pytest.param(
            TIMED_OUT,
            {"pods": (make_pod(phase="Failed", exit_code=143),)},
            Verdict(Reason.JOB_FAILED, "discovery Job NAME failed: active longer than deadline"),
            id="the signal that a deadline sends is not the cause",
        ),
        pytest.param(
            TIMED_OUT,
            {"pods": (make_pod(phase="Failed", exit_code=3, message="no"),)},
            Verdict(Reason.DISCOVERY_FAILED, "the image's dry run exited with code 3: no"),
            id="a container that failed before a deadline ended its sidecar is the cause",
        ),
        pytest.param(
            make_job(complete=ENDED),
            {"output": OutputUnreadable(Reason.DISCOVERY_PARSE_FAILED, "has no array")},
            Verdict(Reason.DISCOVERY_PARSE_FAILED, "has no array"),
            id="an output that makes no sense says why",
        ),
        pytest.param(
            make_job(complete=ENDED),
            {"unread": Unavailable("no route\nto host")},
            Verdict(Reason.DISCOVERY_FAILED, "the log of the dry run can't be read: no route to host"),
            id="a log that can't be read says why",
        ),
    ],
)
def test_why_a_discovery_failed(job: Job, fields: dict[str, Any], want: Verdict) -> None:
    observed = make_template_observed(job=job, **fields)
    got = cause(observed, AIMServiceTemplateStatus(), job_step(observed, NOW, OPTIONS))
    assert got == want._replace(message=want.message.replace("NAME", observed.jobs[0].metadata.name))


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
        pytest.param(
            {
                "gpuSelector": {"model": "MI300X", "count": 1},
                "env": [
                    {"name": "AIM_GPU_MODEL", "value": "MI325X"},
                    {"name": "AIM_GPU_COUNT", "value": "8"},
                    {"name": "AIM_PRECISION", "value": "fp4"},
                ],
            },
            "",
            "the image has no profile for MI325X, 8 GPUs, fp4",
            id="what its env asks for, which overrides the fields",
        ),
        pytest.param(
            {"metric": "latency", "env": [{"name": "AIM_GPU_MODEL", "value": ""}]},
            "",
            "the image has no profile for latency; set spec.gpuSelector.model: "
            "discovery has no GPU that the image could look at",
            id="a GPU model that is empty is none",
        ),
        pytest.param(
            {
                "metric": "latency",
                "env": [
                    {
                        "name": "AIM_GPU_MODEL",
                        "valueFrom": {"configMapKeyRef": {"name": "gpus", "key": "model"}},
                    }
                ],
            },
            "",
            "the image has no profile for latency",
            id="one by reference is not known, but set",
        ),
        pytest.param(
            {"profileId": "vllm-x", "metric": "latency"},
            '"no profile vllm-x among 16"',
            "the image has no profile vllm-x that the template asks for; "
            'it says "no profile vllm-x among 16"',
            id="a profile by name",
        ),
        pytest.param(
            {"gpuSelector": {"model": "MI300X", "count": 2}},
            '"2 gpu_mismatch, 1 manual_selection_only"',
            'the image has no profile for MI300X, 2 GPUs; it says "2 gpu_mismatch, 1 manual_selection_only"; '
            "a profile that is for manual selection has to be named in spec.profileId",
            id="one that is taken by its name only: where to say it",
        ),
        pytest.param(
            {"env": [{"name": "AIM_PRECISION", "value": "x\n" * 200}]},
            "",
            "the image has no profile for "
            + ("x " * 128)[:255]
            + "…; set spec.gpuSelector.model: discovery has no GPU that the image could look at",
            id="a long value of several lines",
        ),
    ],
)
def test_no_matching_profile_says(spec: dict[str, Any], said: str, want: str) -> None:
    assert no_match(make_template(**spec), said) == Verdict(Reason.NO_MATCHING_PROFILE, want)


@pytest.mark.parametrize(
    ("spec", "metadata", "want"),
    [
        pytest.param(
            {"env": [{"name": "AIM_METRIC", "value": "fastest"}]},
            {"metric": "latency"},
            "; the image does not know AIM_METRIC=fastest but takes latency: correct it in spec.env",
            id="a value that the image does not know",
        ),
        pytest.param(
            {"metric": "latency", "precision": "fp8", "gpuSelector": {"model": "MI300X", "count": 1}},
            {"metric": "latency", "precision": "fp8", "gpu": "MI300X", "gpu_count": 1},
            "",
            id="what was asked for",
        ),
        pytest.param(
            {"precision": "auto", "gpuSelector": {"model": "mi300x", "count": 1}},
            {"precision": "fp16", "gpu": "MI300X", "gpu_count": 1},
            "",
            id="left open, or spelt otherwise",
        ),
        pytest.param({"metric": "latency"}, {"metric": None}, "", id="a profile that does not say"),
        pytest.param(
            {"metric": "latency", "profileId": "vllm-x"},
            {"metric": "throughput"},
            "",
            id="a profile by name, which overrides the rest",
        ),
        pytest.param(
            {"env": [{"name": "AIM_METRIC", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]},
            {"metric": "latency"},
            "",
            id="a reference",
        ),
        pytest.param({"metric": "latency"}, {}, "", id="no metadata"),
    ],
)
def test_what_an_image_took_instead(spec: dict[str, Any], metadata: dict[str, Any], want: str) -> None:
    assert taken_instead(make_template(**spec), {"metadata": metadata}) == want
