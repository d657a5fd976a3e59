"""Templates of both scopes: discover once, keep the result, publish the runtime.

Woken by: itself, its image, its runtime configuration, its Job and the Job's Pod and refusals, its
runtime, a free discovery slot, the services of a derived one, KServe's arrival, new GPU models.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import UNSET, structs

from aim_operator.api.external import CLUSTER_SERVING_RUNTIMES, JOBS, SERVING_RUNTIMES, Job
from aim_operator.api.meta import ObjectRef, given
from aim_operator.api.v1alpha1 import CLUSTER_TEMPLATES, TEMPLATES, AIMServiceTemplateStatus
from aim_operator.controllers.carry_out import CarryOut, Refusal
from aim_operator.controllers.discovery_logs import pods_of, read_output
from aim_operator.controllers.paused import paused
from aim_operator.controllers.slots import DiscoverySlots
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import (
    BY_IMAGE_IN,
    BY_INVOLVED,
    BY_JOB,
    BY_OWNER,
    BY_TEMPLATE_IN,
    Watched,
)
from aim_operator.core import attempts
from aim_operator.core.catalog import (
    MissingRuntimeConfig,
    Template,
    is_derived,
    resolve_image,
    resolve_runtime_config,
)
from aim_operator.core.messages import last_message
from aim_operator.core.naming import discovery_job_name
from aim_operator.core.plan import Plan, controlled_by
from aim_operator.core.pods import ended_at, finished, job_condition
from aim_operator.core.service.resolution import resolve
from aim_operator.core.template import discovery
from aim_operator.core.template.observed import Slot, TemplateObserved
from aim_operator.core.template.plan import DiscoveryOptions, decide
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class TemplateReconciler:
    def __init__(
        self,
        *,
        client: KubeClient,
        watched: Watched,
        catalog: StoreCatalog,
        carry_out: CarryOut,
        clock: Clock,
        slots: DiscoverySlots,
        options: DiscoveryOptions,
        operator_namespace: str,
        cluster: bool,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._client, self._watched, self._catalog = client, watched, catalog
        self._carry_out, self._clock, self._slots = carry_out, clock, slots
        self._options = options
        self._operator_namespace = operator_namespace
        self._cluster = cluster
        self._wake = wake

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one template to where its inputs want it."""
        template = self._catalog.template_at(ref)
        if template is None or paused(template):
            self._slots.withdraw(ref)
            self._carry_out.forget(ref)
            return Result()
        # One moment for all: a retry must not be early for its slot and due for the decision.
        now = self._clock.now()
        observed = await self._gather(ref, template, now)
        plan = self._decide(observed, now)
        taken = await self._carry_out.foreign_names(ref, plan.children, wake=lambda: self._wake(ref))
        if taken:
            self._slots.withdraw(ref)
            observed = structs.replace(
                observed,
                runtime_foreign=bool(taken & {SERVING_RUNTIMES.kind, CLUSTER_SERVING_RUNTIMES.kind}),
                job_foreign=JOBS.kind in taken,
            )
            plan = self._decide(observed, now)
        applied, refused = await self._carry_out.children(ref, plan.children)
        if refused:
            self._slots.withdraw(ref)
            plan = self._decide(_with_refusals(observed, refused), now)
        resource = TEMPLATES if ref.namespace else CLUSTER_TEMPLATES
        result = await self._carry_out.finish(ref, resource, template, plan, applied)
        if refused:
            raise refused[0].error
        return result

    def _decide(self, observed: TemplateObserved, now: datetime) -> Plan[AIMServiceTemplateStatus]:
        return decide(observed, now=now, options=self._options)

    async def _gather(self, ref: ObjectRef, template: Template, now: datetime) -> TemplateObserved:
        namespace = template.metadata.namespace
        home = namespace or self._operator_namespace
        image = resolve_image(self._catalog, namespace, template.spec.aim_image_name)
        inherited = image.spec.runtime_config_name if image is not None else UNSET
        names = (template.spec.runtime_config_name, inherited)
        config = resolve_runtime_config(self._catalog, home, names)
        # Elsewhere anybody may name this owner: what their Job prints must not be believed.
        owned = self._watched.jobs.store.by_index(BY_OWNER, template.metadata.uid)
        jobs = tuple(job for job in owned if job.metadata.namespace == home)
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
            in_use=not is_derived(template) or self._in_use(template),
            template_cache=self._catalog.template_cache(template, namespace),
            template_cache_taken=self._catalog.template_cache_taken(template, namespace),
            gpu_models=self._catalog.gpu_models(),
            nodes_known=self._watched.nodes.installed,
        )
        if image is None or isinstance(config, MissingRuntimeConfig):
            self._slots.withdraw(ref)
            return observed
        digest = discovery.digest(template, image, config)
        name = discovery_job_name(template.metadata.name, digest)
        job = next((j for j in jobs if j.metadata.name == name), None)
        if job is None:
            slot = self._slot(ref, structs.replace(observed, digest=digest), name, now)
            return structs.replace(observed, digest=digest, slot=slot)
        self._slots.withdraw(ref)
        return await self._with_job(structs.replace(observed, digest=digest), job)

    def _slot(self, ref: ObjectRef, observed: TemplateObserved, name: str, now: datetime) -> Slot:
        """Ask for a slot only where the very next step is to create the Job."""
        bookkeeping = given(observed.template.status, AIMServiceTemplateStatus()).discovery
        due = attempts.retry_at(bookkeeping, observed.digest)
        needless = attempts.succeeded(bookkeeping, observed.digest) or (due is not None and due > now)
        if needless or not observed.writable or not observed.in_use:
            self._slots.withdraw(ref)
            return Slot(granted=False)
        return self._slots.request(ref, observed.template, name)

    async def _with_job(self, observed: TemplateObserved, job: Job) -> TemplateObserved:
        key = (job.metadata.namespace, job.metadata.name)
        bookkeeping = given(observed.template.status, AIMServiceTemplateStatus()).discovery
        news = (
            finished(job)
            and job.metadata.deletion_timestamp is None
            and not attempts.recorded(bookkeeping, observed.digest, ended_at(job))
        )
        known = self._watched.pods.store.by_index(BY_JOB, key)
        pods = tuple(pod for pod in known if controlled_by(pod, job.metadata))
        if news:
            pods = await pods_of(self._client, job, pods)
        events = self._watched.refusals.store.by_index(BY_INVOLVED, job.metadata.uid)
        observed = structs.replace(observed, pods=pods, refusal="" if pods else last_message(events))
        if news and job_condition(job, "Complete") is not None:
            return structs.replace(observed, output=await read_output(self._client, job, pods))
        return observed

    def _in_use(self, template: Template) -> bool:
        """Whether a service resolves to this derived template, or still runs on it."""
        namespace, name = template.metadata.namespace, template.metadata.name
        services = self._watched.services.store
        if services.by_index(BY_TEMPLATE_IN, (namespace, name)):
            return True
        return any(
            resolve(service, self._catalog).template_name == name
            for service in services.by_index(BY_IMAGE_IN, (namespace, template.spec.aim_image_name))
            if service.metadata.deletion_timestamp is None
        )


def _with_refusals(observed: TemplateObserved, refused: list[Refusal]) -> TemplateObserved:
    said = {refusal.child.resource.kind: str(refusal.error) for refusal in refused}
    return structs.replace(
        observed,
        job_refused=said.get(JOBS.kind, ""),
        runtime_refused=said.get(SERVING_RUNTIMES.kind, "") or said.get(CLUSTER_SERVING_RUNTIMES.kind, ""),
    )
