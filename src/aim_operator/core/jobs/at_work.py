"""Which Jobs are at work, whichever version of the operator made them: an upgrade starts nothing anew."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from aim_operator.api.external import Job, Pod
from aim_operator.core import pods
from aim_operator.core.jobs import machine


class AtWork(NamedTuple):
    """A Job by its name, and the image with which it works."""

    name: str
    image: str


def at_work(job: Job, of_job: Iterable[Pod], container: str, now: datetime) -> AtWork | None:
    """Return a Job whose container was started and has not failed; None for any other.

    One that has not begun, or has failed, may be made anew with what the operator has now: perhaps that is
    what it lacked, such as an image that can be pulled. One that is being deleted is on its way out.
    """
    image = _image(job, container)
    if image is None or job.metadata.deletion_timestamp is not None:
        return None
    pod = pods.youngest(of_job)
    end = machine.end_of(job, pod, container, now)
    goes_on = pods.has_started(pod, container) if end is None else end.succeeded
    return AtWork(job.metadata.name, image) if goes_on else None


def _image(job: Job, container: str) -> str | None:
    pod_spec = job.spec.template.spec if job.spec.template is not None else None
    containers = (pod_spec.containers if pod_spec is not None else None) or ()
    return next((each.image for each in containers if each.name == container), None)
