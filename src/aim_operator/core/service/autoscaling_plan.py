"""Plans a service's ScaledObject, says what keeps its autoscaling from working, or that it has no copy."""

from __future__ import annotations

import re
from datetime import datetime

from msgspec import structs

from aim_operator.api.external import (
    HORIZONTAL_POD_AUTOSCALERS,
    INFERENCE_SERVICES,
    SCALED_OBJECTS,
    ConditionedStatus,
)
from aim_operator.api.meta import Condition, ObjectRef
from aim_operator.api.plan import Child, Removal
from aim_operator.api.v1alpha1 import ActiveWorkload
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason, State
from aim_operator.core import conditions
from aim_operator.core.blocking import child_ref, crd
from aim_operator.core.conditions import parse_time
from aim_operator.core.messages import one_line
from aim_operator.core.service.observed import ServiceObserved
from aim_operator.core.service.status import ConditionSummary
from aim_operator.core.serving.autoscaling import HPA, autoscaler_class, fewest, scaled_object
from aim_operator.core.serving.scale import remaining_pods

METRICS_SECONDS = 180
"""metrics-server measures every 15 seconds, and needs two measurements of a Pod; its HPA asks as often."""
LEFTOVER_SECONDS = 60
"""KEDA takes its finalizer away within a second or two."""
_METRICS_API = "metrics.k8s.io"
_AT_ZERO = "ScalingDisabled"
"""What an HPA says of a Deployment without copies (reconcileAutoscaler in Kubernetes' horizontal.go)."""
_ALL_FAIL, _SOME_FAIL = "TriggerError", "PartialTriggerError"
"""Of metrics. With the second KEDA's Ready is Unknown, which it else is before KEDA has looked."""
_OWN_ADDRESS = re.compile(r"[0-9a-f.:%\[\]]{1,64}:\d{1,5}->")
"""KEDA's end of a connection, another with each attempt."""

IDLE = ConditionSummary(
    ok=False,
    reason=Reason.SCALED_TO_ZERO,
    message="KEDA has scaled it to zero; it starts a copy when a query of spec.autoscaling asks for one",
    state=State.STOPPED,
)


def service_idles(observed: ServiceObserved) -> bool:
    """Whether KEDA has taken the last copy, as it may."""
    autoscaling, deployment = observed.service.spec.autoscaling, observed.deployment
    if autoscaling is None or deployment is None or not observed.keda_installed:
        return False
    return fewest(autoscaling) == 0 and deployment.spec.replicas == 0 and not observed.pods


def stopped(observed: ServiceObserved) -> ConditionSummary:
    """Judge a service that is scaled to zero: whatever its model server says, it is to go."""
    remaining = remaining_pods(observed.deployment, observed.pods)
    message = "scaled to zero; set spec.replicas, or scale it, to start it again"
    if remaining:
        message = f"stopping: {remaining} Pods of the model server are still there"
    return ConditionSummary(
        ok=False,
        reason=Reason.STOPPED,
        message=message,
        state=State.STOPPED,
        progressing=bool(remaining),
    )


def plan_autoscaling(
    observed: ServiceObserved, active: ActiveWorkload
) -> tuple[tuple[Child, ...], tuple[Removal, ...], ConditionSummary | None]:
    """Render the ScaledObject, or take away what is no longer wanted. A problem stops no copy that runs."""
    address = active.prometheus_address or ""
    wanted, live = scaled_object(observed.service, address), observed.scaled_object
    if wanted is None:
        return (), (Removal(resource=SCALED_OBJECTS, live=live),) if live is not None else (), None
    if not observed.keda_installed:
        return (
            (),
            (),
            _problem(
                Reason.KEDA_NOT_INSTALLED,
                "metrics of vLLM and queries are scaled by KEDA, whose CRDs are not installed; install KEDA, "
                "and the operator continues by itself, or use CPU or Memory",
                crd(SCALED_OBJECTS),
            ),
        )
    if not address:
        return (
            (),
            (),
            _problem(
                Reason.AUTOSCALING_FAILED,
                "KEDA reads metrics of vLLM from Prometheus; set autoscaling.prometheusAddress in the "
                "AIMClusterRuntimeConfig that the service has, by its name or `default`",
            ),
        )
    child = structs.replace(wanted, after=INFERENCE_SERVICES.kind)
    status = (live.status if live is not None else None) or ConditionedStatus()
    ready = conditions.find(status.conditions or (), "Ready")
    if ready is None or (ready.status != "False" and ready.reason != _SOME_FAIL):
        return (child,), (), None
    words = one_line(ready.message or ready.reason)
    if ready.reason in (_ALL_FAIL, _SOME_FAIL) and observed.keda_warning:
        words = f"{words}: {_OWN_ADDRESS.sub('', one_line(observed.keda_warning))}"
    scaler = child_ref(child)
    return (
        (child,),
        (),
        _problem(Reason.AUTOSCALING_FAILED, f"KEDA says of the ScaledObject: {words}", scaler),
    )


