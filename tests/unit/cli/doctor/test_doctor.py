"""`aimctl doctor` on clusters that have all, nothing, or the wrong version, and on what it may not see."""

import io
from typing import Any, TypeVar, cast

import msgspec
import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aim_operator.api.external import InferenceServicesCrd, StorageClass
from aim_operator.cli.doctor.checks import judge
from aim_operator.cli.doctor.command import draw
from aim_operator.cli.doctor.gather import Surroundings, read
from aim_operator.cli.doctor.policies import (
    Endpoints,
    LimitRange,
    Namespace,
    Operator,
    Policy,
    Quota,
    denied,
)
from aim_operator.cli.doctor.verdicts import Check, Report, Verdict
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

T = TypeVar("T")
IMAGE = "ghcr.io/silogen/aim-operator:1"
EMPTY = Surroundings(installed=Versions(client="0.1.0", crds="none; install them"))
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


def convert(type_: type[T], fields: dict[str, Any], *, name: str = "it", namespace: str = "team") -> T:
    metadata = {"name": name, "namespace": namespace, "labels": fields.pop("labels", {})}
    return msgspec.json.decode(msgspec.json.encode({"metadata": metadata} | fields), type=type_)


def one(check: str, **fields: Any) -> Check:
    """What is said of a cluster with one team, whose operator stands by in another namespace."""
    around: dict[str, Any] = {
        "serving": frozenset({"team"}),
        "homes": frozenset({"home"}),
        "namespaces": (),
        "configured": frozenset(),
        "quotas": (),
        "limit_ranges": (),
        "network_policies": (),
        "endpoints": (),
    }
    found = judge(msgspec.structs.replace(EMPTY, **(around | fields)))
    return next(each for each in found.checks if each.name == check)


@pytest.mark.parametrize(
    ("level", "configured", "want"),
    [
        pytest.param("privileged", (), "ok", id="nothing is refused"),
        pytest.param("baseline", (), "ok", id="the servers' default fits"),
        pytest.param("restricted", (), "warning", id="servers may be root"),
        pytest.param("strictest", (), "warning", id="a level that nobody knows is the strictest"),
        pytest.param("restricted", ("other",), "warning", id="others' configuration"),
        pytest.param("restricted", ("team",), "ok", id="the namespace's configuration"),
        pytest.param("restricted", ("",), "ok", id="the cluster's configuration"),
    ],
)
def test_a_namespace_that_refuses_servers_as_root(level: str, configured: tuple[str, ...], want: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    namespaces = tuple(convert(Namespace, {"labels": labels}, name=each) for each in ("team", "elsewhere"))
    found = one("Pod Security", namespaces=namespaces, configured=frozenset(configured))
    assert found.verdict == want
    assert "elsewhere" not in found.found
    assert bool(found.remedy) is (want == "warning")


@pytest.mark.parametrize(
    ("hard", "used", "namespace", "want"),
    [
        pytest.param({"pods": "5"}, {"pods": "4"}, "team", "", id="room for one"),
        pytest.param({"pods": "5"}, {"pods": "5"}, "team", "team/q has no room: pods 5 of 5", id="none"),
        pytest.param({"count/jobs.batch": "0"}, {}, "home", "home/q has no room", id="Jobs of the catalog"),
        pytest.param(
            {"requests.amd.com/gpu": "8"}, {"requests.amd.com/gpu": "8"}, "team", "has no room", id="GPUs"
        ),
        pytest.param(
            {"limits.memory": "1Gi"}, {"limits.memory": "1024Mi"}, "team", "has no room", id="units"
        ),
        pytest.param({"secrets": "1"}, {"secrets": "1"}, "team", "", id="what nobody makes"),
        pytest.param({"pods": "5"}, {"pods": "5"}, "elsewhere", "", id="a namespace without services"),
        pytest.param(
            {"limits.ephemeral-storage": "9Gi"}, {}, "team", "which ours don't say", id="what ours do not say"
        ),
    ],
)
def test_a_quota_that_refuses_what_is_rendered(
    hard: dict[str, str], used: dict[str, str], namespace: str, want: str
) -> None:
    quota = convert(Quota, {"spec": {"hard": hard}, "status": {"used": used}}, name="q", namespace=namespace)
    found = one("quotas", quotas=(quota,))
    assert found.verdict == ("warning" if want else "ok")
    assert want in found.found


def test_what_a_quota_wants_may_be_a_default_of_the_namespace() -> None:
    quota = convert(Quota, {"spec": {"hard": {"requests.ephemeral-storage": "9Gi"}}})
    limits = [{"type": "Container", "default": {"ephemeral-storage": "1Gi"}}]
    there, elsewhere = (
        convert(LimitRange, {"spec": {"limits": limits}}, namespace=each) for each in ("team", "elsewhere")
    )
    assert one("quotas", quotas=(quota,), limit_ranges=(there,)).verdict == "ok"
    assert one("quotas", quotas=(quota,), limit_ranges=(elsewhere,)).verdict == "warning"


@pytest.mark.parametrize(
    ("egress", "down", "want"),
    [
        pytest.param([{"ports": [{"port": 443}, {"port": 6443}]}], (), "ok", id="the port"),
        pytest.param([{"ports": [{"port": 6000, "endPort": 7000}]}], (), "ok", id="a range"),
        pytest.param([{}], (), "ok", id="every port"),
        pytest.param([{"ports": [{"port": 443}]}], ("home/x",), "problem", id="no Pod is ready"),
        pytest.param([{"ports": [{"port": 443}]}], (), "warning", id="nothing enforces it yet"),
        pytest.param([{"ports": [{"port": 6443, "protocol": "UDP"}]}], (), "warning", id="UDP alone"),
        pytest.param([], (), "warning", id="nothing at all"),
    ],
)
def test_the_api_servers_port_and_the_operators_policy(egress: Any, down: tuple[str, ...], want: str) -> None:
    policy = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": egress}}, name="p")
    endpoints = convert(Endpoints, {"ports": [{"port": 6443}]})
    found = one("network", network_policies=(policy,), endpoints=(endpoints,), down=down)
    assert found.verdict == want
    assert "6443" in found.found
    assert ("networkPolicy.apiServerPorts" in found.remedy) is (want != "ok")


@pytest.mark.parametrize(
    ("to", "want"),
    [
        pytest.param(None, "ok", id="everybody"),
        pytest.param([], "ok", id="everybody, written as nobody"),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ok", id="its network"),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.7/32"}}], "ok", id="its address"),
        pytest.param(
            [{"ipBlock": {"cidr": "192.168.0.0/16"}}, {"ipBlock": {"cidr": "10.0.0.7/32"}}], "ok", id="both"
        ),
        pytest.param([{"ipBlock": {"cidr": "10.0.0.0/29"}}], "ok", id="a small network"),
        pytest.param([{"ipBlock": {"cidr": "10.0.1.0/24"}}], "problem", id="another network"),
        pytest.param([{"ipBlock": {"cidr": "::/0"}}], "problem", id="the other family"),
        pytest.param(
            [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/24"]}}], "problem", id="but for it"
        ),
        pytest.param([{"namespaceSelector": {}}], "problem", id="all Pods, of which it is none"),
        pytest.param([{"podSelector": {}}], "problem", id="the Pods beside"),
        pytest.param([{"namespaceSelector": {}, "podSelector": {}}], "problem", id="Pods of namespaces"),
    ],
)
def test_the_api_servers_address_and_the_operators_policy(to: Any, want: str) -> None:
    """By the words of networking.k8s.io/v1 NetworkPolicyPeer: what is in no peer is not reached."""
    rule = {"ports": [{"port": 6443}]} | ({"to": to} if to is not None else {})
    policy = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": [rule]}}, name="p")
    there = {"ports": [{"port": 6443}], "endpoints": [{"addresses": ["10.0.0.7"]}], "addressType": "IPv4"}
    endpoints = (convert(Endpoints, there),)
    found = one("network", network_policies=(policy,), endpoints=endpoints, down=("home/x",))
    assert found.verdict == want
    if want == "problem":
        assert "the API server is at 10.0.0.7, whom team/p does not allow" in found.found
        assert "add an ipBlock with 10.0.0.7" in found.remedy


