"""Who depends on a cache, or a cache on whom: as dependents.py, for AIMTemplateCache and AIMModelCache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aim_operator.api.external import Event, InferenceService, PersistentVolumeClaim, Pod, StorageClass
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    SERVICES,
    TEMPLATE_CACHES,
    TEMPLATES,
    AIMModelCache,
    AIMService,
    AIMTemplateCache,
)
from aim_operator.controllers.dependents import Config, model_cache_owner, owner_of_job, within
from aim_operator.controllers.index import (
    ANY_SOURCE,
    BY_AWAITED_ROOM,
    BY_CLASS,
    BY_COLD_SOURCE_IN,
    BY_CONFIG,
    BY_IMAGE,
    BY_IMAGE_IN,
    BY_MODEL_CACHE_IN,
    BY_NAMESPACE,
    BY_PENDING_CLASS,
    BY_SOURCE_IN,
    BY_TEMPLATE,
    BY_TEMPLATE_IN,
    BY_UNCACHED_SOURCE_IN,
    JOB_LABEL,
    left_behind,
    mounted_claims,
    template_names,
)
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.core.caching import (
    is_own_model_cache,
    is_own_template_cache,
    listed_models,
    speaks_of_downloads,
)
from aim_operator.core.catalog import DEFAULT_CONFIG, Image, Template
from aim_operator.core.naming import is_model_cache_name, label_value
from aim_operator.core.service.cache_plan import filled_claim
from aim_operator.core.service.live_runtime import runtime_of
from aim_operator.core.service.resolution import resolve


def filling_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether a model cache came or went, or its files did."""
    if not isinstance(old, AIMModelCache) or not isinstance(new, AIMModelCache):
        return True
    return filled_claim(old) != filled_claim(new)


