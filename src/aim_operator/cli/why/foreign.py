"""What others' objects say about why they do not go on: Pods, Jobs, claims, routes, servers. Pure.

The words are those of Kubernetes 1.35, KServe 0.15 to 0.20 and Gateway API 1.4, as their sources have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from aim_operator.api.external import INFERENCE_SERVICES as OWNED_INFERENCE_SERVICES
from aim_operator.api.external import (
    ContainerState,
    ContainerTerminated,
    Event,
    HTTPRoute,
    InferenceServiceStatus,
    Job,
    JobCondition,
    PersistentVolumeClaim,
    Pod,
)
from aim_operator.api.meta import UNREADABLE, KubeObject, Wire
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.cli.why.chain import Hop
from aim_operator.core import pods, remedies
from aim_operator.core.messages import last_seen, one_line
from aim_operator.core.serving import kserve_refusal

OUT_OF_MEMORY = "OOMKilled"
OVERDUE = "ProgressDeadlineExceeded"
"""Of a Deployment that is not available after ten minutes; KServe hands it on, and nothing stops."""
OF_OVERDUE = "read its log with aimctl logs; one that loads for long gets serving.startupTimeoutSeconds"


class _LastWords(Wire):
    """The termination message of aim_operator.fetch."""

    reason: str = ""
    message: str = ""


class InferenceService(KubeObject):
    """One with its status, which has what KServe says."""

    status: InferenceServiceStatus = msgspec.field(default_factory=InferenceServiceStatus)


INFERENCE_SERVICES = Resource(
    group=OWNED_INFERENCE_SERVICES.group,
    version=OWNED_INFERENCE_SERVICES.version,
    plural=OWNED_INFERENCE_SERVICES.plural,
    kind=OWNED_INFERENCE_SERVICES.kind,
    namespaced=True,
    type=InferenceService,
)


def job_hop(job: Job, events: Iterable[Event]) -> Hop:
    """Return a Job: how it ended, or why it gets no Pod."""
    ended = next(
        (each for each in job.status.conditions or () if each.type == "Failed" and each.status == "True"),
        None,
    )
    refused = _last(event for event in events if event.reason == "FailedCreate")
    return Hop(
        kind="Job",
        namespace=job.metadata.namespace,
        name=job.metadata.name,
        state=_job_state(job, ended),
        reason=(ended.reason or "") if ended is not None else "FailedCreate" if refused is not None else "",
        message=one_line(ended.message if ended is not None else refused.message if refused else ""),
        since=ended.last_transition_time if ended is not None else job.status.start_time,
        remedy=(remedies.for_refused_pod(refused.message or "") or "allow what the message names")
        if refused is not None and ended is None
        else "",
    )


def _job_state(job: Job, ended: JobCondition | None) -> str:
    if ended is not None:
        return "Failed"
    return "running" if job.status.active else "waiting" if job.status.start_time is None else "started"


def claim_hop(claim: PersistentVolumeClaim, events: Iterable[Event]) -> Hop:
    """Return a claim: its phase, and the provisioner's words, which only events have."""
    word = _last(event for event in events if event.type == "Warning") or _last(events)
    return Hop(
        kind="PersistentVolumeClaim",
        namespace=claim.metadata.namespace,
        name=claim.metadata.name,
        state=claim.status.phase or "Pending",
        reason=(word.reason or "") if word is not None else "",
        message=one_line(word.message) if word is not None else "",
        since=claim.metadata.creation_timestamp,
        remedy=_OF_CLAIMS.get(word.reason or "", "") if word is not None else "",
    )


_OF_CLAIMS = {
    "ExternalProvisioning": "wait; if it takes long, see that the provisioner which the message names runs",
    "WaitForFirstConsumer": "wait for the first Pod that mounts it: no volume is made before",
}
"""What to do about a claim by the reason that Kubernetes' volume controller gives (events/event.go)."""


def route_hop(route: HTTPRoute) -> Hop:
    """Return a route: the first thing that a gateway has against it."""
    parents = (route.status.parents or ()) if route.status is not None else ()
    for parent in parents:
        for condition in parent.conditions or ():
            if condition.type in ("Accepted", "ResolvedRefs") and condition.status == "False":
                where = parent.parent_ref.namespace or route.metadata.namespace
                return Hop(
                    kind="HTTPRoute",
                    namespace=route.metadata.namespace,
                    name=route.metadata.name,
                    state=f"not {condition.type} by Gateway {where}/{parent.parent_ref.name}",
                    reason=condition.reason,
                    message=condition.message,
                    since=condition.last_transition_time,
                    remedy=_OF_ROUTES.get(condition.reason, "correct what the gateway names"),
                )
    for parent in parents:
        told = [each for each in parent.conditions or () if each.type == "Accepted"]
        if not any(each.status == "True" for each in told):
            return Hop(
                kind="HTTPRoute",
                namespace=route.metadata.namespace,
                name=route.metadata.name,
                state="not Accepted yet",
                reason=told[0].reason if told else "",
                message=(told[0].message if told else "") or "its gateway has not decided about it",
                since=route.metadata.creation_timestamp,
                remedy=_OF_SILENCE,
            )
    return Hop(
        kind="HTTPRoute",
        namespace=route.metadata.namespace,
        name=route.metadata.name,
        state="no answer from its gateway" if not parents else "Accepted",
        message="" if parents else "no gateway controller has said anything about it",
        since=route.metadata.creation_timestamp,
        remedy="" if parents else _OF_SILENCE,
    )


