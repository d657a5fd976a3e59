"""How a model server is going: what its InferenceService and its Pods say, of this version and the last.

KServe's Ready speaks of whatever serves, which during a roll-out is the version before. Pods carry the
revision that they are of, so that Ready is about the current one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from aim_operator.api.external import (
    ContainerStatus,
    Event,
    InferenceService,
    InferenceServiceStatus,
    Pod,
)
from aim_operator.api.meta import Condition
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions, labels
from aim_operator.core.messages import one_line
from aim_operator.core.pods import is_ready, waiting
from aim_operator.core.remedies import with_remedy
from aim_operator.core.serving.kserve_refusal import RECONCILE_FAILED, refusal

STARTING = "waiting for KServe to start the model server"

_OVERDUE = "ProgressDeadlineExceeded"
_REFUSED = frozenset({"FailedCreate", RECONCILE_FAILED})
_LOADING = (
    "the model server has been starting for more than ten minutes; it is restarted only when "
    "serving.startupTimeoutSeconds is over"
)
_BLOCKED = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
_CRASHES = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)
_POD = "the model server's Pod"


class Rollout(Struct, frozen=True, kw_only=True):
    """`serving`: requests are answered. `complete`: by this revision, on all replicas.

    `failure` is what keeps this revision from coming up, "" where nothing does; `unplaced` is why a Pod of it
    has no node while others serve. `refused`: KServe makes no Pod of the InferenceService.
    """

    serving: bool
    complete: bool
    reason: str
    message: str
    failure: str = ""
    unplaced: str = ""
    refused: bool = False


def rollout(
    live: InferenceService,
    pods: Iterable[Pod],
    *,
    revision: str,
    replicas: int,
    refused: str = "",
    warnings: Iterable[Event] = (),
) -> Rollout:
    """Judge the InferenceService; KServe's or the Pod's own words are the message.

    `revision` and `replicas` are what is wanted now. `refused` is why the cluster took no Pod since the
    youngest was made: it counts while there is none of this revision, and so do KServe's `warnings`. Where
    no Pod is seen at all, KServe's word is taken for all of them.
    """
    status = live.status or InferenceServiceStatus()
    present = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    # What an older version of the operator made has none: "".
    current = [pod for pod in present if (pod.metadata.label(labels.REVISION) or "") == revision]
    status_conditions = status.conditions or ()
    # KServe takes back its Ready in these cases, while old Pods answer.
    taken_back = any(holds(status_conditions) for holds in (_is_rolling_out, _is_overdue, _is_refused))
    ready = _is_true(status_conditions, "Ready")
    # Its ingress, which Ready waits for, too, is not what our route leads to.
    answers = ready or _is_true(status_conditions, "PredictorReady")
    serving = answers or (taken_back and any(map(is_ready, present)))
    kserve = refusal(warnings, present, status_conditions) if not current else ""
    failure = _failure(current, one_line(refused) if not current else "", status) or kserve
    if not serving:
        return Rollout(
            serving=False,
            complete=False,
            reason=Reason.RUNTIME_FAILED if failure else Reason.CREATING_RUNTIME,
            message=failure or _waiting_message(current or present, status.conditions or ()) or STARTING,
            failure=failure,
            refused=bool(kserve) and failure == kserve,
        )
    in_service = sum(map(is_ready, current))
    if not present or in_service >= replicas:
        return Rollout(
            serving=True,
            complete=True,
            reason=Reason.RUNTIME_READY,
            message=(
                "the InferenceService is ready"
                if ready or _is_true(status_conditions, "IngressReady")
                else _without_ingress(status_conditions)
            ),
        )
    message = f"{in_service} of {replicas} replicas serve the current revision"
    return Rollout(
        serving=True,
        complete=False,
        reason=Reason.ROLLING_OUT,
        message=message if in_service else f"the previous revision serves; {message}",
        failure=failure,
        unplaced=_obstacle(current),
    )


def _is_true(current: Iterable[Condition], type_: str) -> bool:
    condition = conditions.find(current, type_)
    return condition is not None and condition.status == "True"


def _without_ingress(current: Iterable[Condition]) -> str:
    ingress = conditions.find(current, "IngressReady")
    words = one_line((ingress.message or ingress.reason) if ingress is not None else None)
    return f"the model server is ready; KServe's own ingress is not{f': {words}' if words else ''}"


def _is_rolling_out(current: Iterable[Condition]) -> bool:
    """Whether KServe does not know of the predictor only because its Deployment is being rolled out.

    KServe 0.16 to 0.19 say Unknown then with the Deployment's reason, such as ReplicaSetUpdated, however many
    Pods answer; where fewer do than a Deployment may have, they say False (PropagateRawStatus in their
    inference_service_status.go). 0.20 says True.
    """
    predictor = conditions.find(current, "PredictorReady")
    return predictor is not None and predictor.status == "Unknown" and bool(predictor.reason)


def _is_overdue(current: Iterable[Condition]) -> bool:
    """Whether KServe calls the predictor not ready only because its Deployment takes long.

    The progress deadline is ten minutes and can't be set in KServe 0.16 to 0.20 (setDefaultDeploymentSpec in
    its deployment_reconciler.go); loading may take an hour. When it is over nothing stops, but PredictorReady
    is False even while the previous revision serves (inference_service_status.go).
    """
    predictor = conditions.find(current, "PredictorReady")
    return predictor is not None and predictor.status == "False" and predictor.reason == _OVERDUE


def _is_refused(current: Iterable[Condition]) -> bool:
    """Whether Pods, or what makes them, can't be created: KServe says so also where others are available."""
    predictor = conditions.find(current, "PredictorReady")
    return predictor is not None and predictor.status == "False" and predictor.reason in _REFUSED


