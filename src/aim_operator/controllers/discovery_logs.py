"""Reads what an ended discovery printed: the one read that no watch can answer."""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.external import PODS, Job, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.controllers.index import JOB_LABEL
from aim_operator.core.discovery_output import DiscoveryResult, LogTail, parse
from aim_operator.core.manifests import controlled_by
from aim_operator.core.messages import one_line
from aim_operator.core.pods import has_ended, youngest
from aim_operator.core.template.desired import CONTAINER
from aim_operator.core.template.observed import OutputUnreadable
from aim_operator.errors import NotFound, SpecError
from aim_operator.kube.protocol import KubeClient


async def read_output(
    client: KubeClient, job: Job, pods: Iterable[Pod]
) -> DiscoveryResult | OutputUnreadable:
    """Stream the Pod's log and parse it; memory is bounded by the tail that is kept.

    A Pod that is gone is a failed attempt. A node that does not answer is not: that raises ApiError, and the
    reconcile is tried again.
    """
    pod = youngest(pod for pod in pods if has_ended(pod, CONTAINER))
    if pod is None:
        return OutputUnreadable(
            Reason.DISCOVERY_FAILED, f"the Pod of Job {job.metadata.name} is gone, and its log with it"
        )
    tail = LogTail()
    try:
        async for chunk in client.logs(pod.metadata.namespace, pod.metadata.name, container=CONTAINER):
            tail.feed(chunk)
    except NotFound as error:
        return OutputUnreadable(Reason.DISCOVERY_FAILED, f"the log can't be read: {one_line(str(error))}")
    try:
        return parse(tail.content())
    except SpecError as error:
        return OutputUnreadable(error.reason, one_line(error.message))


async def pods_of(client: KubeClient, job: Job, cached: Iterable[Pod], container: str) -> tuple[Pod, ...]:
    """Return the Pods of an ended Job, from the server itself where the cache shows the last one running.

    The watches of Jobs and Pods are two streams: the end of a Job may be seen before that of its Pod.
    """
    pods = tuple(cached)
    last = youngest(pods)
    if last is not None and has_ended(last, container):
        return pods
    selector = f"{JOB_LABEL}={job.metadata.name}"
    page = await client.list(PODS, namespace=job.metadata.namespace, label_selector=selector)
    return tuple(pod for pod in page.items if controlled_by(pod, job.metadata))
