"""What an InferenceService and its Pods say, in their own words."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from aim_operator.api.external import InferenceService, Pod
from aim_operator.core.serving.rollout import STARTING, Rollout, rollout
from tests.support.service_builders import REVISION, make_inference_service, make_pod

BLOCKED: dict[str, Any] = {
    "transitionStatus": "BlockedByFailedLoad",
    "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no\nsuch model"},
}
CRASH = make_pod(waiting={"reason": "CrashLoopBackOff"}, ended={"exitCode": 137, "message": "out of\nmemory"})


def look(
    live: InferenceService, pods: tuple[Pod, ...] = (), *, replicas: int = 1, refused: str = ""
) -> Rollout:
    return rollout(live, pods, revision=REVISION, replicas=replicas, refused=refused)


@pytest.mark.parametrize(
    ("live", "serving"),
    [
        pytest.param(make_inference_service(ready=True), True, id="ready"),
        pytest.param(make_inference_service(ready=False), False, id="not ready any more"),
        pytest.param(make_inference_service(), False, id="not looked at"),
        pytest.param(
            make_inference_service(ready=True, generation=5, observed_generation=2),
            True,
            id="ready, with the generation of its Deployment in the status",
        ),
    ],
)
def test_without_pods_kserve_is_believed(live: InferenceService, serving: bool) -> None:  # noqa: FBT001 - a table
    got = look(live)
    assert (got.serving, got.complete, got.failure) == (serving, serving, "")
    assert got.reason == ("RuntimeReady" if serving else "CreatingRuntime")


OVERDUE = {
    "type": "PredictorReady",
    "status": "False",
    "reason": "ProgressDeadlineExceeded",
    "message": 'ReplicaSet "chat-predictor-0a1b" has timed out progressing.',
}


ROLLING = {
    "type": "PredictorReady",
    "status": "Unknown",
    "reason": "ReplicaSetUpdated",
    "message": 'ReplicaSet "chat-predictor-0a1b" is progressing.',
}
"""What KServe 0.16 to 0.19 say during a roll-out."""


@pytest.mark.parametrize(
    ("new", "failure"),
    [
        pytest.param(make_pod(name="chat-new"), "", id="whose Pod starts"),
        pytest.param(CRASH, "container kserve-container exited with code 137", id="whose Pod crashes"),
    ],
)
def test_a_roll_out_does_not_end_the_service_on_a_kserve_that_does_not_know_meanwhile(
    new: Pod, failure: str
) -> None:
    live = make_inference_service(conditions=[ROLLING, {"type": "Ready", "status": "Unknown"}])
    got = look(live, (OLD, new))
    assert (got.serving, got.complete, got.reason) == (True, False, "RollingOut")
    assert got.failure.startswith(failure)
    assert bool(got.failure) is bool(failure)
    assert not look(live, (new,)).serving, "none of its Pods answers"
    unknown = {name: word for name, word in ROLLING.items() if name not in ("reason", "message")}
    assert not look(make_inference_service(conditions=[unknown]), (OLD, new)).serving, "it has yet to look"


def test_once_the_new_pods_serve_nothing_is_missing_though_that_kserve_waits_for_old_ones_to_go() -> None:
    ingress = {"type": "IngressReady", "status": "True"}
    got = look(make_inference_service(conditions=[ROLLING, ingress]), (OLD, make_pod(ready=True)))
    assert (got.serving, got.complete, got.message) == (True, True, "the InferenceService is ready")


def test_a_roll_out_that_takes_long_does_not_end_the_service() -> None:
    """After ten minutes KServe calls it not ready, whatever serves: its deadline can't be set."""
    got = look(make_inference_service(ready=False, conditions=[OVERDUE]), (OLD, make_pod(name="chat-new")))
    assert (got.serving, got.complete, got.reason, got.failure) == (True, False, "RollingOut", "")
    assert got.message.startswith("the previous revision serves")


def test_a_first_start_that_takes_long_is_still_a_start() -> None:
    got = look(make_inference_service(ready=False, conditions=[OVERDUE]), (make_pod(),))
    assert (got.serving, got.reason, got.failure) == (False, "CreatingRuntime", "")
    assert got.message == (
        "the model server has been starting for more than ten minutes; it is restarted only when "
        "serving.startupTimeoutSeconds is over"
    )


def test_what_is_not_ready_for_another_reason_does_not_serve() -> None:
    conditions = [{**OVERDUE, "reason": "MinimumReplicasUnavailable"}]
    assert not look(make_inference_service(ready=False, conditions=conditions), (OLD,)).serving


OLD = make_pod(ready=True, revision="0ld", name="chat-old")
NEW = make_pod(ready=True, name="chat-new")
GOING = structs.replace(
    NEW, metadata=structs.replace(NEW.metadata, deletion_timestamp="2026-01-31T12:00:00Z")
)


