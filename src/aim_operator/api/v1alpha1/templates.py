"""AIMServiceTemplate and AIMClusterServiceTemplate: a runtime profile, and the cache of its discovery."""

from __future__ import annotations

from typing import Annotated, Any

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.caches import MOST_SOURCES
from aim_operator.api.v1alpha1.common import (
    Attempts,
    Blocked,
    Conditions,
    GpuSelector,
    Metric,
    ObjectName,
    ObservedGeneration,
    Precision,
    ResolvedReference,
    ResolvedRuntimeConfig,
    RuntimeConfigName,
)
from aim_operator.api.v1alpha1.environment import ClusterEnvVars, DownloadEnvVars, EnvVars, PullSecrets
from aim_operator.api.v1alpha1.files import EXCLUDE_DOC, INCLUDE_DOC, FilePatterns
from aim_operator.api.v1alpha1.profiles import EngineArgs, GivenModelSources, ModelId, ProfileId
from aim_operator.api.v1alpha1.resources import ResourceRequirements
from aim_operator.api.v1alpha1.scheduling import PodSettings, Scheduling
from aim_operator.api.v1alpha1.serving import Serving


class Caching(Wire):
    """Warming of model caches for this template."""

    enabled: Annotated[
        bool | None, Field(doc="Download the model sources to a volume before services start.")
    ] = None
    env: Annotated[DownloadEnvVars | None, Field(doc="Environment of the download, over the template's.")] = (
        None
    )
    include: Annotated[FilePatterns | None, Field(doc=INCLUDE_DOC)] = None
    exclude: Annotated[FilePatterns | None, Field(doc=EXCLUDE_DOC)] = None


class AIMClusterServiceTemplateSpec(Wire):
    """How to run an image: what to optimise for, in which precision, on which GPUs."""

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
    runtime_config_name: RuntimeConfigName | None = None
    metric: Annotated[Metric | None, Field(doc="What to optimise for.")] = None
    precision: Annotated[Precision | None, Field(doc="Numeric precision of inference.")] = None
    gpu_selector: Annotated[GpuSelector | None, Field(doc="GPUs of one replica.")] = None
    profile_id: Annotated[
        ProfileId | None,
        Field(
            doc="Profile of the image to run, such as vllm-mi300x-fp8-tp1-latency; some are selected by "
            "name only. Overrides metric, precision and gpuSelector, which the image ignores then."
        ),
    ] = None
    model: Annotated[
        ModelId | None,
        Field(
            doc="Model to serve, for images that serve any: owner/model, hf://owner/model or "
            "s3://bucket/prefix. An image that is made for one model refuses it. Another model is another "
            "template.",
            rules=(
                Rule(
                    rule="self == oldSelf",
                    message="immutable; create a new template for another model",
                ),
            ),
        ),
    ] = None
    model_sources: Annotated[
        GivenModelSources | None,
        Field(
            doc="Model artifacts, where the image can't name them: nothing is discovered then. If model is "
            "unset, the first is the model to serve."
        ),
    ] = None
    engine_args: EngineArgs | None = None
    resources: Annotated[
        ResourceRequirements | None, Field(doc="Default resources; the service overrides.")
    ] = None
    serving: Annotated[
        Serving | None, Field(doc="How model servers are run; overrides the runtime configuration.")
    ] = None
    scheduling: Annotated[
        Scheduling | None, Field(doc="Where model servers may run; overrides the runtime configuration.")
    ] = None
    pods: Annotated[
        PodSettings | None,
        Field(
            doc="Labels, annotations and so on of model servers' Pods; overrides the runtime configuration."
        ),
    ] = None
    env: Annotated[
        ClusterEnvVars | None,
        Field(
            doc="Environment of discovery, downloads and serving, such as HF_TOKEN. References are to "
            "Secrets in the namespace of the Pod: of a cluster template's discovery, the operator's."
        ),
    ] = None


class AIMServiceTemplateSpec(AIMClusterServiceTemplateSpec):
    """How to run an image, what to download before, and what to pull it with."""

    caching: Annotated[
        Caching | None, Field(doc="Whether and how the model is downloaded before services start.")
    ] = None
    env: Annotated[
        EnvVars | None, Field(doc="Environment of discovery, downloads and serving, such as HF_TOKEN.")
    ] = None
    image_pull_secrets: Annotated[PullSecrets | None, Field(doc="Secrets to pull the model image with.")] = (
        None
    )


class ModelSource(Wire):
    """One model artifact that discovery found."""

    name: Annotated[str, Field(doc="Name of the model, as the image calls it.", max_length=512)]
    source_uri: Annotated[
        str,
        Field(doc="Where its files are: hf://owner/model[:revision] or s3://bucket/prefix.", max_length=1024),
    ]
    size: Annotated[str | None, Field(doc="Size of its files in bytes, as a quantity.", max_length=64)] = None


class Discovery(Attempts):
    """Bookkeeping of discovery attempts."""

    image: Annotated[str | None, Field(doc="Image reference that the last attempt ran.", max_length=1024)] = (
        None
    )


class AIMServiceTemplateStatus(Wire):
    """What discovery learnt about the image, and how far it is."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(
            doc="Where the template is in its life; services run on it once it is Available. "
            "Degraded: something that it needs is missing.",
            enum=("Pending", "Progressing", "Available", "Failed", "Degraded"),
        ),
    ] = None
    conditions: Conditions | None = None
    blocked_by: Blocked | None = None
    model_sources: Annotated[
        tuple[ModelSource, ...] | None,
        Field(
            doc="Model artifacts that the image needs, as discovered.",
            max_items=MOST_SOURCES,
            list_type="atomic",
        ),
    ] = None
    profile_id: Annotated[
        str | None,
        Field(doc="Profile that model servers use: AIM_PROFILE_ID.", max_length=1024),
    ] = None
    profile: Annotated[
        dict[str, Any] | None,
        Field(
            doc="The profile as the image printed it: engine arguments, environment and metadata. In "
            "engine_args null is a flag without a value.",
            preserve_unknown_fields=True,
        ),
    ] = None
    discovery: Annotated[
        Discovery | None, Field(doc="What came of asking the image for its needs, so far.")
    ] = None
    resolved_image: Annotated[ResolvedReference | None, Field(doc="Image that was used.")] = None
    resolved_runtime_config: Annotated[
        ResolvedRuntimeConfig | None, Field(doc="Runtime configuration that was used.")
    ] = None


class AIMServiceTemplate(KubeObject):
    spec: AIMServiceTemplateSpec
    status: AIMServiceTemplateStatus | None = None


class AIMClusterServiceTemplate(KubeObject):
    spec: AIMClusterServiceTemplateSpec
    status: AIMServiceTemplateStatus | None = None
