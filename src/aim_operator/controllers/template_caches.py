"""AIMTemplateCache: one model cache per source of its template.

Woken by: itself, its template, the model caches of its sources, older template caches that share one, its
configuration; one that the operator made also by the services that may ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import structs

from aim_operator.api.meta import ObjectRef, given
from aim_operator.api.v1alpha1 import TEMPLATE_CACHES, AIMService, AIMTemplateCache, ModelSource
from aim_operator.controllers.carry_out import CarryOut
from aim_operator.controllers.paused import paused
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import (
    BY_IMAGE_IN,
    BY_MODEL_CACHE_IN,
    BY_SOURCE_IN,
    BY_TEMPLATE_IN,
    Watched,
)
from aim_operator.core.caching import (
    choose,
    listed_models,
    made_by_operator,
    model_cache_for,
    seniority,
    sources_of,
    template_caches,
)
from aim_operator.core.catalog import (
    MissingRuntimeConfig,
    Template,
    resolve_image,
    resolve_runtime_config,
)
from aim_operator.core.naming import model_cache_name
from aim_operator.core.plan import Child
from aim_operator.core.service.resolution import resolve
from aim_operator.core.template_cache.desired import runtime_config_name, storage_class
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved
from aim_operator.core.template_cache.plan import decide
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.controller import Result


class TemplateCacheReconciler:
    def __init__(
        self,
        *,
        watched: Watched,
        catalog: StoreCatalog,
        carry_out: CarryOut,
        clock: Clock,
        wake: Callable[[ObjectRef], None],
    ) -> None:
        self._watched, self._catalog = watched, catalog
        self._carry_out, self._clock, self._wake = carry_out, clock, wake

    async def reconcile(self, ref: ObjectRef) -> Result:
        """Bring one template cache to where its inputs want it."""
        cache = self._watched.template_caches.store.get(ref.namespace, ref.name)
        if cache is None or cache.metadata.deletion_timestamp is not None:
            self._carry_out.forget(ref)
            return Result()
        if paused(cache):
            return Result()
        now = self._clock.now()
        observed = self._gather(ref, cache)
        plan = decide(observed, now=now)
        creating = [child for child in plan.children if self._carry_out.live(child) is None]
        if not creating:
            self._carry_out.forget(ref)
        elif await self._carry_out.foreign_names(ref, creating, wake=lambda: self._wake(ref)):
            # A user made one of that name this very moment; the watch will show what it is about.
            creating_names = {_name(child) for child in creating}
            kept = tuple(child for child in plan.children if _name(child) not in creating_names)
            plan = structs.replace(plan, children=kept)
        applied, refused = await self._carry_out.children(ref, plan.children)
        if refused:
            said = {_name(refusal.child): str(refusal.error) for refusal in refused}
            plan = decide(_with_refusals(observed, said), now=now)
        result = await self._carry_out.finish(ref, TEMPLATE_CACHES, cache, plan, applied)
        if refused:
            raise refused[0].error
        return result

    def _gather(self, ref: ObjectRef, cache: AIMTemplateCache) -> TemplateCacheObserved:
        template = self._template(cache)
        image = None
        if template is not None:
            name = template.spec.aim_image_name
            image = resolve_image(self._catalog, template.metadata.namespace, name)
        observed = TemplateCacheObserved(
            cache=cache,
            template=template,
            image=image,
            runtime_config=MissingRuntimeConfig(""),
            wanted=not made_by_operator(cache) or self._wanted(cache, template),
        )
        config = resolve_runtime_config(self._catalog, ref.namespace, (runtime_config_name(observed),))
        observed = structs.replace(observed, runtime_config=config)
        if template is None or isinstance(config, MissingRuntimeConfig):
            return observed
        class_name = storage_class(observed, config)
        sources = tuple(self._source(cache, source, class_name) for source in sources_of(template))
        return structs.replace(observed, sources=sources)

    def _template(self, cache: AIMTemplateCache) -> Template | None:
        namespace, name = cache.metadata.namespace, cache.spec.template_ref
        scope = given(cache.spec.template_scope, "")
        found: Template | None = None
        if scope != "Cluster":
            found = self._catalog.template(namespace, name)
        if found is None and scope != "Namespace":
            found = self._catalog.cluster_template(name)
        return found

    def _source(self, cache: AIMTemplateCache, source: ModelSource, class_name: str) -> SourceObserved:
        store, namespace = self._watched.model_caches.store, cache.metadata.namespace
        found = model_cache_for(
            source.source_uri,
            storage_class=class_name,
            explicit=bool(given(cache.spec.storage_class_name, "")),
            listed=listed_models(cache),
            caches=store.by_index(BY_SOURCE_IN, (namespace, source.source_uri)),
            catalog=self._catalog,
        )
        if found is None:
            taken = store.get(namespace, model_cache_name(source.source_uri, class_name))
            # One that is being deleted is waited for: its successor has the same name.
            return SourceObserved(
                source=source,
                taken=taken is not None and taken.metadata.deletion_timestamp is None,
            )
        users = self._watched.template_caches.store.by_index(
            BY_MODEL_CACHE_IN, (namespace, found.metadata.name)
        )
        oldest = min((user for user in users), key=seniority, default=cache)
        return SourceObserved(source=source, cache=found, senior=seniority(cache) <= seniority(oldest))

    def _wanted(self, cache: AIMTemplateCache, template: Template | None) -> bool:
        """Whether the operator's own template cache is still asked for, and not replaced by a user's."""
        if template is None:
            return any(self._used(cache))
        key = (cache.metadata.namespace, template.metadata.name)
        siblings = self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, key)
        if choose(template, siblings, self._catalog) is not cache:
            return False
        return template_caches(template) or any(self._used(cache)) or any(self._asked(cache, template))

    def _used(self, cache: AIMTemplateCache) -> Iterator[bool]:
        """Tell for each service of that template, as far as its status knows, whether it wants a cache."""
        key = (cache.metadata.namespace, cache.spec.template_ref)
        for service in self._watched.services.store.by_index(BY_TEMPLATE_IN, key):
            status = given(service.status, None)
            used = given(status.resolved_template, None) if status is not None else None
            yield _caches(service) and used is not None and used.scope == cache.spec.template_scope

    def _asked(self, cache: AIMTemplateCache, template: Template) -> Iterator[bool]:
        """Tell for each service that may resolve to the template whether it does, and wants a cache."""
        key = (cache.metadata.namespace, template.spec.aim_image_name)
        for service in self._watched.services.store.by_index(BY_IMAGE_IN, key):
            resolved = resolve(service, self._catalog).template if _caches(service) else None
            yield resolved is not None and resolved.metadata.uid == template.metadata.uid


def _caches(service: AIMService) -> bool:
    return given(service.spec.cache_model, False) and service.metadata.deletion_timestamp is None


def _name(child: Child) -> str:
    name: str = child.manifest["metadata"]["name"]
    return name


def _with_refusals(observed: TemplateCacheObserved, said: dict[str, str]) -> TemplateCacheObserved:
    """Note, by source, what the API server would not take."""

    def noted(source: SourceObserved) -> SourceObserved:
        config = observed.runtime_config
        if source.cache is not None or isinstance(config, MissingRuntimeConfig):
            return source
        name = model_cache_name(source.source.source_uri, storage_class(observed, config))
        return structs.replace(source, refused=said.get(name, ""))

    return structs.replace(observed, sources=tuple(map(noted, observed.sources)))
