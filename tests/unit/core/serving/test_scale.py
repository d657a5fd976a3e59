"""How many copies there are, by KServe's Deployment, and which of them are of the revision that is wanted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Deployment
from aim_operator.core import labels
from aim_operator.core.serving.scale import Replicas, count, remaining_pods, selector
from tests.support.service_builders import REVISION, make_pod, make_service

COUNTED = {"observedGeneration": 3, "replicas": 3, "readyReplicas": 2, "updatedReplicas": 1}


def make_deployment(
    status: dict[str, Any] | None = None, *, revision: str = REVISION, replicas: int = 2
) -> Deployment:
    return msgspec.convert(
        {
            "metadata": {
                "name": "chat-predictor",
                "namespace": "team",
                "generation": 3,
                "labels": {labels.REVISION: revision},
            },
            "spec": {"replicas": replicas},
            "status": COUNTED if status is None else status,
        },
        Deployment,
    )


@pytest.mark.parametrize(
    ("deployment", "want"),
    [
        pytest.param(None, Replicas(desired=2), id="KServe has made none yet"),
        pytest.param(
            make_deployment(), Replicas(desired=2, present=3, ready=2, updated=1), id="during a roll-out"
        ),
        pytest.param(
            make_deployment(revision="older"),
            Replicas(desired=2, present=3, ready=2),
            id="KServe has not handed the new revision on",
        ),
        pytest.param(
            make_deployment({**COUNTED, "observedGeneration": 2}),
            Replicas(desired=2, present=3, ready=2),
            id="its controller has not looked at the new revision",
        ),
        pytest.param(make_deployment({}), Replicas(desired=2), id="its controller has not looked at all"),
    ],
)
def test_copies_are_counted(deployment: Deployment | None, want: Replicas) -> None:
    assert count(make_service(replicas=2), deployment, revision=REVISION) == want


def test_pods_that_are_ending_remain_after_their_deployment_has_forgotten_them() -> None:
    """A Deployment does not count what has a deletion timestamp; its GPU is still taken."""
    gone = make_deployment({**COUNTED, "replicas": 0})
    assert remaining_pods(gone, [make_pod()]) == 1
    assert remaining_pods(gone, []) == 0
    assert remaining_pods(None, []) == 0
    assert remaining_pods(make_deployment(), []) == 3


def test_the_selector_is_the_label_that_kserve_gives_to_pods() -> None:
    assert selector(make_service("talk")) == "serving.kserve.io/inferenceservice=talk"
