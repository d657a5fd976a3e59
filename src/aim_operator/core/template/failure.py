"""Why a discovery failed, from what its Job, its Pods and its image say."""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.external import Job, Pod
from aim_operator.api.meta import given
from aim_operator.api.v1alpha1.common import GpuSelector
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.catalog import Template
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


def no_match(template: Template, said: str) -> Verdict:
    """Say that the image has no profile for what the template asks for. `said` is the image's own line."""
    spec = template.spec
    selector = given(spec.gpu_selector, GpuSelector())
    model, count = given(selector.model, None), given(selector.count, None)
    asked = [model, count and f"{count} GPU{'' if count == 1 else 's'}", given(spec.precision, None)]
    wanted = ", ".join(str(each) for each in (*asked, given(spec.metric, None)) if each)
    message = f"the image has no profile for {wanted or 'a template that asks for nothing'}"
    if model is None:
        message += "; set spec.gpuSelector.model: discovery has no GPU that the image could look at"
    return Verdict(Reason.NO_MATCHING_PROFILE, f"{message}; it says {said}" if said else message)
