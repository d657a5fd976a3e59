"""`aimctl doctor` on clusters that have all, nothing, or the wrong version, and on what it may not see."""

import io
from typing import Any, cast

import msgspec
import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.api.external import InferenceServicesCrd, StorageClass
from aim_operator.cli.doctor.checks import judge
from aim_operator.cli.doctor.command import draw
from aim_operator.cli.doctor.gather import read
from aim_operator.cli.doctor.policies import (
    Operator,
    denied,
)
from aim_operator.cli.doctor.verdicts import Report, Verdict
from aim_operator.cli.versions import Versions
from aim_operator.errors import ApiError, Forbidden, Unavailable
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import SystemClock
from aim_operator.runtime.scrapers import AccessReviewStatus, SubjectAccessReview
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.client import SandboxClient
from aim_operator.sandbox.network import Fault
from aim_operator.sandbox.nodes import gpu_node, plain_node
from tests.unit.cli.doctor.surroundings import EMPTY, convert, one

IMAGE = "ghcr.io/silogen/aim-operator:1"
OPERATOR: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {
        "name": "aim-operator",
        "namespace": "kaiwo-system",
        "labels": {"app.kubernetes.io/name": "aim-operator"},
    },
    "spec": {
        "selector": {"matchLabels": {"app": "x"}},
        "template": {"spec": {"containers": [{"name": "operator", "image": IMAGE}]}},
    },
}
GATEWAY: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "inference-gateway", "namespace": "gateways"},
    "spec": {"gatewayClassName": "sandbox", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
}


def node(manifest: dict[str, Any], version: str) -> dict[str, Any]:
    return manifest | {"status": manifest["status"] | {"nodeInfo": {"kubeletVersion": version}}}


def load_operator(sandbox: Sandbox, name: str) -> None:
    """One of which a Pod is ready."""
    manifest = OPERATOR | {"metadata": OPERATOR["metadata"] | {"name": name}}
    kind = sandbox.server.kinds.of(sandbox.load([manifest])[0].key.id)
    ready = {"status": {"replicas": 1, "readyReplicas": 1}}
    sandbox.server.patch(kind, name, ready, namespace="kaiwo-system", subresource="status")


def whole() -> Sandbox:
    sandbox = Sandbox(SystemClock(), evaluate_rules=False)
    shared = storage_class() | {"provisioner": "nfs.csi.k8s.io"}
    sandbox.load([shared, node(gpu_node("gpu-1"), "v1.31.2")])
    load_operator(sandbox, "aim-operator")
    kind = sandbox.server.kinds.of(sandbox.load([GATEWAY])[0].key.id)
    programmed = [
        {
            "type": "Programmed",
            "status": "True",
            "reason": "Programmed",
            "message": "",
            "lastTransitionTime": "2026-01-31T11:00:00Z",
        }
    ]
    patch = {"status": {"conditions": programmed}}
    sandbox.server.patch(kind, "inference-gateway", patch, namespace="gateways", subresource="status")
    return sandbox


class Answering:
    """The sandbox, and what an API server says of the operator's account: yes, but for one kind."""

    def __init__(self, client: SandboxClient, refused: str) -> None:
        self._client, self._refused = client, refused
        self.asked: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def create(self, _resource: Any, review: dict[str, Any]) -> SubjectAccessReview:
        assert review["metadata"] == {}, "the real client reads a name there"
        self.asked.append(review["spec"])
        allowed = review["spec"]["resourceAttributes"]["resource"] != self._refused
        return SubjectAccessReview(status=AccessReviewStatus(allowed=allowed))


async def report(sandbox: Sandbox, *, fault: Fault | None = None, refused: str = "") -> Report:
    client = sandbox.client("somebody")
    if fault is not None:
        client.network.fail(fault)
    return judge(await read(cast("KubeClient", Answering(client, refused)), "team", "0.1.0"))


def verdicts(found: Report) -> dict[str, str]:
    return {each.name: each.verdict for each in found.checks if each.verdict != Verdict.OK}


