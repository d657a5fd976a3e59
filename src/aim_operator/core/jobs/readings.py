"""What a Job says about how it ended."""

from __future__ import annotations

from aim_operator.api.external import Job, JobCondition
from aim_operator.core.messages import one_line

QUEUE = "kueue.x-k8s.io/queue-name"
"""The label by which Kueue takes a Job in hand: it suspends it until the queue of that name has room."""


def job_condition(job: Job, type_: str) -> JobCondition | None:
    """Return the condition of this type if it holds."""
    return next((c for c in job.status.conditions or () if c.type == type_ and c.status == "True"), None)


def is_complete(job: Job) -> bool:
    return job_condition(job, "Complete") is not None


def finished(job: Job) -> bool:
    return is_complete(job) or job_condition(job, "Failed") is not None


def ended_at(job: Job) -> str:
    """When a finished Job ended, as the Job controller recorded it."""
    condition = job_condition(job, "Complete") or job_condition(job, "Failed")
    at = condition.last_transition_time if condition else None
    return at or job.status.completion_time or job.metadata.creation_timestamp or "1970-01-01T00:00:00Z"


def timed_out(job: Job) -> bool:
    """Whether a Job was ended by its activeDeadlineSeconds; its Pods are deleted then."""
    condition = job_condition(job, "Failed")
    return condition is not None and condition.reason == "DeadlineExceeded"


def failure_message(job: Job) -> str:
    """Return what the Job controller says about the failure; "no message was given" if nothing."""
    condition = job_condition(job, "Failed")
    message = one_line(condition.message or condition.reason) if condition else ""
    return message or "no message was given"


def is_suspended(job: Job) -> bool:
    """Whether somebody keeps the Job from having Pods. One that has ended stays ended."""
    return job.spec.suspend is True and not finished(job)


def suspension(job: Job) -> str:
    """Return whose matter it is that a Job is suspended, and what to do."""
    name, namespace = job.metadata.name, job.metadata.namespace
    queue = job.metadata.label(QUEUE)
    if queue:
        return (
            f"Job {name!r} is suspended until queue {queue!r} admits it ({QUEUE}); see its events and "
            f"kubectl get workloads -n {namespace}"
        )
    return (
        f"Job {name!r} is suspended, and names no queue: set its spec.suspend to false; or, where Kueue "
        f"suspends all Jobs, name a queue by {QUEUE} under jobs.pods.labels of the runtime configuration, "
        "and delete the Job for a new one"
    )
