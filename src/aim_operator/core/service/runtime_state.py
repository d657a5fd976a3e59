"""What an InferenceService and its Pods say about how it is going."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from aim_operator.api.external import InferenceService, InferenceServiceStatus, Pod
from aim_operator.api.meta import Condition, given
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions
from aim_operator.core.messages import one_line
from aim_operator.core.pods import waiting

STARTING = "waiting for KServe to start the model server"

_BLOCKED = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
_CRASHES = frozenset(
    {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


class RuntimeState(Struct, frozen=True, kw_only=True):
    ready: bool
    failed: bool
    reason: str
    message: str


def runtime_state(
    live: InferenceService, pods: Iterable[Pod], *, was_ready: bool, refused: str = ""
) -> RuntimeState:
    """Judge the InferenceService; KServe's or the Pod's own words are the message.

    `refused` is why the cluster took no Pod at last: it counts where there is none.

    A Ready that KServe computed for an earlier generation counts only for a service that was ready
    before: a rollout keeps serving, a new object has yet to be looked at.
    """
    status = given(live.status, InferenceServiceStatus())
    known = given(status.conditions, ())
    ready = conditions.find(known, "Ready")
    current = given(status.observed_generation, live.metadata.generation) >= live.metadata.generation
    if ready is not None and ready.status == "True" and (current or was_ready):
        return RuntimeState(
            ready=True, failed=False, reason=Reason.RUNTIME_READY, message="the InferenceService is ready"
        )
    pods = tuple(pods)
    failure = _pod_failure(pods) if pods else one_line(refused)
    if failure:
        return RuntimeState(ready=False, failed=True, reason=Reason.RUNTIME_FAILED, message=failure)
    blocked = _model_failure(status)
    if blocked is not None and current:
        return RuntimeState(ready=False, failed=True, reason=Reason.RUNTIME_FAILED, message=blocked)
    stuck = waiting(pods, "the model server's Pod")
    said = stuck.message if stuck is not None else _waiting_for(known)
    return RuntimeState(
        ready=False,
        failed=False,
        reason=Reason.CREATING_RUNTIME,
        message=said or STARTING,
    )


def _model_failure(status: InferenceServiceStatus) -> str | None:
    model = given(status.model_status, {})
    if model.get("transitionStatus") not in _BLOCKED:
        return None
    last = model.get("lastFailureInfo")
    words = last.get("message") or last.get("reason") if isinstance(last, dict) else None
    return one_line(str(words or model.get("transitionStatus")))


def _pod_failure(pods: Iterable[Pod]) -> str | None:
    for pod in pods:
        statuses = (
            *given(pod.status.init_container_statuses, ()),
            *given(pod.status.container_statuses, ()),
        )
        for status in statuses:
            state = given(status.state.waiting, None)
            if state is None or state.reason not in _CRASHES:
                continue
            last = given(status.last_state, None)
            ended = given(last.terminated, None) if last is not None else None
            if ended is not None:
                words = one_line(ended.message)
                said = f": {words}" if words else ""
                return f"container {status.name} exited with code {ended.exit_code}{said}"
            return f"container {status.name}: {state.reason} {one_line(state.message)}".strip()
    stuck = waiting(pods, "the model server's Pod")
    if stuck is not None and stuck.reason in (Reason.IMAGE_PULL_AUTH_FAILED, Reason.IMAGE_PULL_FAILED):
        return f"{stuck.reason}: {stuck.message}"
    return None


def _waiting_for(known: Iterable[Condition]) -> str:
    for type_ in ("PredictorReady", "IngressReady", "Ready"):
        condition = conditions.find(known, type_)
        if condition is not None and condition.status != "True" and (condition.message or condition.reason):
            return f"{type_}: {one_line(condition.message or condition.reason)}"
    return ""
