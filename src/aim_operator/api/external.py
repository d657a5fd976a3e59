"""Partial views of other people's kinds: the fields we read, and nothing else.

The specs of objects we own stay raw bytes: apply compares them with what it wants, nobody else
reads them, and bytes are the smallest form to keep thousands of them in memory.
"""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.meta import Condition, KubeObject, Wire
from aim_operator.api.resource import Resource

Conditions = tuple[Condition, ...] | None


class OwnedObject(KubeObject):
    """An object we render: its spec is kept as the bytes the server sent."""

    spec: msgspec.Raw = msgspec.Raw(b"")


class ConditionedStatus(Wire):
    observed_generation: int | None = None
    conditions: Conditions = None


# batch/v1


class JobCondition(Wire):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class JobStatus(Wire):
    active: int | None = None
    ready: int | None = None
    start_time: str | None = None
    completion_time: str | None = None
    conditions: tuple[JobCondition, ...] | None = None


class JobSpec(Wire):
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None


class Job(KubeObject):
    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


# core/v1


class ContainerWaiting(Wire):
    reason: str | None = None
    message: str | None = None


class ContainerRunning(Wire):
    started_at: str | None = None


class ContainerTerminated(Wire):
    exit_code: int = 0
    reason: str | None = None
    message: str | None = None
    finished_at: str | None = None


class ContainerState(Wire):
    waiting: ContainerWaiting | None = None
    running: ContainerRunning | None = None
    terminated: ContainerTerminated | None = None


class ContainerStatus(Wire):
    name: str = ""
    ready: bool = False
    restart_count: int = 0
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState | None = None


class PodStatus(Wire):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: str | None = None
    conditions: tuple[JobCondition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(KubeObject):
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class InvolvedObject(Wire):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class Event(KubeObject):
    """core/v1 Event, as controllers write them where no status tells: refused Pods, failing volumes."""

    involved_object: InvolvedObject = msgspec.field(default_factory=InvolvedObject)
    reason: str | None = None
    message: str | None = None
    type: str | None = None
    last_timestamp: str | None = None
    """When it was seen last: a recorder counts the same one up."""


class ClaimResources(Wire):
    requests: dict[str, str | int] | None = None


class ClaimSpec(Wire):
    access_modes: tuple[str, ...] | None = None
    storage_class_name: str | None = None
    resources: ClaimResources = msgspec.field(default_factory=ClaimResources)


class ClaimCondition(Wire):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None


class ClaimStatus(Wire):
    phase: str | None = None
    capacity: dict[str, str | int] | None = None
    conditions: tuple[ClaimCondition, ...] | None = None


class PersistentVolumeClaim(KubeObject):
    spec: ClaimSpec = msgspec.field(default_factory=ClaimSpec)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)


# storage.k8s.io


class StorageClass(KubeObject):
    provisioner: str = ""
    volume_binding_mode: str | None = None
    allow_volume_expansion: bool | None = None


# apps/v1


class DeploymentSpec(Wire):
    replicas: int = 1


class DeploymentStatus(Wire):
    observed_generation: int | None = None
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0


class Deployment(KubeObject):
    """One that KServe makes of an InferenceService, whose labels it has."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


# autoscaling/v2


class HorizontalPodAutoscaler(KubeObject):
    """One that KServe makes of an InferenceService, whose labels it has."""

    status: ConditionedStatus | None = None


# serving.kserve.io


class InferenceServiceStatus(ConditionedStatus):
    url: str | None = None
    model_status: dict[str, Any] | None = None


class InferenceService(OwnedObject):
    status: InferenceServiceStatus | None = None


class ServingRuntime(OwnedObject):
    """A ServingRuntime or ClusterServingRuntime."""


class ClusterServingRuntime(OwnedObject):
    """The cluster-scoped twin."""


# policy


class PodDisruptionBudget(OwnedObject):
    """One that the operator made for a service."""


# keda.sh


class ScaledObject(OwnedObject):
    status: ConditionedStatus | None = None


# gateway.networking.k8s.io


class ParentReference(Wire):
    name: str = ""
    namespace: str | None = None
    group: str | None = None
    kind: str | None = None
    section_name: str | None = None
    port: int | None = None


class HTTPPathMatch(Wire):
    type: str = "PathPrefix"
    value: str = "/"


class HTTPRouteMatch(Wire):
    path: HTTPPathMatch = msgspec.field(default_factory=HTTPPathMatch)


class HTTPRouteRule(Wire):
    matches: tuple[HTTPRouteMatch, ...] = ()


class HTTPRouteSpec(Wire):
    """Where a route takes requests; what it does with them is nothing that we decide by."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRouteRule, ...] = ()


class RouteParentStatus(Wire):
    parent_ref: ParentReference = msgspec.field(default_factory=ParentReference)
    controller_name: str = ""
    conditions: Conditions = None


class HTTPRouteStatus(Wire):
    parents: tuple[RouteParentStatus, ...] | None = None


class OtherHTTPRoute(KubeObject):
    """One that the operator did not make."""

    spec: HTTPRouteSpec = msgspec.field(default_factory=HTTPRouteSpec)


