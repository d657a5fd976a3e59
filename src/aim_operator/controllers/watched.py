"""Everything the operator watches: one informer per kind, its selector, and its declared indexes.

Index keys are what triggers and resolution ask by, so that waking the dependents of an object costs
what they number. Built by app.py; read by everything in controllers/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    CUSTOM_RESOURCE_DEFINITIONS,
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    HTTP_ROUTES,
    INFERENCE_SERVICES,
    JOBS,
    NODES,
    OTHER_HTTP_ROUTES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    SCALED_OBJECTS,
    SERVING_RUNTIMES,
    STORAGE_CLASSES,
    InferenceService,
    OwnedObject,
    PersistentVolumeClaim,
    Pod,
)
from aim_operator.api.meta import KubeObject
from aim_operator.api.resource import K, Resource
from aim_operator.controllers import kept, slim
from aim_operator.core import labels
from aim_operator.core.caching import listed_models
from aim_operator.core.catalog import Image, Template, is_derived
from aim_operator.core.model_cache.allowance import NO_ROOM
from aim_operator.core.service import meaning
from aim_operator.core.service.live_runtime import runtime_of
from aim_operator.core.service.resolution import model_of
from aim_operator.kube.protocol import KubeClient
from aim_operator.kube.wire import metadata_view
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink

O = TypeVar("O", bound=OwnedObject)  # noqa: E741 - an Owned object

# Index names. "in" indexes are keyed (namespace, name), the others by name alone.
BY_OWNER = "owner uid"
BY_IMAGE = "image"
BY_IMAGE_IN = "image in namespace"
BY_TEMPLATE = "template"
BY_TEMPLATE_IN = "template in namespace"
BY_CONFIG = "runtime config"
OWN_CONFIG = "*"
"""Key in BY_CONFIG of the services that name one, whichever; no object has this name."""
BY_DEFAULT_TEMPLATE = "default template"
BY_INFERENCE_SERVICE = "inference service"
BY_RUNTIME_IN = "runtime in namespace"
BY_JOB = "job"
BY_NAME = "name"
BY_DEPLOYMENT = "deployment"
BY_INVOLVED = "involved object"
BY_SOURCE_IN = "source in namespace"
BY_UNCACHED_SOURCE_IN = "source without cache in namespace"
ANY_SOURCE = "*"
"""Key in BY_UNCACHED_SOURCE_IN of all that lack a cache; no source is called so."""
BY_MEANING_IN = "meaning in namespace"
BY_MODEL_CACHE_IN = "model cache in namespace"
BY_EXISTING_CLAIM = "namespace of caches on claims that are not the operator's"
BY_NAMESPACE = "namespace"
BY_AWAITED_ROOM = "namespace whose storage budget is waited for"
BY_MOUNTED_CLAIM_IN = "mounted claim in namespace"
BY_CLASS = "storage class"
LEFT_BEHIND_OF = "name of the model cache, in its namespace, of claims that have lost it"
BY_PENDING_CLASS = "storage class of pending claims"
DERIVED_IN = "derived templates in namespace"

INFERENCE_SERVICE_LABEL = "serving.kserve.io/inferenceservice"
JOB_LABEL = "batch.kubernetes.io/job-name"


class Watched:
    """The informers. `all` lists them; nothing is started here."""

    def __init__(
        self,
        client: KubeClient,
        *,
        clock: Clock,
        metrics: MetricSink,
        namespaces: tuple[str, ...],
        operator_namespace: str,
    ) -> None:
        self._client, self._clock, self._metrics = client, clock, metrics
        self._namespaces = namespaces
        # Discovery of cluster templates runs in the operator's namespace, and so are its credentials.
        self._with_own = tuple(sorted({*namespaces, operator_namespace})) if namespaces else ()
        self._own: list[Resource[Any]] = []
        ours = labels.MANAGED_BY_CONTROLLER

        self.images = self._informer(aim.IMAGES, indexes={BY_CONFIG: _config, BY_DEFAULT_TEMPLATE: _default})
        self.cluster_images = self._informer(
            aim.CLUSTER_IMAGES, indexes={BY_CONFIG: _config, BY_DEFAULT_TEMPLATE: _default}
        )
        self.runtime_configs = self._informer(aim.RUNTIME_CONFIGS, own=True, indexes={BY_NAME: _name})
        self.cluster_runtime_configs = self._informer(aim.CLUSTER_RUNTIME_CONFIGS)
        self.templates = self._informer(
            aim.TEMPLATES,
            indexes={
                BY_IMAGE: _image,
                BY_IMAGE_IN: _image_in,
                BY_CONFIG: _config,
                BY_MEANING_IN: _meaning_in,
                DERIVED_IN: _derived_in,
            },
            slim=slim.template,
        )
        self.cluster_templates = self._informer(
            aim.CLUSTER_TEMPLATES,
            indexes={BY_IMAGE: _image, BY_CONFIG: _config, BY_MEANING_IN: _meaning_in},
            slim=slim.template,
        )
        self.services = self._informer(
            aim.SERVICES,
            indexes={
                BY_IMAGE: _model,
                BY_IMAGE_IN: _model_in,
                BY_TEMPLATE: template_names,
                BY_TEMPLATE_IN: _template_names_in,
                BY_CONFIG: _service_config,
                BY_MOUNTED_CLAIM_IN: _mounted_claims_in,
            },
            slim=slim.service,
        )
        self.jobs = self._informer(JOBS, own=True, label_selector=ours, indexes={BY_OWNER: _owner})
        self.pods = self._informer(
            PODS,
            own=True,
            label_selector=ours,
            indexes={BY_JOB: _pod_job, BY_INFERENCE_SERVICE: _pod_service},
        )
        self.refusals = self._informer(
            EVENTS,
            own=True,
            field_selector="involvedObject.kind=Job,reason=FailedCreate",
            slim=kept.event,
            indexes={BY_INVOLVED: _involved},
        )
        # KServe hears of its Deployment only that it is not available; why, the ReplicaSet's events say.
        self.replica_refusals = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=ReplicaSet,reason=FailedCreate",
            slim=kept.event,
            indexes={BY_DEPLOYMENT: _deployment},
        )
        # Of what KServe can't make anything of, 0.16 tells nowhere else.
        self.kserve_warnings = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=InferenceService,type=Warning",
            slim=kept.event,
            indexes={BY_INVOLVED: _involved},
        )
        # That KEDA can't read a metric is in its condition; why, in these only.
        self.keda_warnings = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=ScaledObject,reason=KEDAScalerFailed",
            slim=kept.event,
            indexes={BY_INVOLVED: _involved},
        )
        self.provisioning = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=PersistentVolumeClaim,reason=ProvisioningFailed",
            slim=kept.event,
            indexes={BY_INVOLVED: _involved},
        )
        self.template_caches = self._informer(
            aim.TEMPLATE_CACHES,
            indexes={
                BY_TEMPLATE: _cached_template,
                BY_TEMPLATE_IN: _cached_template_in,
                BY_MODEL_CACHE_IN: _model_caches_in,
                BY_UNCACHED_SOURCE_IN: _uncached_sources_in,
                BY_CONFIG: _config,
            },
        )
        self.model_caches = self._informer(
            aim.MODEL_CACHES,
            indexes={
                BY_SOURCE_IN: _source_in,
                BY_CONFIG: _config,
                BY_NAMESPACE: _namespace,
                BY_AWAITED_ROOM: _awaited_room,
                BY_EXISTING_CLAIM: _existing_claim,
            },
        )
        self.claims = self._informer(
            PERSISTENT_VOLUME_CLAIMS,
            label_selector=ours,
            indexes={
                BY_OWNER: _owner,
                BY_NAMESPACE: _namespace,
                BY_CLASS: _class,
                BY_PENDING_CLASS: _pending_class,
                LEFT_BEHIND_OF: left_behind,
            },
        )
        self.storage_classes = self._informer(STORAGE_CLASSES)
        self.nodes = self._informer(NODES, slim=slim.node)
        self.inference_services = self._informer(
            INFERENCE_SERVICES,
            label_selector=ours,
            slim=slim.inference_service,
            indexes={BY_RUNTIME_IN: _runtime_in},
        )
        # KServe's, with the labels of their InferenceServices: how many copies there are.
        self.deployments = self._informer(DEPLOYMENTS, label_selector=ours, slim=slim.deployment)
        # KServe's, too: whether they can tell how many copies there should be.
        self.autoscalers = self._informer(
            HORIZONTAL_POD_AUTOSCALERS, label_selector=ours, slim=slim.autoscaler
        )
        self.serving_runtimes = self._informer(SERVING_RUNTIMES, label_selector=ours, slim=slim.own_bytes)
        # Whose name a cluster template's runtime must not have; ours are above.
        self.other_runtimes = self._informer(
            metadata_view(SERVING_RUNTIMES), label_selector=labels.NOT_MANAGED_BY_CONTROLLER
        )
        self.cluster_serving_runtimes = self._informer(
            CLUSTER_SERVING_RUNTIMES, label_selector=ours, slim=slim.own_bytes
        )
        self.disruption_budgets = self._informer(
            POD_DISRUPTION_BUDGETS, label_selector=ours, slim=slim.own_bytes
        )
        self.scaled_objects = self._informer(SCALED_OBJECTS, label_selector=ours, slim=slim.own_bytes)
        self.http_routes = self._informer(HTTP_ROUTES, label_selector=ours, slim=slim.http_route)
        # Whose requests no service may take; ours are above.
        self.other_routes = self._informer(
            OTHER_HTTP_ROUTES, label_selector=labels.NOT_MANAGED_BY_CONTROLLER, slim=slim.other_route
        )
        self.crds = self._informer(CUSTOM_RESOURCE_DEFINITIONS)

    @property
    def ours(self) -> tuple[Informer[Any], ...]:
        """Return the informers of our own kinds."""
        return tuple(informer for informer in self.all if informer.resource.group == aim.GROUP)

    @property
    def own(self) -> tuple[Resource[Any], ...]:
        """Return what is watched in the operator's own namespace even where others are chosen."""
        return tuple(self._own)

    @property
    def all(self) -> tuple[Informer[Any], ...]:
        """Return every informer, catalog first."""
        return tuple(value for value in vars(self).values() if isinstance(value, Informer))

    @property
    def full(self) -> tuple[Informer[Any], ...]:
        """Return those that show whole objects: what is written comes back by them."""
        beside = (self.other_runtimes, self.other_routes)
        return tuple(informer for informer in self.all if informer not in beside)

    def _informer(
        self,
        resource: Resource[K],
        *,
        own: bool = False,
        indexes: dict[str, Any] | None = None,
        slim: Callable[[K], K] = kept.object_of,
        **options: Any,
    ) -> Informer[K]:
        namespaces = self._with_own if own else self._namespaces
        if own:
            self._own.append(resource)
        return Informer(
            self._client,
            resource,
            clock=self._clock,
            metrics=self._metrics,
            namespaces=namespaces if resource.namespaced else (),
            indexes=indexes or {},
            slim=slim,
            **options,
        )


