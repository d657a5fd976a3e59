"""What a Pod says about itself: why it does not start, and how one of its containers is doing.

Containers are looked up by name: meshes and policies inject others, before and beside the operator's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from aim_operator.api.external import ContainerState, ContainerStatus, ContainerTerminated, Event, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.conditions import parse_time
from aim_operator.core.messages import last_message, one_line
from aim_operator.core.remedies import of_scheduler


class Verdict(NamedTuple):
    """The reason and the message of a condition."""

    reason: str
    message: str


PULL_REASONS = frozenset({Reason.IMAGE_PULL_AUTH_FAILED, Reason.IMAGE_PULL_FAILED})
_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""Of the kubelet (pkg/kubelet/images/types.go) and of container runtimes (cri-api, pkg/errors)."""
_CONTAINER_REASONS = frozenset(
    {
        "CreateContainerConfigError",
        "PreCreateHookError",
        "CreateContainerError",
        "PreStartHookError",
        "RunContainerError",
        "PostStartHookError",
    }
)
"""Often a Secret that the template's env refers to and that is missing: the kubelet tries again.

Of pkg/kubelet/kuberuntime/kuberuntime_container.go and pkg/kubelet/container/sync_result.go.
"""
_CREATING = frozenset({"ContainerCreating", "PodInitializing"})
ENDING_SECONDS = 60
"""How long a container that runs before the others may take until that is said."""
_INCOMPLETE = re.compile(r"containers with incomplete status: \[([^\]]*)\]")
"""Of the condition Initialized (GeneratePodInitializedCondition in the kubelet's status/generate.go)."""
_PAUSE = re.compile(r'Back-off pulling image "[^"]*"|ImagePullBackOff')
_AUTH = re.compile(
    r"\b(401|403|unauthorized|forbidden|denied|authentication|authorization failed)\b", re.IGNORECASE
)


def last_refusal(refusals: Iterable[Event], pods: Iterable[Pod]) -> str:
    """Return why the cluster took no Pod, "" if it has taken one since: what is older is old news."""
    last = youngest(pods)
    since = (last.metadata.creation_timestamp or "") if last is not None else ""
    return last_message(e for e in refusals if (e.metadata.creation_timestamp or "") >= since)


def youngest(pods: Iterable[Pod]) -> Pod | None:
    """Return the Pod that was created last: the others were drained or evicted before it."""
    return max(pods, key=lambda pod: (pod.metadata.creation_timestamp or "", pod.metadata.name), default=None)


def container_state(pod: Pod, container: str) -> ContainerState | None:
    """Return the state of the container of that name; None until the kubelet has reported one."""
    statuses = pod.status.container_statuses or ()
    return next((status.state for status in statuses if status.name == container), None)


def terminated(pod: Pod | None, container: str) -> ContainerTerminated | None:
    """Return how the container of that name ended, or None."""
    state = container_state(pod, container) if pod is not None else None
    return state.terminated if state is not None else None


def has_ended(pod: Pod, container: str) -> bool:
    """Whether the container ended: only then are its log and its exit code complete."""
    return terminated(pod, container) is not None or pod.status.phase in ("Succeeded", "Failed")


def has_started(pod: Pod | None, container: str) -> bool:
    """Whether the container was started; one that ended counts."""
    if pod is None:
        return False
    state = container_state(pod, container)
    if state is None:
        return pod.status.phase in ("Running", "Succeeded", "Failed")
    return state.running is not None or has_ended(pod, container)


def is_running(pod: Pod, container: str) -> bool:
    """Whether the container runs and may write to its log."""
    return (
        pod.status.phase == "Running"
        and pod.metadata.deletion_timestamp is None
        and has_started(pod, container)
        and not has_ended(pod, container)
    )


def started_at(pod: Pod | None, container: str) -> str | None:
    """Return when the running container was started (RFC 3339), None if it does not run."""
    state = container_state(pod, container) if pod is not None else None
    running = state.running if state is not None else None
    return running.started_at if running is not None else None


def pulling_since(pod: Pod | None, container: str) -> str | None:
    """Return when the Pod was started (RFC 3339) whose container only lacks its image; None where it may not.

    No field says so. But everything else that a container waits for is there once its Pod is ready to start
    containers (a condition of Kubernetes 1.29 and later).
    """
    state = container_state(pod, container) if pod is not None else None
    waits = state.waiting if state is not None else None
    if pod is None or waits is None or waits.reason not in _CREATING:
        return None
    met = {c.type for c in pod.status.conditions or () if c.status == "True"}
    return pod.status.start_time if met >= {"PodReadyToStartContainers", "Initialized"} else None


def is_scheduled(pod: Pod) -> bool:
    """Whether the Pod has a node."""
    return any(c.type == "PodScheduled" and c.status == "True" for c in pod.status.conditions or ())


def is_ready(pod: Pod) -> bool:
    """Whether the Pod answers requests."""
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def is_disrupted(pod: Pod) -> bool:
    """Whether the Pod is taken away for no fault of its own: drained, preempted, evicted or deleted."""
    if pod.metadata.deletion_timestamp is not None:
        return True
    return any(
        condition.type == "DisruptionTarget" and condition.status == "True"
        for condition in pod.status.conditions or ()
    )


