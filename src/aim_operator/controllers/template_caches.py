"""AIMTemplateCache: one model cache per source of its template."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import structs

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.plan import Plan
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    AIMModelCache,
    AIMService,
    AIMTemplateCache,
    AIMTemplateCacheStatus,
    ModelSource,
    Scheduling,
)
from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import runtime_changed
from aim_operator.controllers.index import (
    BY_IMAGE_IN,
    BY_MODEL_CACHE_IN,
    BY_RUNTIME_IN,
    BY_SOURCE_IN,
    BY_TEMPLATE_IN,
)
from aim_operator.controllers.kind import AimKind
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.wakes import itself, spec_changed
from aim_operator.controllers.watched import Watched
from aim_operator.core.caching import (
    RequiredFiles,
    choose,
    is_own_model_cache,
    is_own_template_cache,
    listed_models,
    model_cache_for,
    new_model_cache_name,
    seniority,
    serves_others,
    service_caches,
    sources_of,
    speaks_of_downloads,
    template_caches,
)
from aim_operator.core.catalog import (
    MissingRuntimeConfig,
    Template,
    resolve_image,
    resolve_runtime_config,
)
from aim_operator.core.service.resolution import resolve
from aim_operator.core.template_cache.desired import required_files, runtime_config_name
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved
from aim_operator.core.template_cache.plan import decide
from aim_operator.runtime.triggers import Trigger


class TemplateCaches(AimKind):
    status_type = AIMTemplateCacheStatus

    def __init__(self, *, watched: Watched, catalog: StoreCatalog) -> None:
        self._watched, self._catalog = watched, catalog

    def get(self, ref: ObjectRef) -> tuple[Resource[Any], AIMTemplateCache] | None:
        cache = self._watched.template_caches.store.get(ref.namespace, ref.name)
        return (TEMPLATE_CACHES, cache) if cache is not None else None

    def decide(self, observed: TemplateCacheObserved, now: datetime) -> Plan[AIMTemplateCacheStatus]:
        return decide(observed, now=now)

    async def gather(self, ref: ObjectRef, obj: AIMTemplateCache, now: datetime) -> TemplateCacheObserved:
        del now
        cache = obj
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
            requested=not is_own_template_cache(cache) or self._is_requested(cache, template),
            service=self._service(cache, template, speaks_of_downloads),
            served=_scheduling(self._service(cache, template, _says_where)),
        )
        config = resolve_runtime_config(self._catalog, ref.namespace, (runtime_config_name(observed),))
        observed = structs.replace(observed, runtime_config=config)
        if template is None or isinstance(config, MissingRuntimeConfig):
            return observed
        sources = tuple(
            self._source(cache, source, required_files(observed, template, config, source))
            for source in sources_of(template)
        )
        return structs.replace(observed, sources=sources)

    def _template(self, cache: AIMTemplateCache) -> Template | None:
        namespace, name = cache.metadata.namespace, cache.spec.template_ref
        scope = cache.spec.template_scope or ""
        template: Template | None = None
        if scope != "Cluster":
            template = self._catalog.template(namespace, name)
        if template is None and scope != "Namespace":
            template = self._catalog.cluster_template(name)
        return template

    def _source(self, cache: AIMTemplateCache, source: ModelSource, files: RequiredFiles) -> SourceObserved:
        store, namespace = self._watched.model_caches.store, cache.metadata.namespace
        name = new_model_cache_name(files, partial(store.get, namespace))
        model_cache = model_cache_for(
            files,
            listed=listed_models(cache),
            caches=store.by_index(BY_SOURCE_IN, (namespace, source.source_uri)),
            catalog=self._catalog,
            redirected=lambda used: is_own_model_cache(used) and self._senior(cache, used),
        )
        if model_cache is None:
            unshared = self._unshared(cache, source)
            taken = store.get(namespace, name)
            # One that is being deleted is waited for: its successor has the same name.
            return SourceObserved(
                source=source,
                name=name,
                unshared=unshared,
                taken=taken is not None and taken.metadata.deletion_timestamp is None,
            )
        senior = self._senior(cache, model_cache)
        return SourceObserved(source=source, name=name, cache=model_cache, senior=senior)

    def _unshared(self, cache: AIMTemplateCache, source: ModelSource) -> str:
        """Return the name of a model cache of the source that its maker does not share; "" for none."""
        key = (cache.metadata.namespace, source.source_uri)
        caches = self._watched.model_caches.store.by_index(BY_SOURCE_IN, key)
        return min((each.metadata.name for each in caches if not serves_others(each)), default="")

    def _senior(self, cache: AIMTemplateCache, model_cache: AIMModelCache) -> bool:
        """Whether no older template cache uses this model cache: its references are kept by the oldest."""
        key = (cache.metadata.namespace, model_cache.metadata.name)
        users = self._watched.template_caches.store.by_index(BY_MODEL_CACHE_IN, key)
        return seniority(cache) <= seniority(min(users, key=seniority, default=cache))

    def _service(
        self, cache: AIMTemplateCache, template: Template | None, says: Callable[[AIMService], bool]
    ) -> AIMService | None:
        """Return the oldest service that waits for the operator's own cache and has something to say."""
        if template is None or not is_own_template_cache(cache):
            return None
        key = (cache.metadata.namespace, template.spec.aim_image_name)
        asking = (
            service
            for service in self._watched.services.store.by_index(BY_IMAGE_IN, key)
            if service.metadata.deletion_timestamp is None
            and service_caches(service, template)
            and says(service)
        )
        for service in sorted(asking, key=seniority):
            resolved = resolve(service, self._catalog).template
            if resolved is not None and resolved.metadata.uid == template.metadata.uid:
                return service
        return None

    def _is_requested(self, cache: AIMTemplateCache, template: Template | None) -> bool:
        """Whether the operator's own template cache is still asked for, and not replaced by a user's."""
        if template is None:
            return any(self._used(cache))
        key = (cache.metadata.namespace, template.metadata.name)
        siblings = self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, key)
        if choose(template, siblings, self._catalog) is not cache:
            return False
        return template_caches(template) or any(self._used(cache)) or any(self._asked(cache, template))

    def _used(self, cache: AIMTemplateCache) -> Iterator[bool]:
        """Tell for each service of that template, by status and by what runs, whether it wants a cache."""
        key = (cache.metadata.namespace, cache.spec.template_ref)
        # One that can't be decoded may want it.
        yield self._watched.services.store.has_undecodable(cache.metadata.namespace)
        for service in self._watched.services.store.by_index(BY_TEMPLATE_IN, key):
            status = service.status
            used = status.resolved_template if status is not None else None
            yield _caches(service) and used is not None and used.scope == cache.spec.template_scope
        # A status may not have been written: then what runs tells.
        for live in self._watched.inference_services.store.by_index(BY_RUNTIME_IN, key):
            running = self._watched.services.store.get(live.metadata.namespace, live.metadata.name)
            yield running is not None and _caches(running)

    def _asked(self, cache: AIMTemplateCache, template: Template) -> Iterator[bool]:
        """Tell for each service that may resolve to the template whether it does, and wants a cache."""
        key = (cache.metadata.namespace, template.spec.aim_image_name)
        for service in self._watched.services.store.by_index(BY_IMAGE_IN, key):
            resolved = resolve(service, self._catalog).template if _caches(service) else None
            yield resolved is not None and resolved.metadata.uid == template.metadata.uid