_OF_SILENCE = "see that the Gateway is there and that its controller runs"
_OF_ROUTES = {
    "NotAllowedByListeners": "let the Gateway's listener take routes of this namespace (allowedRoutes), "
    "or name another in routing.gatewayRef",
    "NoMatchingParent": "name a Gateway, section and port that are there in routing.gatewayRef",
    "NoMatchingListenerHostname": "give the Gateway's listener a hostname that fits, or none",
    "BackendNotFound": "wait for KServe to make the Service; it comes with the model server",
    "RefNotPermitted": "have a ReferenceGrant made in the namespace of what the message names",
}


_OF_NETWORK = "see the network plugin and the container runtime of the Pod's node: kubectl describe node"
_OF_SHUTDOWN = "bring the node back, or wait for the Pod that takes this one's place on another"
_OF_PODS = {
    "Evicted": "free on the node what the message names, or ask for more of it in resources",
    "UnexpectedAdmissionError": "see that the node's device plugin runs and has as many devices as it says",
    "TopologyAffinityError": "ask for fewer devices or CPUs, or for a node whose kubelet has another "
    "topologyManagerPolicy",
    "NodeShutdown": _OF_SHUTDOWN,
    "Terminated": _OF_SHUTDOWN,
    "Preempting": "make room on the node: a Pod that the node needs took its place",
    "NodeAffinity": "delete the Pod: the labels of its node have changed since",
    "NodeLost": "bring the node back, or delete it with kubectl delete node",
    "FailedMount": "create what the message names, or see why the node can't mount that volume",
    "FailedAttachVolume": "wait until the other node has let go of the volume; storage.accessModes: "
    "ReadWriteMany lets several nodes have it",
    "NetworkNotReady": _OF_NETWORK,
    "FailedCreatePodSandBox": _OF_NETWORK,
    "Unhealthy": OF_OVERDUE,
}
"""What to do about a Pod by the reason that the kubelet, or the attach controller, gives."""
_OUT_OF = "OutOf"
"""Before the name of a resource: the kubelet has less of it left than the scheduler knew of."""
_MULTI_ATTACH = "Multi-Attach error"
_OF_EVENTS = "see the Pod's events: kubectl describe pod"
_KILLED = frozenset({137, 143})
"""How a container ends that the kubelet stops."""


def _of_pod(reason: str, message: str, of: str) -> str:
    """Return what to do about a Pod by the kubelet's, or the attach controller's, reason and words."""
    if reason == "FailedCreatePodSandBox" and (words := remedies.for_start(message, of_job=of == _JOB)):
        # A limit counts for the sandbox, too.
        return words
    if reason.startswith(_OUT_OF):
        return (
            f"free {reason.removeprefix(_OUT_OF)} on the Pod's node, or wait for the Pod that takes its place"
        )
    if reason == "FailedAttachVolume" and not message.startswith(_MULTI_ATTACH):
        return "see why the storage driver can't attach the volume: kubectl get volumeattachments"
    return _OF_PODS.get(reason, "")


def pod_hop(pod: Pod, of: str, placed_by: str, events: Iterable[Event] = ()) -> Hop:
    """Return a Pod: why it does not start, or how its containers end. `placed_by` is the field to change.

    `events` about it are asked where its status says nothing: of volumes and probes only they tell.
    """
    where = {"kind": "Pod", "namespace": pod.metadata.namespace, "name": pod.metadata.name}
    since, events = pod.status.start_time or pod.metadata.creation_timestamp, tuple(events)
    for container, ended in _ended(pod):
        if ended.reason == OUT_OF_MEMORY:
            return Hop(
                **where,
                state="CrashLoop",
                reason=OUT_OF_MEMORY,
                message=f"container {container} took more memory than its limit",
                since=since,
                remedy="raise resources.limits.memory of the service or its template",
            )
    waiting = pods.waiting([pod], f"the Pod of the {of}", placed_by)
    if waiting is not None:
        return Hop(
            **where,
            state="waiting",
            reason=waiting.reason,
            message=waiting.message,
            since=since,
            remedy=_of_waiting(waiting, of, placed_by),
        )
    for container, ended in _ended(pod):
        words = remedies.with_remedy(_in_words(ended.message))
        said = f": {words}" if words else ""
        stopped = _stopped_by_probe(events) if ended.exit_code in _KILLED else ""
        return Hop(
            **where,
            state="ended",
            reason=ended.reason or "Error",
            message=f"container {container} exited with code {ended.exit_code}{said}"
            + (f"; {stopped}" if stopped else ""),
            since=since,
            remedy=remedies.for_log(words)
            or remedies.for_start(words, of_job=of == _JOB)
            or (OF_OVERDUE if stopped else "" if of == _JOB else _OF_WORDS if words else _OF_SILENT_END),
        )
    word = _last(event for event in events if event.type == "Warning")
    if word is not None and not pod.status.reason:
        return Hop(
            **where,
            state=pod.status.phase or "Pending",
            reason=word.reason or "",
            message=one_line(word.message),
            since=since,
            remedy=_of_pod(word.reason or "", word.message or "", of) or _OF_EVENTS,
        )
    cause = pod.status.message or pod.status.reason or ""
    return Hop(
        **where,
        state=pod.status.phase or "Pending",
        reason=pod.status.reason or "",
        message=one_line(cause),
        since=since,
        remedy=_of_pod(pod.status.reason or "", "", of),
    )


