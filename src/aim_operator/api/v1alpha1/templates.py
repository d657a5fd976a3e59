"""AIMServiceTemplate and AIMClusterServiceTemplate: a runtime profile, and the cache of its discovery."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Attempts,
    Conditions,
    GpuSelector,
    Metric,
    ObjectName,
    ObservedGeneration,
    Precision,
    ResolvedReference,
    RuntimeConfigName,
)
from aim_operator.api.v1alpha1.environment import ClusterEnvVars, DownloadEnvVars, EnvVars, PullSecrets
from aim_operator.api.v1alpha1.files import EXCLUDE_DOC, INCLUDE_DOC, FilePatterns
from aim_operator.api.v1alpha1.profiles import EngineArgs, GivenModelSources, ModelId, ProfileId
from aim_operator.api.v1alpha1.resources import ResourceRequirements
from aim_operator.api.v1alpha1.serving import Serving


class Caching(Wire):
    """Warming of model caches for this template."""

    enabled: Annotated[
        bool | UnsetType, Field(doc="Download the model sources to a volume before services start.")
    ] = UNSET
    env: Annotated[
        DownloadEnvVars | UnsetType, Field(doc="Environment of the download, over the template's.")
    ] = UNSET
    include: Annotated[FilePatterns | UnsetType, Field(doc=INCLUDE_DOC)] = UNSET
    exclude: Annotated[FilePatterns | UnsetType, Field(doc=EXCLUDE_DOC)] = UNSET


class AIMClusterServiceTemplateSpec(Wire):
    """How to run an image: what to optimise for, in which precision, on which GPUs."""

    RULES = (
        Rule(
            rule=(
                "has(self.model) == has(oldSelf.model) && (!has(self.model) || self.model == oldSelf.model)"
            ),
            message="immutable; create a new template for another model",
            field_path=".model",
        ),
    )

    aim_image_name: Annotated[
        ObjectName,
        Field(
            doc="Catalog entry that this template configures. Immutable.",
            rules=(
                Rule(
                    rule="self == oldSelf",
                    message="immutable; create a new template for another image",
                ),
            ),
        ),
    ]
    runtime_config_name: RuntimeConfigName | UnsetType = UNSET
    metric: Annotated[Metric | UnsetType, Field(doc="What to optimise for.")] = UNSET
    precision: Annotated[Precision | UnsetType, Field(doc="Numeric precision of inference.")] = UNSET
    gpu_selector: Annotated[GpuSelector | UnsetType, Field(doc="GPUs of one replica.")] = UNSET
    profile_id: Annotated[
        ProfileId | UnsetType,
        Field(
            doc="Profile of the image to run, such as vllm-mi300x-fp8-tp1-latency; some are selected by "
            "name only. Overrides metric, precision and gpuSelector, which the image ignores then."
        ),
    ] = UNSET
    model: Annotated[
        ModelId | UnsetType,
        Field(
            doc="Model to serve, for images that serve any: owner/model, hf://owner/model or "
            "s3://bucket/prefix. An image that is made for one model refuses it. Immutable."
        ),
    ] = UNSET
    model_sources: Annotated[
        GivenModelSources | UnsetType,
        Field(
            doc="Model artifacts, where the image can't name them: nothing is discovered then. If model is "
            "unset, the first is the model to serve."
        ),
    ] = UNSET
    engine_args: EngineArgs | UnsetType = UNSET
    resources: Annotated[
        ResourceRequirements | UnsetType, Field(doc="Default resources; the service overrides.")
    ] = UNSET
    serving: Annotated[
        Serving | UnsetType, Field(doc="How model servers are run; overrides the runtime configuration.")
    ] = UNSET
    env: Annotated[
        ClusterEnvVars | UnsetType,
        Field(
            doc="Environment of discovery, downloads and serving, such as HF_TOKEN. References are to "
            "Secrets in the namespace of the Pod: of a cluster template's discovery, the operator's."
        ),
    ] = UNSET


class AIMServiceTemplateSpec(AIMClusterServiceTemplateSpec):
    """How to run an image, what to download before, and what to pull it with."""

    caching: Annotated[
        Caching | UnsetType, Field(doc="Whether and how the model is downloaded before services start.")
    ] = UNSET
    env: Annotated[
        EnvVars | UnsetType, Field(doc="Environment of discovery, downloads and serving, such as HF_TOKEN.")
    ] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull the model image with.")
    ] = UNSET


class ModelSource(Wire):
    """One model artifact that discovery found."""

    name: Annotated[str, Field(doc="Name of the model, as the image calls it.", max_length=512)]
    source_uri: Annotated[
        str,
        Field(doc="Where its files are: hf://owner/model[:revision] or s3://bucket/prefix.", max_length=1024),
    ]
    size: Annotated[
        str | UnsetType, Field(doc="Size of its files in bytes, as a quantity.", max_length=64)
    ] = UNSET


class Discovery(Attempts):
    """Bookkeeping of discovery attempts."""

    image: Annotated[
        str | UnsetType, Field(doc="Image reference that the last attempt ran.", max_length=1024)
    ] = UNSET


class AIMServiceTemplateStatus(Wire):
    """What discovery learnt about the image, and how far it is."""

    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[
        str | UnsetType,
        Field(
            doc="Where the template is in its life; services run on it once it is Available. "
            "Degraded: something that it needs is missing.",
            enum=("Pending", "Progressing", "Available", "Failed", "Degraded"),
        ),
    ] = UNSET
    conditions: Conditions | UnsetType = UNSET
    model_sources: Annotated[
        tuple[ModelSource, ...] | UnsetType,
        Field(doc="Model artifacts that the image needs, as discovered.", max_items=64, list_type="atomic"),
    ] = UNSET
    profile_id: Annotated[
        str | UnsetType,
        Field(doc="Profile that model servers are told to take: AIM_PROFILE_ID.", max_length=1024),
    ] = UNSET
    profile: Annotated[
        dict[str, Any] | UnsetType,
        Field(
            doc="The profile as the image printed it: engine arguments, environment and metadata. In "
            "engine_args null is a flag without a value.",
            preserve_unknown_fields=True,
        ),
    ] = UNSET
    discovery: Annotated[
        Discovery | UnsetType, Field(doc="What came of asking the image for its needs, so far.")
    ] = UNSET
    resolved_image: Annotated[ResolvedReference | UnsetType, Field(doc="Image that was used.")] = UNSET
    resolved_runtime_config: Annotated[
        ResolvedReference | UnsetType, Field(doc="Runtime configuration that was used.")
    ] = UNSET


class AIMServiceTemplate(KubeObject):
    spec: AIMServiceTemplateSpec
    status: AIMServiceTemplateStatus | UnsetType = UNSET


class AIMClusterServiceTemplate(KubeObject):
    spec: AIMClusterServiceTemplateSpec
    status: AIMServiceTemplateStatus | UnsetType = UNSET
