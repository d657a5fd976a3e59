"""The composition root: the only place that wires clients, informers, controllers and probes.

Reads like a table of contents: what is watched (controllers/watched.py), who is woken by what
(the wake tables in controllers/), and in which order things start and stop (`run`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import structlog

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.controllers import copies, inventory
from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import Dependents
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.images import Images, image_wakes
from aim_operator.controllers.kserve_version import KServeVersion
from aim_operator.controllers.model_caches import ModelCaches, model_cache_wakes
from aim_operator.controllers.route_owners import RouteOwners
from aim_operator.controllers.runtime_configs import RuntimeConfigs, runtime_config_wakes
from aim_operator.controllers.services import Services, service_wakes
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.template_caches import TemplateCaches, template_cache_wakes
from aim_operator.controllers.templates import Templates, template_wakes
from aim_operator.controllers.watched import Watched
from aim_operator.core import labels
from aim_operator.core.catalog import enforced_path_prefix
from aim_operator.core.model_cache.plan import DownloadOptions
from aim_operator.core.routing import keeps_apart
from aim_operator.core.service.route_owner import contender
from aim_operator.core.template.plan import DiscoveryOptions
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime import footprint
from aim_operator.runtime.apply import Applier
from aim_operator.runtime.certificate import ServingCertificate
from aim_operator.runtime.clock import Clock, SystemClock
from aim_operator.runtime.clock_steps import WatchedClock
from aim_operator.runtime.controller import Controller, ControllerGroup
from aim_operator.runtime.events import EventRecorder
from aim_operator.runtime.foreign import ForeignWatches
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.leader import LeaderElector
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.pace import Pace
from aim_operator.runtime.probes import Probes
from aim_operator.runtime.reconcile import Kind, KindReconciler, Writer
from aim_operator.runtime.scrapers import ScrapeAuthorizer
from aim_operator.runtime.tracing import Tracer
from aim_operator.runtime.triggers import Trigger
from aim_operator.settings import Settings

log = structlog.get_logger("aim_operator")

COMPONENT = "aim-operator"
LEASE_NAME = "aim-operator"
CONTROLLER_OF = {
    aim.IMAGES.kind: "images",
    aim.CLUSTER_IMAGES.kind: "images",
    aim.RUNTIME_CONFIGS.kind: "runtimeconfigs",
    aim.CLUSTER_RUNTIME_CONFIGS.kind: "runtimeconfigs",
    aim.TEMPLATES.kind: "templates",
    aim.CLUSTER_TEMPLATES.kind: "templates",
    aim.SERVICES.kind: "services",
    aim.TEMPLATE_CACHES.kind: "templatecaches",
    aim.MODEL_CACHES.kind: "modelcaches",
}
"""The controller of each kind, by its name in logs and metrics."""
DRAIN_SECONDS = 10.0
"""How long running reconciles may take to end; a Pod's default grace period is 30 s."""


