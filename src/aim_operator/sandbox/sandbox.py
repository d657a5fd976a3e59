"""Sandbox: a server with all its stand-ins on one clock, as the demo and the simulations use it.

Owns what is running; holds no semantics of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from aim_operator.api.crd import all_crds
from aim_operator.api.meta import Manifest
from aim_operator.errors import UserError
from aim_operator.sandbox.agenda import Agenda
from aim_operator.sandbox.autoscalers import AutoscalerController
from aim_operator.sandbox.claims import ClaimBinder
from aim_operator.sandbox.client import SandboxClient
from aim_operator.sandbox.clock import Clock
from aim_operator.sandbox.external_crds import gateway_crds, keda_crds, kserve_crds
from aim_operator.sandbox.garbage import GarbageCollector
from aim_operator.sandbox.gateway import GatewayController
from aim_operator.sandbox.jobs import JobController
from aim_operator.sandbox.kinds import NAMESPACE
from aim_operator.sandbox.kserve import KServe
from aim_operator.sandbox.network import Network
from aim_operator.sandbox.profiles import read_profiles
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.storage import Key, Stored


@cache
def _our_crds() -> tuple[Manifest, ...]:
    # Generating them takes a quarter of a second, and tests make hundreds of sandboxes.
    return tuple(all_crds())


class Sandbox:
    """A whole cluster in memory. The stand-ins act while `run` runs.

    Delays are those of a cluster that does everything at once; the attributes of `jobs`, `kserve` and
    `gateway` change that.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        profiles: Path | None = None,
        crds: Iterable[Manifest] | None = None,
        kserve: bool = True,
        gateway: bool = True,
        seed: int = 0,
        evaluate_rules: bool = True,
    ) -> None:
        self.clock = clock
        self.server = SandboxServer(
            clock, crds=_our_crds() if crds is None else crds, seed=seed, evaluate_rules=evaluate_rules
        )
        self.agenda = Agenda(clock)
        images = read_profiles(profiles) if profiles else {}
        self.garbage = GarbageCollector(self.server, self.agenda)
        self.jobs = JobController(self.server, self.agenda, profiles=images)
        self.claims = ClaimBinder(self.server, self.agenda)
        self.kserve = KServe(self.server, self.agenda, images=self.jobs.profiles)
        self.autoscalers = AutoscalerController(self.server, self.agenda)
        self.gateway = GatewayController(self.server, self.agenda)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        if kserve:
            self.install_kserve()
        if gateway:
            self.install_gateway()

    def client(
        self, user: str = "operator", *, field_manager: str = "aim-operator", network: Network | None = None
    ) -> SandboxClient:
        return SandboxClient(self.server, user=user, field_manager=field_manager, network=network)

    def install_kserve(self) -> None:
        self.server.install(kserve_crds())

    def uninstall_kserve(self) -> None:
        self._uninstall(kserve_crds())

    def install_gateway(self) -> None:
        self.server.install(gateway_crds())

    def install_keda(self) -> None:
        self.server.install(keda_crds())

    def uninstall_gateway(self) -> None:
        self._uninstall(gateway_crds())

    def load(self, manifests: Iterable[Manifest]) -> list[Stored]:
        """Creates or applies objects as a user would, and the namespaces that they need.

        Raises UserError for a kind that nobody serves, Invalid for an object that the server refuses.
        """
        return [self._loaded(manifest) for manifest in manifests]

    async def run(self) -> None:
        """Lets the stand-ins act until cancelled, or until `close`. Raises what a stand-in did wrong."""
        if self._closed:
            return
        self._task = task = asyncio.ensure_future(self.agenda.run())
        try:
            await asyncio.wait((task,))
        finally:
            task.cancel()
        if not task.cancelled():
            task.result()

    async def close(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def _loaded(self, manifest: Manifest) -> Stored:
        api_version, name = manifest.get("apiVersion", ""), manifest.get("kind", "")
        kind = self.server.kinds.named(api_version, name)
        if kind is None:
            raise UserError(f"no kind {name!r} in version {api_version!r} is installed")
        metadata = manifest["metadata"]
        if kind.namespaced:
            metadata = {"namespace": "default"} | metadata
            self._need_namespace(metadata["namespace"])
        status = manifest.get("status")
        stored = self.server.apply(kind, manifest | {"metadata": metadata}, manager="kubectl", force=True)
        if status is not None and kind.builtin and kind.has_status:
            # A Node's labels and capacity come from its kubelet, which is not here.
            stored = self.server.patch(
                kind,
                stored.key.name,
                {"status": status},
                namespace=stored.key.namespace,
                subresource="status",
                manager="kubelet",
            )
        return stored

    def _need_namespace(self, name: str) -> None:
        if self.server.storage.get(Key(NAMESPACE, "", name)) is None:
            self.server.create(self.server.kinds.of(NAMESPACE), {"metadata": {"name": name}})

    def _uninstall(self, crds: Iterable[Manifest]) -> None:
        for crd in crds:
            self.server.uninstall(crd["metadata"]["name"])
