"""Who keeps the number of copies from following what is measured, and when a service without copies idles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from aim_operator.api.external import HorizontalPodAutoscaler, ScaledObject
from aim_operator.api.v1alpha1 import AIMServiceStatus
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.core.service.autoscaling_plan import (
    LEFTOVER_SECONDS,
    METRICS_SECONDS,
    judge_scalers,
    plan_autoscaling,
    service_idles,
)
from aim_operator.core.service.observed import ServiceObserved
from tests.support.service_builders import (
    NOW,
    make_pod,
    make_service,
    make_service_observed,
    make_workload,
)
from tests.unit.core.serving.test_autoscaling import CPU, PROMETHEUS, QUEUE
from tests.unit.core.serving.test_scale import make_deployment

NO_METRICS = "unable to get metrics for resource cpu: no metrics returned from resource metrics API"
ACTIVE = structs.replace(make_workload(), prometheus_address=PROMETHEUS)


def since(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).isoformat()


def scaled_by_an_hpa(
    *, ready_for: float, failing_for: float, why: str = "FailedGetResourceMetric", **spec: Any
) -> ServiceObserved:
    """Return a service that is ready, whose HPA does not scale it, for so many seconds each."""
    ready = {"type": c.RUNTIME_READY, "status": "True", "reason": "RuntimeReady"}
    failing = {"type": "ScalingActive", "status": "False", "reason": why, "message": NO_METRICS}
    status = {"conditions": [{**ready, "lastTransitionTime": since(ready_for)}]}
    told = {"conditions": [{**failing, "lastTransitionTime": since(failing_for)}]}
    hpa = {"metadata": {"name": "chat-predictor", "namespace": "team"}, "status": told}
    service = make_service(
        autoscaling={"maxReplicas": 4, "metrics": [CPU]},
        status=msgspec.convert(status, AIMServiceStatus),
        **spec,
    )
    return make_service_observed(service, autoscaler=msgspec.convert(hpa, HorizontalPodAutoscaler))


@pytest.mark.parametrize(
    ("ready_for", "failing_for", "left"),
    [
        pytest.param(5, 600, METRICS_SECONDS - 5, id="not of Pods that just became ready"),
        pytest.param(600, 5, METRICS_SECONDS - 5, id="not of an HPA that just lost its metrics"),
        pytest.param(600, METRICS_SECONDS, 0, id="of one that had the time to measure"),
    ],
)
def test_an_hpa_without_metrics_is_told_of(ready_for: float, failing_for: float, left: float) -> None:
    """While a model loads its HPA has none, and says so: none of that is a failure."""
    problem, seconds = judge_scalers(scaled_by_an_hpa(ready_for=ready_for, failing_for=failing_for), now=NOW)
    assert (problem is None, seconds) == (left > 0, left)
    assert problem is None or NO_METRICS in problem.message


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"why": "ScalingDisabled"}, id="it says that there is no copy to measure"),
        pytest.param({"replicas": 0}, id="its service was just stopped, and KServe has yet to delete it"),
    ],
)
def test_an_hpa_that_has_nothing_to_scale_is_no_failure(more: dict[str, Any]) -> None:
    observed = scaled_by_an_hpa(ready_for=600, failing_for=600, **more)
    assert judge_scalers(observed, now=NOW) == (None, 0)


def with_leftover(observed: ServiceObserved, *, deleted_for: float) -> ServiceObserved:
    """Return the same beside a ScaledObject that was deleted so many seconds ago, and does not go."""
    deleted = {"deletionTimestamp": since(deleted_for), "finalizers": ["finalizer.keda.sh"]}
    going = {"metadata": {"name": "chat", "namespace": "team", **deleted}}
    return structs.replace(observed, scaled_object=msgspec.convert(going, ScaledObject))


def test_of_two_autoscalers_that_are_in_trouble_the_one_that_should_be_gone_is_told_of() -> None:
    """It goes on changing the number of copies, whatever the other one measures."""
    observed = with_leftover(scaled_by_an_hpa(ready_for=600, failing_for=600), deleted_for=3600)
    problem, _ = judge_scalers(observed, now=NOW)
    assert problem is not None
    assert "the ScaledObject 'chat' was deleted and is still there" in problem.message


def test_of_two_autoscalers_the_one_that_is_due_first_is_asked_about_first() -> None:
    observed = with_leftover(scaled_by_an_hpa(ready_for=5, failing_for=5), deleted_for=10)
    assert judge_scalers(observed, now=NOW) == (None, LEFTOVER_SECONDS - 10)


def at_zero(minimum: int = 0, **seen: Any) -> ServiceObserved:
    """Return a service that KEDA may scale to as few as `minimum`, of which there is no copy."""
    autoscaling = {"minReplicas": minimum, "maxReplicas": 4, "metrics": [QUEUE]}
    seen = {"keda_installed": True, "deployment": make_deployment(replicas=0), **seen}
    return make_service_observed(make_service(autoscaling=autoscaling), **seen)


@pytest.mark.parametrize(
    ("observed", "want"),
    [
        pytest.param(at_zero(), True, id="KEDA has taken the last copy"),
        pytest.param(at_zero(keda_installed=False), False, id="no KEDA is there to start one again"),
        pytest.param(at_zero(1), False, id="it was not KEDA that took it"),
        pytest.param(at_zero(pods=(make_pod(),)), False, id="its last Pod is still there"),
    ],
)
def test_a_service_without_copies_idles_if(observed: ServiceObserved, *, want: bool) -> None:
    assert service_idles(observed) is want


def test_keda_is_told_of_a_deployment_only_after_kserve_is() -> None:
    """Where the InferenceService is refused there is none, and the ScaledObject would scale nothing."""
    (child,), _, _ = plan_autoscaling(at_zero(), ACTIVE)
    assert (child.kind, child.after) == ("ScaledObject", "InferenceService")


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        pytest.param("TriggerError", "broken: no answer", id="no metric can be read: why"),
        pytest.param("PartialTriggerError", "broken: no answer", id="one can't be read: why"),
        pytest.param("ScaledObjectCheckFailed", "broken", id="something else: not why a metric once failed"),
    ],
)
def test_keda_says_of_a_scaled_object_that(reason: str, words: str) -> None:
    told = {"type": "Ready", "status": "False", "reason": reason, "message": "broken"}
    live = {"metadata": {"name": "chat", "namespace": "team"}, "status": {"conditions": [told]}}
    observed = at_zero(scaled_object=msgspec.convert(live, ScaledObject), keda_warning="no answer")
    _, _, problem = plan_autoscaling(observed, ACTIVE)
    assert problem is not None
    assert problem.message.endswith(f"KEDA says of the ScaledObject: {words}")