def _failure(pods: Sequence[Pod], refused: str, status: InferenceServiceStatus) -> str:
    return _pod_failure(pods) or refused or _model_failure(status)


def _obstacle(pods: Sequence[Pod]) -> str:
    """Return why Pods of a new revision are not placed: beside an old one there may be no GPU for them."""
    stuck = waiting(pods, _POD, "scheduling")
    return stuck.message if stuck is not None and stuck.reason == Reason.UNSCHEDULABLE else ""


def _model_failure(status: InferenceServiceStatus) -> str:
    model = status.model_status or {}
    if model.get("transitionStatus") not in _BLOCKED:
        return ""
    last = model.get("lastFailureInfo")
    words = last.get("message") or last.get("reason") if isinstance(last, dict) else None
    return one_line(str(words or model.get("transitionStatus")))


def _pod_failure(pods: Sequence[Pod]) -> str:
    """Return the cause in the youngest Pod that has one."""
    for pod in sorted(pods, key=lambda p: p.metadata.creation_timestamp or "", reverse=True):
        if pod.status.phase == "Failed" and pod.status.reason:
            # Evicted, NodeAffinity, UnexpectedAdmissionError: the kubelet's own words.
            return f"{pod.status.reason}: {one_line(pod.status.message)}".rstrip(": ")
        statuses = (
            *(pod.status.init_container_statuses or ()),
            *(pod.status.container_statuses or ()),
        )
        for status in statuses:
            if crash := _crash(status):
                return crash
    stuck = waiting(pods, _POD, "scheduling")
    if stuck is not None and stuck.reason in (Reason.IMAGE_PULL_AUTH_FAILED, Reason.IMAGE_PULL_FAILED):
        return f"{stuck.reason}: {stuck.message}"
    return ""


def _crash(status: ContainerStatus) -> str:
    state = status.state.waiting
    if state is None or state.reason not in _CRASHES:
        return ""
    last = status.last_state
    ended = last.terminated if last is not None else None
    if ended is None:
        return f"container {status.name}: {state.reason} {one_line(state.message)}".strip()
    why = f" ({ended.reason})" if ended.reason not in (None, "", "Error", "Completed") else ""
    words = with_remedy(ended.message)
    return f"container {status.name} exited with code {ended.exit_code}{why}{f': {words}' if words else ''}"


def _waiting_message(pods: Sequence[Pod], current: Iterable[Condition]) -> str:
    stuck = waiting(pods, _POD, "scheduling")
    if stuck is not None:
        return stuck.message
    if _is_overdue(current):
        return _LOADING
    for type_ in ("PredictorReady", "IngressReady", "Ready"):
        condition = conditions.find(current, type_)
        if condition is not None and condition.status != "True" and (condition.message or condition.reason):
            return f"{type_}: {one_line(condition.message or condition.reason)}"
    return ""
