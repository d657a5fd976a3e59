"""Which template cache serves a template in a namespace, and which model cache a source.

Shared by templates, services and the caches themselves, so that all agree. One that a user made wins over
the operator's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Manifest, given
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    AIMModelCache,
    AIMService,
    AIMServiceTemplate,
    AIMServiceTemplateSpec,
    AIMServiceTemplateStatus,
    AIMTemplateCache,
    CachedModel,
    Caching,
    ModelSource,
)
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import labels
from aim_operator.core.catalog import Catalog, Template, kind_of, resolve_runtime_config, scope_of
from aim_operator.core.manifests import child, owner_reference
from aim_operator.core.naming import label_value, model_cache_name

COMPONENT = "template-cache"


def template_caches(template: Template) -> bool:
    """Whether the template asks for a cache of its own (`caching.enabled`)."""
    spec = template.spec
    return isinstance(spec, AIMServiceTemplateSpec) and given(given(spec.caching, Caching()).enabled, False)


def service_caches(service: AIMService, template: Template) -> bool:
    """Whether a service on this template waits for a cache."""
    return given(service.spec.cache_model, False) or template_caches(template)


def is_own_template_cache(cache: AIMTemplateCache) -> bool:
    """Whether the operator made it. People copy labels along: the name must be the operator's, too."""
    return _has_our_label(cache) and cache.metadata.name == cache.spec.template_ref


def is_own_model_cache(cache: AIMModelCache) -> bool:
    """Whether the operator made it. People copy labels along: the name must be the operator's, too."""
    class_name = given(cache.spec.storage_class_name, "")
    name = model_cache_name(cache.spec.source_uri, class_name)
    return _has_our_label(cache) and cache.metadata.name == name


def _has_our_label(obj: KubeObject) -> bool:
    return obj.metadata.label(labels.MANAGED_BY) == labels.CONTROLLER


def means(cache: AIMTemplateCache, template: Template, catalog: Catalog) -> bool:
    """Whether a template cache is about this very template, and not a namesake of the other scope."""
    spec = cache.spec
    if spec.template_ref != template.metadata.name:
        return False
    if spec.template_scope is not UNSET:
        return spec.template_scope == scope_of(template)
    if scope_of(template) == "Namespace":
        return True
    return catalog.template(cache.metadata.namespace, spec.template_ref) is None


def choose(
    template: Template, caches: Iterable[AIMTemplateCache], catalog: Catalog
) -> AIMTemplateCache | None:
    """Return the template cache in use: one that a user made before the operator's, then the oldest."""
    found = [
        cache
        for cache in caches
        if cache.metadata.deletion_timestamp is None and means(cache, template, catalog)
    ]
    return min(found, key=_rank, default=None)


def _rank(cache: AIMTemplateCache) -> tuple[bool, str, str]:
    return is_own_template_cache(cache), *seniority(cache)


def seniority(obj: KubeObject) -> tuple[str, str]:
    """Sort key: the oldest first."""
    return obj.metadata.creation_timestamp or "", obj.metadata.name


def desired_template_cache(template: Template, namespace: str) -> Child:
    """Render the operator's own template cache. That of a cluster template has no owner to go with."""
    metadata: Manifest = {
        "name": template.metadata.name,
        "namespace": namespace,
        "labels": {
            labels.NAME: "aim-template-cache",
            labels.COMPONENT: COMPONENT,
            labels.MANAGED_BY: labels.CONTROLLER,
            labels.TEMPLATE: label_value(template.metadata.name),
        },
    }
    if isinstance(template, AIMServiceTemplate):
        metadata["ownerReferences"] = [owner_reference(API_VERSION, kind_of(template), template.metadata)]
    return child(
        TEMPLATE_CACHES,
        metadata=metadata,
        spec={"templateRef": template.metadata.name, "templateScope": scope_of(template)},
    )


def sources_of(template: Template) -> tuple[ModelSource, ...]:
    return given(given(template.status, AIMServiceTemplateStatus()).model_sources, ())


def storage_class_of(cache: AIMModelCache, catalog: Catalog) -> str:
    """Return the class that a model cache's claim asks or asked for; "" is the cluster's default."""
    named = given(cache.spec.storage_class_name, "")
    if named:
        return named
    namespace, name = cache.metadata.namespace, cache.spec.runtime_config_name
    config = resolve_runtime_config(catalog, namespace, (name,))
    return getattr(config, "storage_class_name", "")


def model_cache_for(
    source_uri: str,
    *,
    storage_class: str,
    explicit: bool,
    listed: Sequence[CachedModel],
    caches: Iterable[AIMModelCache],
    catalog: Catalog,
) -> AIMModelCache | None:
    """Return the model cache for a source among those of the namespace that have it.

    One that is in use (`listed`) is kept while its class is not explicitly another: a new default class is
    about new claims, and must not download everything again.
    """
    known = [c for c in caches if c.spec.source_uri == source_uri and c.metadata.deletion_timestamp is None]
    in_use = {given(each.name, "") for each in listed if each.source_uri == source_uri}
    fitting = [c for c in known if storage_class_of(c, catalog) == storage_class]
    kept = [c for c in (fitting if explicit else known) if c.metadata.name in in_use]
    return min(kept or fitting, key=seniority, default=None)


def listed_models(cache: AIMTemplateCache) -> tuple[CachedModel, ...]:
    status = cache.status
    return () if status is UNSET else given(status.model_caches, ())


def explicit_name(*names: str | UnsetType) -> str | UnsetType:
    """Return the first name that is set."""
    return next((name for name in names if name is not UNSET), UNSET)
