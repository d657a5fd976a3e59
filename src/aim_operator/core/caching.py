"""Which template cache serves a template in a namespace, and which model cache a source.

Shared by templates, services and the caches themselves, so that all agree. One that a user made wins over
the operator's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from aim_operator.api.meta import KubeObject, Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    TEMPLATE_CACHES,
    TEMPLATES,
    AIMModelCache,
    AIMModelCacheStatus,
    AIMService,
    AIMServiceTemplate,
    AIMServiceTemplateSpec,
    AIMServiceTemplateStatus,
    AIMTemplateCache,
    CachedModel,
    Caching,
    Download,
    EnvVar,
    ModelSource,
    Placement,
)
from aim_operator.api.v1alpha1.common import API_VERSION
from aim_operator.core import file_patterns, hardware, labels
from aim_operator.core.catalog import (
    Catalog,
    RuntimeConfig,
    Template,
    kind_of,
    resolve_runtime_config,
    scope_of,
    template_env,
)
from aim_operator.core.environment import of_download, origin
from aim_operator.core.file_patterns import FilePatterns
from aim_operator.core.manifests import child, is_applied, is_marked, owner_reference
from aim_operator.core.naming import is_model_cache_name, label_value, model_cache_name

COMPONENT = "template-cache"


def template_caches(template: Template) -> bool:
    """Whether the template asks for a cache of its own (`caching.enabled`)."""
    spec = template.spec
    return isinstance(spec, AIMServiceTemplateSpec) and ((spec.caching or Caching()).enabled or False)


def service_caches(service: AIMService, template: Template) -> bool:
    """Whether a service on this template waits for a cache."""
    return (service.spec.cache_model or False) or template_caches(template)


def download_env(template: Template) -> tuple[EnvVar, ...]:
    """Return what the template says about downloads, beside its configuration."""
    spec = template.spec
    own = (spec.caching or Caching()) if isinstance(spec, AIMServiceTemplateSpec) else Caching()
    return of_download(template_env(template), own.env or ())


def speaks_of_downloads(service: AIMService) -> bool:
    """Whether the service has credentials, an endpoint or a configuration of its own for a download."""
    spec = service.spec
    return spec.runtime_config_name is not None or bool(of_download(spec.env or ()))


def is_own_template_cache(cache: AIMTemplateCache) -> bool:
    """Whether the operator made it: it wrote it, under its name, and the label or the owner is there still.

    As of any child: with its owner it stays the operator's whatever becomes of the label, which is set back.
    That of a cluster template, which has no owner, is a user's once the label is gone.
    """
    named = cache.metadata.name == cache.spec.template_ref
    return named and is_applied(cache) and (is_marked(cache) or _is_of_template(cache))


def _is_of_template(cache: AIMTemplateCache) -> bool:
    owner = cache.metadata.controller()
    return owner is not None and (owner.api_version, owner.kind, owner.name) == (
        API_VERSION,
        TEMPLATES.kind,
        cache.spec.template_ref,
    )


def is_own_model_cache(cache: AIMModelCache) -> bool:
    """Whether the operator made it: it wrote it, and the name is one that it gives: people copy the rest."""
    return is_marked(cache) and is_model_cache_name(cache.metadata.name, cache.spec.source_uri)


def serves_others(cache: AIMTemplateCache | AIMModelCache) -> bool:
    """Whether others than its maker may use it: one of the operator's, or one that says so.

    Whoever makes a cache by hand decides from where, through which proxy and with whose credentials it is
    filled. So it is used for others only where its maker offers it.
    """
    own = is_own_template_cache(cache) if isinstance(cache, AIMTemplateCache) else is_own_model_cache(cache)
    return own or (cache.spec.shared or False)


def means(cache: AIMTemplateCache, template: Template, catalog: Catalog) -> bool:
    """Whether a template cache is about this very template, and not a namesake of the other scope."""
    spec = cache.spec
    if spec.template_ref != template.metadata.name:
        return False
    if spec.template_scope is not None:
        return spec.template_scope == scope_of(template)
    if scope_of(template) == "Namespace":
        return True
    return catalog.template(cache.metadata.namespace, spec.template_ref) is None


def choose(
    template: Template, caches: Iterable[AIMTemplateCache], catalog: Catalog
) -> AIMTemplateCache | None:
    """Return the template cache in use: one that a user shares before the operator's, then the oldest."""
    candidates = [
        cache
        for cache in caches
        if cache.metadata.deletion_timestamp is None
        and means(cache, template, catalog)
        and serves_others(cache)
    ]
    return min(candidates, key=_rank, default=None)


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
    return (template.status or AIMServiceTemplateStatus()).model_sources or ()


def storage_class_of(cache: AIMModelCache, catalog: Catalog) -> str:
    """Return the class that a model cache's claim asks or asked for; "" is the cluster's default."""
    named = cache.spec.storage_class_name or ""
    if named:
        return named
    namespace, name = cache.metadata.namespace, cache.spec.runtime_config_name
    config = resolve_runtime_config(catalog, namespace, (name,))
    return getattr(config, "storage_class_name", "")


