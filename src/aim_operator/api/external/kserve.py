"""KServe: services, runtimes, and its CRD, which tells its version."""

from __future__ import annotations

from typing import Any

import msgspec

from aim_operator.api.external.cluster import CUSTOM_RESOURCE_DEFINITIONS
from aim_operator.api.external.shapes import ConditionedStatus, OwnedObject
from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource


class InferenceServiceStatus(ConditionedStatus):
    url: str | None = None
    model_status: dict[str, Any] | None = None


class InferenceService(OwnedObject):
    status: InferenceServiceStatus | None = None


class ServingRuntime(OwnedObject):
    """A ServingRuntime or ClusterServingRuntime."""


class ClusterServingRuntime(OwnedObject):
    """The cluster-scoped twin."""


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


INFERENCE_SERVICES = Resource(
    group="serving.kserve.io",
    version="v1beta1",
    plural="inferenceservices",
    kind="InferenceService",
    namespaced=True,
    type=InferenceService,
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