@pytest.mark.parametrize(
    ("pods", "replicas", "complete", "message", "failure"),
    [
        pytest.param((NEW,), 1, True, "the InferenceService is ready", "", id="its Pod serves"),
        pytest.param((NEW, OLD), 1, True, "the InferenceService is ready", "", id="and an old one still"),
        pytest.param(
            (OLD,),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "",
            id="KServe has not begun",
        ),
        pytest.param(
            (NEW, OLD), 2, False, "1 of 2 replicas serve the current revision", "", id="it is half done"
        ),
        pytest.param(
            (OLD, GOING),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "",
            id="its Pod is going, and still ready",
        ),
        pytest.param(
            (NEW,), 3, False, "1 of 3 replicas serve the current revision", "", id="it is being scaled"
        ),
        pytest.param(
            (OLD, CRASH),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "container kserve-container exited with code 137: out of memory",
            id="the new one crashes",
        ),
        pytest.param(
            (
                OLD,
                make_pod(
                    waiting={"reason": "CrashLoopBackOff"}, ended={"exitCode": 137, "reason": "OOMKilled"}
                ),
            ),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "container kserve-container exited with code 137 (OOMKilled)",
            id="the new one is killed for its memory",
        ),
        pytest.param(
            (OLD, make_pod(unschedulable="0/3 nodes have amd.com/gpu")),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "",
            id="there is no GPU beside the old one: no failure of the new one",
        ),
        pytest.param(
            (
                OLD,
                make_pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
            ),
            1,
            False,
            "the previous revision serves; 0 of 1 replicas serve the current revision",
            "Evicted: The node was low on resource: memory.",
            id="the new one was evicted",
        ),
    ],
)
def test_ready_of_the_version_before_is_not_ready_of_this_one(
    pods: tuple[Pod, ...],
    replicas: int,
    complete: bool,  # noqa: FBT001 - a table
    message: str,
    failure: str,
) -> None:
    got = look(make_inference_service(ready=True), pods, replicas=replicas)
    assert (got.serving, got.complete, got.message, got.failure) == (True, complete, message, failure)


def test_the_youngest_pod_tells_the_cause() -> None:
    older = make_pod(
        name="chat-1",
        created="2026-01-31T11:00:00Z",
        waiting={"reason": "CrashLoopBackOff"},
        ended={"exitCode": 143},
    )
    assert "137" in look(make_inference_service(), (older, CRASH)).failure


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
        pytest.param(
            make_inference_service(),
            (
                make_pod(
                    waiting={"reason": "PodInitializing"},
                    initContainerStatuses=[
                        {"name": "istio-proxy", "started": False, "state": {"running": {}}}
                    ],
                ),
            ),
            False,
            "the model server's Pod waits for its container 'istio-proxy', which has to start first; see "
            "kubectl logs -n team chat-0 -c istio-proxy",
            id="a sidecar that has to start first",
        ),
    ],
)
def test_it_is_not_ready_because(
    live: InferenceService,
    pods: tuple[Pod, ...],
    failed: bool,  # noqa: FBT001 - a table
    message: str,
) -> None:
    got = look(live, pods)
    assert (got.serving, bool(got.failure), got.message) == (False, failed, message)
    assert got.reason == ("RuntimeFailed" if failed else "CreatingRuntime")


REFUSED = 'Error creating: pods "chat-predictor-1" is forbidden: violates PodSecurity "restricted:latest"'


def test_a_pod_that_the_cluster_refuses_is_told_in_its_words() -> None:
    got = look(make_inference_service(), refused=REFUSED)
    assert (got.serving, got.reason, got.message, got.failure) == (False, "RuntimeFailed", REFUSED, REFUSED)


def test_a_new_revision_whose_pods_are_refused_fails_beside_the_old_one() -> None:
    """Pod Security and quotas refuse it for ever, and no Pod tells."""
    got = look(make_inference_service(ready=True), (OLD,), refused=REFUSED)
    assert (got.serving, got.complete, got.reason, got.failure) == (True, False, "RollingOut", REFUSED)


def test_an_old_pod_that_is_ready_serves_also_where_kserve_takes_back_its_ready() -> None:
    """As it does for a Deployment with ReplicaFailure, whatever is available."""
    refused = [{"type": "PredictorReady", "status": "False", "reason": "FailedCreate", "message": "quota"}]
    live = make_inference_service(ready=False, conditions=refused)
    got = look(live, (OLD,), refused=REFUSED)
    assert (got.serving, got.complete, got.reason, got.failure) == (True, False, "RollingOut", REFUSED)
    got = look(live, (make_pod(revision="0ld", name="chat-old"),), refused=REFUSED)
    assert (got.serving, got.reason, got.failure) == (False, "RuntimeFailed", REFUSED)
    got = look(live, refused=REFUSED)
    assert (got.serving, got.reason, got.failure) == (False, "RuntimeFailed", REFUSED)


def test_a_refusal_is_old_news_where_there_are_pods() -> None:
    assert not look(make_inference_service(), (make_pod(),), refused=REFUSED).failure
    assert look(make_inference_service(ready=True), refused=REFUSED).complete
