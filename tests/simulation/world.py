"""The real operator on a sandbox under virtual time: a cluster's life in milliseconds, repeatable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.meta import ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.app import Operator
from aim_operator.core import labels
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.tracing import Tracer
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.network import Network, Rates
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.sandbox.sandbox import Sandbox
from aim_operator.sandbox.storage import Change
from aim_operator.settings import Settings
from tests.support.permissions import acts_in_sandbox, declared_acts
from tests.support.virtual_clock import VirtualClock

WRITES = frozenset({"create", "apply", "replace", "patch", "patch_status", "delete"})
CONFLICT = 409
NOISE = frozenset({"events.events.k8s.io", "leases.coordination.k8s.io"})
SHOWN: tuple[Resource[Any], ...] = (
    *aim.ALL_KINDS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
    CLUSTER_SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    HTTP_ROUTES,
)
_TIMES = (
    "startedAt",
    "finishedAt",
    "lastTransitionTime",
    "lastAttemptTime",
    "startTime",
    "completionTime",
    "creationTimestamp",
)


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: inference-gateway, namespace: gateways}
spec:
  gatewayClassName: sandbox
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
"""


@cache
def _gateway() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(GATEWAY)
    return parsed


OPERATOR_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kaiwo-system"}}


class Crash(BaseException):
    """Raised at a write boundary: the process is gone, nothing after it happens."""


