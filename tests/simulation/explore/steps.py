"""The steps that a story is made of: what a user does to a cluster, as data that can be printed and replayed.

A step that does not fit the cluster (it deletes what is not there, or the API server refuses it) does
nothing: so any part of a story is a story, and a long one can be shortened.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

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
    """`seconds` pass after it, in which everything may come to rest. As text: a sentence for a person."""

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
        return f"apply {named(self.manifest)} {json.dumps(rest)}"

    def act(self, world: World) -> None:
        world.apply([self.manifest])


class Patch(Step, frozen=True, kw_only=True):
    """`kubectl patch --type=merge`, `kubectl annotate`, `kubectl edit`."""

    kind: str
    name: str
    namespace: str = ""
    patch: dict[str, Any]

    def __str__(self) -> str:
        return f"patch {place(self.kind, self.namespace, self.name)} {json.dumps(self.patch)}"

    def act(self, world: World) -> None:
        world.patch(RESOURCES[self.kind], self.name, self.namespace, self.patch)


class Delete(Step, frozen=True, kw_only=True):
    kind: str
    name: str
    namespace: str = ""
    again: dict[str, Any] | None = None
    """Applied at the same moment: an object of the same name that is another one."""

    def __str__(self) -> str:
        deleted = f"delete {place(self.kind, self.namespace, self.name)}"
        if self.again is None:
            return deleted
        return f"{deleted} and apply it again at once: {json.dumps(self.again['spec'])}"

    def act(self, world: World) -> None:
        world.delete(RESOURCES[self.kind], self.name, self.namespace)
        if self.again is not None:
            world.apply([self.again])


class DeleteOne(Step, frozen=True, kw_only=True):
    """Delete one of those objects whose names follow from UIDs: the n-th by last change."""

    kind: str
    number: int

    def __str__(self) -> str:
        return f"delete {_which(self.kind, self.number)}"

    def act(self, world: World) -> None:
        if (metadata := _one(world, self.kind, self.number)) is not None:
            world.delete(RESOURCES[self.kind], metadata["name"], metadata.get("namespace", ""))


class LabelOne(Step, frozen=True, kw_only=True):
    """Label one of those objects as managed by somebody; None takes that label away."""

    kind: str
    number: int
    value: str | None

    def __str__(self) -> str:
        which = _which(self.kind, self.number)
        if self.value is None:
            return f"take the label {MANAGED_BY} off {which}"
        return f"label {MANAGED_BY}={self.value} on {which}"

    def act(self, world: World) -> None:
        if (metadata := _one(world, self.kind, self.number)) is not None:
            patch = {"metadata": {"labels": {MANAGED_BY: self.value}}}
            world.patch(RESOURCES[self.kind], metadata["name"], metadata.get("namespace", ""), patch)


def _which(kind: str, number: int) -> str:
    return f"the {nth(number + 1)} {kind} by last change (counted round if there are fewer)"


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
        what = {"kserve": "KServe", "gateway": "the Gateway API"}[self.what]
        return f"install {what}" if self.there else f"uninstall {what}, with all objects of its kinds"

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
        jobs = "downloads of" if "://" in self.what else "discoveries with"
        after = f" after {self.seconds_each:g} s" if self.outcome in ("succeeds", "fails") else ""
        return f"from now on {jobs} {self.what} {_OUTCOMES[self.outcome]}{after}"

    def act(self, world: World) -> None:
        world.sandbox.jobs.behaviours[self.what] = ImageBehaviour(
            outcome=self.outcome,  # type: ignore[arg-type]
            exit_code=14,
            message="it does not work",
            run_seconds=self.seconds_each,
        )


_OUTCOMES = {
    "succeeds": "succeed",
    "fails": "fail",
    "pull error": "cannot pull their image",
    "unschedulable": "find no node",
    "quota": "may have no Pod, by a quota",
    "hangs": "never end",
}


class Lazy(Step, frozen=True, kw_only=True):
    """Controllers of the cluster take their time: KServe, gateway, volumes, Pods, garbage collector."""

    kserve: float = 0.0
    gateway: float = 0.0
    claims: float = 0.0
    pods: float = 0.0
    garbage: float = 0.0

    def __str__(self) -> str:
        slow = [f"{what} {seconds:g} s" for name, what in _LAZY.items() if (seconds := getattr(self, name))]
        if not slow:
            return "from now on the cluster's controllers act at once"
        return f"from now on the cluster's controllers take their time: {', '.join(slow)}"

    def act(self, world: World) -> None:
        sandbox = world.sandbox
        sandbox.kserve.ready_seconds = self.kserve
        sandbox.gateway.accept_seconds = self.gateway
        sandbox.claims.bind_seconds = self.claims
        sandbox.jobs.start_seconds = self.pods
        sandbox.garbage.delay_seconds = self.garbage


_LAZY = {
    "kserve": "KServe",
    "gateway": "the gateway",
    "claims": "the binding of a claim",
    "pods": "the start of a Pod",
    "garbage": "the garbage collector",
}


class Restart(Step, frozen=True, kw_only=True):
    """The operator ends and starts again; `down` is how long it is away."""

    down: float = 0.0

    def __str__(self) -> str:
        return f"restart the operator{f', which is away for {self.down:g} s' if self.down else ''}"


class Wait(Step, frozen=True, kw_only=True):
    def __str__(self) -> str:
        return f"wait {self.seconds:g} s"

    def act(self, world: World) -> None:
        pass


class Silence(Step, frozen=True, kw_only=True):
    """A quiet hour, in which nothing may be written: nobody does anything, and nothing fails."""

    seconds: float = 3600.0

    def __str__(self) -> str:
        return f"nothing may be written for {self.seconds:g} s"

    def act(self, world: World) -> None:
        pass


def named(obj: dict[str, Any]) -> str:
    """Return kind, namespace and name of an object."""
    metadata = obj["metadata"]
    return place(obj["kind"], metadata.get("namespace", ""), metadata["name"])


def nth(number: int) -> str:
    """Return 1st, 2nd and so on; below 20."""
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number, 'th') }"


def place(kind: str, namespace: str, name: str) -> str:
    """Return the words for an object; what has no namespace is the cluster's."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