def _owner(obj: KubeObject) -> Iterator[str]:
    owner = obj.metadata.controller()
    if owner is not None:
        yield owner.uid


def _name(obj: KubeObject) -> Iterator[str]:
    yield obj.metadata.name


def _named(obj: Any) -> str:
    return obj.spec.runtime_config_name or ""


def _config(obj: Any) -> Iterator[str]:
    """Index by the configuration that is named; "" for those that inherit."""
    yield _named(obj)


def _service_config(service: aim.AIMService) -> Iterator[str]:
    yield from _config(service)
    if _named(service):
        yield OWN_CONFIG


def _default(image: Image) -> Iterator[str]:
    if image.spec.default_service_template is not None:
        yield image.spec.default_service_template


def _image(template: Template) -> Iterator[str]:
    yield template.spec.aim_image_name


def _image_in(template: Template) -> Iterator[tuple[str, str]]:
    yield template.metadata.namespace, template.spec.aim_image_name


def _derived_in(template: Template) -> Iterator[tuple[str, str]]:
    if is_derived(template):
        yield template.metadata.namespace, template.spec.aim_image_name


def _meaning_in(template: Template) -> Iterator[tuple[str, str]]:
    if not is_derived(template):
        yield template.metadata.namespace, meaning.digest_of(template)


