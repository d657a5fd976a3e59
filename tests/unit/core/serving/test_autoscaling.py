"""Who writes the number of copies, for each thing that can be measured and each state that can be met."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from aim_operator.core.serving.autoscaling import bounds, scaled_object, scaling_annotations
from tests.support.service_builders import make_service, revision_of_service
from tests.unit.core.serving.test_scale import make_deployment

CPU = {"type": "CPU", "target": 70}
MEMORY = {"type": "Memory", "target": 80}
QUEUE = {"type": "QueueLength", "target": 5}
PROMETHEUS = "http://prometheus:9090"


def autoscaled_by(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"autoscaling": {"maxReplicas": 4, "metrics": list(metrics)}} if metrics else {}


def asked(*metrics: dict[str, Any], at: int = 1, keda: bool = True, **spec: Any) -> dict[str, str]:
    autoscaling = autoscaled_by(metrics)
    found = scaling_annotations(make_service(**autoscaling, **spec), make_deployment(replicas=at), keda=keda)
    return {name.rpartition("/")[2]: value for name, value in found.items()}


@pytest.mark.parametrize(
    ("got", "want"),
    [
        pytest.param(asked(), {"autoscalerClass": "none"}, id="no autoscaler"),
        pytest.param(asked(replicas=0, at=0), {"autoscalerClass": "none"}, id="no autoscaler, stopped"),
        pytest.param(asked(CPU, MEMORY), {"autoscalerClass": "hpa"}, id="what an HPA measures"),
        pytest.param(asked(CPU, QUEUE), {"autoscalerClass": "external"}, id="also what only KEDA measures"),
        pytest.param(
            asked(CPU, replicas=0), {"autoscalerClass": "hpa", "stop": "true"}, id="an HPA, stopped"
        ),
        pytest.param(
            asked(QUEUE, replicas=0), {"autoscalerClass": "external", "stop": "true"}, id="KEDA, stopped"
        ),
        pytest.param(
            asked(CPU, at=0), {"autoscalerClass": "hpa", "stop": "true"}, id="an HPA never leaves zero"
        ),
        pytest.param(asked(QUEUE, at=0), {"autoscalerClass": "external"}, id="KEDA does"),
        pytest.param(
            asked(QUEUE, at=0, keda=False),
            {"autoscalerClass": "external", "stop": "true"},
            id="KEDA, which is not there",
        ),
    ],
)
def test_kserve_is_told_who_writes(got: dict[str, str], want: dict[str, str]) -> None:
    assert got == want


def test_the_bounds_of_an_hpa_are_those_of_the_spec() -> None:
    autoscaling = {"minReplicas": 2, "maxReplicas": 4, "metrics": [CPU, MEMORY]}
    got = bounds(make_service(autoscaling=autoscaling))
    assert (got["minReplicas"], got["maxReplicas"]) == (2, 4)
    assert [each["resource"]["name"] for each in got["autoScaling"]["metrics"]] == ["cpu", "memory"]


def test_keda_gets_each_metric_in_its_own_terms() -> None:
    query = {"type": "Query", "target": 10, "query": "sum(x)"}
    metrics = [CPU, QUEUE, {"type": "CacheUsage", "target": 80}, query]
    made = scaled_object(
        make_service(autoscaling={"minReplicas": 0, "maxReplicas": 4, "metrics": metrics}), PROMETHEUS
    )
    assert made is not None
    spec = made.manifest["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (0, 4)
    assert [(each["type"], each["metricType"]) for each in spec["triggers"]] == [
        ("cpu", "Utilization"),
        ("prometheus", "AverageValue"),
        ("prometheus", "Value"),
        ("prometheus", "AverageValue"),
    ]


def test_queries_are_about_the_pods_of_this_service_only() -> None:
    made = scaled_object(make_service("chat", autoscaling={"maxReplicas": 2, "metrics": [QUEUE]}), PROMETHEUS)
    assert made is not None
    (trigger,) = made.manifest["spec"]["triggers"]
    assert 'namespace="team",pod=~"chat-predictor-[a-z0-9]+-[a-z0-9]+"' in trigger["metadata"]["query"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({}, id="no autoscaler"),
        pytest.param({"autoscaling": {"maxReplicas": 2, "metrics": [CPU]}}, id="an HPA"),
        pytest.param({"replicas": 0, "autoscaling": {"maxReplicas": 2, "metrics": [QUEUE]}}, id="stopped"),
    ],
)
def test_there_is_no_scaled_object_for(spec: dict[str, Any]) -> None:
    assert scaled_object(make_service(**spec), PROMETHEUS) is None


def test_pods_of_another_autoscaler_class_are_of_another_revision() -> None:
    """KServe writes the class into them."""
    none, cpu, memory, queue = (
        revision_of_service(make_service(**autoscaled_by(metrics)))
        for metrics in ([], [CPU], [MEMORY], [QUEUE])
    )
    assert len({none, cpu, queue}) == 3
    assert cpu == memory, "another metric concerns no Pod"
