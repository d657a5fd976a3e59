"""Everything the operator watches: one informer per kind, its selector, and its declared indexes.

What the keys of an index are stands in index.py. Built by app.py; read by everything in controllers/.
"""

from __future__ import annotations

from collections.abc import Callable
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
    OwnedObject,
)
from aim_operator.api.resource import K, Resource
from aim_operator.controllers import index, kept, slim
from aim_operator.controllers.index import (
    BY_AWAITED_ROOM,
    BY_CLASS,
    BY_COLD_SOURCE_IN,
    BY_CONFIG,
    BY_DEFAULT_TEMPLATE,
    BY_DEPLOYMENT,
    BY_EXISTING_CLAIM,
    BY_IMAGE,
    BY_IMAGE_IN,
    BY_INFERENCE_SERVICE,
    BY_INVOLVED,
    BY_JOB,
    BY_MEANING_IN,
    BY_MODEL_CACHE_IN,
    BY_MOUNTED_CLAIM_IN,
    BY_NAME,
    BY_NAMESPACE,
    BY_OWNER,
    BY_PENDING_CLASS,
    BY_RUNTIME_IN,
    BY_SOURCE_IN,
    BY_TEMPLATE,
    BY_TEMPLATE_IN,
    BY_UNCACHED_SOURCE_IN,
    DERIVED_IN,
    LEFT_BEHIND_OF,
)
from aim_operator.core import labels
from aim_operator.kube.protocol import KubeClient
from aim_operator.kube.wire import metadata_view
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import MetricSink

O = TypeVar("O", bound=OwnedObject)  # noqa: E741 - an Owned object


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

        self.images = self._informer(
            aim.IMAGES, indexes={BY_CONFIG: index.config, BY_DEFAULT_TEMPLATE: index.default}
        )
        self.cluster_images = self._informer(
            aim.CLUSTER_IMAGES, indexes={BY_CONFIG: index.config, BY_DEFAULT_TEMPLATE: index.default}
        )
        self.runtime_configs = self._informer(aim.RUNTIME_CONFIGS, own=True, indexes={BY_NAME: index.name})
        self.cluster_runtime_configs = self._informer(aim.CLUSTER_RUNTIME_CONFIGS)
        self.templates = self._informer(
            aim.TEMPLATES,
            indexes={
                BY_IMAGE: index.image,
                BY_IMAGE_IN: index.image_in,
                BY_CONFIG: index.config,
                BY_MEANING_IN: index.meaning_in,
                DERIVED_IN: index.derived_in,
            },
            slim=slim.template,
        )
        self.cluster_templates = self._informer(
            aim.CLUSTER_TEMPLATES,
            indexes={BY_IMAGE: index.image, BY_CONFIG: index.config, BY_MEANING_IN: index.meaning_in},
            slim=slim.template,
        )
        self.services = self._informer(
            aim.SERVICES,
            indexes={
                BY_IMAGE: index.model,
                BY_IMAGE_IN: index.model_in,
                BY_TEMPLATE: index.template_names,
                BY_TEMPLATE_IN: index.template_names_in,
                BY_CONFIG: index.service_config,
                BY_MOUNTED_CLAIM_IN: index.mounted_claims_in,
            },
            slim=slim.service,
        )
        self.jobs = self._informer(JOBS, own=True, label_selector=ours, indexes={BY_OWNER: index.owner})
        self.pods = self._informer(
            PODS,
            own=True,
            label_selector=ours,
            indexes={BY_JOB: index.pod_job, BY_INFERENCE_SERVICE: index.pod_service},
        )
        self.refusals = self._informer(
            EVENTS,
            own=True,
            field_selector="involvedObject.kind=Job,reason=FailedCreate",
            slim=kept.event,
            indexes={BY_INVOLVED: index.involved},
        )
        # KServe hears of its Deployment only that it is not available; why, the ReplicaSet's events say.
        self.replica_refusals = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=ReplicaSet,reason=FailedCreate",
            slim=kept.event,
            indexes={BY_DEPLOYMENT: index.deployment},
        )
        # Of what KServe can't make anything of, 0.16 tells nowhere else.
        self.kserve_warnings = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=InferenceService,type=Warning",
            slim=kept.event,
            indexes={BY_INVOLVED: index.involved},
        )
        # That KEDA can't read a metric is in its condition; why, in these only.
        self.keda_warnings = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=ScaledObject,reason=KEDAScalerFailed",
            slim=kept.event,
            indexes={BY_INVOLVED: index.involved},
        )
        self.provisioning = self._informer(
            EVENTS,
            field_selector="involvedObject.kind=PersistentVolumeClaim,reason=ProvisioningFailed",
            slim=kept.event,
            indexes={BY_INVOLVED: index.involved},
        )
        self.template_caches = self._informer(
            aim.TEMPLATE_CACHES,
            indexes={
                BY_TEMPLATE: index.cached_template,
                BY_TEMPLATE_IN: index.cached_template_in,
                BY_MODEL_CACHE_IN: index.model_caches_in,
                BY_COLD_SOURCE_IN: index.cold_sources_in,
                BY_UNCACHED_SOURCE_IN: index.uncached_sources_in,
                BY_CONFIG: index.config,
            },
        )
        self.model_caches = self._informer(
            aim.MODEL_CACHES,
            indexes={
                BY_SOURCE_IN: index.source_in,
                BY_CONFIG: index.config,
                BY_NAMESPACE: index.namespace,
                BY_AWAITED_ROOM: index.awaited_room,
                BY_EXISTING_CLAIM: index.existing_claim,
            },
        )
        self.claims = self._informer(
            PERSISTENT_VOLUME_CLAIMS,
            label_selector=ours,
            indexes={
                BY_OWNER: index.owner,
                BY_NAMESPACE: index.namespace,
                BY_CLASS: index.storage_class,
                BY_PENDING_CLASS: index.pending_class,
                LEFT_BEHIND_OF: index.left_behind,
            },
        )
        self.storage_classes = self._informer(STORAGE_CLASSES)
        self.nodes = self._informer(NODES, slim=slim.node)
        self.inference_services = self._informer(
            INFERENCE_SERVICES,
            label_selector=ours,
            slim=slim.inference_service,
            indexes={BY_RUNTIME_IN: index.runtime_in},
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
