"""Reads what a finished discovery printed: the one read that no watch can answer."""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.external import Job, Pod
from aim_operator.api.meta import given
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.discovery_output import DiscoveryResult, LogTail, parse
from aim_operator.core.template.observed import OutputUnreadable
from aim_operator.core.template.pods import one_line
from aim_operator.errors import NotFound, SpecError
from aim_operator.kube.protocol import KubeClient


async def read_output(
    client: KubeClient, job: Job, pods: Iterable[Pod]
) -> DiscoveryResult | OutputUnreadable:
    """Stream the Pod's log and parse it; memory is bounded by the tail that is kept.

    A Pod that is gone is a failed attempt. A node that does not answer is not: that raises Unavailable,
    and the reconcile is tried again.
    """
    done = [pod for pod in pods if _ran(pod)]
    pod = max(done, key=lambda p: p.metadata.creation_timestamp or "", default=None)
    if pod is None:
        return OutputUnreadable(
            Reason.DISCOVERY_FAILED, f"the Pod of Job {job.metadata.name} is gone, and its log with it"
        )
    tail = LogTail()
    try:
        async for chunk in client.logs(pod.metadata.namespace, pod.metadata.name, container="discovery"):
            tail.feed(chunk)
    except NotFound as error:
        return OutputUnreadable(Reason.DISCOVERY_FAILED, f"the log can't be read: {one_line(str(error))}")
    try:
        return parse(tail.content())
    except SpecError as error:
        return OutputUnreadable(error.reason, one_line(error.message))


def _ran(pod: Pod) -> bool:
    """Whether the container ended: only then is its log complete."""
    statuses = given(pod.status.container_statuses, ())
    return pod.status.phase == "Succeeded" or any(
        given(s.state.terminated, None) is not None for s in statuses
    )
