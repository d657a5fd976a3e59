"""Templates of both scopes: discover once, keep the result, publish the runtime."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import structs

from aim_operator.api.external import INFERENCE_SERVICES, JOBS, Job
from aim_operator.api.meta import ObjectRef
from aim_operator.api.plan import Outcomes, Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, TEMPLATES, AIMServiceTemplateStatus
from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import Dependents, runtime_changed, template_owner
from aim_operator.controllers.discovery_logs import pods_of, read_output
from aim_operator.controllers.index import (
    BY_IMAGE_IN,
    BY_INVOLVED,
    BY_JOB,
    BY_OWNER,
    BY_RUNTIME_IN,
    BY_TEMPLATE_IN,
    events_about,
)
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import itself, spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core import labels
from aim_operator.core.catalog import (
    MissingRuntimeConfig,
    Template,
    is_derived,
    is_unchanged_derived,
    resolve_image,
    resolve_runtime_config,
)
from aim_operator.core.jobs.machine import JobState
from aim_operator.core.manifests import controlled_by
from aim_operator.core.messages import last_message
from aim_operator.core.naming import discovery_job_name, is_discovery_job_name, label_value
from aim_operator.core.service.resolution import resolve
from aim_operator.core.template import discovery
from aim_operator.core.template.attempt import job_step
from aim_operator.core.template.desired import CONTAINER, is_given
from aim_operator.core.template.observed import Slot, TemplateObserved
from aim_operator.core.template.plan import DiscoveryOptions, decide
from aim_operator.errors import ApiError, NotInstalled
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.triggers import Trigger


class Templates(AimKind):
    status_type = AIMServiceTemplateStatus

    def __init__(
        self,
        *,
        client: KubeClient,
        watched: Watched,
        catalog: StoreCatalog,
        slots: DiscoverySlots,
        options: DiscoveryOptions,
        operator_namespace: str,
        cluster: bool,
    ) -> None:
        self._client, self._watched, self._catalog = client, watched, catalog
        self._slots, self._options = slots, options
        self._operator_namespace = operator_namespace
        self._cluster = cluster

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], Template] | None:
        template = self._catalog.template_at(ref)
        if template is None:
            return None
        return (TEMPLATES if ref.namespace else CLUSTER_TEMPLATES), template

    def decide(self, observed: TemplateObserved, now: datetime) -> Plan[AIMServiceTemplateStatus]:
        return decide(observed, now=now, options=self._options)

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        """Give the slot back unless a Job came of it: one that can't be created holds up nobody."""
        del plan
        jobs = [o for o in outcomes if o.child.resource is JOBS]
        if not any(o.object is not None for o in jobs):
            self._slots.ungrant(ref, next((o.error for o in jobs if o.error is not None), None))

    def forget(self, ref: ObjectRef) -> None:
        self._slots.withdraw(ref)

    async def gather(self, ref: ObjectRef, obj: Template, now: datetime) -> TemplateObserved:
        template, namespace = obj, obj.metadata.namespace
        home = namespace or self._operator_namespace
        image = resolve_image(self._catalog, namespace, template.spec.aim_image_name)
        inherited = image.spec.runtime_config_name if image is not None else None
        names = (template.spec.runtime_config_name, inherited)
        config = resolve_runtime_config(self._catalog, home, names)
        # Owner references are not validated across namespaces: a Job elsewhere proves nothing.
        owned = self._watched.jobs.store.by_index(BY_OWNER, template.metadata.uid)
        # A copy that somebody made to look into one has another name.
        jobs = tuple(
            job
            for job in owned
            if job.metadata.namespace == home and is_discovery_job_name(job.metadata.name, ref.name)
        )
        runtimes = self._watched.serving_runtimes if namespace else self._watched.cluster_serving_runtimes
        observed = TemplateObserved(
            template=template,
            image=image,
            runtime_config=config,
            discovery_namespace=home,
            digest="",
            jobs=jobs,
            kserve_installed=runtimes.installed,
            writable=bool(namespace) or self._cluster,
            **await self._use(template),
            template_cache=self._catalog.template_cache(template, namespace),
            template_cache_taken=self._catalog.template_cache_taken(template, namespace),
            gpu_models=self._catalog.gpu_models(),
            nodes_known=self._watched.nodes.installed,
        )
        if image is None or isinstance(config, MissingRuntimeConfig) or is_given(template):
            self._slots.withdraw(ref)
            return observed
        digest = discovery.digest(template, image, config, [job.metadata.name for job in jobs])
        name = discovery_job_name(template.metadata.name, digest)
        job = next((j for j in jobs if j.metadata.name == name), None)
        if job is None:
            slot = self._slot(ref, structs.replace(observed, digest=digest), name, now)
            return structs.replace(observed, digest=digest, slot=slot)
        self._slots.withdraw(ref)
        return await self._with_job(structs.replace(observed, digest=digest), job, now)

    def _slot(self, ref: ObjectRef, observed: TemplateObserved, name: str, now: datetime) -> Slot:
        """Ask for a slot only where the very next step is to create the Job."""
        due = job_step(observed, now, self._options).state is JobState.ABSENT_DUE
        if not due or not observed.writable or not observed.in_use:
            self._slots.withdraw(ref)
            return Slot(granted=False)
        return self._slots.request(ref, observed.template, name)

    async def _with_job(self, observed: TemplateObserved, job: Job, now: datetime) -> TemplateObserved:
        key = (job.metadata.namespace, job.metadata.name)
        cached = self._watched.pods.store.by_index(BY_JOB, key)
        pods = tuple(pod for pod in cached if controlled_by(pod, job.metadata))
        events = self._watched.refusals.store.by_index(BY_INVOLVED, events_about(job))
        observed = structs.replace(observed, pods=pods, refusal="" if pods else last_message(events))
        if job_step(observed, now, self._options).state is not JobState.JUST_ENDED:
            return observed
        try:
            pods = await pods_of(self._client, job, pods, CONTAINER)
            observed = structs.replace(observed, pods=pods)
            if not job_step(observed, now, self._options).succeeded:
                return observed
            return structs.replace(observed, output=await read_output(self._client, job, pods))
        except ApiError as error:
            return structs.replace(observed, unread=error)

    async def _use(self, template: Template) -> dict[str, Any]:
        """Return whether a derived template is in use, or why that can't be said.

        Before one goes the server itself is asked: the cache may lack what was written a moment ago, or,
        where a watch stalls, minutes ago.
        """
        if not is_derived(template) or self._in_use(template):
            return {"in_use": True}
        if not is_unchanged_derived(template):
            return {"in_use": False}
        metadata = template.metadata
        try:
            page = await self._client.list(
                INFERENCE_SERVICES,
                namespace=metadata.namespace,
                label_selector=f"{labels.TEMPLATE}={label_value(metadata.name)}",
                limit=1,
            )
        except NotInstalled:
            return {"in_use": False}
        except ApiError as error:
            return {"in_use": True, "use_unknown": error}
        # While the server was asked, a service may have come that resolves to it.
        if self._in_use(template):
            return {"in_use": True}
        unseen = bool(page.items or page.undecodable)
        return {"in_use": unseen, "use_unseen": unseen}

    def _in_use(self, template: Template) -> bool:
        """Whether a service resolves to this derived template, still runs on it, or can't be asked."""
        namespace, name = template.metadata.namespace, template.metadata.name
        services = self._watched.services.store
        if services.has_undecodable(namespace):
            return True
        if self._watched.inference_services.store.by_index(BY_RUNTIME_IN, (namespace, name)):
            return True
        if services.by_index(BY_TEMPLATE_IN, (namespace, name)):
            return True
        return any(
            resolve(service, self._catalog).template_name == name
            for service in services.by_index(BY_IMAGE_IN, (namespace, template.spec.aim_image_name))
            if service.metadata.deletion_timestamp is None
        )