def waiting(
    pods: Iterable[Pod], what: str, placed_by: str = "jobs.scheduling", *, now: datetime | None = None
) -> Verdict | None:
    """Return why a Pod (`what` it is to its readers) does not start, or None where nothing is wrong.

    `placed_by` is the field that says where such Pods run. With `now`, a container that runs before the
    others and does not end counts, too: an injected one. Those that KServe adds take long, as they download.
    """
    for pod in pods:
        for status in container_statuses(pod):
            state = status.state.waiting
            if state is not None and state.reason in _PULL_REASONS:
                message = one_line(state.message) or str(state.reason)
                auth = _AUTH.search(message) is not None
                return Verdict(Reason.IMAGE_PULL_AUTH_FAILED if auth else Reason.IMAGE_PULL_FAILED, message)
            if state is not None and state.reason in _CONTAINER_REASONS:
                message = one_line(state.message)
                return Verdict(Reason.JOB_PENDING, f"{what} waits: {message or state.reason}")
        for condition in pod.status.conditions or ():
            if condition.type != "PodScheduled" or condition.status != "False":
                continue
            if condition.reason == "Unschedulable":
                return Verdict(Reason.UNSCHEDULABLE, of_scheduler(condition.message, placed_by))
            if condition.reason == "SchedulingGated":
                return Verdict(Reason.SUSPENDED, _gated(pod, what))
        if held := _held_up(pod, what, now):
            return Verdict(Reason.WAITING_FOR_SIDECAR, held)
    return None


def seconds_until_held_up(pod: Pod | None, now: datetime) -> float | None:
    """Return when a container that has to end first will have run for too long; None where none will."""
    running = _to_end_first(pod) if pod is not None else None
    left = ENDING_SECONDS - _seconds_running(running, now) if running is not None else 0.0
    return left if left > 0 else None


def _to_end_first(pod: Pod) -> ContainerStatus | None:
    """Return the running container that others wait for to end.

    To the kubelet one without a startup probe is `started` as soon as it runs (UpdatePodStatus in Kubernetes'
    prober_manager.go), as a sidecar at work is. But its Pod is not initialized, and says for whom that is.
    """
    told = next(
        (c for c in pod.status.conditions or () if (c.type, c.status) == ("Initialized", "False")), None
    )
    incomplete = _INCOMPLETE.search((told.message if told is not None else None) or "")
    names = incomplete[1].split() if incomplete is not None else ()
    return next(
        (
            each
            for each in pod.status.init_container_statuses or ()
            if each.state.running is not None and each.started is True and each.name in names
        ),
        None,
    )


def _seconds_running(status: ContainerStatus, now: datetime) -> float:
    running = status.state.running
    began = running.started_at if running is not None else None
    return (now - parse_time(began)).total_seconds() if began is not None else 0.0


def _held_up(pod: Pod, what: str, now: datetime | None) -> str:
    """Say which container the others wait for; "" where none does. Those that run first were injected.

    One that only starts is not told of: as a rule it has ended, or is a sidecar at work, a second later.
    """
    unended = _to_end_first(pod) if now is not None and seconds_until_held_up(pod, now) is None else None
    for status in pod.status.init_container_statuses or ():
        state = status.state
        if status is unended:
            return (
                f"{what} waits for its container {status.name!r}, which has to end first; {_see(pod, status)}"
            )
        if state.terminated is not None or (state.running is not None and status.started is True):
            continue
        if state.running is None and (state.waiting is None or state.waiting.reason in _CREATING):
            return ""
        last = status.last_state.terminated if status.last_state is not None else None
        crashed = ""
        if last is not None:
            words = one_line(last.message)
            crashed = f" and exits with code {last.exit_code}{f': {words}' if words else ''}"
        waits = f"{what} waits for its container {status.name!r}, which has to start first"
        return f"{waits}{crashed}; {_see(pod, status)}"
    return ""


def _see(pod: Pod, status: ContainerStatus) -> str:
    return f"see kubectl logs -n {pod.metadata.namespace} {pod.metadata.name} -c {status.name}"


def _gated(pod: Pod, what: str) -> str:
    """Say that a Pod waits for whoever put a gate on it: queues do, until it is its turn."""
    return (
        f"{what} waits for its scheduling gates, such as a queue's, to be lifted; see the events of Pod "
        f"{pod.metadata.name!r} and its spec.schedulingGates"
    )


def backs_off(verdict: Verdict) -> bool:
    """Whether a kubelet says only that it pauses between two pulls, not why they fail."""
    return verdict.reason == Reason.IMAGE_PULL_FAILED and bool(_PAUSE.fullmatch(verdict.message))


def other_cause(pod: Pod | None, container: str, what: str) -> str:
    """Return why a Pod failed whose own container did not fail by itself; "" where it does not say.

    That is another container that ended with an error before ours could start, or an eviction.
    """
    if pod is None or terminated(pod, container) is not None:
        return ""
    for status in container_statuses(pod):
        ended = status.state.terminated
        if ended is not None and ended.exit_code != 0:
            message = one_line(ended.message)
            more = f": {message}" if message else ""
            return f"container {status.name!r} of {what} exited with code {ended.exit_code}{more}"
    if pod.status.reason:
        return f"{what} has failed: {one_line(pod.status.message or pod.status.reason)}"
    return ""


def container_statuses(pod: Pod) -> Iterator[ContainerStatus]:
    """Return the statuses of all containers, those that run first first."""
    yield from (pod.status.init_container_statuses or ())
    yield from (pod.status.container_statuses or ())
