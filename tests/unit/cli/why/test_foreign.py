"""What `aimctl why` reads out of Pods and events about them: the words of the root, and what to do."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Event, PersistentVolumeClaim, Pod
from aim_operator.cli.why.foreign import InferenceService, claim_hop, pod_hop, server_hop

OUT_OF_MEMORY_AT_START = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
    "failed: unable to start container process: "
    "container init was OOM-killed (memory limit too low?): unknown"
)
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
            waiting("CrashLoopBackOff", last=ended(1, message="what?")),
            "Error",
            "do what its last words say; aimctl logs has all of them",
            id="words of its own",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", last=ended(1)),
            "Error",
            "read its log with aimctl logs",
            id="no words",
        ),
        pytest.param(
            waiting("RunContainerError", OUT_OF_MEMORY_AT_START),
            "JobPending",
            "raise resources.limits.memory of the service or its template",
            id="a limit in which nothing starts",
        ),
        pytest.param(
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "JobPending",
            "set securityContext.runAsUser",
            id="an image of root",
        ),
        pytest.param(
            waiting("CreateContainerConfigError", 'secret "hf-token" not found'),
            "JobPending",
            "",
            id="a Secret that is missing: as in the list of reasons",
        ),
        pytest.param(
            waiting("ErrImagePull", "failed with status code [manifests v1]: 429 Too Many Requests"),
            "ImagePullFailed",
            "wait, the kubelet tries again",
            id="too many pulls",
        ),
        pytest.param(
            waiting("ErrImagePull", "dial tcp: lookup registry.invalid on 10.0.0.1:53: no such host"),
            "ImagePullFailed",
            "see that the Pod's node reaches the registry",
            id="a registry that nobody reaches",
        ),
        pytest.param(
            waiting("ImagePullBackOff", 'failed to resolve reference "ghcr.io/a:b": ghcr.io/a:b: not found'),
            "ImagePullFailed",
            "",
            id="an image that is missing: as in the list of reasons",
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
        ("FailedCreatePodSandBox", OUT_OF_MEMORY_AT_START, "raise resources.limits.memory"),
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
        pytest.param(1, "Startup probe failed: no", "its last words", id="ended by itself"),
        pytest.param(137, "Readiness probe failed: no", "its last words", id="a probe that stops nothing"),
    ],
)
def test_a_container_that_a_probe_has_stopped_says_so(code: int, probe: str, remedy: str) -> None:
    crashed = pod(**waiting("CrashLoopBackOff", last=ended(code, message="INFO loading")))
    hop = pod_hop(crashed, "service", "scheduling", [event("Unhealthy", probe)])
    assert hop.message.startswith(f"container server exited with code {code}: INFO loading")
    assert (probe in hop.message) == (remedy == "startupTimeoutSeconds")
    assert remedy in hop.remedy


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        pytest.param(waiting("CrashLoopBackOff", last=ended(1, message="what?")), "", id="its own words"),
        pytest.param(
            waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"),
            "set jobs.securityContext.runAsUser",
            id="an image of root",
        ),
    ],
)
def test_the_pod_of_a_job_has_the_fields_of_jobs(status: dict[str, Any], remedy: str) -> None:
    """What its words ask for is said by the list of reasons: of a discovery, and of a download."""
    hop = pod_hop(pod(**status), "Job", "jobs.scheduling")
    assert remedy in hop.remedy if remedy else hop.remedy == ""


@pytest.mark.parametrize("words", ['{"x":' + "[" * 4000, "[" * 4096, '{"reason": 5}'])
def test_last_words_that_are_no_download_s_are_said_as_they_are(words: str) -> None:
    """A container writes what it likes into its termination message, 4,096 bytes of it."""
    hop = pod_hop(pod(**container(ended(1, message=words))), "InferenceService", "scheduling")
    assert hop.message.startswith("container server exited with code 1: ")
    assert words[-14:] in hop.message


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


def test_what_a_container_said_and_kserve_hands_on_is_not_for_kserve_to_correct() -> None:
    failure = {"reason": "ModelLoadFailed", "message": "ValueError: soon", "exitCode": 1}
    status = {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": failure}
    hop = server_hop(served(modelStatus=status), [])
    assert (hop.reason, hop.message) == ("ModelLoadFailed", "ValueError: soon")
    assert hop.remedy == "read its log with aimctl logs"


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        pytest.param("exceeded quota: none, requested: requests.amd.com/gpu=1", "ResourceQuota", id="quota"),
        pytest.param('violates PodSecurity "restricted:latest"', "securityContext", id="Pod Security"),
        pytest.param("maximum cpu usage per Container is 1m, but limit is 1", "LimitRange", id="limits"),
    ],
)
def test_a_pod_that_admission_refuses_the_deployment_says_what_to_do(words: str, remedy: str) -> None:
    message = f'pods "chat-predictor-64d48c74dd-9t6jn" is forbidden: {words}'
    ready = {"type": "Ready", "status": "False", "reason": "FailedCreate", "message": message}
    hop = server_hop(served(conditions=[ready]), [])
    assert hop.message == message
    assert remedy in hop.remedy


def test_a_provisioner_that_is_not_there_is_what_to_look_at() -> None:
    claim = msgspec.convert(
        {"metadata": {"name": "a", "namespace": "team"}, "status": {"phase": "Pending"}},
        PersistentVolumeClaim,
    )
    words = "Waiting for a volume to be created either by the external provisioner 'example.com/nobody'"
    hop = claim_hop(claim, [event("ExternalProvisioning", words, "Normal")])
    assert hop.message == words
    assert "see that the provisioner which the message names runs" in hop.remedy


def test_an_error_of_kserve_that_passes_by_itself_is_no_cause() -> None:
    """Its event stays for an hour, and KServe 0.16 records one for each status that it writes too late."""
    modified = 'Operation cannot be fulfilled on "chat": the object has been modified; please try again'
    words = 'pods "chat-0" is forbidden: violates PodSecurity "restricted:latest"'
    ready = {"type": "Ready", "status": "False", "reason": "FailedCreate", "message": words}
    hop = server_hop(served(conditions=[ready]), [event("InternalError", modified)])
    assert (hop.reason, hop.message) == ("", words)
    assert "securityContext" in hop.remedy
