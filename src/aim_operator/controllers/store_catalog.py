"""The catalog as the watches have it now: core's read-only view, answered from the stores."""

from __future__ import annotations

from collections.abc import Iterable

from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import (
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterServiceTemplate,
    AIMImage,
    AIMRuntimeConfig,
    AIMService,
    AIMServiceTemplate,
    AIMTemplateCache,
)
from aim_operator.controllers.gpu_models import GpuModels
from aim_operator.controllers.index import (
    BY_IMAGE,
    BY_IMAGE_IN,
    BY_MEANING_IN,
    BY_TEMPLATE_IN,
)
from aim_operator.controllers.watched import Watched
from aim_operator.core.caching import choose, means, serves_others
from aim_operator.core.catalog import Template
from aim_operator.core.hardware import NodeGpus
from aim_operator.core.manifests import controlled_by
from aim_operator.core.service.live_runtime import runtime_of


class StoreCatalog:
    """Implements core.catalog.Catalog. Every answer is a lookup, none a scan."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self.gpus = GpuModels(watched.nodes)

    def image(self, namespace: str, name: str) -> AIMImage | None:
        return self._watched.images.store.get(namespace, name)

    def cluster_image(self, name: str) -> AIMClusterImage | None:
        return self._watched.cluster_images.store.get("", name)

    def template(self, namespace: str, name: str) -> AIMServiceTemplate | None:
        return self._watched.templates.store.get(namespace, name)

    def cluster_template(self, name: str) -> AIMClusterServiceTemplate | None:
        return self._watched.cluster_templates.store.get("", name)

    def template_at(self, ref: ObjectRef) -> Template | None:
        """Return the template of either scope that a key means."""
        return self.template(ref.namespace, ref.name) if ref.namespace else self.cluster_template(ref.name)

    def templates_of(self, namespace: str, image_name: str) -> Iterable[AIMServiceTemplate]:
        return self._watched.templates.store.by_index(BY_IMAGE_IN, (namespace, image_name))

    def cluster_templates_of(self, image_name: str) -> Iterable[AIMClusterServiceTemplate]:
        return self._watched.cluster_templates.store.by_index(BY_IMAGE, image_name)

    def templates_that_mean(self, namespace: str, digest: str) -> Iterable[Template]:
        key = (namespace, digest)
        if namespace:
            return self._watched.templates.store.by_index(BY_MEANING_IN, key)
        return self._watched.cluster_templates.store.by_index(BY_MEANING_IN, key)

    def runtime_config(self, namespace: str, name: str) -> AIMRuntimeConfig | None:
        return self._watched.runtime_configs.store.get(namespace, name)

    def cluster_runtime_config(self, name: str) -> AIMClusterRuntimeConfig | None:
        return self._watched.cluster_runtime_configs.store.get("", name)

    def template_cache(self, template: Template, namespace: str) -> AIMTemplateCache | None:
        """Return the template cache that serves a template in a namespace."""
        key = (namespace, template.metadata.name)
        return choose(template, self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, key), self)

    def template_cache_taken(self, template: Template, namespace: str) -> bool:
        """Whether the operator's own template cache can't have its name: another template's, or unshared."""
        cache = self._watched.template_caches.store.get(namespace, template.metadata.name)
        return cache is not None and not (means(cache, template, self) and serves_others(cache))

    def unshared_template_cache(self, template: Template, namespace: str) -> str:
        """Return the name of a template cache that would serve the template if it were shared; else ""."""
        key = (namespace, template.metadata.name)
        siblings = self._watched.template_caches.store.by_index(BY_TEMPLATE_IN, key)
        names = (
            cache.metadata.name
            for cache in siblings
            if means(cache, template, self) and not serves_others(cache)
        )
        return min(names, default="")

    def gpu_models(self) -> frozenset[NodeGpus]:
        return self.gpus.kinds

    def runtime_of(self, service: AIMService) -> str:
        """Return the runtime that a service's live InferenceService runs on, "" without one."""
        metadata = service.metadata
        live = self._watched.inference_services.store.get(metadata.namespace, metadata.name)
        return runtime_of(live) if live is not None and controlled_by(live, metadata) else ""
