"""What an InferenceService and its Pods say, in their own words."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.api.external import InferenceService, Pod
from aim_operator.core.service.runtime_state import STARTING, runtime_state
from tests.support.service_builders import make_inference_service, make_pod

STALE: dict[str, Any] = {"generation": 2, "observed_generation": 1}
BLOCKED: dict[str, Any] = {
    "transitionStatus": "BlockedByFailedLoad",
    "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no\nsuch model"},
}
CRASH = make_pod(waiting={"reason": "CrashLoopBackOff"}, ended={"exitCode": 137, "message": "out of\nmemory"})


@pytest.mark.parametrize(
    ("live", "was_ready", "want"),
    [
        pytest.param(make_inference_service(ready=True), False, True, id="ready"),
        pytest.param(make_inference_service(ready=False), True, False, id="not ready any more"),
        pytest.param(make_inference_service(), False, False, id="not looked at"),
        pytest.param(
            make_inference_service(ready=True, **STALE), False, False, id="ready by an older generation"
        ),
        pytest.param(
            make_inference_service(ready=True, **STALE), True, True, id="a rollout of what was ready goes on"
        ),
    ],
)
def test_it_is_ready(live: InferenceService, was_ready: bool, want: bool) -> None:  # noqa: FBT001 - a table
    got = runtime_state(live, (), was_ready=was_ready)
    assert (got.ready, got.failed) == (want, False)
    assert got.reason == ("RuntimeReady" if want else "CreatingRuntime")


@pytest.mark.parametrize(
    ("live", "pods", "failed", "message"),
    [
        pytest.param(make_inference_service(), (), False, STARTING, id="nothing is said"),
        pytest.param(
            make_inference_service(
                conditions=[{"type": "PredictorReady", "status": "False", "message": "0 of 1"}]
            ),
            (),
            False,
            "PredictorReady: 0 of 1",
            id="KServe says what it waits for",
        ),
        pytest.param(
            make_inference_service(),
            (make_pod(unschedulable="0/3 nodes have amd.com/gpu"),),
            False,
            "0/3 nodes have amd.com/gpu",
            id="no node has room",
        ),
        pytest.param(
            make_inference_service(model_status=BLOCKED), (), True, "no such model", id="KServe gave up"
        ),
        pytest.param(
            make_inference_service(model_status={"transitionStatus": "InvalidSpec"}),
            (),
            True,
            "InvalidSpec",
            id="KServe gave up without a word",
        ),
        pytest.param(
            make_inference_service(model_status=BLOCKED, **STALE),
            (),
            False,
            STARTING,
            id="KServe gave up on an older generation",
        ),
        pytest.param(
            make_inference_service(),
            (CRASH,),
            True,
            "container kserve-container exited with code 137: out of memory",
            id="a crash, in its last words",
        ),
        pytest.param(
            make_inference_service(),
            (make_pod(waiting={"reason": "CreateContainerConfigError", "message": "secret hf not found"}),),
            True,
            "container kserve-container: CreateContainerConfigError secret hf not found",
            id="a container that can't be made",
        ),
        pytest.param(
            make_inference_service(),
            (make_pod(waiting={"reason": "ErrImagePull", "message": "401 Unauthorized"}),),
            True,
            "ImagePullAuthFailed: 401 Unauthorized",
            id="an image that may not be pulled",
        ),
        pytest.param(
            make_inference_service(),
            (make_pod(waiting={"reason": "ContainerCreating"}),),
            False,
            STARTING,
            id="a container that is being made",
        ),
    ],
)
def test_it_is_not_ready_because(
    live: InferenceService,
    pods: tuple[Pod, ...],
    failed: bool,  # noqa: FBT001 - a table
    message: str,
) -> None:
    got = runtime_state(live, pods, was_ready=False)
    assert (got.ready, got.failed, got.message) == (False, failed, message)
    assert got.reason == ("RuntimeFailed" if failed else "CreatingRuntime")


def test_a_crashing_pod_of_a_rollout_does_not_outweigh_ready() -> None:
    assert runtime_state(make_inference_service(ready=True), (CRASH,), was_ready=True).ready


REFUSED = 'Error creating: pods "chat-predictor-1" is forbidden: violates PodSecurity "restricted:latest"'


def test_a_pod_that_the_cluster_refuses_is_told_in_its_words() -> None:
    got = runtime_state(make_inference_service(), (), was_ready=False, refused=REFUSED)
    assert (got.ready, got.failed, got.reason, got.message) == (False, True, "RuntimeFailed", REFUSED)


def test_a_refusal_is_old_news_where_there_are_pods() -> None:
    got = runtime_state(make_inference_service(), (make_pod(),), was_ready=False, refused=REFUSED)
    assert not got.failed
    got = runtime_state(make_inference_service(ready=True), (), was_ready=False, refused=REFUSED)
    assert got.ready
