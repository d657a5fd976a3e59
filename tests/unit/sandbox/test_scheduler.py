"""The stand-in for the scheduler decides, and says so, as the real one does."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.sandbox.scheduler import place

GPU = {"key": "amd.com/gpu", "effect": "NoSchedule"}


def node(name: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"affinity": {"nodeAffinity": required}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param({}, "plain", id="the first without a taint"),
        pytest.param({"tolerations": [{"operator": "Exists"}]}, "gpu", id="all are tolerated"),
        pytest.param({"tolerations": [{"key": "amd.com/gpu", "operator": "Exists"}]}, "gpu", id="it is"),
        pytest.param({"tolerations": [{"key": "amd.com/gpu", "value": "x"}]}, "plain", id="another value is"),
        pytest.param(
            {"tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoExecute"}]},
            "plain",
            id="another effect is",
        ),
        pytest.param({"nodeSelector": {"zone": "b"}}, "far", id="by a label"),
        pytest.param(affinity(expression("zone", "NotIn", "a")), "far", id="not by a label"),
        pytest.param(affinity(expression("cores", "Gt", "8")), "far", id="by more than"),
        pytest.param(affinity(expression("x", "Exists"), expression("zone", "In", "b")), "far", id="a term"),
        pytest.param(
            affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["far"]}]}),
            "far",
            id="by its name",
        ),
    ],
)
def test_a_pod_gets_a_node(spec: dict[str, Any], want: str) -> None:
    nodes = [
        node("gpu", {"zone": "a"}, taints=[GPU]),
        node("plain", {"zone": "a", "cores": "4"}),
        node("far", {"zone": "b", "cores": "16"}),
    ]
    assert place(spec, nodes) == (want, "")


def test_a_pod_that_gets_none_is_told_what_the_real_scheduler_tells() -> None:
    nodes = [node("gpu", taints=[GPU]), node("plain"), node("off", unschedulable=True)]
    name, message = place({"nodeSelector": {"zone": "b"}}, nodes)
    assert name == ""
    assert message == (
        "0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had "
        "untolerated taint(s), 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/3 "
        "nodes are available: 3 Preemption is not helpful for scheduling."
    )


def test_a_volume_of_a_node_keeps_its_pods_there() -> None:
    nodes = [node("one"), node("two")]
    assert place({}, nodes, ["two"]) == ("two", "")
    assert "1 node(s) didn't match PersistentVolume's node affinity" in place({}, [node("one")], ["two"])[1]
