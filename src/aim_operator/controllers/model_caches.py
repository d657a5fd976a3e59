"""AIMModelCache: a claim, a download into it, its progress.

Woken by: itself, its claim and what the provisioner says of it, its Job and Pods, its configuration, storage
classes, and the log of the running download.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET, structs

from aim_operator.api.external import JOBS, PERSISTENT_VOLUME_CLAIMS, Pod
from aim_operator.api.meta import ObjectRef, given
from aim_operator.api.v1alpha1 import MODEL_CACHES, AIMModelCache
from aim_operator.controllers.carry_out import CarryOut, Refusal
from aim_operator.controllers.discovery_logs import ended, pods_of
from aim_operator.controllers.download_progress import DownloadProgress
from aim_operator.controllers.paused import paused
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import BY_INVOLVED, BY_JOB, BY_OWNER, Watched
from aim_operator.core import attempts
from aim_operator.core.catalog import MissingRuntimeConfig, resolve_runtime_config
from aim_operator.core.messages import last_message
from aim_operator.core.model_cache import desired
from aim_operator.core.model_cache.observed import ModelCacheObserved
from aim_operator.core.model_cache.plan import DownloadOptions, decide
from aim_operator.core.naming import claim_name, download_job_name
from aim_operator.core.plan import controlled_by
from aim_operator.core.pods import ended_at, finished
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class ModelCacheReconciler:
    def __init__(
        self,
        *,
        client: KubeClient,
        watched: Watched,
        catalog: StoreCatalog,
        carry_out: CarryOut,
        clock: Clock,
        options: DownloadOptions,
        downloads: DownloadProgress,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._client, self._watched, self._catalog = client, watched, catalog
        self._carry_out, self._clock = carry_out, clock
        self._options, self._downloads, self._wake = options, downloads, wake

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one model cache to where its inputs want it."""
        cache = self._watched.model_caches.store.get(ref.namespace, ref.name)
        if cache is None or cache.metadata.deletion_timestamp is not None:
            self._downloads.drop(ref)
            self._carry_out.forget(ref)
            return Result()
        if paused(cache):
            return Result()
        now = self._clock.now()
        observed = await self._gather(ref, cache)
        plan = decide(observed, now=now, options=self._options)
        taken = await self._carry_out.foreign_names(ref, plan.children, wake=lambda: self._wake(ref))
        if taken:
            observed = structs.replace(
                observed,
                claim_foreign=PERSISTENT_VOLUME_CLAIMS.kind in taken,
                job_foreign=JOBS.kind in taken,
            )
            plan = decide(observed, now=now, options=self._options)
        applied, refused = await self._carry_out.children(ref, plan.children)
        if refused:
            plan = decide(_with_refusals(observed, refused), now=now, options=self._options)
        result = await self._carry_out.finish(ref, MODEL_CACHES, cache, plan, applied)
        if refused:
            raise refused[0].error
        return result

    async def _gather(self, ref: ObjectRef, cache: AIMModelCache) -> ModelCacheObserved:
        watched = self._watched
        name = claim_name(ref.name, cache.metadata.uid)
        claim = watched.claims.store.get(ref.namespace, name)
        if claim is not None and not controlled_by(claim, cache.metadata):
            claim = None
        config = resolve_runtime_config(self._catalog, ref.namespace, (cache.spec.runtime_config_name,))
        # Elsewhere anybody may name this owner.
        owned = watched.jobs.store.by_index(BY_OWNER, cache.metadata.uid)
        jobs = tuple(job for job in owned if job.metadata.namespace == ref.namespace)
        observed = ModelCacheObserved(cache=cache, runtime_config=config, claim=claim, jobs=jobs)
        if claim is None:
            self._downloads.drop(ref)
            return observed
        class_name = given(claim.spec.storage_class_name, "")
        said = watched.provisioning.store.by_index(BY_INVOLVED, claim.metadata.uid)
        observed = structs.replace(
            observed,
            storage_class=watched.storage_classes.store.get("", class_name) if class_name else None,
            provisioning_failure=last_message(said),
        )
        if isinstance(config, MissingRuntimeConfig):
            return observed
        digest = desired.digest(cache, config, claim, self._options)
        return await self._with_job(ref, observed, digest)

    async def _with_job(
        self, ref: ObjectRef, observed: ModelCacheObserved, digest: str
    ) -> ModelCacheObserved:
        name = download_job_name(ref.name, digest)
        job = next((j for j in observed.jobs if j.metadata.name == name), None)
        if job is None:
            self._downloads.drop(ref)
            return observed
        known = self._watched.pods.store.by_index(BY_JOB, (ref.namespace, name))
        pods = tuple(pod for pod in known if controlled_by(pod, job.metadata))
        status = given(observed.cache.status, None)
        bookkeeping = status.download if status is not None else UNSET
        if finished(job) and not attempts.recorded(bookkeeping, digest, ended_at(job)):
            pods = await pods_of(self._client, job, pods)
        events = self._watched.refusals.store.by_index(BY_INVOLVED, job.metadata.uid)
        return structs.replace(
            observed,
            pods=pods,
            refusal="" if pods else last_message(events),
            progress=self._downloads.follow(ref, running) if (running := _running(pods)) else None,
        )


def _running(pods: tuple[Pod, ...]) -> Pod | None:
    return next((pod for pod in pods if pod.status.phase == "Running" and not ended(pod)), None)


def _with_refusals(observed: ModelCacheObserved, refused: list[Refusal]) -> ModelCacheObserved:
    said = {refusal.child.resource.kind: str(refusal.error) for refusal in refused}
    return structs.replace(
        observed,
        claim_refused=said.get(PERSISTENT_VOLUME_CLAIMS.kind, ""),
        job_refused=said.get(JOBS.kind, ""),
    )
