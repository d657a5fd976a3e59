"""What a Job of ours and its Pods say about how it is going, as (reason, message)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aim_operator.api.external import ContainerStatus, Job, JobCondition, Pod
from aim_operator.api.meta import given
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.messages import one_line


class Verdict(NamedTuple):
    reason: str
    message: str


_PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONTAINER_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""Often a Secret that the template's env refers to and that is missing: the kubelet goes on trying."""
_PAUSE = re.compile(r'Back-off pulling image "[^"]*"|ImagePullBackOff')
_AUTH = re.compile(
    r"\b(401|403|unauthorized|forbidden|denied|authentication|authorization failed)\b", re.IGNORECASE
)


def job_condition(job: Job, type_: str) -> JobCondition | None:
    """Return the condition of this type if it holds."""
    return next((c for c in given(job.status.conditions, ()) if c.type == type_ and c.status == "True"), None)


def finished(job: Job) -> bool:
    return job_condition(job, "Complete") is not None or job_condition(job, "Failed") is not None


def ended_at(job: Job) -> str:
    """When a finished Job ended, as the Job controller recorded it."""
    condition = job_condition(job, "Complete") or job_condition(job, "Failed")
    at = condition.last_transition_time if condition else None
    return at or job.status.completion_time or job.metadata.creation_timestamp or "1970-01-01T00:00:00Z"


def waiting(pods: Iterable[Pod], what: str) -> Verdict | None:
    """Say why a Pod (`what` it is to its readers) does not start, or None where nothing is wrong."""
    for pod in pods:
        for status in container_statuses(pod):
            state = given(status.state.waiting, None)
            if state is not None and state.reason in _PULL_REASONS:
                message = one_line(state.message) or str(state.reason)
                auth = _AUTH.search(message) is not None
                return Verdict(Reason.IMAGE_PULL_AUTH_FAILED if auth else Reason.IMAGE_PULL_FAILED, message)
            if state is not None and state.reason in _CONTAINER_REASONS:
                said = one_line(state.message)
                return Verdict(Reason.JOB_PENDING, f"{what} waits: {said or state.reason}")
        for condition in given(pod.status.conditions, ()):
            if (
                condition.type == "PodScheduled"
                and condition.status == "False"
                and condition.reason == "Unschedulable"
            ):
                return Verdict(Reason.UNSCHEDULABLE, one_line(condition.message))
    return None


def backs_off(verdict: Verdict) -> bool:
    """Whether a kubelet says only that it pauses between two pulls, not why they fail."""
    return verdict.reason == Reason.IMAGE_PULL_FAILED and bool(_PAUSE.fullmatch(verdict.message))


def timed_out(job: Job) -> bool:
    """Whether a Job was ended by its activeDeadlineSeconds; its Pods are deleted then."""
    condition = job_condition(job, "Failed")
    return condition is not None and condition.reason == "DeadlineExceeded"


def running(pods: Iterable[Pod]) -> bool:
    """Whether a Pod has started; one that ended counts until its Job has noticed."""
    return any(pod.status.phase in ("Running", "Succeeded", "Failed") for pod in pods)


def has_ended(pod: Pod) -> bool:
    """Whether the container ended: only then are its log and its exit code complete."""
    statuses = given(pod.status.container_statuses, ())
    terminated = any(given(s.state.terminated, None) is not None for s in statuses)
    return terminated or pod.status.phase in ("Succeeded", "Failed")


def is_running(pod: Pod) -> bool:
    return pod.status.phase == "Running" and not has_ended(pod)


def container_statuses(pod: Pod) -> Iterator[ContainerStatus]:
    yield from given(pod.status.init_container_statuses, ())
    yield from given(pod.status.container_statuses, ())
