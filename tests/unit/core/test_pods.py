"""What a Job and its Pods say about a discovery, in their own words and one line."""

from __future__ import annotations

import pytest

from aim_operator.api.external import Job, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import pods
from aim_operator.core.pods import Verdict
from tests.support.template_builders import make_job, make_pod

ENDED = "2026-01-31T11:58:00Z"


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(make_pod(), None, id="a fresh Pod has no trouble"),
        pytest.param(
            make_pod(waiting=("ContainerCreating", "")), None, id="a container being created is no trouble"
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "manifest unknown")),
            Verdict(Reason.IMAGE_PULL_FAILED, "manifest unknown"),
            id="a failed pull keeps the registry's message",
        ),
        pytest.param(
            make_pod(waiting=("ImagePullBackOff", "")),
            Verdict(Reason.IMAGE_PULL_FAILED, "ImagePullBackOff"),
            id="a pull without a message is told by the kubelet's reason",
        ),
        pytest.param(
            make_pod(waiting=("InvalidImageName", "couldn't parse image name")),
            Verdict(Reason.IMAGE_PULL_FAILED, "couldn't parse image name"),
            id="an image name that the kubelet can't read is a failed pull",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "unexpected status: 401 Unauthorized")),
            Verdict(Reason.IMAGE_PULL_AUTH_FAILED, "unexpected status: 401 Unauthorized"),
            id="401 is missing credentials",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "pull access denied for x")),
            Verdict(Reason.IMAGE_PULL_AUTH_FAILED, "pull access denied for x"),
            id="access denied is missing credentials",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "sha256:aa4031bb not found")),
            Verdict(Reason.IMAGE_PULL_FAILED, "sha256:aa4031bb not found"),
            id="403 within a digest is no status code",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "no such host"), init=True),
            Verdict(Reason.IMAGE_PULL_FAILED, "no such host"),
            id="an injected init container that can't be pulled counts too",
        ),
        pytest.param(
            make_pod(waiting=("CreateContainerConfigError", 'secret "hf" not found')),
            Verdict(Reason.JOB_PENDING, 'the discovery Pod waits: secret "hf" not found'),
            id="a Secret that env refers to and that is missing is named",
        ),
        pytest.param(
            make_pod(waiting=("RunContainerError", "")),
            Verdict(Reason.JOB_PENDING, "the discovery Pod waits: RunContainerError"),
            id="a container that can't be started is told by the kubelet's reason",
        ),
        pytest.param(
            make_pod(unschedulable="0/3 nodes are available"),
            Verdict(Reason.UNSCHEDULABLE, "0/3 nodes are available"),
            id="a Pod without a node tells the scheduler's message",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "one\ntwo\x1b[31m\tthree")),
            Verdict(Reason.IMAGE_PULL_FAILED, "one two [31m three"),
            id="line breaks and terminal escapes are folded away",
        ),
    ],
)
def test_why_a_pod_does_not_start(pod: Pod, want: Verdict | None) -> None:
    assert pods.waiting([pod], "the discovery Pod") == want


def test_a_running_pod_is_running() -> None:
    assert pods.running([make_pod(), make_pod(phase="Running")])
    assert not pods.running([make_pod()])
    assert not pods.running([])


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(), False, id="an active Job is not finished"),
        pytest.param(make_job(complete=ENDED), True, id="a complete Job is finished"),
        pytest.param(make_job(failed=ENDED), True, id="a failed Job is finished"),
    ],
)
def test_finished(job: Job, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert pods.finished(job) is want


@pytest.mark.parametrize(
    ("job", "want"),
    [
        pytest.param(make_job(complete=ENDED), ENDED, id="the time of the Complete condition"),
        pytest.param(make_job(failed=ENDED), ENDED, id="the time of the Failed condition"),
        pytest.param(make_job(), "2026-01-31T11:00:00Z", id="else the creation, which never moves"),
    ],
)
def test_when_a_job_ended(job: Job, want: str) -> None:
    assert pods.ended_at(job) == want
