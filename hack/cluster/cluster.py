"""Cluster: a running instance, as tests and the command line use it.

Owns the order in which parts are started and the undoing of a start that fails. `Cluster.start` ties the
instance to a process by default; `up` ties it to none.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from hack.cluster import control_plane, gateway, kserve, node, operator_image, processes
from hack.cluster.api import Api, Manifest
from hack.cluster.build import program
from hack.cluster.build_all import ensure_all
from hack.cluster.cache import locked
from hack.cluster.components import BY_PART, CONTROL_PLANE, OLDEST_KSERVE_PART
from hack.cluster.errors import ClusterError
from hack.cluster.instance import ADMIN, OPERATOR, SECOND_PART, Instance
from hack.cluster.manifests import CRDS_OF_PART, crd_manifests
from hack.cluster.progress import Progress
from hack.cluster.reaper import start_reaper
from hack.cluster.stop import (
    end_everything,
    instance_lock_subject,
    remove_directory,
    stop_instance,
    undo_part,
)

# In the order in which they are started, whatever the order they are asked for.
OPTIONAL_PARTS = {
    "node": node.start_node,
    SECOND_PART: node.start_second_node,
    OLDEST_KSERVE_PART: kserve.start_oldest_kserve,
    "kserve": kserve.start_kserve,
    "gateway": gateway.start_gateway,
    operator_image.PART: operator_image.start_operator_image,
}
PARTS = (control_plane.PART, *OPTIONAL_PARTS)
# What it takes to serve models with an operator outside of the cluster.
SERVING_PARTS = ("node", "kserve", "gateway")
SILENT = Progress(None)
THIS_PROCESS = -1
# Unix sockets below the directory must stay under the kernel's 108 bytes.
LONGEST_DIRECTORY = 70


class Cluster:
    """A running cluster of this machine. As a context manager it stops at the end of the block."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.api: Api = instance.api()

    @classmethod
    def start(
        cls,
        parts: Sequence[str] = (),
        directory: Path | None = None,
        *,
        audit: bool = False,
        crds: Sequence[Manifest] = (),
        owner: int | None = THIS_PROCESS,
        progress: Progress = SILENT,
    ) -> Cluster:
        """Starts the control plane and the given parts; adds to an instance that already runs.

        The instance is stopped when the process `owner` ends (this one unless told; None: nobody, it
        stays). `crds` are installed before the controller manager, whose garbage collector learns of new
        kinds only every 30 s. Raises ClusterError, with nothing left running.
        """
        check_parts(parts)
        directory = _prepared(directory)
        # First everything that may take minutes, then what takes seconds.
        ensure_all((each for part in (control_plane.PART, *parts) for each in BY_PART[part]), progress)
        with locked(instance_lock_subject(directory)):
            cluster = cls._running(directory)
            fresh = cluster is None
            if cluster is not None:
                progress.line("control plane", f"already runs in {directory}")
            else:
                known = [crd for part in parts if part in CRDS_OF_PART for crd in crd_manifests(part)]
                cluster = cls._start_fresh(directory, owner, progress, audit=audit, crds=[*known, *crds])
            try:
                cluster._add(parts, progress)  # noqa: SLF001 - `cluster` is one of us
            except BaseException:
                if fresh:
                    end_everything(cluster._instance)  # noqa: SLF001
                raise
        if owner == THIS_PROCESS:
            atexit.register(cluster.stop)
        return cluster

    @classmethod
    def _start_fresh(
        cls, directory: Path, owner: int | None, progress: Progress, *, audit: bool, crds: Sequence[Manifest]
    ) -> Cluster:
        stale = Instance.load(directory)
        if stale is not None:
            end_everything(stale)
            remove_directory(directory)
        directory.mkdir(parents=True, exist_ok=True)
        instance = Instance(directory, audit=audit)
        try:
            instance.ports = {"apiserver": 0}
            instance.save()
            if owner is not None:
                start_reaper(instance, os.getpid() if owner == THIS_PROCESS else owner)
            control_plane.start_control_plane(instance, progress, crds)
            instance.parts.append(control_plane.PART)
            instance.save()
        except BaseException:
            end_everything(instance)
            raise
        return cls(instance)

    @classmethod
    def _running(cls, directory: Path) -> Cluster | None:
        instance = Instance.load(directory)
        if instance is None or control_plane.PART not in instance.parts:
            return None
        cluster = cls(instance)
        return cluster if cluster.api.ready() else None

    @classmethod
    def attach(cls, directory: Path) -> Cluster:
        """An instance that somebody else started."""
        cluster = cls._running(directory.resolve())
        if cluster is None:
            raise ClusterError(
                f"no cluster runs in {directory}",
                "Start one: `make cluster-up`, or `python3 -m hack.cluster up --help`.",
            )
        return cluster

    def add(self, *parts: str, progress: Progress = SILENT) -> None:
        """Starts further parts. What already runs stays as it is."""
        check_parts(parts)
        with locked(instance_lock_subject(self.directory)):
            self._instance = Instance.load(self.directory) or self._instance
            self._add(parts, progress)

    def _add(self, parts: Sequence[str], progress: Progress) -> None:
        for part, start in OPTIONAL_PARTS.items():
            if part not in parts:
                continue
            # The image follows the checkout, which may have changed since.
            if part in self._instance.parts and part != operator_image.PART:
                continue
            before = processes.recorded(self.directory)
            try:
                start(self._instance, progress)
            except BaseException:  # Ctrl-C too
                undo_part(self._instance, before)
                raise
            if part not in self._instance.parts:
                self._instance.parts.append(part)
                self._instance.save()

    @property
    def network(self) -> str:
        """The name of the node's bridge, and of the control group of all its Pods."""
        return self._instance.network

    def crash_containerd(self) -> None:
        """Kills the node's container runtime under its Pods and starts it again."""
        node.crash_containerd(self._instance)

    def kill(self, *names: str) -> None:
        """Kills processes of the cluster by SIGKILL, by the names of their logs."""
        known = processes.recorded(self.directory)
        processes.kill(known[name] for name in names)

    def start_etcd(self, quota_bytes: int = control_plane.QUOTA_BYTES) -> None:
        """Starts an etcd that was killed, with its data."""
        control_plane.start_etcd(self._instance, quota_bytes)

    def start_apiserver(self) -> None:
        """Starts an API server that was killed; returns when it is ready."""
        control_plane.start_apiserver(self._instance)

    @property
    def etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._instance.ports['etcd']}"

    def load_images(self, archive: Path) -> None:
        """Makes the images of a docker archive known to each node."""
        node.import_images(self._instance, archive)

    def stop(self, *, keep_logs: bool = False) -> None:
        """Ends everything and removes the directory. Stopping twice is fine."""
        atexit.unregister(self.stop)
        stop_instance(self.directory, SILENT, keep_logs=keep_logs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def directory(self) -> Path:
        return self._instance.directory

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self._instance.parts)

    @property
    def server(self) -> str:
        return self._instance.server

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator."""
        return self._instance.kubeconfig

    @property
    def operator_kubeconfig(self) -> Path:
        """Of the user `operator`, who has no rights until a test binds some."""
        return self._instance.kubeconfig_of(OPERATOR)

    @property
    def operator_token(self) -> str:
        return self._instance.tokens[OPERATOR]

    @property
    def operator_subject(self) -> Manifest:
        """Who the operator is, as a subject of a RoleBinding."""
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}

    @property
    def node_ip(self) -> str:
        """The host's address on the Pods' network: Pods reach servers of this machine there."""
        return self._instance.node_ip

    @property
    def gateway_url(self) -> str:
        """Where routes of the Gateway gateways/inference-gateway are served."""
        return self._instance.gateway_url

    @property
    def operator_image(self) -> str:
        """The image of this checkout, for Pods of a cluster with the part `operator-image`."""
        return operator_image.REFERENCE

    @property
    def certificates(self) -> Path:
        """Holds ca.crt, tls.crt and tls.key of the API server."""
        return self._instance.certificates

    @property
    def audit_log(self) -> Path:
        """JSON lines, one per answered request; there only with `audit=True`."""
        return self._instance.audit_log

    def audit_events(self, user: str = OPERATOR) -> Iterator[dict[str, object]]:
        """The audit log's entries about one user's requests."""
        with self.audit_log.open() as lines:
            for line in lines:
                event = json.loads(line)
                if event["user"].get("username") == user:
                    yield event

    def kubectl(self, *arguments: str, stdin: str | None = None, user: str = ADMIN) -> str:
        """Runs kubectl and returns its output; ClusterError carries what it said instead."""
        argv = [program(CONTROL_PLANE), "kubectl", *arguments]
        env = {**os.environ, "KUBECONFIG": str(self._instance.kubeconfig_of(user))}
        finished = subprocess.run(argv, input=stdin, env=env, capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            raise ClusterError(f"kubectl {' '.join(arguments)}: {finished.stderr.strip()}")
        return finished.stdout

    @contextmanager
    def namespace(self, prefix: str = "test") -> Iterator[str]:
        """A new namespace in which Pods can be created; deleted, without waiting, at the end."""
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": f"{prefix}-"}}
        name: str = self.api.request("POST", "/api/v1/namespaces", manifest)["metadata"]["name"]
        path = f"/api/v1/namespaces/{name}"
        self.api.wait_for(
            f"{path}/serviceaccounts/default", lambda _: True, 10, f"{name}'s service account is"
        )
        try:
            yield name
        finally:
            self.api.delete(path)

    def logs(self, name: str) -> str:
        """What a process of the cluster (etcd, kube-apiserver, kubelet, kserve, …) logged so far."""
        return processes.log_file(self.directory, name).read_text(errors="replace")


def check_parts(parts: Sequence[str]) -> None:
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ClusterError(f"unknown part {', '.join(unknown)}", f"The parts are {', '.join(PARTS)}.")


def _prepared(directory: Path | None) -> Path:
    if directory is None:
        directory = Path(tempfile.mkdtemp(prefix="aim-"))
    directory = directory.resolve()
    if len(str(directory)) > LONGEST_DIRECTORY:
        raise ClusterError(
            f"the directory's name is too long for the Unix sockets in it: {directory}",
            f"Choose one of at most {LONGEST_DIRECTORY} characters with --dir.",
        )
    if directory.is_dir() and any(directory.iterdir()) and not (directory / "state.json").exists():
        raise ClusterError(f"{directory} is not empty and holds no cluster", "Choose another one with --dir.")
    return directory