_JOB = "Job"
_OF_WORDS = "do what its last words say; aimctl logs has all of them"
_OF_SILENT_END = "read its log with aimctl logs"


def _of_waiting(waiting: pods.Verdict, of: str, placed_by: str) -> str:
    if waiting.reason == Reason.UNSCHEDULABLE:
        return remedies.for_place(waiting.message, placed_by)
    if waiting.reason == Reason.IMAGE_PULL_FAILED:
        return remedies.for_pull(waiting.message)
    return remedies.for_start(waiting.message, of_job=of == _JOB)


def _ended(pod: Pod) -> Iterator[tuple[str, ContainerTerminated]]:
    """Yield containers that ended with an error, now or before the kubelet started them again."""
    for status in pods.container_statuses(pod):
        for state in (status.state, status.last_state or ContainerState()):
            if state.terminated is not None and state.terminated.exit_code != 0:
                yield status.name, state.terminated


def _in_words(message: str | None) -> str | None:
    """Return the last words of a container; those of a download are JSON, for the operator."""
    try:
        found = msgspec.json.decode(message or "", type=_LastWords)
    except (*UNREADABLE, ValueError):
        return message
    return ": ".join(filter(None, (found.reason, found.message))) or message


def _stopped_by_probe(events: Iterable[Event]) -> str:
    """Return what a probe said for which the kubelet stops a container; "" where none did."""
    stopping = ("Startup probe", "Liveness probe")
    told = _last(e for e in events if e.reason == "Unhealthy" and (e.message or "").startswith(stopping))
    return one_line(told.message) if told is not None else ""


def server_hop(served: InferenceService, events: Iterable[Event]) -> Hop:
    """Return a model server: why KServe makes nothing of it, or that its Deployment takes too long.

    Of a runtime that is missing the status says only that it is waited for; the event names it.
    """
    conditions = served.status.conditions or ()
    ready = next((each for each in conditions if each.type == "Ready"), None)
    last = _last(
        event
        for event in events
        if event.reason in kserve_refusal.FAILURES and not kserve_refusal.passes(event.message)
    )
    model = served.status.model_status or {}
    failure = model.get("lastFailureInfo") or {}
    words = one_line(last.message) if last is not None else ""
    message = one_line(failure.get("message")) or words
    if model.get("transitionStatus") == _INVALID_SPEC and words and words not in message:
        message = f"{message}: {words}"
    overdue = any(each.reason == OVERDUE for each in conditions)
    refused = remedies.for_refused_pod(one_line(ready.message)) if ready is not None else ""
    remedy = refused or ("correct what KServe names" if message else OF_OVERDUE if overdue else "")
    if failure.get("reason") in _OF_CONTAINERS:
        # The words are a container's, and what to do about them is said of its Pod.
        remedy = _OF_SILENT_END
    return Hop(
        kind="InferenceService",
        namespace=served.metadata.namespace,
        name=served.metadata.name,
        state="Ready" if ready is not None and ready.status == "True" else "not Ready",
        reason=failure.get("reason") or (last.reason if last is not None else "") or "",
        message=message or (one_line(ready.message) if ready is not None else ""),
        since=ready.last_transition_time if ready is not None else None,
        remedy=remedy,
    )


_OF_CONTAINERS = frozenset({"ModelLoadFailed", "RuntimeUnhealthy"})
"""Reasons of KServe's lastFailureInfo that come with a container's own words (PropagateModelStatus)."""
_INVALID_SPEC = "InvalidSpec"
"""A modelStatus.transitionStatus: KServe's own word against the spec."""


def _last(events: Iterable[Event]) -> Event | None:
    return max(events, key=last_seen, default=None)