def _model(service: aim.AIMService) -> Iterator[str]:
    yield model_of(service)


def _model_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
    yield service.metadata.namespace, model_of(service)


def template_names(service: aim.AIMService) -> Iterator[str]:
    """Index by the template that is named, the one in use, and the one that the workload was made of.

    The last two differ where the cache lacks the InferenceService: its watch stalls, or somebody deleted it.
    """
    status = service.status or aim.AIMServiceStatus()
    active = status.active.resolved_template if status.active is not None else None
    references = (status.resolved_template, active)
    # A dict, not a set: its order does not depend on hashes, so that simulations repeat.
    names = dict.fromkeys(reference.name for reference in references if reference is not None)
    if service.spec.template_ref is not None:
        names[service.spec.template_ref] = None
    yield from names


def _template_names_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
    for name in template_names(service):
        yield service.metadata.namespace, name


def _pod_job(pod: Pod) -> Iterator[tuple[str, str]]:
    name = pod.metadata.label(JOB_LABEL)
    if name is not None:
        yield pod.metadata.namespace, name


def _pod_service(pod: Pod) -> Iterator[tuple[str, str]]:
    name = pod.metadata.label(INFERENCE_SERVICE_LABEL)
    if name is not None:
        yield pod.metadata.namespace, name


def _runtime_in(live: InferenceService) -> Iterator[tuple[str, str]]:
    if name := runtime_of(live):
        yield live.metadata.namespace, name