class World:
    """One sandbox, one clock, and operators that come and go."""

    def __init__(self, *, seed: int = 0, **sandbox_options: Any) -> None:
        random.seed(seed)  # the jitter of retries
        self.clock = VirtualClock()
        self.seed = seed
        self.sandbox = Sandbox(self.clock, seed=seed, **sandbox_options)
        self.admin = self.sandbox.client("admin", field_manager="admin")
        if sandbox_options.get("gateway", True):
            self.apply([_gateway()])
        self.apply([gpu_node("node-1"), OPERATOR_NAMESPACE, storage_class()])
        self.created: list[str] = []
        self._audited, self._writes = 0, list[tuple[str, str, str]]()
        self.sandbox.server.storage.listen(self._note_creation)
        self.network = Network(self.clock)
        """That of the operator which was started last."""
        self.clock_offset_seconds = 0.0
        """How far the clock of the operator's node is from that of the API server."""
        self.operator: Operator | None = None
        """The one that was started last."""
        self.running: list[asyncio.Task[None]] = []
        self._sandbox_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._sandbox_task = asyncio.create_task(self.sandbox.run(), name="sandbox")
        return self

    async def __aexit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        for task in self.running:
            await self._end(task)
        assert self._sandbox_task is not None
        await self._end(self._sandbox_task)
        if error_type is None:
            undeclared = acts_in_sandbox(self.sandbox.server.audit) - declared_acts()
            assert not undeclared, f"not in src/aim_operator/permissions.py: {sorted(undeclared)}"

    def apply(self, text: str | Iterable[dict[str, Any]]) -> None:
        """Create or change objects, as `kubectl apply` would."""
        objects = [o for o in yaml.safe_load_all(text) if o] if isinstance(text, str) else list(text)
        self.sandbox.load(objects)

    def delete(self, resource: Resource[Any], name: str, namespace: str = "") -> None:
        kind = self.sandbox.server.kinds.served(resource)
        self.sandbox.server.delete(kind, name, namespace=namespace)

    def patch(self, resource: Resource[Any], name: str, namespace: str, patch: dict[str, Any]) -> None:
        """Merge `patch` into an object, as `kubectl patch --type=merge` would."""
        kind = self.sandbox.server.kinds.served(resource)
        self.sandbox.server.patch(kind, name, patch, namespace=namespace, manager="kubectl-patch")

    def install_gateway(self) -> None:
        self.sandbox.install_gateway()
        self.apply([_gateway()])

    def start(
        self,
        *,
        rates: Rates | None = None,
        network: Network | None = None,
        crash_after_write: int = 0,
        seed: int = 0,
        user: str = "operator",
        **settings: Any,
    ) -> asyncio.Task[None]:
        """Start an operator; with `crash_after_write` n it is gone right after its n-th write.

        `network` is what lies between it and the API server, and all that goes wrong there; None: a new one.
        """
        network = self.network = network or Network(self.clock, seed=seed, rates=rates)
        task = self.run(self.sandbox.client(user, network=network), user=user, **settings)
        if crash_after_write:
            crash_at(task, crash_after_write, network)
        return task

    def run(
        self,
        client: KubeClient,
        *,
        user: str = "operator",
        clock: Clock | None = None,
        metrics: MetricSink | None = None,
        tracer: Tracer | None = None,
        **settings: Any,
    ) -> asyncio.Task[None]:
        """Start an operator that speaks to the sandbox by `client`, on a clock of its own if given."""
        self.operator = operator = Operator(
            client,
            Settings(**settings),
            clock=clock or self.clock,
            identity=user,
            metrics=metrics,
            tracer=tracer,
        )
        task = asyncio.create_task(operator.run(), name=user)
        self.running.append(task)
        return task

    def resync(self) -> None:
        """Have the operator reconcile everything: what it writes then, it was not woken for."""
        assert self.operator is not None
        for resource in aim.ALL_KINDS:
            for obj in self.all(resource):
                metadata = obj["metadata"]
                ref = ObjectRef(resource.kind, metadata.get("namespace", ""), metadata["name"])
                self.operator._wake(ref)

    async def stop(self, task: asyncio.Task[None]) -> None:
        self.running.remove(task)
        await self._end(task)

    async def pass_seconds(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def until(self, holds: Callable[[], bool], *, limit_seconds: float = 600) -> None:
        await self.clock.run_until(holds, limit_seconds=limit_seconds)

    def _note_creation(self, change: Change) -> None:
        if change.old is None and change.new is not None:
            self.created.append(f"{change.new.key.id.kind} {change.new.key.namespace}/{change.new.key.name}")

    # Looking

    def find(self, resource: Resource[Any], name: str, namespace: str = "") -> dict[str, Any] | None:
        return next((o for o in self.all(resource, namespace) if o["metadata"]["name"] == name), None)

    def all(self, resource: Resource[Any], namespace: str = "") -> list[dict[str, Any]]:
        return [
            stored.obj
            for stored in self.sandbox.server.storage.everything()
            if (stored.key.id.group, stored.key.id.kind) == (resource.group, resource.kind)
            and (not namespace or stored.key.namespace == namespace)
        ]

    def status(self, resource: Resource[Any], name: str, namespace: str = "") -> dict[str, Any]:
        found = self.find(resource, name, namespace)
        status: dict[str, Any] = (found or {}).get("status", {})
        return status

    def state_of(self, resource: Resource[Any], name: str, namespace: str = "") -> str:
        state: str = self.status(resource, name, namespace).get("status", "")
        return state

    def reason(self, resource: Resource[Any], name: str, namespace: str, condition: str) -> str:
        conditions = self.status(resource, name, namespace).get("conditions", [])
        found = next((c for c in conditions if c["type"] == condition), None)
        return f"{found['status']}/{found['reason']}" if found else ""

    def conflicts(self) -> int:
        """How many requests were refused because the object is not, or no longer, as the client thought."""
        return sum(entry.code == CONFLICT for entry in self.sandbox.server.audit)

    def writes(self) -> list[tuple[str, str, str]]:
        """(verb, resource, name) of what the operators wrote so far, Events and Leases apart."""
        audit = self.sandbox.server.audit
        self._writes += [
            (entry.verb, entry.resource, entry.name)
            for entry in audit[self._audited :]
            if entry.verb in WRITES and entry.user.startswith("operator") and entry.resource not in NOISE
        ]
        self._audited = len(audit)
        return list(self._writes)

    def snapshot(self) -> dict[str, Any]:
        """Everything that must be the same whatever the way there: no uids, times or versions."""
        objects = [o for resource in SHOWN for o in self.all(resource)]
        text = json.dumps({_key(o): _lasting(o) for o in objects}, sort_keys=True)
        for o in objects:
            text = text.replace(o["metadata"]["uid"], f"<uid of {_key(o)}>")
            if o["kind"] == "PersistentVolumeClaim":
                text = text.replace(o["metadata"]["name"], f"<name of {_key(o)}>")
        plain: dict[str, Any] = json.loads(text)
        return plain

    async def _end(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Crash):
            await self.clock.run(_outcome(task))


async def _outcome(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


def kill(task: asyncio.Task[None], network: Network) -> None:
    """Kill the operator now: none of its calls reaches the server any more."""

    def dead(_: int) -> None:
        raise Crash

    network.before_write = dead
    task.cancel()


def crash_at(task: asyncio.Task[None], number: int, network: Network, *, lost: bool = False) -> None:
    """Kill the operator at its n-th write: from then on none of its calls reaches the server.

    With `lost` that write does not reach it either.
    """

    def gone(count: int) -> None:
        if count >= number:
            kill(task, network)
            raise Crash

    if lost:
        network.before_write = gone
    else:
        network.after_write = gone


def _key(obj: dict[str, Any]) -> str:
    metadata = obj["metadata"]
    return f"{obj['kind']} {metadata.get('namespace', '')}/{_without_hash(obj['kind'], metadata['name'])}"


def _without_hash(kind: str, name: str) -> str:
    """Return the name without the part that follows from uids."""
    return name[:-9] if kind in ("Job", "PersistentVolumeClaim") else name


def _lasting(obj: dict[str, Any]) -> dict[str, Any]:
    metadata = obj["metadata"]
    # These follow from the rest, in which claims are named by uids.
    hashed = (labels.REVISION, labels.PLACEMENT)
    words = {name: word for name, word in metadata.get("labels", {}).items() if name not in hashed}
    kept = {
        "labels": words,
        "owners": [o["name"] for o in metadata.get("ownerReferences", [])],
    }
    spec = obj.get("spec")
    if obj["kind"] == "Job":
        spec = {"ttl": spec.get("ttlSecondsAfterFinished")} if spec else None
    return {"metadata": kept, "spec": spec, "status": _without_times(obj.get("status", {}))}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _without_times(v)
            for k, v in value.items()
            if k not in (*_TIMES, "specHash", "claimUid", "jobUid")
        }
    if isinstance(value, list):
        return [_without_times(inner) for inner in value]
    return value


def quickstart() -> list[dict[str, Any]]:
    """The objects of examples/quickstart."""
    directory = Path(__file__).parents[2] / "examples" / "quickstart"
    return [o for path in sorted(directory.glob("*.yaml")) for o in yaml.safe_load_all(path.read_text()) if o]


def decoded(obj: dict[str, Any], type_: type) -> Any:
    return msgspec.convert(obj, type_, strict=False)
