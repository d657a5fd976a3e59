"""Why a discovery Job failed, from what it and its Pods say."""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.external import Job, Pod
from aim_operator.api.meta import given
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.messages import one_line
from aim_operator.core.pods import Verdict, container_statuses, job_condition


def failure(job: Job, pods: Iterable[Pod]) -> Verdict:
    """Say why a failed Job failed: the container's own last words where there are any."""
    for pod in pods:
        for status in container_statuses(pod):
            ended = given(status.state.terminated, None)
            if ended is not None and ended.exit_code != 0:
                words = one_line(ended.message)
                said = f": {words}" if words else "; its log was empty"
                return Verdict(
                    Reason.DISCOVERY_FAILED, f"the image's dry run exited with code {ended.exit_code}{said}"
                )
    condition = job_condition(job, "Failed")
    said = one_line(condition.message or condition.reason) if condition else ""
    return Verdict(
        Reason.JOB_FAILED, f"discovery Job {job.metadata.name} failed: {said or 'no message was given'}"
    )
