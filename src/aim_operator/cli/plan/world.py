"""Runs the real operator on the sandbox to its end, on a clock on which hours take no time.

Nothing is invented: an image that no profile describes never answers its discovery, so what depends on it
stays open, and is shown so. Called by command.py.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aim_operator.api.meta import Manifest
from aim_operator.app import Operator
from aim_operator.cli.plan.documents import Document
from aim_operator.cli.plan.restore import restore
from aim_operator.cli.plan.snapshot import Snapshot
from aim_operator.errors import UserError
from aim_operator.runtime import logs
from aim_operator.sandbox import Sandbox
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.profiles import SandboxImage, read_profiles
from aim_operator.sandbox.storage import Change, Stored
from aim_operator.sandbox.virtual_clock import VirtualClock
from aim_operator.settings import Settings

MANY = 1_000_000
"""Jobs at once: a plan asks what comes in the end, not who comes first."""
REST_SECONDS = 30.0
"""After so long without a change the operator has done what it can; retries come to the same."""
MOST_SECONDS = 600.0
SEED = 0x91A2
"""Not that of other sandboxes: a snapshot of one has its uids already."""
NOISE = frozenset({"Event", "Lease"})


def images(folders: Iterable[Path]) -> dict[str, SandboxImage]:
    """Return what the images in the profiles of `folders` print in discovery. Raises UserError."""
    found: dict[str, SandboxImage] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"--profiles {folder} is not a directory")
        for reference, image in read_profiles(folder).items():
            if found.setdefault(reference, image) != image:
                raise UserError(f"profiles in {folder} and elsewhere differ for {reference}; give one")
    return found


class World:
    """One cluster in memory: `sandbox` is filled, then `settle` lets the operator do its work."""

    def __init__(self, profiles: Mapping[str, SandboxImage], snapshot: Snapshot | None = None) -> None:
        missing = snapshot.missing if snapshot is not None else ()
        self.clock = VirtualClock(snapshot.taken_at) if snapshot is not None else VirtualClock()
        self.sandbox = Sandbox(
            self.clock,
            kserve="InferenceService" not in missing,
            gateway="HTTPRoute" not in missing,
            seed=SEED,
        )
        if snapshot is not None:
            if "ScaledObject" not in missing:
                self.sandbox.install_keda()
            restore(self.sandbox, snapshot.objects)
        self.sandbox.jobs.profiles.update(profiles)
        self.sandbox.jobs.made_up = False
        self._changed_at = 0.0
        self._ended: asyncio.Task[None] | None = None
        self.assumed: tuple[str, ...] = ()
        self.jobs: list[Manifest] = []
        """Those that were made, also if they are gone."""

    def surround(self, documents: Iterable[Document]) -> None:
        """Add what every cluster has, as far as the files do not: see `assumed`."""
        given = list(documents)
        own = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": Settings().operator_namespace},
        }
        added = [own]
        assumed = []
        if not any(document.kind == "StorageClass" for document in given):
            added.append(storage_class())
            assumed.append("a default StorageClass")
        for namespace, name in _missing_gateways(given):
            added.append(_gateway(namespace, name))
            assumed.append(f"Gateway {namespace}/{name}, which takes routes from all namespaces")
        self.sandbox.load(added)
        self.assumed = tuple(assumed)

    async def settle(self) -> list[Stored]:
        """Run the operator until nothing changes any more. Returns all objects that there are then."""
        async with self.running():
            return await self.rest()

    async def rest(self) -> list[Stored]:
        """Return all objects, once the operator that runs has nothing to do any more."""
        clock = self.clock
        began = self._changed_at = clock.monotonic()
        while (
            clock.monotonic() - self._changed_at < REST_SECONDS and clock.monotonic() - began < MOST_SECONDS
        ):
            await clock.advance(REST_SECONDS / 3)
            if self._ended is not None and self._ended.done():
                break
        return list(self.sandbox.server.storage.everything())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have the operator at work."""
        logs.configure("console", "error", stream=io.StringIO())
        sandbox, clock = self.sandbox, self.clock
        sandbox.server.storage.listen(self._note)
        acting = asyncio.create_task(sandbox.run(), name="sandbox")
        settings = Settings(max_discovery_jobs=MANY, max_download_jobs=MANY)
        operator = Operator(sandbox.client(), settings, clock=clock, identity="plan")
        running = self._ended = asyncio.create_task(operator.run(), name="operator")
        try:
            yield
        finally:
            operator.stop()
            await clock.run(_ended(running))
            await clock.run(sandbox.close())
            await acting
        running.result()

    def _note(self, change: Change) -> None:
        if change.old is None and change.new.key.id.kind == "Job":
            self.jobs.append(change.new.obj)
        if change.new.key.id.kind not in NOISE:
            self._changed_at = self.clock.monotonic()


async def _ended(task: asyncio.Task[None]) -> None:
    await asyncio.wait([task])


def _missing_gateways(documents: list[Document]) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of the Gateways that routing leads to and no file has, each once."""
    there: set[tuple[str, str]] = {
        (each.namespace or "default", each.name) for each in documents if each.kind == "Gateway"
    }
    for document in documents:
        spec = document.manifest.get("spec")
        routing = spec.get("routing") if isinstance(spec, dict) else None
        ref = routing.get("gatewayRef") if isinstance(routing, dict) else None
        if not isinstance(ref, dict) or not isinstance(ref.get("name"), str):
            continue
        # A gatewayRef without a namespace means that of the service that is routed.
        namespaces = [str(ref["namespace"])] if ref.get("namespace") else _namespaces(document, documents)
        for namespace in namespaces:
            gateway = (namespace, ref["name"])
            if gateway not in there:
                there.add(gateway)
                yield gateway


def _namespaces(document: Document, documents: list[Document]) -> list[str]:
    if document.namespace:
        return [document.namespace]
    return sorted({each.namespace or "default" for each in documents if each.kind == "AIMService"})


def _gateway(namespace: str, name: str) -> Manifest:
    listener = {
        "name": "http",
        "port": 80,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"gatewayClassName": "assumed", "listeners": [listener]},
    }