def judge_scalers(observed: ServiceObserved, *, now: datetime) -> tuple[ConditionSummary | None, float]:
    """Return what is wrong with who writes the number of copies, and in how many seconds to ask again.

    None if nothing is, and 0 for never.
    """
    left, until = _judge_leftover(observed, now)
    problem, measured = _judge_hpa(observed, now)
    return left or problem, min((seconds for seconds in (until, measured) if seconds > 0), default=0.0)


def _judge_leftover(observed: ServiceObserved, now: datetime) -> tuple[ConditionSummary | None, float]:
    """Say that a ScaledObject is deleted and does not go: the HPA that KEDA made of it goes on scaling."""
    live = observed.scaled_object
    if live is None or live.metadata.deletion_timestamp is None:
        return None, 0.0
    since = (now - parse_time(live.metadata.deletion_timestamp)).total_seconds()
    if since < LEFTOVER_SECONDS:
        return None, LEFTOVER_SECONDS - since
    held_by = ", ".join(live.metadata.finalizers or ()) or "nobody"
    message = (
        f"the ScaledObject {live.metadata.name!r} was deleted and is still there, and so is its autoscaler, "
        f"which may still change the number of copies; it waits for {one_line(held_by)}: see that KEDA's "
        "operator runs, or take that finalizer away"
    )
    scaler = ObjectRef(SCALED_OBJECTS.kind, live.metadata.namespace, live.metadata.name)
    return _problem(Reason.AUTOSCALING_FAILED, message, scaler), 0.0


def _judge_hpa(observed: ServiceObserved, now: datetime) -> tuple[ConditionSummary | None, float]:
    """Return why KServe's HPA can't scale, None if it can; and in how many seconds to ask again, 0 for never.

    It has no metrics of Pods that are not ready, and none yet of those that just became so.
    """
    service, hpa = observed.service, observed.autoscaler
    if hpa is None or autoscaler_class(service) != HPA or service.spec.replicas == 0:
        return None, 0.0
    told = (hpa.status or ConditionedStatus()).conditions or ()
    failing = next((each for each in told if _keeps_from_scaling(each)), None)
    known = (service.status.conditions if service.status is not None else None) or ()
    ready = conditions.find(known, c.RUNTIME_READY)
    if failing is None or ready is None or ready.status != "True":
        return None, 0.0
    since = min(
        (now - parse_time(each.last_transition_time)).total_seconds()
        for each in (failing, ready)
        if each.last_transition_time
    )
    if since < METRICS_SECONDS:
        return None, METRICS_SECONDS - since
    words = one_line(failing.message or failing.reason)
    remedy = "; install metrics-server" if _METRICS_API in words else ""
    message = f"the HorizontalPodAutoscaler {hpa.metadata.name!r} says: {words}{remedy}"
    scaler = ObjectRef(HORIZONTAL_POD_AUTOSCALERS.kind, hpa.metadata.namespace, hpa.metadata.name)
    return _problem(Reason.AUTOSCALING_FAILED, message, scaler), 0.0


def _keeps_from_scaling(condition: Condition) -> bool:
    return (
        condition.type in ("AbleToScale", "ScalingActive")
        and condition.status == "False"
        and condition.reason != _AT_ZERO
    )


def _problem(reason: str, message: str, blocker: ObjectRef | None = None) -> ConditionSummary:
    return ConditionSummary(
        ok=False,
        reason=reason,
        message=f"autoscaling does not work: {message}",
        state=State.DEGRADED,
        blocker=blocker,
    )
