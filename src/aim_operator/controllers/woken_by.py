"""Who is woken by what: one row per watch and controller. app.py wires it to the reconcilers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    CLUSTER_RUNTIME_CONFIGS,
    CLUSTER_TEMPLATES,
    IMAGES,
    MODEL_CACHES,
    RUNTIME_CONFIGS,
    SERVICES,
    TEMPLATE_CACHES,
    TEMPLATES,
)
from aim_operator.controllers.cache_dependents import CacheDependents
from aim_operator.controllers.dependents import Dependents, model_cache_owner, service_owner, template_owner
from aim_operator.controllers.watched import Watched
from aim_operator.runtime.triggers import Trigger

CONTROLLER_OF = {
    IMAGES.kind: "images",
    CLUSTER_IMAGES.kind: "images",
    RUNTIME_CONFIGS.kind: "runtimeconfigs",
    CLUSTER_RUNTIME_CONFIGS.kind: "runtimeconfigs",
    TEMPLATES.kind: "templates",
    CLUSTER_TEMPLATES.kind: "templates",
    SERVICES.kind: "services",
    TEMPLATE_CACHES.kind: "templatecaches",
    MODEL_CACHES.kind: "modelcaches",
}
"""The controller of each kind, by its name in logs and metrics."""


def triggers(watched: Watched, depend: Dependents, caching: CacheDependents) -> dict[str, list[Trigger[Any]]]:
    """Return what wakes each controller, by its name."""
    return {
        "images": [
            Trigger(watched.images, _self(IMAGES)),
            Trigger(watched.cluster_images, _self(CLUSTER_IMAGES)),
            Trigger(watched.templates, depend.images_of_template, when=_came_or_went),
            Trigger(watched.cluster_templates, depend.images_of_template, when=_came_or_went),
            Trigger(watched.runtime_configs, depend.images_of_config, when=_came_or_went),
            Trigger(watched.cluster_runtime_configs, depend.images_of_config, when=_came_or_went),
        ],
        "runtimeconfigs": [
            Trigger(watched.runtime_configs, _self(RUNTIME_CONFIGS)),
            Trigger(watched.cluster_runtime_configs, _self(CLUSTER_RUNTIME_CONFIGS)),
        ],
        "templates": [
            Trigger(watched.templates, _self(TEMPLATES)),
            Trigger(watched.cluster_templates, _self(CLUSTER_TEMPLATES)),
            Trigger(watched.images, depend.templates_of_image, when=_spec_changed),
            Trigger(watched.cluster_images, depend.templates_of_image, when=_spec_changed),
            Trigger(watched.runtime_configs, depend.templates_of_config, when=_spec_changed),
            Trigger(watched.cluster_runtime_configs, depend.templates_of_config, when=_spec_changed),
            Trigger(watched.jobs, template_owner),
            Trigger(watched.pods, depend.template_of_pod),
            Trigger(watched.refusals, depend.template_of_refusal),
            Trigger(watched.serving_runtimes, template_owner),
            Trigger(watched.cluster_serving_runtimes, template_owner),
            Trigger(watched.services, depend.derived_templates_of),
            Trigger(watched.template_caches, caching.templates_of_template_cache),
        ],
        "templatecaches": [
            Trigger(watched.template_caches, _self(TEMPLATE_CACHES)),
            Trigger(watched.template_caches, caching.template_caches_beside, when=_came_or_went),
            Trigger(watched.templates, caching.template_caches_of_template),
            Trigger(watched.cluster_templates, caching.template_caches_of_template),
            Trigger(watched.model_caches, caching.template_caches_of_model_cache),
            Trigger(watched.services, caching.template_caches_of_service),
            Trigger(watched.runtime_configs, caching.template_caches_of_config, when=_spec_changed),
            Trigger(watched.cluster_runtime_configs, caching.template_caches_of_config, when=_spec_changed),
        ],
        "modelcaches": [
            Trigger(watched.model_caches, _self(MODEL_CACHES)),
            Trigger(watched.claims, model_cache_owner),
            Trigger(watched.provisioning, caching.model_cache_of_event),
            Trigger(watched.storage_classes, caching.model_caches_of_storage_class),
            Trigger(watched.jobs, model_cache_owner),
            Trigger(watched.pods, caching.model_cache_of_pod),
            Trigger(watched.refusals, caching.model_cache_of_refusal),
            Trigger(watched.runtime_configs, caching.model_caches_of_config, when=_spec_changed),
            Trigger(watched.cluster_runtime_configs, caching.model_caches_of_config, when=_spec_changed),
        ],
        "services": [
            Trigger(watched.services, _self(SERVICES)),
            Trigger(watched.images, depend.services_of_image, when=_spec_changed),
            Trigger(watched.cluster_images, depend.services_of_image, when=_spec_changed),
            Trigger(watched.templates, depend.services_of_template),
            Trigger(watched.cluster_templates, depend.services_of_template),
            Trigger(watched.runtime_configs, depend.services_of_config, when=_spec_changed),
            Trigger(watched.cluster_runtime_configs, depend.services_of_config, when=_spec_changed),
            Trigger(watched.inference_services, service_owner),
            Trigger(watched.pods, depend.service_of_pod),
            Trigger(watched.replica_refusals, depend.service_of_refusal),
            Trigger(watched.http_routes, service_owner),
            Trigger(watched.template_caches, caching.services_of_template_cache),
            Trigger(watched.claims, caching.services_of_claim),
            Trigger(watched.serving_runtimes, depend.services_of_runtime, when=_came_or_went),
            Trigger(watched.other_runtimes, depend.services_of_runtime, when=_came_or_went),
        ],
    }


def _self(resource: Resource[Any]) -> Callable[[KubeObject], Iterable[ObjectRef]]:
    def itself(obj: KubeObject) -> tuple[ObjectRef]:
        return (resource.ref(obj),)

    return itself


def _came_or_went(old: KubeObject | None, new: KubeObject | None) -> bool:
    return old is None or new is None


def _spec_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether dependents may care: status writes leave the generation as it is."""
    return old is None or new is None or old.metadata.generation != new.metadata.generation