class HTTPRoute(OwnedObject):
    status: HTTPRouteStatus | None = None


class PredictorSchema(Wire):
    properties: dict[str, msgspec.Raw] | None = None


class InferenceServiceSpecFields(Wire):
    predictor: PredictorSchema = msgspec.field(default_factory=PredictorSchema)


class InferenceServiceSpecSchema(Wire):
    properties: InferenceServiceSpecFields = msgspec.field(default_factory=InferenceServiceSpecFields)


class InferenceServiceFields(Wire):
    spec: InferenceServiceSpecSchema = msgspec.field(default_factory=InferenceServiceSpecSchema)


class InferenceServiceSchema(Wire):
    properties: InferenceServiceFields = msgspec.field(default_factory=InferenceServiceFields)


class ServedSchema(Wire):
    open_api_v3_schema: InferenceServiceSchema = msgspec.field(
        default_factory=InferenceServiceSchema, name="openAPIV3Schema"
    )


class ServedVersion(Wire):
    name: str
    schema: ServedSchema = msgspec.field(default_factory=ServedSchema)


class InferenceServicesCrdSpec(Wire):
    versions: tuple[ServedVersion, ...] = ()


class InferenceServicesCrd(KubeObject):
    """KServe's CRD, as far as it says which fields a predictor has."""

    spec: InferenceServicesCrdSpec = msgspec.field(default_factory=InferenceServicesCrdSpec)

    def predictor_fields(self, version: str) -> frozenset[str]:
        """Return them; none where the version is not there, or its schema lets anything through."""
        schemas = [each.schema.open_api_v3_schema for each in self.spec.versions if each.name == version]
        predictors = [schema.properties.spec.properties.predictor for schema in schemas]
        return frozenset(name for predictor in predictors for name in predictor.properties or ())


JOBS = Resource(group="batch", version="v1", plural="jobs", kind="Job", namespaced=True, type=Job)
DEPLOYMENTS = Resource(
    group="apps", version="v1", plural="deployments", kind="Deployment", namespaced=True, type=Deployment
)
HORIZONTAL_POD_AUTOSCALERS = Resource(
    group="autoscaling",
    version="v2",
    plural="horizontalpodautoscalers",
    kind="HorizontalPodAutoscaler",
    namespaced=True,
    type=HorizontalPodAutoscaler,
)
PODS = Resource(group="", version="v1", plural="pods", kind="Pod", namespaced=True, type=Pod)
PERSISTENT_VOLUME_CLAIMS = Resource(
    group="",
    version="v1",
    plural="persistentvolumeclaims",
    kind="PersistentVolumeClaim",
    namespaced=True,
    type=PersistentVolumeClaim,
)
STORAGE_CLASSES = Resource(
    group="storage.k8s.io",
    version="v1",
    plural="storageclasses",
    kind="StorageClass",
    namespaced=False,
    type=StorageClass,
)
EVENTS = Resource(group="", version="v1", plural="events", kind="Event", namespaced=True, type=Event)
NODES = Resource(
    group="", version="v1", plural="nodes", kind="Node", namespaced=False, type=KubeObject, metadata_only=True
)
CUSTOM_RESOURCE_DEFINITIONS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    type=KubeObject,
    metadata_only=True,
)
INFERENCE_SERVICES = Resource(
    group="serving.kserve.io",
    version="v1beta1",
    plural="inferenceservices",
    kind="InferenceService",
    namespaced=True,
    type=InferenceService,
)
SCALED_OBJECTS = Resource(
    group="keda.sh",
    version="v1alpha1",
    plural="scaledobjects",
    kind="ScaledObject",
    namespaced=True,
    type=ScaledObject,
)
INFERENCE_SERVICES_CRD = Resource(
    group=CUSTOM_RESOURCE_DEFINITIONS.group,
    version=CUSTOM_RESOURCE_DEFINITIONS.version,
    plural=CUSTOM_RESOURCE_DEFINITIONS.plural,
    kind=CUSTOM_RESOURCE_DEFINITIONS.kind,
    namespaced=False,
    type=InferenceServicesCrd,
)
SERVING_RUNTIMES = Resource(
    group="serving.kserve.io",
    version="v1alpha1",
    plural="servingruntimes",
    kind="ServingRuntime",
    namespaced=True,
    type=ServingRuntime,
)
CLUSTER_SERVING_RUNTIMES = Resource(
    group="serving.kserve.io",
    version="v1alpha1",
    plural="clusterservingruntimes",
    kind="ClusterServingRuntime",
    namespaced=False,
    type=ClusterServingRuntime,
)
POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    version="v1",
    plural="poddisruptionbudgets",
    kind="PodDisruptionBudget",
    namespaced=True,
    type=PodDisruptionBudget,
)
OTHER_HTTP_ROUTES = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="httproutes",
    kind="HTTPRoute",
    namespaced=True,
    type=OtherHTTPRoute,
)
HTTP_ROUTES = Resource(
    group="gateway.networking.k8s.io",
    version="v1",
    plural="httproutes",
    kind="HTTPRoute",
    namespaced=True,
    type=HTTPRoute,
)