def _cached_template(cache: aim.AIMTemplateCache) -> Iterator[str]:
    yield cache.spec.template_ref


def _cached_template_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    yield cache.metadata.namespace, cache.spec.template_ref


def _model_caches_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    for listed in listed_models(cache):
        if listed.name is not None:
            yield cache.metadata.namespace, listed.name


def _uncached_sources_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    for listed in listed_models(cache):
        if listed.name is None:
            yield cache.metadata.namespace, listed.source_uri
            yield cache.metadata.namespace, ANY_SOURCE


def _namespace(obj: KubeObject) -> Iterator[str]:
    yield obj.metadata.namespace


def _awaited_room(cache: aim.AIMModelCache) -> Iterator[str]:
    """Index by namespace those that a storage budget keeps waiting; "" has all of them."""
    told = cache.status.conditions if cache.status is not None else None
    if any(condition.reason in NO_ROOM for condition in told or ()):
        yield cache.metadata.namespace
        yield ""


def mounted_claims(service: aim.AIMService) -> Iterator[str]:
    """Return the claims that the service's model server mounts, by the record of what runs."""
    active = service.status.active if service.status is not None else None
    for mount in (active.mounts if active is not None else None) or ():
        yield mount.claim


def _mounted_claims_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
    for claim in mounted_claims(service):
        yield service.metadata.namespace, claim


def _class(claim: PersistentVolumeClaim) -> Iterator[str]:
    yield claim.spec.storage_class_name or ""


def left_behind(claim: PersistentVolumeClaim) -> Iterator[tuple[str, str]]:
    """Return namespace and label of the cache that a claim without an owner was made for, if it was."""
    metadata = claim.metadata
    of = metadata.label(labels.MODEL_CACHE)
    if of is not None and metadata.controller() is None and metadata.annotation(labels.APPLIED) is not None:
        yield metadata.namespace, of


def _pending_class(claim: PersistentVolumeClaim) -> Iterator[str]:
    if claim.status.phase == "Pending":
        yield claim.spec.storage_class_name or ""


def _existing_claim(cache: aim.AIMModelCache) -> tuple[str, ...]:
    return (cache.metadata.namespace,) if cache.spec.existing_claim is not None else ()


def _source_in(cache: aim.AIMModelCache) -> Iterator[tuple[str, str]]:
    yield cache.metadata.namespace, cache.spec.source_uri


def _deployment(event: Any) -> Iterator[tuple[str, str]]:
    """Index by the Deployment, whose name its ReplicaSets have before their hash."""
    yield event.involved_object.namespace, event.involved_object.name.rpartition("-")[0]


def _involved(event: Any) -> Iterator[str]:
    yield event.involved_object.uid
