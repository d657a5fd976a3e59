"""Starts etcd, kube-apiserver, kube-controller-manager and kube-scheduler of an instance.

Admission is as in production: RBAC and Node authorization, service accounts, Pod Security. Only
durability is given up (etcd without fsync): the data live as long as the instance.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Sequence

from hack.cluster import processes
from hack.cluster.api import Manifest
from hack.cluster.build import ensure, program
from hack.cluster.components import CONTROL_PLANE, KUBERNETES_VERSION
from hack.cluster.errors import ClusterError
from hack.cluster.instance import ADMIN, OPERATOR, Instance
from hack.cluster.manifests import install_crds
from hack.cluster.ports import pick_ports
from hack.cluster.progress import Progress

PART = "control-plane"
START_SECONDS = 90.0
ETCD, APISERVER = "etcd", "kube-apiserver"
QUOTA_BYTES = 8 * 1024**3
"""How large etcd's file may become."""
# Not the usual 10.96.0.0/16, which may be the network of a cluster that this machine belongs to. The first
# address is the Service `kubernetes`, by which Pods know the API server: service_address.py makes it answer.
SERVICE_RANGE = "10.215.0.0/16"
SERVICE_ADDRESS = "10.215.0.1"

# RequestReceived is left out: each request would be there twice.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
# The API server's names: on this machine, and in Pods.
HOSTS = (
    "127.0.0.1", "localhost", SERVICE_ADDRESS, "kubernetes", "kubernetes.default", "kubernetes.default.svc"
)  # fmt: skip
# What needs a cloud, or would give Pod networks to nodes that have their own.
DISABLED_CONTROLLERS = (
    "-node-ipam-controller",
    "-node-route-controller",
    "-cloud-node-lifecycle-controller",
    "-service-lb-controller",
)


def start_control_plane(instance: Instance, progress: Progress, crds: Sequence[Manifest]) -> None:
    """Starts it and returns when Pods could be created.

    `crds` are installed before the controller manager starts: its garbage collector looks for new kinds
    only every 30 s, and until then ignores owner references to them.
    """
    ensure(CONTROL_PLANE, progress)
    with progress.step("control plane", f"starting Kubernetes {KUBERNETES_VERSION}", "ready in"):
        _prepare(instance)
        start_etcd(instance)
        start_apiserver(instance)
        api = instance.api()
        install_crds(api, crds)
        _start_controllers(instance)
        api.wait_for(
            "/api/v1/namespaces/default/serviceaccounts/default",
            lambda _: True,
            START_SECONDS,
            "the default service account is",
        )


def _prepare(instance: Instance) -> None:
    """Ports, keys, users and kubeconfigs."""
    instance.ports |= pick_ports(["apiserver", "etcd", "etcd-peer"])
    instance.tokens = {user: secrets.token_hex(16) for user in (ADMIN, OPERATOR)}
    instance.save()
    instance.certificates.mkdir(exist_ok=True)
    make_certificate(str(instance.certificates), *HOSTS)
    _run_tool("signing-key", str(instance.certificates / "sa.key"))
    # Token, name, uid, groups. The operator's user has no group: its rights are what a test binds to it.
    lines = [f"{token},{user},{user}" for user, token in instance.tokens.items() if user != ADMIN]
    lines.append(f"{instance.tokens[ADMIN]},{ADMIN},{ADMIN},system:masters")
    tokens = instance.directory / "tokens.csv"
    tokens.touch(mode=0o600)
    tokens.write_text("\n".join(lines) + "\n")
    (instance.directory / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))
    for user in instance.tokens:
        instance.write_kubeconfig(user)


def make_certificate(directory: str, *hosts: str) -> None:
    """Writes ca.crt, tls.crt and tls.key for the hosts."""
    _run_tool("certificate", directory, *hosts)


def _run_tool(*arguments: str) -> None:
    finished = subprocess.run(
        [program(CONTROL_PLANE), *arguments], capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        raise ClusterError(f"{arguments[0]} failed: {finished.stderr.strip()}")


def start_etcd(instance: Instance, quota_bytes: int = QUOTA_BYTES) -> None:
    """Starts it, also again after it was killed, with the data that it had."""
    client = f"http://127.0.0.1:{instance.ports['etcd']}"
    peer = f"http://127.0.0.1:{instance.ports['etcd-peer']}"
    processes.start(
        instance.directory,
        ETCD,
        [
            program(CONTROL_PLANE), "etcd",
            f"--data-dir={instance.directory / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            f"--quota-backend-bytes={quota_bytes}",
            "--log-level=warn",
        ],
    )  # fmt: skip


def start_apiserver(instance: Instance) -> None:
    """Starts it, also again after it was killed; returns when it is ready."""
    certificates = instance.certificates
    argv = [
        program(CONTROL_PLANE), "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{instance.ports['etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={instance.ports['apiserver']}",
        f"--tls-cert-file={certificates / 'tls.crt'}",
        f"--tls-private-key-file={certificates / 'tls.key'}",
        f"--cert-dir={certificates}",
        f"--token-auth-file={instance.directory / 'tokens.csv'}",
        "--authorization-mode=RBAC,Node",
        # As on OpenShift: who names an owner whose deletion it blocks needs the right to its finalizers.
        "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
        # For tests of what meshes, queues and policies change at admission: no webhook's server is needed.
        "--feature-gates=MutatingAdmissionPolicy=true",
        "--runtime-config=admissionregistration.k8s.io/v1beta1=true",
        f"--service-account-key-file={certificates / 'sa.key'}",
        f"--service-account-signing-key-file={certificates / 'sa.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--allow-privileged=true",
        # A node's name does not resolve here.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-client-certificate={certificates / 'tls.crt'}",
        f"--kubelet-client-key={certificates / 'tls.key'}",
        # The default reconciler refuses to publish a loopback address, and logs that every 10 s.
        "--endpoint-reconciler-type=none",
        "--max-requests-inflight=2000",
        "--max-mutating-requests-inflight=1000",
        "--profiling=false",
    ]  # fmt: skip
    if instance.audit:
        argv += [
            f"--audit-policy-file={instance.directory / 'audit-policy.json'}",
            f"--audit-log-path={instance.audit_log}",
            # Written before the answer is sent: who has the answer finds the entry.
            "--audit-log-mode=blocking-strict",
        ]
    process = processes.start(instance.directory, APISERVER, argv)
    api = instance.api()
    processes.wait_until(api.ready, instance.directory, process, START_SECONDS, "The API server")


def _start_controllers(instance: Instance) -> None:
    common = [
        f"--kubeconfig={instance.kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]
    processes.start(
        instance.directory,
        "kube-controller-manager",
        [
            program(CONTROL_PLANE), "kube-controller-manager", *common,
            f"--service-account-private-key-file={instance.certificates / 'sa.key'}",
            f"--root-ca-file={instance.certificates / 'ca.crt'}",
            f"--controllers=*,{','.join(DISABLED_CONTROLLERS)}",
        ],
    )  # fmt: skip
    processes.start(instance.directory, "kube-scheduler", [program(CONTROL_PLANE), "kube-scheduler", *common])
