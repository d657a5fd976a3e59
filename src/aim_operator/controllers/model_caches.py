"""AIMModelCache: a claim, a download into it, its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import structs

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS, Job, PersistentVolumeClaim, Pod
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes, Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    AIMModelCache,
    AIMModelCacheStatus,
    AIMService,
    AIMTemplateCache,
    Quantity,
)
from aim_operator.controllers.cache_claims import claim_of, is_filled, left_behind, own_claim
from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import model_cache_owner
from aim_operator.controllers.discovery_logs import pods_of
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.download_slots import DownloadSlots
from aim_operator.controllers.index import (
    BY_INVOLVED,
    BY_JOB,
    BY_MODEL_CACHE_IN,
    BY_MOUNTED_CLAIM_IN,
    BY_OWNER,
    BY_UNCACHED_SOURCE_IN,
    events_about,
    mounted_claims,
)
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.room_queue import known_size, waits
from aim_operator.controllers.storage_budget import StorageBudget
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import itself, spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core import quantity
from aim_operator.core.caching import listed_models, serves_others
from aim_operator.core.catalog import MissingRuntimeConfig, RuntimeConfig, resolve_runtime_config
from aim_operator.core.jobs.at_work import AtWork, at_work
from aim_operator.core.jobs.machine import JobState, JobStep
from aim_operator.core.manifests import controlled_by
from aim_operator.core.messages import last_message
from aim_operator.core.model_cache import attempt, desired, digests, expansion, listing, placement, storage
from aim_operator.core.model_cache.allowance import Allowance
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import DownloadOptions, about_claim, decide
from aim_operator.core.naming import (
    claim_name,
    download_job_name,
    is_download_job_name,
    is_listing_job_name,
    listing_job_name,
)
from aim_operator.errors import ApiError, NotFound, SpecError
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.foreign import ForeignWatches, Name
from aim_operator.runtime.triggers import Trigger


class ModelCaches(AimKind):
    status_type = AIMModelCacheStatus

    def __init__(
        self,
        *,
        client: KubeClient,
        watched: Watched,
        catalog: StoreCatalog,
        options: DownloadOptions,
        downloads: DownloadProgress,
        foreign: ForeignWatches,
        wake: Callable[[ObjectRef], None],
        slots: DownloadSlots,
    ) -> None:
        self._client, self._watched, self._catalog = client, watched, catalog
        self._options, self._downloads, self._slots = options, downloads, slots
        self._foreign, self._wake = foreign, wake
        self._budget = StorageBudget(watched, catalog)

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], AIMModelCache] | None:
        cache = self._watched.model_caches.store.get(ref.namespace, ref.name)
        return (MODEL_CACHES, cache) if cache is not None else None

    def decide(self, observed: ModelCacheObserved, now: datetime) -> Plan[AIMModelCacheStatus]:
        return decide(observed, now=now, options=self._options)

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        self._budget.settle(ref, outcomes)
        if not any(o.child.resource is JOBS and o.object is not None for o in outcomes):
            refused = outcomes.problem(JOBS.kind)
            self._slots.ungrant(ref, refused.error if refused is not None else None)
        self._downloads.follow(ref, plan.follow)

    def forget(self, ref: ObjectRef) -> None:
        self._foreign.keep(ref, ())
        self._budget.forget(ref)
        self._slots.withdraw(ref)
        self._downloads.follow(ref, None)

    async def gather(self, ref: ObjectRef, obj: AIMModelCache, now: datetime) -> ModelCacheObserved:
        cache, watched = obj, self._watched
        claim = claim_of(watched.claims.store, cache)
        restored = self._restored(cache, claim)
        name = claim.metadata.name if claim is not None else claim_name(ref.name, cache.metadata.uid)
        existing, unread = cache.spec.existing_claim, None
        if existing is not None:
            restored = None
            try:
                claim = await self._existing(ref, existing.name)
            except ApiError as error:
                claim, unread = None, error
        config = resolve_runtime_config(self._catalog, ref.namespace, (cache.spec.runtime_config_name,))
        # Owner references are not validated across namespaces: a Job elsewhere proves nothing.
        owned = watched.jobs.store.by_index(BY_OWNER, cache.metadata.uid)
        jobs = tuple(job for job in owned if job.metadata.namespace == ref.namespace)
        # Copies that somebody made to look into one have other names.
        downloads = tuple(job for job in jobs if is_download_job_name(job.metadata.name, ref.name))
        listings = tuple(job for job in jobs if is_listing_job_name(job.metadata.name, ref.name))
        observed = ModelCacheObserved(
            cache=cache,
            runtime_config=config,
            nodes=self._catalog.gpu_models(),
            claim=claim,
            claim_unread=unread,
            left_behind=restored,
            superseded=self._superseded(cache, claim),
            in_use=self._in_use(cache, name if existing is None else existing.name),
            jobs=downloads,
            listing_jobs=listings,
            at_work=(
                *self._at_work(downloads, desired.CONTAINER, now),
                *self._at_work(listings, desired.LISTING_CONTAINER, now),
            ),
        )
        if claim is None or restored is not None:
            self._slots.withdraw(ref)
            return observed if restored is not None else await self._with_listing(ref, observed, now)
        class_name = claim.spec.storage_class_name or ""
        events = watched.provisioning.store.by_index(BY_INVOLVED, events_about(claim))
        observed = structs.replace(
            observed,
            storage_class=watched.storage_classes.store.get("", class_name) if class_name else None,
            provisioning_failure=last_message(events),
        )
        if isinstance(config, MissingRuntimeConfig):
            self._slots.withdraw(ref)
            return observed
        observed = structs.replace(observed, allowance=self._growth(ref, observed, config))
        place = placement.place(cache, config, claim, observed.storage_class)
        digest = digests.download(cache, config, claim, self._options, place, at_work=observed.at_work)
        record = (cache.status or AIMModelCacheStatus()).download
        observed = structs.replace(observed, progress=self._downloads.last_reported(ref))
        name = download_job_name(ref.name, digest)
        step = attempt.job_step(observed, claim, digest, record, now)
        if step.state is JobState.ABSENT_DUE and storage.judge(observed).usable:
            return structs.replace(observed, slot=self._slots.request(ref, cache, name))
        self._slots.withdraw(ref)
        return await self._with_job(
            observed,
            name,
            desired.CONTAINER,
            lambda seen: attempt.job_step(seen, claim, digest, record, now),
        )

    def _restored(
        self, cache: AIMModelCache, claim: PersistentVolumeClaim | None
    ) -> PersistentVolumeClaim | None:
        """Return a claim out of a backup that is to be used, as long as nothing is whole or mounted here."""
        if claim is not None and (is_filled(claim, cache) or self._is_mounted(claim)):
            return None
        return left_behind(self._watched.claims.store, cache)

    def _superseded(
        self, cache: AIMModelCache, claim: PersistentVolumeClaim | None
    ) -> PersistentVolumeClaim | None:
        """Return the claim that was made for the cache before another came back in its place."""
        own = own_claim(self._watched.claims.store, cache)
        if own is None or claim is None or own.metadata.uid == claim.metadata.uid or self._is_mounted(own):
            return None
        return own

    def _is_mounted(self, claim: PersistentVolumeClaim) -> bool:
        key = (claim.metadata.namespace, claim.metadata.name)
        return bool(self._watched.services.store.by_index(BY_MOUNTED_CLAIM_IN, key))

    async def _existing(self, ref: ObjectRef, name: str) -> PersistentVolumeClaim | None:
        """Read a claim that is not the operator's, and watch it from now on."""
        self._foreign.ensure(
            ref, Name(PERSISTENT_VOLUME_CLAIMS, ref.namespace, name), lambda: self._wake(ref)
        )
        try:
            return await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace=ref.namespace)
        except NotFound:
            return None

    async def _with_listing(
        self, ref: ObjectRef, observed: ModelCacheObserved, now: datetime
    ) -> ModelCacheObserved:
        config = observed.runtime_config
        if isinstance(config, MissingRuntimeConfig):
            return observed
        digest = digests.listing(observed.cache, config, self._options, at_work=observed.at_work)
        old = about_claim(observed, observed.cache.status or AIMModelCacheStatus())
        size = listing.known_size(observed, old, digest)
        observed = structs.replace(observed, allowance=self._room(ref, observed.cache, config, size))
        if not listing.is_needed(observed):
            return observed
        return await self._with_job(
            observed,
            listing_job_name(ref.name, digest),
            desired.LISTING_CONTAINER,
            lambda seen: listing.job_step(seen, digest, old, now),
        )

    def _room(
        self, ref: ObjectRef, cache: AIMModelCache, config: RuntimeConfig, size: Quantity | None
    ) -> Allowance | None:
        """Ask the budget for a claim for that much, where it is known how much."""
        try:
            if size is None or cache.spec.existing_claim is not None:
                return None
            asked = desired.claim_size(size, desired.headroom(config))
        except SpecError:
            return None
        return self._budget.ask(ref, cache, int(quantity.parse(asked)))

    def _growth(
        self, ref: ObjectRef, observed: ModelCacheObserved, config: RuntimeConfig
    ) -> Allowance | None:
        """Ask the budget for what the claim is to grow, if it is."""
        storage_class = observed.storage_class
        if storage_class is None or not storage_class.allow_volume_expansion:
            return None
        try:
            asked = expansion.wanted(observed, config)
        except SpecError:
            return None
        return self._budget.ask(ref, observed.cache, int(quantity.parse(asked))) if asked else None

    def _in_use(self, cache: AIMModelCache, claim: str) -> bool:
        """Whether a template cache lists it or looks for its source, or a model server mounts it."""
        namespace, template_caches = cache.metadata.namespace, self._watched.template_caches.store
        return bool(
            template_caches.by_index(BY_MODEL_CACHE_IN, (namespace, cache.metadata.name))
            or (
                serves_others(cache)
                and template_caches.by_index(BY_UNCACHED_SOURCE_IN, (namespace, cache.spec.source_uri))
            )
            or self._watched.services.store.by_index(BY_MOUNTED_CLAIM_IN, (namespace, claim))
            # What can't be decoded may use it.
            or template_caches.has_undecodable(namespace)
            or self._watched.services.store.has_undecodable(namespace)
        )

    async def _with_job(
        self,
        observed: ModelCacheObserved,
        name: str,
        container: str,
        job_step: Callable[[ModelCacheObserved], JobStep],
    ) -> ModelCacheObserved:
        """Add what is to be known of the Job of that name, and of its Pods."""
        jobs = (*observed.jobs, *observed.listing_jobs)
        job = next((job for job in jobs if job.metadata.name == name), None)
        if job is None:
            return observed
        pods = self._pods(job)
        events = self._watched.refusals.store.by_index(BY_INVOLVED, events_about(job))
        observed = structs.replace(observed, pods=pods, refusal="" if pods else last_message(events))
        if job_step(observed).state is not JobState.JUST_ENDED:
            return observed
        try:
            return structs.replace(observed, pods=await pods_of(self._client, job, pods, container))
        except ApiError as error:
            return structs.replace(observed, unread=error)

    def _pods(self, job: Job) -> tuple[Pod, ...]:
        cached = self._watched.pods.store.by_index(BY_JOB, (job.metadata.namespace, job.metadata.name))
        return tuple(pod for pod in cached if controlled_by(pod, job.metadata))

    def _at_work(self, jobs: Iterable[Job], container: str, now: datetime) -> Iterator[AtWork]:
        for job in jobs:
            found = at_work(job, self._pods(job), container, now)
            if found is not None:
                yield found


