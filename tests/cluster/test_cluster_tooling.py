"""hack.cluster on real processes: side by side, stopped without a trace however the starter ended."""

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.cluster import kernel, processes
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from tests.support.cluster import StartCluster

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, because Unix sockets are in it."""
    path = Path(tempfile.mkdtemp(prefix="aim-tool-"))
    yield path
    subprocess.run(
        [sys.executable, "-m", "hack.cluster", "down", f"--dir={path}"], cwd=REPOSITORY, check=False
    )
    if path.exists():
        path.rmdir()


def start_and_sleep(directory: Path, parts: str) -> subprocess.Popen[str]:
    """Another process that owns a cluster and prints a line once that runs."""
    code = (
        "import time; from pathlib import Path; from hack.cluster.cluster import Cluster\n"
        f"Cluster.start({parts}, Path({str(directory)!r})); print('started', flush=True); time.sleep(600)"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)


def eventually(check: Callable[[], bool], timeout_seconds: float = 20) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.1)
    return check()


def nothing_is_left(directory: Path) -> bool:
    return not directory.exists() and not processes.marked(directory) and not kernel.mounts_under(directory)


@pytest.mark.needs_control_plane
def test_two_instances_run_side_by_side_and_stop_without_a_trace(own_cluster: StartCluster) -> None:
    one, two = own_cluster(), own_cluster()
    with one.namespace("only-here") as name:
        assert one.api.get(f"/api/v1/namespaces/{name}") is not None
        assert two.api.get(f"/api/v1/namespaces/{name}") is None
    one.stop()
    assert nothing_is_left(one.directory)
    assert two.api.ready()
    two.stop()
    assert nothing_is_left(two.directory)


@pytest.mark.needs_audit
def test_the_operator_has_no_rights_of_its_own_and_is_audited(control_plane: Cluster) -> None:
    with control_plane.namespace() as name:
        answer = control_plane.kubectl("auth", "can-i", "--list", "--namespace", name, user="operator")
        assert "pods" not in answer
        requests = [event["requestURI"] for event in control_plane.audit_events("operator")]
        assert any("selfsubjectrulesreviews" in str(uri) for uri in requests)


@pytest.mark.needs_control_plane
def test_the_cluster_of_a_killed_owner_stops_by_itself(directory: Path) -> None:
    owner = start_and_sleep(directory, "()")
    assert owner.stdout is not None
    assert owner.stdout.readline() == "started\n"
    assert processes.marked(directory)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert eventually(lambda: nothing_is_left(directory))


@pytest.mark.needs_node
def test_down_removes_what_a_killed_start_left_half_way(directory: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "hack.cluster", "up", "--parts=node", f"--dir={directory}"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
    )
    # While containerd is up and the kubelet is not yet ready: the most there can be to clean up.
    assert eventually(lambda: "kubelet" in processes.recorded(directory), 60)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    assert processes.marked(directory)
    down = [sys.executable, "-m", "hack.cluster", "down", f"--dir={directory}"]
    subprocess.run(down, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    assert nothing_is_left(directory)


@pytest.mark.needs_node
def test_the_bridge_keeps_its_hardware_address_when_pods_come_and_go(directory: Path) -> None:
    """Otherwise running Pods send to the one that they remember, and clients of them wait for seconds."""

    def ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True)

    bridge, _ = kernel.reserve_network(directory)
    pod = f"{bridge}-pod"
    address = Path("/sys/class/net", bridge, "address")
    before = address.read_text()
    try:
        ip("link", "add", pod, "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", f"{pod}-p")
        ip("link", "set", pod, "master", bridge)
        with_pod = address.read_text()
        ip("link", "del", pod)
        assert (with_pod, address.read_text()) == (before, before)
    finally:
        kernel.remove_networks(directory)


@pytest.mark.needs_node
def test_an_interrupted_start_cleans_up_after_itself(directory: Path) -> None:
    up = subprocess.Popen(
        [sys.executable, "-m", "hack.cluster", "up", "--parts=node", f"--dir={directory}"],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert eventually(lambda: "containerd" in processes.recorded(directory), 60)
    up.send_signal(signal.SIGINT)
    assert up.wait(30) == 130
    assert eventually(lambda: not processes.marked(directory))
    assert not kernel.mounts_under(directory)


def test_a_model_behind_an_inference_service_answers_through_the_gateway(full_cluster: Cluster) -> None:
    with full_cluster.namespace() as namespace:
        for manifest in (serving_runtime(namespace), inference_service(namespace), route(namespace)):
            full_cluster.api.apply(manifest)
        base = f"{full_cluster.gateway_url}/{namespace}/chat"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def answers() -> bool:
            try:
                with opener.open(f"{base}/v1/models", timeout=2) as answer:
                    return b"llama" in answer.read()
            except OSError:
                return False

        assert eventually(answers, 60), full_cluster.kubectl("get", "isvc,pods,events", f"-n={namespace}")


@pytest.mark.parametrize("uid", [None, 1_000_690_000], ids=["the image's uid", "a uid of the platform's"])
def test_the_operator_runs_from_its_image_as_nobody_without_a_writable_disk_and_reaches_the_api_server(
    full_cluster: Cluster, operator_image: str, uid: int | None
) -> None:
    """OpenShift gives each namespace uids of its own, that no /etc/passwd knows, in group 0."""
    with full_cluster.namespace("restricted") as namespace:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        full_cluster.api.request(
            "PATCH",
            f"/api/v1/namespaces/{namespace}",
            {"metadata": {"labels": labels}},
            "application/merge-patch+json",
        )
        full_cluster.api.apply(operator_pod(namespace, operator_image, uid))
        path = f"/api/v1/namespaces/{namespace}/pods/chat"

        def ended() -> bool:
            return full_cluster.api.get(path)["status"]["phase"] in ("Failed", "Succeeded")

        assert eventually(ended, 60), full_cluster.kubectl("get", "pods,events", f"-n={namespace}")
        log = full_cluster.kubectl("logs", "chat", f"-n={namespace}")
    # Its namespace's service account has no rights: that it knows so is the API server's answer.
    assert 'may not "list" customresourcedefinitions.apiextensions.k8s.io' in log


def operator_pod(namespace: str, image: str, uid: int | None) -> Manifest:
    restricted: dict[str, object] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if uid is not None:
        restricted |= {"runAsUser": uid, "runAsGroup": 0}
    container = {"name": "operator", "image": image, "args": ["run"], "securityContext": restricted}
    return manifest("v1", "Pod", namespace, {"restartPolicy": "Never", "containers": [container]})


def serving_runtime(namespace: str) -> Manifest:
    container = {
        "name": "kserve-container",
        "image": "ghcr.io/example/llama-3.1-8b-instruct:v1.2.0",
        "env": [{"name": "AIM_GPU_MODEL", "value": "MI300X"}],
        "ports": [{"name": "http", "containerPort": 8000, "protocol": "TCP"}],
        "resources": {"limits": {"amd.com/gpu": "1"}, "requests": {"amd.com/gpu": "1"}},
    }
    spec = {"supportedModelFormats": [{"name": "aim", "version": "1"}], "containers": [container]}
    return manifest("serving.kserve.io/v1alpha1", "ServingRuntime", namespace, spec)


def inference_service(namespace: str) -> Manifest:
    model = {
        "modelFormat": {"name": "aim", "version": "1"},
        "runtime": "chat",
        "storageUri": "hf://meta-llama/Llama-3.1-8B-Instruct",
    }
    return manifest(
        "serving.kserve.io/v1beta1", "InferenceService", namespace, {"predictor": {"model": model}}
    )


def route(namespace: str) -> Manifest:
    prefix = {"type": "PathPrefix", "value": f"/{namespace}/chat"}
    rewrite = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}
    rule = {
        "matches": [{"path": prefix}],
        "filters": [{"type": "URLRewrite", "urlRewrite": rewrite}],
        "backendRefs": [{"name": "chat-predictor", "port": 80}],
    }
    spec = {"parentRefs": [{"name": "inference-gateway", "namespace": "gateways"}], "rules": [rule]}
    return manifest("gateway.networking.k8s.io/v1", "HTTPRoute", namespace, spec)


def manifest(api_version: str, kind: str, namespace: str, spec: dict[str, object]) -> Manifest:
    metadata = {"name": "chat", "namespace": namespace}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
