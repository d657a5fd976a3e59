"""What `aimctl why` reads out of Pods and events about them: the words of the root, and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Event, Pod
from aim_operator.cli.why.foreign import InferenceService, pod_hop, server_hop

NO_HUB = "ConnectionError: Max retries exceeded with url: /api/models"


def pod(**status: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": "chat-0", "namespace": "team"}, "status": status}, Pod)


def container(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    status = {"name": "server", "state": state, **({"lastState": last} if last else {})}
    return {"phase": "Pending", "containerStatuses": [status]}


def waiting(reason: str, message: str = "", last: dict[str, Any] | None = None) -> dict[str, Any]:
    return container({"waiting": {"reason": reason, "message": message}}, last)


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def unschedulable(message: str) -> dict[str, Any]:
    told = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"phase": "Pending", "conditions": [told]}


def event(
    reason: str,
    message: str,
    type_: str = "Warning",
    *,
    created: str = "2026-01-31T12:00:00Z",
    seen: str | None = None,
) -> Event:
    words = {"type": type_, "reason": reason, "message": message, "lastTimestamp": seen}
    return msgspec.convert({"metadata": {"creationTimestamp": created}, **words}, Event)


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        pytest.param(
            waiting("CrashLoopBackOff", last=ended(137, "OOMKilled")),
            "OOMKilled",
            "limits.memory",
            id="memory",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", last=ended(1, message="401 Client Error")),
            "Error",
            "HF_TOKEN",
            id="401",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", last=ended(1, message=NO_HUB)), "Error", "HF_ENDPOINT", id="no hub"
        ),
        pytest.param(
            waiting("CrashLoopBackOff", last=ended(1, message="what?")), "Error", "", id="words of its own"
        ),
        pytest.param(
            unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {a: b}."),
            "Unschedulable",
            "tolerate the taint with scheduling.tolerations",
            id="a taint",
        ),
        pytest.param(
            unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint(s)."),
            "Unschedulable",
            "tolerate the taint with scheduling.tolerations",
            id="a taint, in the words of Kubernetes 1.35",
        ),
        pytest.param(
            unschedulable("0/1 nodes are available: 1 Insufficient amd.com/gpu."),
            "Unschedulable",
            "",
            id="GPUs: as in the list of reasons",
        ),
        pytest.param(
            unschedulable('persistentvolumeclaim "gone" not found'),
            "Unschedulable",
            "have the claim made again",
            id="a claim that is missing",
        ),
        pytest.param(
            unschedulable("pod has unbound immediate PersistentVolumeClaims"),
            "Unschedulable",
            "kubectl describe pvc",
            id="a claim that is not bound",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on resource: memory"},
            "Evicted",
            "free on the node",
            id="evicted",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "OutOfamd.com/gpu", "message": "Pod was rejected: full"},
            "OutOfamd.com/gpu",
            "free amd.com/gpu on the Pod's node",
            id="a device that the node has no more of",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Terminated", "message": "imminent node shutdown."},
            "Terminated",
            "bring the node back",
            id="a node that shuts down",
        ),
        pytest.param(
            waiting("SignatureValidationFailed", "the signature validation failed"),
            "ImagePullFailed",
            "",
            id="a signature",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Preempted", "message": "by another"}, "Preempted", "", id="others"
        ),
    ],
)
def test_the_status_of_a_pod(status: dict[str, Any], reason: str, remedy: str) -> None:
    hop = pod_hop(pod(**status), "service", "scheduling")
    assert hop.reason == reason
    assert (remedy in hop.remedy) if remedy else hop.remedy == ""


@pytest.mark.parametrize(
    ("reason", "words", "remedy"),
    [
        ("FailedMount", "words", "create what the message names"),
        ("FailedAttachVolume", 'Multi-Attach error for volume "a" Volume is already used', "ReadWriteMany"),
        ("FailedAttachVolume", 'AttachVolume.Attach failed for volume "a" : no', "volumeattachments"),
        ("FailedCreatePodSandBox", "words", "network plugin"),
        ("NetworkNotReady", "network is not ready: words", "network plugin"),
        ("Unhealthy", "words", "aimctl logs"),
        ("Anything", "words", "kubectl describe pod"),
    ],
)
def test_where_its_status_says_nothing_its_last_warning_does(reason: str, words: str, remedy: str) -> None:
    hop = pod_hop(pod(**waiting("ContainerCreating")), "service", "scheduling", [event(reason, words)])
    assert (hop.reason, hop.message) == (reason, words)
    assert remedy in hop.remedy


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(waiting("ErrImagePull", "no such image"), id="what it waits for"),
        pytest.param(waiting("CrashLoopBackOff", last=ended(1, message="words")), id="how it ended"),
        pytest.param({"phase": "Failed", "reason": "Evicted", "message": "memory"}, id="what ended it"),
    ],
)
def test_a_status_with_words_goes_before_events(status: dict[str, Any]) -> None:
    hop = pod_hop(pod(**status), "service", "scheduling", [event("BackOff", "an event")])
    assert hop.message != "an event"


def test_an_event_that_is_no_warning_is_no_cause() -> None:
    hop = pod_hop(pod(phase="Pending"), "service", "scheduling", [event("Pulled", "image", "Normal")])
    assert (hop.state, hop.message) == ("Pending", "")


def test_of_two_warnings_the_one_that_was_seen_last_is_told_although_it_is_older() -> None:
    passed = event("FailedMount", "passed", created="2026-01-31T12:05:00Z")
    lasting = event("NetworkNotReady", "lasts", seen="2026-01-31T12:30:00Z")
    hop = pod_hop(pod(phase="Pending"), "service", "scheduling", [passed, lasting])
    assert hop.message == "lasts"


@pytest.mark.parametrize(
    ("code", "probe", "remedy"),
    [
        pytest.param(137, "Startup probe failed: no", "startupTimeoutSeconds", id="stopped by its probe"),
        pytest.param(1, "Startup probe failed: no", "", id="ended by itself"),
        pytest.param(137, "Readiness probe failed: no", "", id="a probe that stops nothing"),
    ],
)
def test_a_container_that_a_probe_has_stopped_says_so(code: int, probe: str, remedy: str) -> None:
    crashed = pod(**waiting("CrashLoopBackOff", last=ended(code, message="INFO loading")))
    hop = pod_hop(crashed, "service", "scheduling", [event("Unhealthy", probe)])
    assert hop.message.startswith(f"container server exited with code {code}: INFO loading")
    assert (probe in hop.message) == bool(remedy)
    assert (remedy in hop.remedy) if remedy else hop.remedy == ""


def served(**status: Any) -> InferenceService:
    metadata = {"name": "chat", "namespace": "team"}
    return msgspec.convert({"metadata": metadata, "status": status}, InferenceService)


WAITS_FOR_RUNTIME = {
    "transitionStatus": "InvalidSpec",
    "lastFailureInfo": {
        "reason": "RuntimeNotRecognized",
        "message": "Waiting for runtime to become available",
    },
}
NO_RUNTIME = "No ServingRuntimes or ClusterServingRuntimes with the name: chat"


def test_of_a_runtime_that_is_missing_the_event_has_the_name() -> None:
    hop = server_hop(served(modelStatus=WAITS_FOR_RUNTIME), [event("InternalError", NO_RUNTIME)])
    assert hop.message == f"Waiting for runtime to become available: {NO_RUNTIME}"
    assert (hop.reason, hop.remedy) == ("RuntimeNotRecognized", "correct what KServe names")


def test_what_kserve_notes_of_services_that_run_is_no_cause() -> None:
    hop = server_hop(served(), [event("VirtualServiceCRDNotFound", "Istio VirtualService CRD not present")])
    assert (hop.reason, hop.message, hop.remedy) == ("", "", "")
