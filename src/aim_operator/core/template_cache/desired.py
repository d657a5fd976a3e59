"""A template cache's children: one model cache per source."""

from __future__ import annotations

from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import (
    MODEL_CACHES,
    AIMServiceTemplateStatus,
    EnvVar,
    LocalObjectReference,
    ModelSource,
    Placement,
    Quantity,
)
from aim_operator.core import file_patterns, labels, propagation, scheduling
from aim_operator.core.caching import RequiredFiles, download_env, explicit_name
from aim_operator.core.catalog import (
    RuntimeConfig,
    Template,
    template_pull_secrets,
    union_pull_secrets,
)
from aim_operator.core.environment import of_download, origin
from aim_operator.core.file_patterns import FilePatterns
from aim_operator.core.manifests import child, plain
from aim_operator.core.model_cache.placement import many_nodes
from aim_operator.core.template.desired import gpu_model
from aim_operator.core.template_cache.observed import SourceObserved, TemplateCacheObserved


def storage_class(observed: TemplateCacheObserved, config: RuntimeConfig) -> str:
    """Return the class for new model caches: the template cache's, else the configuration's, else ""."""
    return observed.cache.spec.storage_class_name or config.storage_class_name


def size_of(source: ModelSource, patterns: FilePatterns) -> str | None:
    """Return the size as discovered. None where the image printed none, or one of other files."""
    size = "0" if source.size is None else source.size
    return None if size == "0" or patterns != file_patterns.DEFAULT else size


def model_cache(
    observed: TemplateCacheObserved,
    template: Template,
    config: RuntimeConfig,
    source: SourceObserved,
) -> Child:
    """Render a model cache. It has no owner: who needs it may come and go, the files stay.

    Of one that is there only the references are kept up to date; what it holds, and where, is settled.
    """
    live = source.cache
    class_name = storage_class(observed, config)
    patterns = file_patterns.of_template_cache(observed.cache.spec, template)
    size: Quantity | None = size_of(source.source, patterns)
    if live is not None:
        patterns, size = file_patterns.of_model_cache(live.spec), live.spec.size
        class_name = live.spec.storage_class_name or ""
    spec: Manifest = {"sourceUri": source.source.source_uri, **patterns.as_spec()}
    if size is not None:
        spec["size"] = size
    if class_name:
        spec["storageClassName"] = class_name
    if variables := env(observed, template):
        spec["env"] = plain(variables)
    if secrets := _pull_secrets(observed, template):
        spec["imagePullSecrets"] = plain(secrets)
    name = runtime_config_name(observed)
    if isinstance(name, str):
        spec["runtimeConfigName"] = name
    if where := plain(placement(observed, template)):
        spec["placement"] = where
    own = {
        labels.NAME: "aim-model-cache",
        labels.COMPONENT: "model-cache",
        labels.MANAGED_BY: labels.CONTROLLER,
    }
    makers = (template, observed.cache)
    handed_on = (propagation.handed_on(maker.metadata, config.propagate) for maker in makers)
    return child(
        MODEL_CACHES,
        metadata={
            "name": live.metadata.name if live is not None else source.name,
            "namespace": observed.cache.metadata.namespace,
            **propagation.merged(*handed_on, {"labels": own}),
        },
        spec=spec,
    )


def placement(observed: TemplateCacheObserved, template: Template) -> Placement:
    """Return where model servers on the template run, as far as they say; configurations are below it."""
    return Placement(
        gpu_model=gpu_model(template, template.status or AIMServiceTemplateStatus()),
        scheduling=scheduling.layered(observed.served, template.spec.scheduling),
    )


def runtime_config_name(observed: TemplateCacheObserved) -> str | None:
    """Return the name as inherited (template cache, service, template, image); None where none names one."""
    template, image, service = observed.template, observed.image, observed.service
    return explicit_name(
        observed.cache.spec.runtime_config_name,
        *((service.spec.runtime_config_name,) if service is not None else ()),
        *((template.spec.runtime_config_name,) if template is not None else ()),
        *((image.spec.runtime_config_name,) if image is not None else ()),
    )


def env(observed: TemplateCacheObserved, template: Template) -> tuple[EnvVar, ...]:
    """Return the environment of the downloads, but for the configuration's, which it overrides."""
    service = (observed.service.spec.env or ()) if observed.service is not None else ()
    return of_download(download_env(template), observed.cache.spec.env or (), service)


def required_files(
    observed: TemplateCacheObserved, template: Template, config: RuntimeConfig, source: ModelSource
) -> RequiredFiles:
    """Return which files of a source the template cache needs."""
    return RequiredFiles(
        source_uri=source.source_uri,
        origin=origin(source.source_uri, config.env, env(observed, template)),
        storage_class=storage_class(observed, config),
        explicit_class=bool(observed.cache.spec.storage_class_name or ""),
        patterns=file_patterns.of_template_cache(observed.cache.spec, template),
        gpu_model=None if many_nodes(config) else placement(observed, template).gpu_model,
    )


def _pull_secrets(observed: TemplateCacheObserved, template: Template) -> tuple[LocalObjectReference, ...]:
    return union_pull_secrets(template_pull_secrets(template), observed.cache.spec.image_pull_secrets or ())