def _size_changed(old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> bool:
    """Whether a claim takes more or less of a budget than before."""
    if old is None or new is None:
        return True
    return (old.spec.resources, old.status.capacity) != (new.spec.resources, new.status.capacity)


def _ask_changed(old: AIMModelCache | None, new: AIMModelCache | None) -> bool:
    """Whether a cache asks a budget for something else than before, or no more."""
    return old is None or new is None or _asks(old) != _asks(new)


def _asks(cache: AIMModelCache) -> tuple[Any, ...]:
    return cache.metadata.generation, waits(cache), known_size(cache)


def _listing_changed(old: AIMTemplateCache | None, new: AIMTemplateCache | None) -> bool:
    if old is None or new is None:
        return True
    return _listed(old) != _listed(new)


def _listed(cache: AIMTemplateCache) -> set[tuple[str, str | None]]:
    return {(model.source_uri, model.name) for model in listed_models(cache)}


def _mounts_changed(old: AIMService | None, new: AIMService | None) -> bool:
    return old is None or new is None or set(mounted_claims(old)) != set(mounted_claims(new))


def model_cache_wakes(watched: Watched, caching: CacheDependents) -> list[Trigger[Any]]:
    """Return what wakes model caches. Beside these: the log of the running download."""
    return [
        Trigger(watched.model_caches, itself(MODEL_CACHES), own=True),
        Trigger(watched.claims, model_cache_owner),
        Trigger(watched.claims, caching.model_caches_of_left_behind),
        Trigger(watched.claims, caching.model_caches_without_room, when=_size_changed),
        Trigger(watched.model_caches, caching.model_caches_without_room, when=_ask_changed),
        Trigger(watched.template_caches, caching.model_caches_listed, when=_listing_changed),
        Trigger(watched.services, caching.model_caches_mounted, when=_mounts_changed),
        Trigger(watched.provisioning, caching.model_cache_of_event),
        Trigger(watched.storage_classes, caching.model_caches_of_storage_class),
        Trigger(watched.jobs, model_cache_owner),
        Trigger(watched.pods, caching.model_cache_of_pod),
        Trigger(watched.refusals, caching.model_cache_of_refusal),
        Trigger(watched.runtime_configs, caching.model_caches_of_config, when=spec_changed),
        Trigger(watched.cluster_runtime_configs, caching.model_caches_of_config, when=spec_changed),
    ]