def drawn(found: Report, width: int) -> str:
    out = io.StringIO()
    Console(file=out, width=width, highlight=False, color_system=None).print(draw(found))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


@pytest.mark.parametrize("width", [60, 80, 160])
async def test_the_picture_of_a_cluster_that_has_all(width: int, snapshot: SnapshotAssertion) -> None:
    found = await report(whole())
    assert (verdicts(found), found.sound) == ({}, True)
    text = drawn(found, width)
    assert max(map(len, text.splitlines())) <= width
    assert text == snapshot


@pytest.mark.parametrize("width", [60, 160])
async def test_the_picture_of_a_cluster_that_has_nothing(width: int, snapshot: SnapshotAssertion) -> None:
    sandbox = Sandbox(SystemClock(), crds=(), kserve=False, gateway=False, evaluate_rules=False)
    sandbox.load([node(plain_node("n-1"), "v1.28.9")])
    found = await report(sandbox)
    assert not found.sound
    text = drawn(found, width)
    assert max(map(len, text.splitlines())) <= width
    assert text == snapshot


async def test_what_only_some_services_miss_is_a_warning() -> None:
    sandbox = whole()
    bare = node(gpu_node("gpu-2"), "v1.31.2")
    bare["metadata"]["labels"] = {}
    sandbox.load([bare])
    load_operator(sandbox, "second")
    found = await report(sandbox)
    assert verdicts(found) == {"operator": "warning", "GPU labels": "warning"}
    assert found.sound


@pytest.mark.parametrize(
    ("fields", "want"),
    [
        pytest.param({"model": {}}, "problem", id="0.15"),
        pytest.param({"model": {}, "storageUris": {}}, "ok", id="0.16"),
        pytest.param({}, "ok", id="a minimal CRD, which says nothing"),
    ],
)
def test_kserve_is_told_by_its_crd(fields: dict[str, Any], want: str) -> None:
    spec = {"properties": {"spec": {"properties": {"predictor": {"properties": fields}}}}}
    version = {"name": "v1beta1", "schema": {"openAPIV3Schema": spec}}
    definition = {"metadata": {"name": "inferenceservices"}, "spec": {"versions": [version]}}
    crd = msgspec.json.decode(msgspec.json.encode(definition), type=InferenceServicesCrd)
    found = judge(msgspec.structs.replace(EMPTY, kserve=True, kserve_crd=crd))
    assert next(each.verdict for each in found.checks if each.name == "KServe") == want


async def test_an_operator_without_a_pod_is_a_problem() -> None:
    sandbox = whole()
    sandbox.load([OPERATOR | {"metadata": OPERATOR["metadata"] | {"name": "second"}}])
    found = await report(sandbox)
    assert verdicts(found) == {"operator": "problem"}
    assert "kaiwo-system/second has no Pod that is ready" in drawn(found, 200)


async def test_crds_of_another_version_are_a_warning_and_missing_ones_a_problem() -> None:
    for crds, want in (
        ("v1alpha1, aimservices of another version; if this aimctl is the newer one: x", "warning"),
        ("v1alpha1, aimservices missing; if this aimctl is the newer one: x", "problem"),
        ("v1alpha1 is served", "ok"),
    ):
        installed = Versions(client="0.1.0", crds=crds)
        found = judge(msgspec.structs.replace(EMPTY, installed=installed))
        assert next(each.verdict for each in found.checks if each.name == "CRDs") == want


async def test_what_may_not_be_read_is_unknown_and_no_problem() -> None:
    denied = Forbidden('the operator may not "list" nodes in the whole cluster: add it to its role')
    found = await report(whole(), fault=Fault(error=denied, verb="list", times=10_000))
    assert found.sound
    assert set(verdicts(found).values()) == {"unknown"}
    assert 'you may not "list" nodes in the whole cluster: ask for a role' in drawn(found, 200)


async def test_a_server_that_goes_in_the_midst_is_no_verdict() -> None:
    away = Unavailable("connection refused")
    with pytest.raises(ApiError, match="connection refused"):
        await report(whole(), fault=Fault(error=away, verb="list", resource="nodes", times=10_000))