def template_wakes(watched: Watched, depend: Dependents, caching: CacheDependents) -> list[Trigger[Any]]:
    """Return what wakes templates.

    Beside these: a free discovery slot, the arrival of KServe's kinds, and other GPU models on nodes.
    """
    return [
        Trigger(watched.templates, itself(TEMPLATES), own=True),
        Trigger(watched.cluster_templates, itself(CLUSTER_TEMPLATES), own=True),
        Trigger(watched.images, depend.templates_of_image, when=spec_changed),
        Trigger(watched.cluster_images, depend.templates_of_image, when=spec_changed),
        Trigger(watched.runtime_configs, depend.templates_of_config, when=spec_changed),
        Trigger(watched.cluster_runtime_configs, depend.templates_of_config, when=spec_changed),
        Trigger(watched.jobs, template_owner),
        Trigger(watched.pods, depend.template_of_pod),
        Trigger(watched.refusals, depend.template_of_refusal),
        Trigger(watched.serving_runtimes, template_owner),
        Trigger(watched.cluster_serving_runtimes, template_owner),
        Trigger(watched.services, depend.derived_templates_of),
        Trigger(watched.inference_services, depend.derived_template_of_runtime, when=runtime_changed),
        Trigger(watched.template_caches, caching.templates_of_template_cache),
    ]
