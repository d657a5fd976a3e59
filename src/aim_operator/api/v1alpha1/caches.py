"""AIMTemplateCache and AIMModelCache: model files on a volume before anything starts."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Conditions,
    EnvVars,
    ObjectName,
    ObservedGeneration,
    PullSecrets,
    Quantity,
    ResolvedReference,
    RuntimeConfigName,
    Scope,
)


class AIMTemplateCacheSpec(Wire):
    template_ref: Annotated[ObjectName, Field(doc="Template whose model sources to cache.")]
    template_scope: Annotated[
        Scope | UnsetType, Field(doc="Where to look for it; the namespace first, then the cluster, if unset.")
    ] = UNSET
    storage_class_name: Annotated[ObjectName | UnsetType, Field(doc="Storage class of the volumes.")] = UNSET
    env: Annotated[EnvVars | UnsetType, Field(doc="Environment of the downloads, such as HF_TOKEN.")] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull the downloader image with.")
    ] = UNSET
    runtime_config_name: RuntimeConfigName | UnsetType = UNSET


class AIMTemplateCacheStatus(Wire):
    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[str | UnsetType, Field(doc="Pending, Progressing, Available, Failed or Degraded.")] = (
        UNSET
    )
    conditions: Conditions | UnsetType = UNSET
    resolved_template: Annotated[ResolvedReference | UnsetType, Field(doc="Template that was used.")] = UNSET


class AIMTemplateCache(KubeObject):
    spec: AIMTemplateCacheSpec
    status: AIMTemplateCacheStatus | UnsetType = UNSET


class AIMModelCacheSpec(Wire):
    source_uri: Annotated[
        str,
        Field(
            doc="hf://owner/model[:revision] or s3://bucket/prefix. Immutable.",
            min_length=1,
            max_length=1024,
            rules=(
                Rule(
                    rule=(
                        r"self.matches('^hf://[A-Za-z0-9._-]+/[A-Za-z0-9._-]+(:[A-Za-z0-9._/-]+)?$') || "
                        r"self.matches('^s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9!_.*()/-]*)?$')"
                    ),
                    message="spec.sourceUri: write hf://owner/model[:revision] or s3://bucket/prefix",
                ),
                Rule(
                    rule="self == oldSelf",
                    message="spec.sourceUri is immutable; create a new AIMModelCache for another source",
                ),
            ),
        ),
    ]
    size: Annotated[
        Quantity,
        Field(
            doc="Size of the model's files, such as 16Gi.",
            int_or_string=True,
            max_length=64,
            rules=(
                Rule(
                    rule=("isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))"),
                    message="spec.size: write a positive quantity such as 16Gi",
                ),
            ),
        ),
    ]
    storage_class_name: Annotated[ObjectName | UnsetType, Field(doc="Storage class of the volume.")] = UNSET
    env: Annotated[EnvVars | UnsetType, Field(doc="Environment of the download, such as HF_TOKEN.")] = UNSET
    image_pull_secrets: Annotated[
        PullSecrets | UnsetType, Field(doc="Secrets to pull the downloader image with.")
    ] = UNSET
    runtime_config_name: RuntimeConfigName | UnsetType = UNSET


class CacheProgress(Wire):
    total_bytes: Annotated[int | UnsetType, Field(doc="Bytes to download.", format="int64")] = UNSET
    downloaded_bytes: Annotated[int | UnsetType, Field(doc="Bytes on the volume.", format="int64")] = UNSET
    percentage: Annotated[int | UnsetType, Field(doc="0 to 100.", minimum=0, maximum=100)] = UNSET


class AIMModelCacheStatus(Wire):
    observed_generation: ObservedGeneration | UnsetType = UNSET
    status: Annotated[str | UnsetType, Field(doc="Pending, Progressing, Available or Failed.")] = UNSET
    conditions: Conditions | UnsetType = UNSET
    persistent_volume_claim: Annotated[str | UnsetType, Field(doc="Claim that holds the files.")] = UNSET
    progress: Annotated[CacheProgress | UnsetType, Field(doc="How far the download is.")] = UNSET
    started_at: Annotated[str | UnsetType, Field(doc="When the download began.", format="date-time")] = UNSET
    finished_at: Annotated[str | UnsetType, Field(doc="When it was complete.", format="date-time")] = UNSET


class AIMModelCache(KubeObject):
    spec: AIMModelCacheSpec
    status: AIMModelCacheStatus | UnsetType = UNSET