def origin_of(cache: AIMModelCache, catalog: Catalog) -> str:
    """Return which endpoint the files are from; until they are all there, which one they will be from."""
    if is_filled(cache):
        return filled_from(cache)
    config = resolve_runtime_config(catalog, cache.metadata.namespace, (cache.spec.runtime_config_name,))
    configured = config.env if isinstance(config, RuntimeConfig) else ()
    return origin(cache.spec.source_uri, configured, cache.spec.env or ())


def filled_from(cache: AIMModelCache) -> str:
    """Return which endpoint the files of a filled cache are from."""
    download = (cache.status or AIMModelCacheStatus()).download or Download()
    if download.origin is not None:
        return download.origin
    # Versions that did not record it knew no other variables than these.
    return origin(cache.spec.source_uri, cache.spec.env or ())


def is_filled(cache: AIMModelCache) -> bool:
    """Whether all files are there, by the last word of its status."""
    download = (cache.status or AIMModelCacheStatus()).download or Download()
    return (download.attempts or 0) == 0 and download.last_attempt_time is not None


class RequiredFiles(Struct, frozen=True, kw_only=True):
    """What files a template cache needs of one source: from where, and on which kind of volume."""

    source_uri: str
    origin: str = ""
    storage_class: str = ""
    explicit_class: bool = False
    """The class was asked for by the template cache itself, and is no default."""
    patterns: FilePatterns = file_patterns.DEFAULT
    gpu_model: str | None = None
    """Where the volume must be; None where it is mounted on several nodes, or any will do."""


def model_cache_for(
    required: RequiredFiles,
    *,
    listed: Sequence[CachedModel],
    caches: Iterable[AIMModelCache],
    catalog: Catalog,
    redirected: Callable[[AIMModelCache], bool] = lambda _: False,
) -> AIMModelCache | None:
    """Return the model cache for a source among those of the namespace that have it.

    One that is in use (`listed`) is kept while its class is not explicitly another: a new default class is
    about new claims, and must not download everything again. Files from another endpoint are other files,
    and so are those that other patterns choose. One in use that has none yet gives way to one that has them:
    its endpoint may have been changed there and back, and the first one's files are all there.
    Only a cache that has none yet goes along to a new endpoint, if it is in use and `redirected` says so.
    One that a user made is used where it is shared; one that is in use stays so, as before there was sharing.
    """
    uri = required.source_uri
    in_use = {(each.name or "") for each in listed if each.source_uri == uri}
    same_files = [
        cache
        for cache in caches
        if cache.spec.source_uri == uri
        and (serves_others(cache) or cache.metadata.name in in_use)
        and file_patterns.of_model_cache(cache.spec) == required.patterns
        and cache.metadata.deletion_timestamp is None
        and _is_where(cache, required.gpu_model)
    ]
    of_class = [
        c
        for c in same_files
        if c.spec.existing_claim is not None or storage_class_of(c, catalog) == required.storage_class
    ]
    usable = [c for c in (of_class if required.explicit_class else same_files) if c.metadata.name in in_use]
    kept = [c for c in usable if _is_from(c, required.origin, catalog)]
    fitting = [c for c in of_class if _is_from(c, required.origin, catalog)]
    moved = [c for c in usable if not is_filled(c) and redirected(c)]
    filled = [c for c in kept if is_filled(c)] or [c for c in fitting if is_filled(c)]
    return min(filled or kept or fitting or moved, key=seniority, default=None)


def _is_from(cache: AIMModelCache, origin: str, catalog: Catalog) -> bool:
    """Whether the files are from an endpoint. Of those on a claim that exists, its user knows."""
    return cache.spec.existing_claim is not None or origin_of(cache, catalog) == origin


def _is_where(cache: AIMModelCache, gpu_model: str | None) -> bool:
    """Whether nodes with a GPU can mount a cache's volume, as far as is said: a node has one model."""
    placed = (cache.spec.placement or Placement()).gpu_model
    return gpu_model is None or placed is None or hardware.same(placed, gpu_model)


def new_model_cache_name(required: RequiredFiles, taken: Callable[[str], AIMModelCache | None]) -> str:
    """Return the name for a new model cache. `taken` tells who has a name.

    A cache that has changed to another endpoint or class keeps its name, so the next one gets another.
    """
    others = 0
    while True:
        name = model_cache_name(
            required.source_uri,
            required.storage_class,
            required.origin,
            patterns=required.patterns.arguments,
            others=others,
        )
        holder = taken(name)
        if holder is None or not is_own_model_cache(holder) or holder.metadata.deletion_timestamp is not None:
            return name
        others += 1


def listed_models(cache: AIMTemplateCache) -> tuple[CachedModel, ...]:
    status = cache.status
    return () if status is None else (status.model_caches or ())


def explicit_name(*names: str | None) -> str | None:
    """Return the first name that is set."""
    return next((name for name in names if name is not None), None)
