"""The steps that a story is made of: what a user does to a cluster, as data that can be printed and replayed.

A step that does not fit the cluster (it deletes what is not there, or the API server refuses it) does
nothing: so any part of a story is a story, and a long one can be shortened.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct, structs

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    SERVING_RUNTIMES,
)
from aim_operator.api.resource import Resource
from aim_operator.core.labels import MANAGED_BY
from aim_operator.sandbox.jobs import ImageBehaviour
from aim_operator.sandbox.kinds import NAMESPACE as NAMESPACE_KIND
from tests.simulation.world import World

RESOURCES: dict[str, Resource[Any]] = {
    resource.kind: resource
    for resource in (
        *aim.ALL_KINDS,
        JOBS,
        NODES,
        PERSISTENT_VOLUME_CLAIMS,
        SERVING_RUNTIMES,
        CLUSTER_SERVING_RUNTIMES,
        INFERENCE_SERVICES,
        HTTP_ROUTES,
    )
}


class Step(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """`seconds` pass after it, in which everything may come to rest."""

    seconds: float = 40.0

    def act(self, world: World) -> None:
        """Do it. Raises ApiError or UserError where the API server would refuse it."""
        raise NotImplementedError


class Apply(Step, frozen=True, kw_only=True):
    """`kubectl apply` of one object: what it had from an earlier apply and has not now, goes."""

    manifest: dict[str, Any]

    def __str__(self) -> str:
        metadata = self.manifest["metadata"]
        more = {k: v for k, v in metadata.items() if k not in ("name", "namespace")}
        rest = {"metadata": more} if more else {}
        rest |= {
            k: v for k, v in self.manifest.items() if k not in ("apiVersion", "kind", "metadata", "status")
        }
        return f"apply {_named(self.manifest['kind'], metadata)} {json.dumps(rest)}"

    def act(self, world: World) -> None:
        world.apply([self.manifest])


class Patch(Step, frozen=True, kw_only=True):
    """`kubectl patch --type=merge`, `kubectl annotate`, `kubectl edit`."""

    kind: str
    name: str
    namespace: str = ""
    patch: dict[str, Any]

    def __str__(self) -> str:
        return f"patch {_place(self.kind, self.namespace, self.name)} {json.dumps(self.patch)}"

    def act(self, world: World) -> None:
        world.patch(RESOURCES[self.kind], self.name, self.namespace, self.patch)


class Delete(Step, frozen=True, kw_only=True):
    kind: str
    name: str
    namespace: str = ""
    again: dict[str, Any] | None = None
    """Applied at the same moment: an object of the same name that is another one."""

    def __str__(self) -> str:
        then = f" and apply it again: {json.dumps(self.again['spec'])}" if self.again is not None else ""
        return f"delete {_place(self.kind, self.namespace, self.name)}{then}"

    def act(self, world: World) -> None:
        world.delete(RESOURCES[self.kind], self.name, self.namespace)
        if self.again is not None:
            world.apply([self.again])


class DeleteOne(Step, frozen=True, kw_only=True):
    """Delete one of those objects whose names follow from UIDs: the n-th by last change."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"delete the {self.kind} number {self.number} (modulo how many there are)"

    def act(self, world: World) -> None:
        if (metadata := _one(world, self.kind, self.number)) is not None:
            world.delete(RESOURCES[self.kind], metadata["name"], metadata.get("namespace", ""))


class LabelOne(Step, frozen=True, kw_only=True):
    """Label one of those objects as managed by somebody; None takes that label away."""

    kind: str
    number: int
    value: str | None

    def __str__(self) -> str:
        return f"label the {self.kind} number {self.number} (modulo how many there are) as {self.value}'s"

    def act(self, world: World) -> None:
        if (metadata := _one(world, self.kind, self.number)) is not None:
            patch = {"metadata": {"labels": {MANAGED_BY: self.value}}}
            world.patch(RESOURCES[self.kind], metadata["name"], metadata.get("namespace", ""), patch)


def _one(world: World, kind: str, number: int) -> dict[str, Any] | None:
    there = sorted(world.all(RESOURCES[kind]), key=lambda o: int(o["metadata"]["resourceVersion"]))
    return there[number % len(there)]["metadata"] if there else None


class DeleteNamespace(Step, frozen=True, kw_only=True):
    name: str

    def __str__(self) -> str:
        return f"delete namespace {self.name}"

    def act(self, world: World) -> None:
        world.sandbox.server.delete(world.sandbox.server.kinds.of(NAMESPACE_KIND), self.name)


class Install(Step, frozen=True, kw_only=True):
    """The CRDs of KServe or Gateway API come or go, with all objects of their kinds."""

    what: str
    there: bool

    def __str__(self) -> str:
        return f"{'install' if self.there else 'uninstall'} {self.what}"

    def act(self, world: World) -> None:
        match self.what, self.there:
            case "kserve", True:
                world.sandbox.install_kserve()
            case "kserve", False:
                world.sandbox.uninstall_kserve()
            case _, True:
                world.install_gateway()
            case _:
                world.sandbox.uninstall_gateway()


class Behave(Step, frozen=True, kw_only=True):
    """From now on an image, or the download of a source, ends so."""

    what: str
    outcome: str = "succeeds"
    seconds_each: float = 0.0

    def __str__(self) -> str:
        return f"from now on {self.what} {self.outcome}, after {self.seconds_each:g} s"

    def act(self, world: World) -> None:
        world.sandbox.jobs.behaviours[self.what] = ImageBehaviour(
            outcome=self.outcome,  # type: ignore[arg-type]
            exit_code=14,
            message="it does not work",
            run_seconds=self.seconds_each,
        )


class Lazy(Step, frozen=True, kw_only=True):
    """Controllers of the cluster take their time: KServe, gateway, volumes, Pods, garbage collector."""

    kserve: float = 0.0
    gateway: float = 0.0
    claims: float = 0.0
    pods: float = 0.0
    garbage: float = 0.0

    def __str__(self) -> str:
        words = {name: value for name, value in structs.asdict(self).items() if value and name != "seconds"}
        return f"controllers take their time: {words}"

    def act(self, world: World) -> None:
        sandbox = world.sandbox
        sandbox.kserve.ready_seconds = self.kserve
        sandbox.gateway.accept_seconds = self.gateway
        sandbox.claims.bind_seconds = self.claims
        sandbox.jobs.start_seconds = self.pods
        sandbox.garbage.delay_seconds = self.garbage


class Restart(Step, frozen=True, kw_only=True):
    """The operator ends and starts again; `down` is how long it is away."""

    down: float = 0.0

    def __str__(self) -> str:
        return f"restart the operator, which is away for {self.down:g} s"


class Wait(Step, frozen=True, kw_only=True):
    def __str__(self) -> str:
        return f"wait {self.seconds:g} s"

    def act(self, world: World) -> None:
        pass


class Silence(Step, frozen=True, kw_only=True):
    """A quiet hour, in which nothing may be written: nobody does anything, and nothing fails."""

    seconds: float = 3600.0

    def __str__(self) -> str:
        return f"nothing is written for {self.seconds:g} s"

    def act(self, world: World) -> None:
        pass


def _named(kind: str, metadata: dict[str, Any]) -> str:
    return _place(kind, metadata.get("namespace", ""), metadata["name"])


def _place(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
