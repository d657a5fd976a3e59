"""Who depends on an object: the answers to "it changed; whom does that wake?", by index.

Each function returns every dependent, rarely one too many or one twice, and never scans. A key too
many costs a reconcile that writes nothing; one too few would leave something behind for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aim_operator.api.external import Deployment, Event, HorizontalPodAutoscaler, InferenceService, Pod
from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.api.v1alpha1 import (
    CLUSTER_IMAGES,
    CLUSTER_TEMPLATES,
    IMAGES,
    MODEL_CACHES,
    SERVICES,
    TEMPLATES,
    AIMClusterRuntimeConfig,
    AIMRuntimeConfig,
    AIMService,
)
from aim_operator.controllers.index import (
    BY_CONFIG,
    BY_DEFAULT_TEMPLATE,
    BY_IMAGE,
    BY_IMAGE_IN,
    BY_TEMPLATE,
    DERIVED_IN,
    INFERENCE_SERVICE_LABEL,
    JOB_LABEL,
    OWN_CONFIG,
    template_names,
)
from aim_operator.controllers.store_catalog import StoreCatalog
from aim_operator.controllers.watched import Watched
from aim_operator.core.caching import speaks_of_downloads
from aim_operator.core.catalog import DEFAULT_CONFIG, Image, Template, is_derived, resolve_image
from aim_operator.core.service.desired import PREDICTOR
from aim_operator.core.service.live_runtime import runtime_of
from aim_operator.core.service.resolution import model_of

Config = AIMRuntimeConfig | AIMClusterRuntimeConfig


def owner(*resources: Resource[Any]) -> Callable[[KubeObject], Iterator[ObjectRef]]:
    """Return what finds the owner that controls an object, where it is one of these kinds."""
    namespaced = {resource.kind: resource.namespaced for resource in resources}

    def controlling(obj: KubeObject) -> Iterator[ObjectRef]:
        reference = obj.metadata.controller()
        if reference is not None and reference.kind in namespaced:
            namespace = obj.metadata.namespace if namespaced[reference.kind] else ""
            yield ObjectRef(reference.kind, namespace, reference.name)

    return controlling


template_owner = owner(TEMPLATES, CLUSTER_TEMPLATES)
service_owner = owner(SERVICES)
model_cache_owner = owner(MODEL_CACHES)


def owner_of_job(
    watched: Watched, namespace: str, name: str | None, owned_by: Callable[[KubeObject], Iterator[ObjectRef]]
) -> Iterator[ObjectRef]:
    """Return who owns the Job of that name, if `owned_by` knows its kind."""
    job = watched.jobs.store.get(namespace, name or "")
    if job is not None:
        yield from owned_by(job)


class Dependents:
    """Looks dependents up in the stores."""

    def __init__(self, watched: Watched, catalog: StoreCatalog, *, operator_namespace: str) -> None:
        self._watched = watched
        self._catalog = catalog
        self._operator_namespace = operator_namespace

    # Templates

    def templates_of_image(self, image: Image) -> Iterator[ObjectRef]:
        namespace, name = image.metadata.namespace, image.metadata.name
        if namespace:
            templates = self._watched.templates.store.by_index(BY_IMAGE_IN, (namespace, name))
            yield from map(TEMPLATES.ref, templates)
            return
        yield from map(TEMPLATES.ref, self._watched.templates.store.by_index(BY_IMAGE, name))
        yield from map(CLUSTER_TEMPLATES.ref, self._watched.cluster_templates.store.by_index(BY_IMAGE, name))

    def templates_of_config(self, config: Config) -> Iterator[ObjectRef]:
        """Return templates that name it, and those that inherit it from their image or as the default."""
        for template in self._templates_of_config(config):
            resource = TEMPLATES if template.metadata.namespace else CLUSTER_TEMPLATES
            yield resource.ref(template)

    def template_of_pod(self, pod: Pod) -> Iterator[ObjectRef]:
        yield from owner_of_job(
            self._watched, pod.metadata.namespace, pod.metadata.label(JOB_LABEL), template_owner
        )

    def template_of_refusal(self, event: Event) -> Iterator[ObjectRef]:
        involved = event.involved_object
        yield from owner_of_job(self._watched, involved.namespace, involved.name, template_owner)

    def derived_templates_of(self, service: AIMService) -> Iterator[ObjectRef]:
        """Return derived templates that this service may have used or begun to use."""
        key = (service.metadata.namespace, model_of(service))
        yield from map(TEMPLATES.ref, self._watched.templates.store.by_index(DERIVED_IN, key))
        for name in template_names(service):
            template = self._catalog.template(service.metadata.namespace, name)
            if template is not None and is_derived(template):
                yield TEMPLATES.ref(template)

    def derived_template_of_runtime(self, live: InferenceService) -> Iterator[ObjectRef]:
        """Return the derived template that an InferenceService runs on, or did."""
        template = self._catalog.template(live.metadata.namespace, runtime_of(live))
        if template is not None and is_derived(template):
            yield TEMPLATES.ref(template)

    def all_templates(self) -> Iterator[ObjectRef]:
        yield from map(TEMPLATES.ref, self._watched.templates.store.all())
        yield from map(CLUSTER_TEMPLATES.ref, self._watched.cluster_templates.store.all())

    # Services

    def services_of_image(self, image: Image) -> Iterator[ObjectRef]:
        yield from map(SERVICES.ref, self._services_of_model(image.metadata.namespace, image.metadata.name))

    def services_of_template(self, template: Template) -> Iterator[ObjectRef]:
        """Return services that name or use it, and those whose choice or derivation it may change."""
        namespace, name = template.metadata.namespace, template.metadata.name
        for service in self._watched.services.store.by_index(BY_TEMPLATE, name):
            if within(service, namespace):
                yield SERVICES.ref(service)
        for service in self._services_of_model(namespace, template.spec.aim_image_name):
            if self._may_concern(service, template):
                yield SERVICES.ref(service)
        for image in self._images_defaulting_to(namespace, name):
            home = image.metadata.namespace or namespace
            for service in self._services_of_model(home, image.metadata.name):
                if service.spec.template_ref is None:
                    yield SERVICES.ref(service)

    def services_of_runtime(self, runtime: KubeObject) -> Iterator[ObjectRef]:
        """Return services on a template of that name: it is their runtime, or in the way of theirs."""
        namespace, name = runtime.metadata.namespace, runtime.metadata.name
        for service in self._watched.services.store.by_index(BY_TEMPLATE, name):
            if within(service, namespace):
                yield SERVICES.ref(service)

    def services_of_config(self, config: Config) -> Iterator[ObjectRef]:
        """Return services that name it, and those that inherit it: from template, image, or as default."""
        for service in self._services_of_config(config.metadata.name):
            if within(service, config.metadata.namespace):
                yield SERVICES.ref(service)

    def service_of_pod(self, pod: Pod) -> Iterator[ObjectRef]:
        name = pod.metadata.label(INFERENCE_SERVICE_LABEL)
        if name is not None:
            yield ObjectRef(SERVICES.kind, pod.metadata.namespace, name)

    def service_of_refusal(self, event: Event) -> Iterator[ObjectRef]:
        involved = event.involved_object
        name = involved.name.rpartition("-")[0].removesuffix(PREDICTOR)
        if self._watched.services.store.get(involved.namespace, name) is not None:
            yield ObjectRef(SERVICES.kind, involved.namespace, name)

    def service_of_deployment(self, deployment: Deployment | HorizontalPodAutoscaler) -> Iterator[ObjectRef]:
        """Return whose it is, or the autoscaler of one, which has its name."""
        name = deployment.metadata.name.removesuffix(PREDICTOR)
        yield ObjectRef(SERVICES.kind, deployment.metadata.namespace, name)

    def service_of_warning(self, event: Event) -> Iterator[ObjectRef]:
        involved = event.involved_object
        if self._watched.services.store.get(involved.namespace, involved.name) is not None:
            yield ObjectRef(SERVICES.kind, involved.namespace, involved.name)

    def all_services(self) -> Iterator[ObjectRef]:
        yield from map(SERVICES.ref, self._watched.services.store.all())

    def services_by_choice(self) -> Iterator[ObjectRef]:
        """Return services that name no template: other GPUs may decide a choice that was open."""
        yield from (
            SERVICES.ref(s) for s in self._watched.services.store.all() if s.spec.template_ref is None
        )

    # Images

    def images_of_template(self, template: Template) -> Iterator[ObjectRef]:
        """Return images whose default it is: their status says whether it exists."""
        for image in self._images_defaulting_to(template.metadata.namespace, template.metadata.name):
            yield (IMAGES if image.metadata.namespace else CLUSTER_IMAGES).ref(image)

    def images_of_config(self, config: Config) -> Iterator[ObjectRef]:
        for image in self._images_naming(config.metadata.name):
            if not config.metadata.namespace or image.metadata.namespace == config.metadata.namespace:
                yield (IMAGES if image.metadata.namespace else CLUSTER_IMAGES).ref(image)

    # Lookups

    def _services_of_config(self, name: str) -> Iterator[AIMService]:
        by_config = self._watched.services.store.by_index
        yield from by_config(BY_CONFIG, name)
        for template in self._templates_naming(name):
            for service in self._services_of_model("", template.spec.aim_image_name):
                if within(service, template.metadata.namespace):
                    yield service
        for image in self._images_naming(name):
            yield from self._services_of_model(image.metadata.namespace, image.metadata.name)
        if name == DEFAULT_CONFIG:
            yield from by_config(BY_CONFIG, "")
            # Whether their files are from another endpoint than their template's, which may inherit it.
            yield from by_config(BY_CONFIG, OWN_CONFIG)

    def _services_of_model(self, namespace: str, model: str) -> Iterable[AIMService]:
        store = self._watched.services.store
        return (
            store.by_index(BY_IMAGE_IN, (namespace, model)) if namespace else store.by_index(BY_IMAGE, model)
        )

    def _may_concern(self, service: AIMService, template: Template) -> bool:
        """Whether a service of the template's image may come to use it without naming it."""
        if is_derived(template) or service.spec.overrides is not None or speaks_of_downloads(service):
            return True
        image = resolve_image(self._catalog, service.metadata.namespace, model_of(service))
        if image is None:
            return False
        if service.spec.template_ref is not None:
            # A cluster template under a namespaced image is derived from: an equal one may take its place.
            return bool(image.metadata.namespace)
        default = image.spec.default_service_template or ""
        return default in ("", template.metadata.name) or bool(image.metadata.namespace)

    def _images_defaulting_to(self, namespace: str, template_name: str) -> Iterator[Image]:
        for image in self._watched.images.store.by_index(BY_DEFAULT_TEMPLATE, template_name):
            if not namespace or image.metadata.namespace == namespace:
                yield image
        yield from self._watched.cluster_images.store.by_index(BY_DEFAULT_TEMPLATE, template_name)

    def _images_naming(self, config_name: str) -> Iterator[Image]:
        yield from self._watched.images.store.by_index(BY_CONFIG, config_name)
        yield from self._watched.cluster_images.store.by_index(BY_CONFIG, config_name)

    def _templates_naming(self, config_name: str) -> Iterator[Template]:
        yield from self._watched.templates.store.by_index(BY_CONFIG, config_name)
        yield from self._watched.cluster_templates.store.by_index(BY_CONFIG, config_name)

    def _templates_of_config(self, config: Config) -> Iterator[Template]:
        name = config.metadata.name
        candidates: list[Template] = list(self._templates_naming(name))
        for image in self._images_naming(name):
            candidates.extend(
                t
                for t in self._templates_of_image_name(image.metadata.name)
                if t.spec.runtime_config_name is None
            )
        if name == DEFAULT_CONFIG:
            candidates.extend(self._templates_naming(""))
        for template in candidates:
            home = template.metadata.namespace or self._operator_namespace
            if not config.metadata.namespace or config.metadata.namespace == home:
                yield template

    def _templates_of_image_name(self, image_name: str) -> Iterator[Template]:
        yield from self._watched.templates.store.by_index(BY_IMAGE, image_name)
        yield from self._watched.cluster_templates.store.by_index(BY_IMAGE, image_name)


def runtime_changed(old: KubeObject | None, new: KubeObject | None) -> bool:
    """Whether an InferenceService came, went, or runs on another runtime."""
    if not isinstance(old, InferenceService) or not isinstance(new, InferenceService):
        return True
    return bytes(old.spec) != bytes(new.spec) and runtime_of(old) != runtime_of(new)


def within(obj: KubeObject, namespace: str) -> bool:
    return not namespace or obj.metadata.namespace == namespace
