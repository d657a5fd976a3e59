"""How objects are found: the names of the indexes of the stores, and the keys that an object has in each.

Index keys are what triggers and resolution ask by, so that waking the dependents of an object costs
what they number. Which kind has which index is declared in watched.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import (
    InferenceService,
    OwnedObject,
    PersistentVolumeClaim,
    Pod,
)
from aim_operator.api.meta import KubeObject
from aim_operator.api.v1alpha1.conditions import State
from aim_operator.core import labels
from aim_operator.core.caching import listed_models
from aim_operator.core.catalog import Image, Template, is_derived
from aim_operator.core.model_cache.allowance import NO_ROOM
from aim_operator.core.service import meaning
from aim_operator.core.service.live_runtime import runtime_of
from aim_operator.core.service.resolution import model_of

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
BY_COLD_SOURCE_IN = "source without files in namespace"
BY_UNCACHED_SOURCE_IN = "source without cache in namespace"
ANY_SOURCE = "*"
"""Key in BY_UNCACHED_SOURCE_IN of all that lack a model cache; no source is called so."""
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


def owner(obj: KubeObject) -> Iterator[str]:
    owner = obj.metadata.controller()
    if owner is not None:
        yield owner.uid


def name(obj: KubeObject) -> Iterator[str]:
    yield obj.metadata.name


def named(obj: Any) -> str:
    return obj.spec.runtime_config_name or ""


def config(obj: Any) -> Iterator[str]:
    """Index by the configuration that is named; "" for those that inherit."""
    yield named(obj)


def service_config(service: aim.AIMService) -> Iterator[str]:
    yield from config(service)
    if named(service):
        yield OWN_CONFIG


def default(image: Image) -> Iterator[str]:
    if image.spec.default_service_template is not None:
        yield image.spec.default_service_template


def image(template: Template) -> Iterator[str]:
    yield template.spec.aim_image_name


def image_in(template: Template) -> Iterator[tuple[str, str]]:
    yield template.metadata.namespace, template.spec.aim_image_name


def derived_in(template: Template) -> Iterator[tuple[str, str]]:
    if is_derived(template):
        yield template.metadata.namespace, template.spec.aim_image_name


def meaning_in(template: Template) -> Iterator[tuple[str, str]]:
    if not is_derived(template):
        yield template.metadata.namespace, meaning.digest_of(template)


def model(service: aim.AIMService) -> Iterator[str]:
    yield model_of(service)


def model_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
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


def template_names_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
    for name in template_names(service):
        yield service.metadata.namespace, name


def pod_job(pod: Pod) -> Iterator[tuple[str, str]]:
    name = pod.metadata.label(JOB_LABEL)
    if name is not None:
        yield pod.metadata.namespace, name


def pod_service(pod: Pod) -> Iterator[tuple[str, str]]:
    name = pod.metadata.label(INFERENCE_SERVICE_LABEL)
    if name is not None:
        yield pod.metadata.namespace, name


def runtime_in(live: InferenceService) -> Iterator[tuple[str, str]]:
    if name := runtime_of(live):
        yield live.metadata.namespace, name


def cached_template(cache: aim.AIMTemplateCache) -> Iterator[str]:
    yield cache.spec.template_ref


def cached_template_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    yield cache.metadata.namespace, cache.spec.template_ref


def model_caches_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    for listed in listed_models(cache):
        if listed.name is not None:
            yield cache.metadata.namespace, listed.name


def cold_sources_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    """Index by source those whose files are not there: a model cache gives way to one that has them."""
    for listed in listed_models(cache):
        if listed.name is None or listed.status != State.AVAILABLE:
            yield cache.metadata.namespace, listed.source_uri


def uncached_sources_in(cache: aim.AIMTemplateCache) -> Iterator[tuple[str, str]]:
    for listed in listed_models(cache):
        if listed.name is None:
            yield cache.metadata.namespace, listed.source_uri
            yield cache.metadata.namespace, ANY_SOURCE


def namespace(obj: KubeObject) -> Iterator[str]:
    yield obj.metadata.namespace


def awaited_room(cache: aim.AIMModelCache) -> Iterator[str]:
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


def mounted_claims_in(service: aim.AIMService) -> Iterator[tuple[str, str]]:
    for claim in mounted_claims(service):
        yield service.metadata.namespace, claim


def storage_class(claim: PersistentVolumeClaim) -> Iterator[str]:
    yield claim.spec.storage_class_name or ""


def left_behind(claim: PersistentVolumeClaim) -> Iterator[tuple[str, str]]:
    """Return namespace and label of the cache that a claim without an owner was made for, if it was."""
    metadata = claim.metadata
    of = metadata.label(labels.MODEL_CACHE)
    if of is not None and metadata.controller() is None and metadata.annotation(labels.APPLIED) is not None:
        yield metadata.namespace, of


def pending_class(claim: PersistentVolumeClaim) -> Iterator[str]:
    if claim.status.phase == "Pending":
        yield claim.spec.storage_class_name or ""


def existing_claim(cache: aim.AIMModelCache) -> tuple[str, ...]:
    return (cache.metadata.namespace,) if cache.spec.existing_claim is not None else ()


def source_in(cache: aim.AIMModelCache) -> Iterator[tuple[str, str]]:
    yield cache.metadata.namespace, cache.spec.source_uri


def deployment(event: Any) -> Iterator[tuple[str, str]]:
    """Index by the Deployment, whose name its ReplicaSets have before their hash."""
    yield event.involved_object.namespace, event.involved_object.name.rpartition("-")[0]


def involved(event: Any) -> Iterator[tuple[str, str]]:
    """Index by namespace and uid: whoever may write Events in a namespace may write any uid into them."""
    yield event.metadata.namespace, event.involved_object.uid


def events_about(obj: KubeObject) -> tuple[str, str]:
    """Return the key in BY_INVOLVED of the Events about an object."""
    return obj.metadata.namespace, obj.metadata.uid
