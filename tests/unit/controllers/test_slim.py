"""What is kept of an object equals what came, and equal parts of different objects are one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Deployment, HorizontalPodAutoscaler, HTTPRoute, InferenceService
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.controllers import slim

CONDITION = {"type": "Ready", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": "t"}
REFERENCE = {"kind": "AIMImage", "name": "model", "scope": "Namespace", "uid": "u"}


def decoded(type_: Any, name: str, **body: Any) -> Any:
    metadata = {"name": name, "labels": {"team": "the research team"}, "annotations": {"a": "some words"}}
    return msgspec.json.decode(msgspec.json.encode({"metadata": metadata, **body}), type=type_)


def service(name: str) -> AIMService:
    status = {"conditions": [CONDITION], "resolvedImage": REFERENCE, "status": "Running"}
    made: AIMService = decoded(AIMService, name, spec={"model": "m"}, status=status)
    return made


CASES: list[Any] = [
    pytest.param(slim.service, service("a"), id="a service"),
    pytest.param(slim.service, decoded(AIMService, "a", spec={"model": "m"}), id="a service without status"),
    pytest.param(
        slim.inference_service,
        decoded(InferenceService, "a", spec={"predictor": {}}, status={"conditions": [CONDITION]}),
        id="an InferenceService",
    ),
    pytest.param(slim.inference_service, decoded(InferenceService, "a", spec={}), id="one without status"),
    pytest.param(
        slim.http_route,
        decoded(HTTPRoute, "a", spec={}, status={"parents": [{"conditions": [CONDITION]}]}),
        id="a route",
    ),
    pytest.param(slim.http_route, decoded(HTTPRoute, "a", spec={}, status={"parents": None}), id="null"),
]


@pytest.mark.parametrize(("keep", "obj"), CASES)
def test_nothing_is_lost(keep: Any, obj: Any) -> None:
    assert msgspec.json.encode(keep(obj)) == msgspec.json.encode(obj)


def test_equal_parts_are_kept_once() -> None:
    one, other = slim.service(service("a")), slim.service(service("b"))
    assert one.status
    assert other.status
    assert one.status.conditions
    assert other.status.conditions
    assert one.status.conditions[0] is other.status.conditions[0]
    assert one.status.resolved_image is other.status.resolved_image
    assert one.metadata.labels
    assert other.metadata.labels
    assert one.metadata.labels["team"] is other.metadata.labels["team"]
    assert one.metadata.name != other.metadata.name


def test_services_that_want_the_same_have_one_spec_of_an_inference_service() -> None:
    spec = {"predictor": {"minReplicas": 1}}
    one, other = (slim.inference_service(decoded(InferenceService, name, spec=spec)) for name in ("a", "b"))
    assert one.spec is other.spec
    changed = slim.inference_service(decoded(InferenceService, "a", spec={"predictor": {"minReplicas": 2}}))
    assert changed.spec != one.spec


def test_of_a_deployment_the_counts_are_kept_and_the_revision() -> None:
    """There is one for each service, with a Pod's whole template in it."""
    obj = msgspec.convert(
        {
            "metadata": {
                "name": "chat-predictor",
                "namespace": "team",
                "labels": {"aim.silogen.ai/revision": "0a1b2c3d", "team": "the research team"},
                "annotations": {"deployment.kubernetes.io/revision": "3"},
            },
            "spec": {"replicas": 2},
            "status": {"replicas": 3, "readyReplicas": 2},
        },
        Deployment,
    )
    got = slim.deployment(obj)
    assert (got.spec, got.status) == (obj.spec, obj.status)
    assert got.metadata.labels == {"aim.silogen.ai/revision": "0a1b2c3d"}
    assert got.metadata.annotations is None


def test_of_an_autoscaler_it_is_kept_what_it_says_of_itself() -> None:
    """Its name tells whose it is, and its metrics nothing that is decided by."""
    obj = decoded(
        HorizontalPodAutoscaler, "chat-predictor", spec={"metrics": []}, status={"conditions": [CONDITION]}
    )
    got = slim.autoscaler(obj)
    assert (got.metadata.name, got.status) == ("chat-predictor", obj.status)
    assert (got.metadata.labels, got.metadata.annotations) == (None, None)
