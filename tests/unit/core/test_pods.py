"""What a Pod says about itself, in its own words and one line; containers are known by their names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec import convert, structs

from aim_operator.api.external import Event, JobCondition, Pod
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import pods
from aim_operator.core.pods import Verdict
from tests.support.template_builders import container, make_pod


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(make_pod(), None, id="a fresh Pod has no trouble"),
        pytest.param(
            make_pod(waiting=("ContainerCreating", "")), None, id="a container being created is no trouble"
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "manifest unknown")),
            Verdict(Reason.IMAGE_PULL_FAILED, "manifest unknown"),
            id="a failed pull keeps the registry's message",
        ),
        pytest.param(
            make_pod(waiting=("ImagePullBackOff", "")),
            Verdict(Reason.IMAGE_PULL_FAILED, "ImagePullBackOff"),
            id="a pull without a message is told by the kubelet's reason",
        ),
        pytest.param(
            make_pod(waiting=("InvalidImageName", "couldn't parse image name")),
            Verdict(Reason.IMAGE_PULL_FAILED, "couldn't parse image name"),
            id="an image name that the kubelet can't read is a failed pull",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "unexpected status: 401 Unauthorized")),
            Verdict(Reason.IMAGE_PULL_AUTH_FAILED, "unexpected status: 401 Unauthorized"),
            id="401 is missing credentials",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "pull access denied for x")),
            Verdict(Reason.IMAGE_PULL_AUTH_FAILED, "pull access denied for x"),
            id="access denied is missing credentials",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "sha256:aa4031bb not found")),
            Verdict(Reason.IMAGE_PULL_FAILED, "sha256:aa4031bb not found"),
            id="403 within a digest is no status code",
        ),
        pytest.param(
            make_pod(init=(container("istio-init", waiting=("ErrImagePull", "no such host")),)),
            Verdict(Reason.IMAGE_PULL_FAILED, "no such host"),
            id="an injected init container that can't be pulled counts too",
        ),
        pytest.param(
            make_pod(init=(container("istio-init", running=True),)),
            Verdict(
                Reason.WAITING_FOR_SIDECAR,
                "the discovery Pod waits for its container 'istio-init', which has to start first; see "
                "kubectl logs -n ml pod -c istio-init",
            ),
            id="an injected container that runs first and does not end is named",
        ),
        pytest.param(
            make_pod(
                init=(
                    container("istio-init", exit_code=0),
                    {
                        **container("istio-proxy", waiting=("CrashLoopBackOff", "back-off 10s")),
                        "lastState": {"terminated": {"exitCode": 1, "message": "no\ntoken"}},
                    },
                )
            ),
            Verdict(
                Reason.WAITING_FOR_SIDECAR,
                "the discovery Pod waits for its container 'istio-proxy', which has to start first and "
                "exits with code 1: no token; see kubectl logs -n ml pod -c istio-proxy",
            ),
            id="an injected sidecar that crashes before ours can start is named with its last words",
        ),
        pytest.param(
            make_pod(
                init=({**container("istio-proxy", running=True), "started": True},),
                waiting=("PodInitializing", ""),
            ),
            None,
            id="a sidecar at work holds nobody up",
        ),
        pytest.param(
            make_pod(
                init=(
                    container("istio-init", waiting=("PodInitializing", "")),
                    container("istio-proxy", waiting=("PodInitializing", "")),
                )
            ),
            None,
            id="containers that run first and are only being made hold nobody up yet",
        ),
        pytest.param(
            make_pod(waiting=("CreateContainerConfigError", 'secret "hf" not found')),
            Verdict(Reason.JOB_PENDING, 'the discovery Pod waits: secret "hf" not found'),
            id="a Secret that env refers to and that is missing is named",
        ),
        pytest.param(
            make_pod(waiting=("RunContainerError", "")),
            Verdict(Reason.JOB_PENDING, "the discovery Pod waits: RunContainerError"),
            id="a container that can't be started is told by the kubelet's reason",
        ),
        pytest.param(
            make_pod(unschedulable="0/3 nodes are available"),
            Verdict(Reason.UNSCHEDULABLE, "0/3 nodes are available"),
            id="a Pod without a node tells the scheduler's message",
        ),
        pytest.param(
            make_pod(gated=True),
            Verdict(
                Reason.SUSPENDED,
                "the discovery Pod waits for its scheduling gates, such as a queue's, to be lifted; see the "
                "events of Pod 'pod' and its spec.schedulingGates",
            ),
            id="a Pod that a queue holds back",
        ),
        pytest.param(
            make_pod(waiting=("ErrImagePull", "one\ntwo\x1b[31m\tthree")),
            Verdict(Reason.IMAGE_PULL_FAILED, "one two [31m three"),
            id="line breaks and terminal escapes are folded away",
        ),
    ],
)
def test_why_a_pod_does_not_start(pod: Pod, want: Verdict | None) -> None:
    assert pods.waiting([pod], "the discovery Pod") == want


INJECTED_INIT = container("istio-init", exit_code=0)
SIDECAR = container("istio-proxy", running=True)
OURS = "discovery"


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(make_pod(), (False, False, False), id="nothing is known of its containers"),
        pytest.param(make_pod(phase="Running"), (True, True, False), id="the Pod runs"),
        pytest.param(make_pod(phase="Failed"), (True, False, True), id="the Pod failed"),
        pytest.param(
            make_pod(
                phase="Running", containers=(SIDECAR, container(OURS, waiting=("ContainerCreating", "")))
            ),
            (False, False, False),
            id="a sidecar runs while ours is created",
        ),
        pytest.param(
            make_pod(
                phase="Running", containers=(container("log", exit_code=0), container(OURS, running=True))
            ),
            (True, True, False),
            id="a sidecar ended before ours",
        ),
        pytest.param(
            make_pod(phase="Running", containers=(SIDECAR, container(OURS, exit_code=0))),
            (True, False, True),
            id="a sidecar runs on when ours has ended",
        ),
        pytest.param(
            make_pod(phase="Pending", init=(INJECTED_INIT,)),
            (False, False, False),
            id="an injected init container ended",
        ),
        pytest.param(
            make_pod(phase="Running", containers=(container(OURS, running=True),), deleted=True),
            (True, False, False),
            id="the Pod is being deleted: nobody should wait for it",
        ),
    ],
)
def test_whether_our_container_started_runs_and_ended(pod: Pod, want: tuple[bool, bool, bool]) -> None:
    got = (pods.has_started(pod, OURS), pods.is_running(pod, OURS), pods.has_ended(pod, OURS))
    assert got == want


def test_the_youngest_pod_is_the_one_created_last_in_whatever_order_they_come() -> None:
    old = make_pod(name="z", created="2026-01-31T11:00:00Z", phase="Failed")
    new = make_pod(name="a", created="2026-01-31T11:05:00Z")
    assert pods.youngest((old, new)) is pods.youngest((new, old)) is new
    assert pods.youngest(()) is None


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(None, "", id="no Pod"),
        pytest.param(make_pod(phase="Failed", exit_code=3), "", id="our own container says why itself"),
        pytest.param(make_pod(phase="Failed", init=(INJECTED_INIT,)), "", id="nothing went wrong"),
        pytest.param(
            make_pod(
                phase="Failed", init=(container("istio-init", exit_code=1, message="iptables\nfailed"),)
            ),
            "container 'istio-init' of the Pod exited with code 1: iptables failed",
            id="an injected init container failed before ours could start",
        ),
        pytest.param(
            make_pod(phase="Failed", reason=("Evicted", "The node was low on resource: memory.")),
            "the Pod has failed: The node was low on resource: memory.",
            id="an eviction",
        ),
    ],
)
def test_why_a_pod_failed_whose_container_did_not(pod: Pod | None, want: str) -> None:
    assert pods.other_cause(pod, OURS, "the Pod") == want


@pytest.mark.parametrize(
    ("pod", "want"),
    [
        pytest.param(make_pod(phase="Running"), False, id="it runs"),
        pytest.param(make_pod(phase="Running", deleted=True), True, id="it is being deleted"),
        pytest.param(make_pod(phase="Running", disrupted=True), True, id="its node is drained"),
    ],
)
def test_disrupted(pod: Pod, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert pods.is_disrupted(pod) is want


def refusal(message: str, created: str) -> Event:
    return convert({"metadata": {"name": message, "creationTimestamp": created}, "message": message}, Event)


def made(created: str) -> Pod:
    return convert({"metadata": {"name": "chat-0", "creationTimestamp": created}}, Pod)


EARLY, LATER, LAST = (f"2026-01-31T12:00:0{second}Z" for second in range(3))


@pytest.mark.parametrize(
    ("refusals", "taken", "want"),
    [
        pytest.param((), (), "", id="nothing was refused"),
        pytest.param((refusal("quota", EARLY),), (), "quota", id="no Pod was taken ever"),
        pytest.param(
            (refusal("quota", EARLY), refusal("policy", LATER)), (), "policy", id="the last refusal counts"
        ),
        pytest.param((refusal("quota", LATER),), (made(EARLY),), "quota", id="it is news beside older Pods"),
        pytest.param((refusal("quota", EARLY),), (made(EARLY),), "quota", id="and in the same second"),
        pytest.param(
            (refusal("quota", LATER),), (made(EARLY), made(LAST)), "", id="a Pod was taken since: old news"
        ),
    ],
)
def test_the_last_refusal_is(refusals: tuple[Event, ...], taken: tuple[Pod, ...], want: str) -> None:
    assert pods.last_refusal(refusals, taken) == want


PULLING = {"PodScheduled", "Initialized", "PodReadyToStartContainers"}
STARTED = "2026-01-31T11:59:00Z"


@pytest.mark.parametrize(
    ("waiting", "met", "want"),
    [
        pytest.param("ContainerCreating", PULLING, STARTED, id="all but the image is there"),
        pytest.param("PodInitializing", PULLING, STARTED, id="after init containers"),
        pytest.param("ContainerCreating", {"PodScheduled"}, None, id="volumes may be missing yet"),
        pytest.param(
            "PodInitializing", PULLING - {"Initialized"}, None, id="an init container runs or is pulled"
        ),
        pytest.param("ErrImagePull", PULLING, None, id="a pull that fails"),
        pytest.param("", PULLING, None, id="a container that runs"),
    ],
)
def test_since_when_an_image_is_pulled(waiting: str, met: set[str], want: str | None) -> None:
    pod = make_pod(waiting=(waiting, "")) if waiting else make_pod(phase="Running")
    conditions = tuple(JobCondition(type=type_, status="True") for type_ in sorted(met))
    pod = structs.replace(pod, status=structs.replace(pod.status, conditions=conditions, start_time=STARTED))
    assert pods.pulling_since(pod, "discovery") == want
    assert pods.pulling_since(None, "discovery") is None


INCOMPLETE = "containers with incomplete status: [vault-agent-init]"
BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "after", "want", "left"),
    [
        pytest.param(INCOMPLETE, 10, "", 50, id="it has only begun"),
        pytest.param(
            INCOMPLETE,
            60,
            "the Pod waits for its container 'vault-agent-init', which has to end first; see kubectl logs -n "
            "ml pod -c vault-agent-init",
            None,
            id="it does not end",
        ),
        pytest.param(
            "containers with incomplete status: [another]", 600, "", None, id="it is a sidecar at work"
        ),
        pytest.param(None, 600, "", None, id="the kubelet does not say who is awaited"),
    ],
)
def test_an_injected_container_that_has_to_end_first(
    message: str | None, after: int, want: str, left: float | None
) -> None:
    """Its status is that of a sidecar at work: started. Only the Pod's condition tells them apart."""
    runs = {**container("vault-agent-init", started="2026-01-31T12:00:00Z"), "started": True}
    pod = make_pod(init=(runs,), waiting=("PodInitializing", ""))
    told = JobCondition(type="Initialized", status="False", message=message)
    pod = structs.replace(pod, status=structs.replace(pod.status, conditions=(told,)))
    now = BEGAN + timedelta(seconds=after)
    verdict = pods.waiting([pod], "the Pod", now=now)
    assert ("" if verdict is None else verdict.message) == want
    assert pods.seconds_until_held_up(pod, now) == left