class CacheDependents:
    """Looks dependents up in the stores."""

    def __init__(self, watched: Watched, catalog: StoreCatalog) -> None:
        self._watched = watched
        self._catalog = catalog

    def services_of_template_cache(self, cache: AIMTemplateCache) -> Iterator[ObjectRef]:
        """Return services on the template that it is about, and on the one of its own name."""
        namespace = cache.metadata.namespace
        for name in _template_names(cache):
            for template in self._templates_named(namespace, name):
                key = (namespace, template.spec.aim_image_name)
                yield from map(SERVICES.ref, self._watched.services.store.by_index(BY_IMAGE_IN, key))

    def services_of_model_cache(self, cache: AIMModelCache) -> Iterator[ObjectRef]:
        """Return services that mount it, or wait for it: a paused template cache would not tell them."""
        for each in self._template_caches_listing(cache.metadata.namespace, cache.metadata.name):
            yield from self.services_of_template_cache(each)

    def services_of_claim(self, claim: PersistentVolumeClaim) -> Iterator[ObjectRef]:
        """Return services that mount it, or wait for it."""
        for ref in model_cache_owner(claim):
            for cache in self._template_caches_listing(ref.namespace, ref.name):
                yield from self.services_of_template_cache(cache)

    def model_caches_of_left_behind(self, claim: PersistentVolumeClaim) -> Iterator[ObjectRef]:
        """Return the cache that a claim out of a backup, which has no owner, was made for."""
        for namespace, label in left_behind(claim):
            for cache in self._watched.model_caches.store.by_index(BY_NAMESPACE, namespace):
                if label_value(cache.metadata.name) == label:
                    yield MODEL_CACHES.ref(cache)

    def templates_of_template_cache(self, cache: AIMTemplateCache) -> Iterator[ObjectRef]:
        """Return the template whose CacheWarm follows it, and the one of its own name."""
        for name in _template_names(cache):
            template = self._catalog.template(cache.metadata.namespace, name)
            if template is not None:
                yield TEMPLATES.ref(template)

    def template_caches_of_template(self, template: Template) -> Iterator[ObjectRef]:
        namespace, name = template.metadata.namespace, template.metadata.name
        store = self._watched.template_caches.store
        caches = (
            store.by_index(BY_TEMPLATE_IN, (namespace, name))
            if namespace
            else store.by_index(BY_TEMPLATE, name)
        )
        yield from map(TEMPLATE_CACHES.ref, caches)

    def template_caches_of_image(self, image: Image) -> Iterator[ObjectRef]:
        """Return those of the image's templates: they inherit its configuration."""
        namespace, name = image.metadata.namespace, image.metadata.name
        watched = self._watched
        templates: list[Template] = (
            list(watched.templates.store.by_index(BY_IMAGE_IN, (namespace, name)))
            if namespace
            else [
                *watched.templates.store.by_index(BY_IMAGE, name),
                *watched.cluster_templates.store.by_index(BY_IMAGE, name),
            ]
        )
        for template in templates:
            yield from self.template_caches_of_template(template)

    def template_caches_of_model_cache(self, cache: AIMModelCache) -> Iterator[ObjectRef]:
        """Return template caches that list it, those whose sources it may serve, or whose name it has."""
        namespace, name = cache.metadata.namespace, cache.metadata.name
        store = self._watched.template_caches.store
        yield from map(TEMPLATE_CACHES.ref, self._template_caches_listing(namespace, name))
        waiting = store.by_index(BY_COLD_SOURCE_IN, (namespace, cache.spec.source_uri))
        yield from map(TEMPLATE_CACHES.ref, waiting)
        if not is_own_model_cache(cache):
            # The name that the operator would give to the cache of another source.
            for other in store.by_index(BY_UNCACHED_SOURCE_IN, (namespace, ANY_SOURCE)):
                uncached = (listed.source_uri for listed in listed_models(other) if listed.name is None)
                if any(is_model_cache_name(name, uri) for uri in uncached):
                    yield TEMPLATE_CACHES.ref(other)

    def template_caches_beside(self, cache: AIMTemplateCache) -> Iterator[ObjectRef]:
        """Return template caches that share a model cache or a template with this one."""
        namespace = cache.metadata.namespace
        for listed in listed_models(cache):
            for other in self._template_caches_listing(namespace, listed.name or ""):
                yield TEMPLATE_CACHES.ref(other)
        siblings = self._watched.template_caches.store.by_index(
            BY_TEMPLATE_IN, (namespace, cache.spec.template_ref)
        )
        yield from map(TEMPLATE_CACHES.ref, siblings)

    def template_caches_of_service(self, service: AIMService) -> Iterator[ObjectRef]:
        """Return the operator's own template caches that the service asked for, or asks for now."""
        asks = service.spec.cache_model or False
        if not asks and not speaks_of_downloads(service):
            return
        namespace = service.metadata.namespace
        names = set(template_names(service))
        live = self._watched.inference_services.store.get(namespace, service.metadata.name)
        if live is not None:
            names.add(runtime_of(live))
        resolved = resolve(service, self._catalog).template if asks else None
        if resolved is not None:
            names.add(resolved.metadata.name)
        for name in names:
            caches = self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, (namespace, name))
            yield from (TEMPLATE_CACHES.ref(cache) for cache in caches if is_own_template_cache(cache))

    def template_caches_of_runtime(self, live: InferenceService) -> Iterator[ObjectRef]:
        """Return the operator's own template caches of what an InferenceService runs on, or did."""
        key = (live.metadata.namespace, runtime_of(live))
        caches = self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, key)
        yield from (TEMPLATE_CACHES.ref(cache) for cache in caches if is_own_template_cache(cache))

    def template_caches_of_config(self, config: Config) -> Iterator[ObjectRef]:
        """Return those that name it, and those that inherit one: it may be this."""
        name, namespace = config.metadata.name, config.metadata.namespace
        by_config = self._watched.template_caches.store.by_index
        caches = (*by_config(BY_CONFIG, name), *by_config(BY_CONFIG, ""))
        yield from (TEMPLATE_CACHES.ref(c) for c in caches if within(c, namespace))

    def model_caches_of_config(self, config: Config) -> Iterator[ObjectRef]:
        by_config = self._watched.model_caches.store.by_index
        name, namespace = config.metadata.name, config.metadata.namespace
        caches = [*by_config(BY_CONFIG, name), *(by_config(BY_CONFIG, "") if name == DEFAULT_CONFIG else ())]
        if name == DEFAULT_CONFIG:
            # Its budget holds for those that name another, too.
            caches += by_config(BY_AWAITED_ROOM, namespace)
        yield from (MODEL_CACHES.ref(cache) for cache in caches if within(cache, namespace))

    def model_caches_of_storage_class(self, storage_class: StorageClass) -> Iterator[ObjectRef]:
        """Return those whose claim has this class, and those that wait for a default one."""
        for claim in self._watched.claims.store.by_index(BY_CLASS, storage_class.metadata.name):
            yield from model_cache_owner(claim)
        for claim in self._watched.claims.store.by_index(BY_PENDING_CLASS, ""):
            yield from model_cache_owner(claim)

    def model_caches_without_room(self, obj: AIMModelCache | PersistentVolumeClaim) -> Iterator[ObjectRef]:
        """Return those of the same namespace that its storage budget keeps waiting."""
        store = self._watched.model_caches.store
        yield from map(MODEL_CACHES.ref, store.by_index(BY_AWAITED_ROOM, obj.metadata.namespace))

    def model_caches_listed(self, cache: AIMTemplateCache) -> Iterator[ObjectRef]:
        """Return those that a template cache uses, and those of the sources that it has no cache for."""
        namespace = cache.metadata.namespace
        for listed in listed_models(cache):
            if listed.name is not None:
                yield ObjectRef(MODEL_CACHES.kind, namespace, listed.name)
                continue
            of_source = self._watched.model_caches.store.by_index(
                BY_SOURCE_IN, (namespace, listed.source_uri)
            )
            yield from map(MODEL_CACHES.ref, of_source)

    def model_caches_mounted(self, service: AIMService) -> Iterator[ObjectRef]:
        """Return those whose claims the service's model server mounts."""
        for name in mounted_claims(service):
            claim = self._watched.claims.store.get(service.metadata.namespace, name)
            if claim is not None:
                yield from model_cache_owner(claim)

    def model_cache_of_pod(self, pod: Pod) -> Iterator[ObjectRef]:
        namespace, job = pod.metadata.namespace, pod.metadata.label(JOB_LABEL)
        yield from owner_of_job(self._watched, namespace, job, model_cache_owner)

    def model_cache_of_refusal(self, event: Event) -> Iterator[ObjectRef]:
        involved = event.involved_object
        yield from owner_of_job(self._watched, involved.namespace, involved.name, model_cache_owner)

    def model_cache_of_event(self, event: Event) -> Iterator[ObjectRef]:
        """Return the cache that owns the claim which the event is about."""
        involved = event.involved_object
        claim = self._watched.claims.store.get(involved.namespace, involved.name)
        if claim is not None:
            yield from model_cache_owner(claim)

    def _template_caches_listing(self, namespace: str, model_cache: str) -> Iterable[AIMTemplateCache]:
        return self._watched.template_caches.store.by_index(BY_MODEL_CACHE_IN, (namespace, model_cache))

    def _templates_named(self, namespace: str, name: str) -> Iterator[Template]:
        for template in (self._catalog.template(namespace, name), self._catalog.cluster_template(name)):
            if template is not None:
                yield template


def _template_names(cache: AIMTemplateCache) -> set[str]:
    """Return the template that the cache is about, and the one whose own cache it may be in the way of."""
    return {cache.spec.template_ref, cache.metadata.name}