class Operator:
    """One running operator: from `run` until `stop`, cancellation or a lost Lease."""

    def __init__(
        self,
        client: KubeClient,
        settings: Settings,
        *,
        clock: Clock | None = None,
        identity: str = "",
        metrics: MetricSink | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock = WatchedClock(clock or SystemClock(), self._reconcile_all)
        metrics = metrics or MetricSink()
        tracer = tracer or Tracer()
        identity = identity or f"{socket.gethostname()}-{os.getpid()}"
        self._stopping = asyncio.Event()
        self.watched = watched = Watched(
            client,
            clock=clock,
            metrics=metrics,
            namespaces=settings.namespaces,
            operator_namespace=settings.operator_namespace,
        )
        self._elector = LeaderElector(
            client,
            clock=clock,
            namespace=settings.operator_namespace,
            name=LEASE_NAME,
            identity=identity,
            metrics=metrics if settings.leader_elect else None,
        )
        if not settings.leader_elect:
            metrics.leading(lambda: True)
        # As many as one namespace alone has at work.
        pace = Pace((settings.workers + 1) // 2, clock)
        metrics.gauge(
            "aim_slowed_namespaces",
            "Namespaces with fewer reconciles at work because the API server answers their writes slowly",
            (),
            lambda: [((), float(len(pace.limits)))],
        )
        self._applier = Applier(
            client,
            informers=watched.full,
            clock=clock,
            applied_annotation=labels.APPLIED,
            fence=self._elector.fence if settings.leader_elect else _unfenced,
            pace=pace,
        )
        self._recorder = EventRecorder(
            client,
            clock=clock,
            component=COMPONENT,
            instance=identity,
            metrics=metrics,
            busy=lambda: self._controllers.saturated,
        )
        self._foreign = ForeignWatches(client, clock=clock)
        self._existing_claims = ForeignWatches(client, clock=clock)
        self._downloads = DownloadProgress(client, clock=clock, wake=self._wake)
        self._catalog = StoreCatalog(watched)
        self._kserve = KServeVersion(client, clock=clock, on_change=self._kserve_changed)
        watched.crds.add_handler(self._kserve.crd_changed)
        self._dependents = Dependents(watched, self._catalog, operator_namespace=settings.operator_namespace)
        self._controllers = ControllerGroup(
            self._build_controllers(client, metrics, tracer),
            clock=clock,
            workers=settings.workers,
            applier=self._applier,
            pace=pace,
            metrics=metrics,
            tracer=tracer,
        )
        self._follow_installations()
        self._probes = Probes(
            healthy=self._stuck_watches,
            ready=self._unsynced,
            metrics=metrics,
            probe_address=settings.probe_address,
            metrics_address=settings.metrics_address,
            certificate=self._metrics_certificate if settings.metrics_tls_cert else None,
            scrapers=ScrapeAuthorizer(client, clock=clock) if settings.metrics_authorization else None,
            exemplars=tracer.tracing,
        )

    @property
    def ready(self) -> bool:
        """Whether every cache is synced."""
        return not self._unsynced()

    @property
    def alive(self) -> bool:
        """Whether this process works; an API server that is away does not count against it."""
        return not self._stuck_watches()

    def stop(self) -> None:
        """Ask `run` to end: running reconciles finish, the Lease is released."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until stopped: caches first, then leadership, then work; the reverse on the way out."""
        await self._probes.start()
        following = [asyncio.create_task(i.run(), name=str(i)) for i in self.watched.all]
        following.append(asyncio.create_task(self._recorder.run(), name="events"))
        following.append(asyncio.create_task(self._clock.run(), name="clock steps"))
        leading = asyncio.create_task(self._lead(), name="lead")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await _first_of(stopping, leading, *following)
            await self._controllers.drain(DRAIN_SECONDS)
        finally:
            await _cancel(leading, stopping)
            await self._foreign.close()
            await self._existing_claims.close()
            await self._downloads.close()
            await self._kserve.close()
            await _cancel(*following)
            await self._recorder.close()
            await self._probes.close()

    async def _lead(self) -> None:
        """Work while the Lease is ours. A standby's caches are warm: fail-over takes lease time only."""
        for informer in self.watched.all:
            await informer.wait_synced()
        await self._kserve.wait_tried()
        log.info("caches synced", objects=sum(len(informer.store) for informer in self.watched.all))
        if not self._settings.leader_elect:
            await self._work()
            return
        await self._elector.run(self._work)

    async def _work(self) -> None:
        # Oldest first: then nobody takes a path from those before, and nobody has to be woken.
        store = self.watched.services.store
        for each in sorted(map(contender, store.all())):
            if (service := store.get(each.namespace, each.name)) is not None:
                self._services.want_path(service)
            # A tenant may have thousands, each with the most expensive template: the Lease must not wait.
            await asyncio.sleep(0)
        await self._controllers.run()

    # Who is woken by what

    def _build_controllers(self, client: KubeClient, metrics: MetricSink, tracer: Tracer) -> list[Controller]:
        watched, catalog, depend, clock = self.watched, self._catalog, self._dependents, self._clock
        settings, cluster = self._settings, not self._settings.namespaces
        writer = Writer(
            self._applier,
            self._recorder,
            self._foreign,
            watched.full,
            applied_annotation=labels.APPLIED,
            wake=self._wake,
        )
        slots = DiscoverySlots(
            watched.jobs.store,
            catalog,
            operator_namespace=settings.operator_namespace,
            limit=settings.max_discovery_jobs,
            clock=clock,
            wake=self._wake,
        )
        watched.jobs.add_handler(slots.job_changed)
        watched.templates.add_handler(slots.template_changed)
        watched.cluster_templates.add_handler(slots.template_changed)
        download_slots = DownloadSlots(
            watched.jobs.store,
            watched.model_caches.store,
            limit=settings.max_download_jobs,
            clock=clock,
            wake=self._wake,
        )
        watched.jobs.add_handler(download_slots.job_changed)
        watched.model_caches.add_handler(download_slots.cache_changed)
        metrics.gauge("aim_downloads", "Download Jobs by state", ("state",), download_slots.samples)
        metrics.gauge("aim_discoveries", "Discovery Jobs by state", ("state",), slots.samples)
        footprint.register(metrics, watched.all)
        inventory.register(
            metrics, clock, ours=watched.ours, model_caches=watched.model_caches, jobs=watched.jobs
        )
        copies.register(metrics, watched.services)
        templates = Templates(
            client=client,
            watched=watched,
            catalog=catalog,
            slots=slots,
            options=DiscoveryOptions(
                requests={"cpu": settings.discovery_cpu_request, "memory": settings.discovery_memory_request},
                ttl_seconds=settings.job_ttl_seconds,
                pull_deadline_seconds=settings.discovery_pull_deadline,
            ),
            operator_namespace=settings.operator_namespace,
            cluster=cluster,
        )
        route_owners = RouteOwners(
            watched,
            clock=clock,
            wake=self._wake,
            apart=lambda: keeps_apart(enforced_path_prefix(catalog)),
        )
        self._services = Services(
            watched=watched, catalog=catalog, route_owners=route_owners, kserve=self._kserve
        )
        model_caches = ModelCaches(
            client=client,
            watched=watched,
            catalog=catalog,
            options=DownloadOptions(
                image=settings.downloader_image,
                requests={"cpu": settings.download_cpu_request, "memory": settings.download_memory_request},
                ttl_seconds=settings.job_ttl_seconds,
            ),
            downloads=self._downloads,
            foreign=self._existing_claims,
            wake=self._wake,
            slots=download_slots,
        )
        caching = CacheDependents(watched, catalog)
        kinds: dict[str, tuple[Kind[Any, Any], list[Trigger[Any]]]] = {
            "images": (Images(catalog=catalog, cluster=cluster), image_wakes(watched, depend)),
            "runtimeconfigs": (
                RuntimeConfigs(catalog=catalog, cluster=cluster),
                runtime_config_wakes(watched),
            ),
            "templates": (templates, template_wakes(watched, depend, caching)),
            "templatecaches": (
                TemplateCaches(watched=watched, catalog=catalog),
                template_cache_wakes(watched, caching),
            ),
            "modelcaches": (model_caches, model_cache_wakes(watched, caching)),
            "services": (self._services, service_wakes(watched, depend, caching, route_owners)),
        }
        return [
            Controller(name, KindReconciler(kind, writer, clock, tracer), wakes)
            for name, (kind, wakes) in kinds.items()
        ]

    def _wake(self, ref: ObjectRef) -> None:
        self._controllers.enqueue(CONTROLLER_OF[ref.kind], ref)

    def _wake_all(self, refs: Iterable[ObjectRef]) -> None:
        for ref in refs:
            self._wake(ref)

    def _reconcile_all(self) -> None:
        for informer in self.watched.ours:
            for metadata in (obj.metadata for obj in informer.store.all()):
                self._wake(ObjectRef(informer.resource.kind, metadata.namespace, metadata.name))

    def _kserve_changed(self) -> None:
        self._wake_all(self._dependents.all_services())

    def _follow_installations(self) -> None:
        """Go on by itself when a CRD arrives or goes, and when nodes bring other GPUs."""
        watched, depend = self.watched, self._dependents
        waited_for: tuple[Informer[Any], ...] = (
            watched.inference_services,
            watched.serving_runtimes,
            watched.other_runtimes,
            watched.cluster_serving_runtimes,
            watched.scaled_objects,
            watched.http_routes,
            watched.other_routes,
            *watched.ours,
        )
        by_name: dict[str, list[Informer[Any]]] = {}
        for informer in waited_for:
            by_name.setdefault(informer.resource.qualified, []).append(informer)

        def crd_changed(old: KubeObject | None, new: KubeObject | None) -> None:
            crd = new or old
            for informer in by_name.get(crd.metadata.name, ()) if crd is not None else ():
                informer.recheck()

        def gpu_models_changed() -> None:
            self._wake_all(depend.all_templates())
            self._wake_all(depend.services_by_choice())

        watched.crds.add_handler(crd_changed)
        self._catalog.gpus.on_change(self._clock, gpu_models_changed)
        for runtimes in (watched.serving_runtimes, watched.cluster_serving_runtimes):
            runtimes.on_installed(lambda _installed: self._wake_all(depend.all_templates()))
        for children in (watched.inference_services, watched.http_routes, watched.scaled_objects):
            children.on_installed(lambda _installed: self._wake_all(depend.all_services()))

    # Health

    def _metrics_certificate(self) -> ServingCertificate:
        settings = self._settings
        certificate, key = Path(settings.metrics_tls_cert), Path(settings.metrics_tls_key)
        return ServingCertificate(certificate, key, time=self._clock.monotonic)

    def _stuck_watches(self) -> list[str]:
        # Not those whose server is away: a restart would only lose the caches.
        return [f"the watch of {i.resource.qualified} is stuck" for i in self.watched.all if i.stuck]

    def _unsynced(self) -> list[str]:
        return [f"{i.resource.qualified} is not synced" for i in self.watched.all if not i.synced]


def _unfenced() -> None:
    """Let every write pass: without leader election there is nobody to collide with."""


async def _first_of(*tasks: asyncio.Task[Any]) -> None:
    """Wait for the first task to end, and raise what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
