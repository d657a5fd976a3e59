"""Why a discovery fails or waits: in the words of the image, the registry or the Job controller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aim_operator.api.external import Job
from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions, pods
from aim_operator.core.catalog import Template
from aim_operator.core.jobs import readings
from aim_operator.core.jobs.machine import JobStep
from aim_operator.core.messages import one_line
from aim_operator.core.pods import PULL_REASONS, Verdict
from aim_operator.core.remedies import with_remedy
from aim_operator.core.template.desired import CONTAINER, asked_env
from aim_operator.core.template.observed import OutputUnreadable, TemplateObserved

POD = "the discovery Pod"
_ASKED = 256
_VALUE = 64
_FREE = "auto"
_OBSTACLES = (Reason.UNSCHEDULABLE, Reason.WAITING_FOR_SIDECAR, Reason.JOB_REFUSED)
_IN_PROFILE = {
    "AIM_METRIC": "metric",
    "AIM_PRECISION": "precision",
    "AIM_GPU_MODEL": "gpu",
    "AIM_GPU_COUNT": "gpu_count",
}
"""What is asked for, and where a profile says it."""
_KILLED = (137, 143)
"""Exit codes of a container that was stopped: they tell that somebody did it, not why."""


def latest(obstacle: Verdict, old: AIMServiceTemplateStatus) -> Verdict:
    """Return the obstacle. Older kubelets say why a pull failed only between pauses; a pause is no news."""
    before = conditions.find(old.conditions or (), c.DISCOVERED)
    if pods.backs_off(obstacle) and before is not None and before.reason in PULL_REASONS:
        return Verdict(before.reason, before.message)
    return obstacle


def cause(observed: TemplateObserved, old: AIMServiceTemplateStatus, step: JobStep) -> Verdict:
    """Return why the attempt failed: the container's own last words where there are any."""
    job = step.live_job
    ended = pods.terminated(step.pod, CONTAINER)
    if isinstance(observed.output, OutputUnreadable):
        if observed.output.reason == Reason.NO_MATCHING_PROFILE:
            return no_match(observed.template, observed.output.message)
        return Verdict(observed.output.reason, observed.output.message)
    if observed.unread is not None:
        words = one_line(str(observed.unread))
        return Verdict(Reason.DISCOVERY_FAILED, f"the log of the dry run can't be read: {words}")
    if readings.timed_out(job) and (ended is None or ended.exit_code in _KILLED):
        return _cause_of_timeout(old, job)
    if ended is not None and ended.exit_code != 0:
        words = with_remedy(ended.message)
        more = f": {words}" if words else "; its log was empty"
        return Verdict(
            Reason.DISCOVERY_FAILED, f"the image's dry run exited with code {ended.exit_code}{more}"
        )
    return Verdict(Reason.JOB_FAILED, pods.other_cause(step.pod, CONTAINER, POD) or _job_failure(job))


def _cause_of_timeout(old: AIMServiceTemplateStatus, job: Job) -> Verdict:
    """Return what the Pod last waited for: the deadline of the Job took the Pod along, and its words."""
    before = conditions.find(old.conditions or (), c.DISCOVERED)
    if before is not None and before.reason in PULL_REASONS:
        return Verdict(before.reason, before.message)
    if before is not None and before.reason in _OBSTACLES and old.status == State.PROGRESSING:
        return Verdict(before.reason, before.message)
    return Verdict(Reason.JOB_FAILED, _job_failure(job))


def _job_failure(job: Job) -> str:
    return f"discovery Job {job.metadata.name} failed: {readings.failure_message(job)}"


def no_match(template: Template, warning: str) -> Verdict:
    """Say that the image has no profile for what the template asks for. `warning` is the image's own line."""
    requested = _asked(template)
    named = requested.get("AIM_PROFILE_ID")
    if "AIM_PROFILE_ID" in requested:
        message = f"the image has no profile {named or 'of the name'} that the template asks for"
    else:
        count = requested.get("AIM_GPU_COUNT")
        gpus = count and f"{count} GPU{'' if count == '1' else 's'}"
        values = (
            requested.get("AIM_GPU_MODEL"),
            gpus,
            requested.get("AIM_PRECISION"),
            requested.get("AIM_METRIC"),
        )
        summary = one_line(", ".join(value for value in values if value), _ASKED)
        message = f"the image has no profile for {summary or 'a template that asks for nothing'}"
        if "AIM_GPU_MODEL" not in requested:
            message += "; set spec.gpuSelector.model: discovery has no GPU that the image could look at"
    if warning:
        message += f"; it says {warning}"
    if "manual_selection" in warning and "AIM_PROFILE_ID" not in requested:
        message += "; a profile that is for manual selection has to be named in spec.profileId"
    return Verdict(Reason.NO_MATCHING_PROFILE, message)


def taken_instead(template: Template, profile: Mapping[str, Any]) -> str:
    """Say what an image took in place of values that it does not know; "" where it has what was asked for.

    It warns of them and continues with its default: nothing else reports them.
    """
    requested, metadata = _asked(template), profile.get("metadata") or {}
    if "AIM_PROFILE_ID" in requested:
        return ""
    others = [
        f"{name}={one_line(requested[name], _VALUE)} but takes {one_line(str(metadata[key]), _VALUE)}"
        for name, key in _IN_PROFILE.items()
        if requested.get(name) not in (None, _FREE) and metadata.get(key) is not None
        if str(metadata[key]).lower() != str(requested[name]).lower()
    ]
    return f"; the image does not know {', '.join(others)}: correct it in spec.env" if others else ""


def _asked(template: Template) -> dict[str, str | None]:
    """Return what the image is asked for, by variable; None is set by a reference, and not known here."""
    requested = {variable["name"]: variable.get("value") for variable in asked_env(template)}
    # An image takes an empty value for none.
    return {name: value for name, value in requested.items() if value != ""}