def test_what_one_policy_allows_is_allowed_and_each_address_of_the_api_server_has_to_be() -> None:
    nobody = convert(Policy, {"spec": {"policyTypes": ["Egress"]}}, name="nobody")
    rule = {"ports": [{"port": 6443}], "to": [{"ipBlock": {"cidr": "10.0.0.7/32"}}]}
    first = convert(Policy, {"spec": {"policyTypes": ["Egress"], "egress": [rule]}}, name="first")

    def found(*addresses: str) -> Check:
        there = {"ports": [{"port": 6443}], "endpoints": [{"addresses": [each]} for each in addresses]}
        return one("network", network_policies=(nobody, first), endpoints=(convert(Endpoints, there),))

    assert found("10.0.0.7").verdict == "ok"
    assert found("10.0.0.7", "10.0.0.8").verdict == "warning"
    assert "10.0.0.8, whom team/first and team/nobody" not in found("10.0.0.7", "10.0.0.8").found
    assert "10.0.0.8, whom team/first, team/nobody" in found("10.0.0.7", "10.0.0.8").found


@pytest.mark.parametrize(
    ("selector", "want"),
    [
        pytest.param({}, True, id="all Pods of the namespace"),
        pytest.param({"matchLabels": {"app": "operator"}}, True, id="its label"),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["operator"]}]},
            True,
            id="its label among others",
        ),
        pytest.param({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False, id="others"),
        pytest.param({"matchLabels": {"app": "web"}}, False, id="another's label"),
        pytest.param(
            {"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["y"]}]}, True, id="not it"
        ),
    ],
)
def test_a_policy_of_others_is_about_the_operator_if_it_selects_its_pods(
    selector: Any, *, want: bool
) -> None:
    template = {"metadata": {"labels": {"app": "operator"}}}
    operator = convert(Operator, {"spec": {"template": template}}, namespace="home")
    here, elsewhere = (
        convert(Policy, {"spec": {"podSelector": selector}}, namespace=each) for each in ("home", "team")
    )
    assert operator.is_selected_by(here) is want
    assert not operator.is_selected_by(elsewhere)


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