async def test_a_right_that_the_account_lacks_is_a_problem_and_named() -> None:
    found = await report(whole(), refused="httproutes")
    assert verdicts(found) == {"RBAC": "problem"}
    assert "its account may not create httproutes.gateway.networking.k8s.io, delete httproutes" in drawn(
        found, 400
    )


async def test_a_limited_operator_is_asked_about_in_its_namespaces_only() -> None:
    spec = {"serviceAccountName": "own", "containers": [{"args": ["run", "--namespaces=a,b"]}]}
    operator = convert(Operator, {"spec": {"template": {"spec": spec}}}, name="x", namespace="home")
    client = Answering(Sandbox(SystemClock()).client("somebody"), "jobs")
    refused = sorted({str(each) for each in await denied(cast("KubeClient", client), [operator])})
    assert refused[:2] == ["create jobs.batch in a", "create jobs.batch in b"]
    assert {each["user"] for each in client.asked} == {"system:serviceaccount:home:own"}
    asked = [each["resourceAttributes"] for each in client.asked]
    assert {each.get("namespace") for each in asked} == {None, "a", "b"}
    assert {each["verb"] for each in asked if "namespace" not in each} == {"list", "watch"}


@pytest.mark.parametrize(
    ("provisioner", "modes", "want"),
    [
        pytest.param("rancher.io/local-path", None, "warning", id="k3s as it comes"),
        pytest.param("rancher.io/local-path", ("ReadWriteOnce",), "ok", id="configured for it"),
        pytest.param("efs.csi.aws.com", None, "ok", id="shared"),
        pytest.param("rook-ceph.cephfs.csi.ceph.com", None, "ok", id="Rook's"),
        pytest.param("example.org/disks", None, "unknown", id="one that we don't know"),
    ],
)
def test_a_class_that_caches_can_not_share(
    provisioner: str, modes: tuple[str, ...] | None, want: str
) -> None:
    made = msgspec.json.encode(storage_class() | {"provisioner": provisioner})
    classes = (msgspec.json.decode(made, type=StorageClass),)
    assert one("access modes", storage_classes=classes, access_modes=modes).verdict == want


def test_the_class_that_the_runtime_configuration_names_is_judged_and_not_the_default() -> None:
    """A cluster with disks as its default, where caches go to files that are shared."""
    shared = storage_class() | {"provisioner": "efs.csi.aws.com", "metadata": {"name": "shared"}}
    disks = storage_class() | {"provisioner": "ebs.csi.aws.com"}
    classes = tuple(
        msgspec.json.decode(msgspec.json.encode(each), type=StorageClass) for each in (disks, shared)
    )
    assert one("access modes", storage_classes=classes).verdict == "warning"
    assert one("access modes", storage_classes=classes, cache_class="shared").verdict == "ok"
    assert one("storage", storage_classes=classes[1:]).verdict == "warning"
    assert one("storage", storage_classes=classes[1:], cache_class="shared").verdict == "ok"


def test_a_class_that_the_runtime_configuration_names_and_nobody_made_is_a_warning() -> None:
    classes = (msgspec.json.decode(msgspec.json.encode(storage_class()), type=StorageClass),)
    found = one("storage", storage_classes=classes, cache_class="shared")
    assert found.verdict == "warning"
    assert "no storage class shared" in found.found
    assert one("access modes", storage_classes=classes, cache_class="shared").verdict == "ok"


async def test_the_class_of_caches_is_that_of_the_clusters_configuration() -> None:
    config = {
        "apiVersion": "aim.silogen.ai/v1alpha1",
        "kind": "AIMClusterRuntimeConfig",
        "metadata": {"name": "default"},
        "spec": {"defaultStorageClassName": "shared"},
    }
    sandbox = whole()
    sandbox.load([config])
    client = cast("KubeClient", Answering(sandbox.client("somebody"), ""))
    found = await read(client, "team", "0.1.0")
    assert (found.cache_class, found.access_modes) == ("shared", None)