def _says_where(service: AIMService) -> bool:
    return service.spec.scheduling is not None


def _scheduling(service: AIMService | None) -> Scheduling | None:
    return None if service is None else service.spec.scheduling


def _caches(service: AIMService) -> bool:
    return (service.spec.cache_model or False) and service.metadata.deletion_timestamp is None


def _listing_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether a template cache came, went, or uses other model caches: the oldest user of one keeps it."""
    if not isinstance(old, AIMTemplateCache) or not isinstance(new, AIMTemplateCache):
        return True
    return spec_changed(old, new) or _used_by(old) != _used_by(new)


def _used_by(cache: AIMTemplateCache) -> set[str | None]:
    return {listed.name for listed in listed_models(cache)}


def template_cache_wakes(watched: Watched, caching: CacheDependents) -> list[Trigger[Any]]:
    """Return what wakes template caches."""
    return [
        Trigger(watched.template_caches, itself(TEMPLATE_CACHES), own=True),
        Trigger(watched.template_caches, caching.template_caches_beside, when=_listing_changed),
        Trigger(watched.images, caching.template_caches_of_image, when=spec_changed),
        Trigger(watched.cluster_images, caching.template_caches_of_image, when=spec_changed),
        Trigger(watched.templates, caching.template_caches_of_template),
        Trigger(watched.cluster_templates, caching.template_caches_of_template),
        Trigger(watched.model_caches, caching.template_caches_of_model_cache),
        Trigger(watched.services, caching.template_caches_of_service),
        Trigger(watched.inference_services, caching.template_caches_of_runtime, when=runtime_changed),
        Trigger(watched.runtime_configs, caching.template_caches_of_config, when=spec_changed),
        Trigger(watched.cluster_runtime_configs, caching.template_caches_of_config, when=spec_changed),
    ]
