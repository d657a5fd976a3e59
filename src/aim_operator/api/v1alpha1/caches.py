"""AIMTemplateCache and AIMModelCache: model files on a volume before anything starts."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.common import (
    Attempts,
    Blocked,
    Conditions,
    GpuModel,
    ObjectName,
    ObservedGeneration,
    ResolvedReference,
    ResolvedRuntimeConfig,
    RuntimeConfigName,
    Scope,
)
from aim_operator.api.v1alpha1.environment import DownloadEnvVars, PullSecrets
from aim_operator.api.v1alpha1.files import EXCLUDE_DOC, INCLUDE_DOC, FilePatterns, LeftOutFiles
from aim_operator.api.v1alpha1.resources import Quantity
from aim_operator.api.v1alpha1.scheduling import Scheduling

MOST_SOURCES = 16
"""Of one template. Published images have one; each gets a cache and a volume of its own."""
HF_SOURCE = "^hf://[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)?(:[A-Za-z0-9._/-]+)?$"
S3_SOURCE = "^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[-A-Za-z0-9/!_.*()=+,@:&~%]*)?$"
"""Buckets by S3's own rules; keys of the characters that S3 calls safe, and those that are safe in a URI, but
for '$': in a container's arguments it starts a reference to a variable, and a source never needs one."""

SOURCE_RULES = (
    Rule(
        rule=f"self.matches('{HF_SOURCE}') || self.matches('{S3_SOURCE}')",
        message="write hf://owner/model[:revision] or s3://bucket/prefix",
    ),
    Rule(
        rule="!self.matches('[/:][.]{1,2}(/|:|$)')",
        message="'.' and '..' are no names; write the path without them",
    ),
)
"""What can be downloaded; core.discovery_output asks the same of what an image prints."""


def _settled(field: str) -> tuple[Rule, ...]:
    """Patterns say what the volume holds: they can be neither changed nor set nor removed later."""
    new, old = f"self.{field}", f"oldSelf.{field}"
    same = f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"
    message = f"{field} is immutable; create a new AIMModelCache for other files of the source"
    return (Rule(rule=same, message=message, field_path=f".{field}"),)


class AIMTemplateCacheSpec(Wire):
    """Whose model sources to download into this namespace, and how."""

    template_ref: Annotated[ObjectName, Field(doc="Template whose model sources to cache.")]
    template_scope: Annotated[
        Scope | None, Field(doc="Where to look for it; the namespace first, then the cluster, if unset.")
    ] = None
    storage_class_name: Annotated[ObjectName | None, Field(doc="Storage class of the volumes.")] = None
    env: Annotated[DownloadEnvVars | None, Field(doc="Environment of the downloads, such as HF_TOKEN.")] = (
        None
    )
    image_pull_secrets: Annotated[
        PullSecrets | None, Field(doc="Secrets to pull the downloader image with.")
    ] = None
    runtime_config_name: RuntimeConfigName | None = None
    include: Annotated[
        FilePatterns | None, Field(doc=f"{INCLUDE_DOC} Replaces caching.include of the template.")
    ] = None
    exclude: Annotated[
        FilePatterns | None, Field(doc=f"{EXCLUDE_DOC} Replaces caching.exclude of the template.")
    ] = None
    shared: Annotated[
        bool | None,
        Field(
            doc="Let services on the template mount what this cache holds, instead of a cache that the "
            "operator makes for them. Whoever makes it decides from where and with which credentials it is "
            "filled."
        ),
    ] = None


class CacheProgress(Wire):
    """How far a download is."""

    total_bytes: Annotated[int | None, Field(doc="Bytes to download.", minimum=0, format="int64")] = None
    downloaded_bytes: Annotated[int | None, Field(doc="Bytes on the volume.", minimum=0, format="int64")] = (
        None
    )
    percentage: Annotated[
        int | None,
        Field(doc="Share of the bytes that is on the volume, 0 to 100.", minimum=0, maximum=100),
    ] = None


class CachedModel(Wire):
    """One model source of the template, and the model cache that holds it."""

    source_uri: Annotated[str, Field(doc="Where its files come from.", max_length=1024)]
    name: Annotated[
        str | None, Field(doc="The AIMModelCache; shared by all that need this source.", max_length=253)
    ] = None
    status: Annotated[str | None, Field(doc="Status of that cache.", max_length=63)] = None
    size: Annotated[
        str | None, Field(doc="Size of the files that it holds, once it is known.", max_length=64)
    ] = None


class AIMTemplateCacheStatus(Wire):
    """The worst of the model caches that the template needs."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(
            doc="Where the download is in its life. Degraded: something that it needs is missing.",
            enum=("Pending", "Progressing", "Available", "Failed", "Degraded"),
        ),
    ] = None
    conditions: Conditions | None = None
    blocked_by: Blocked | None = None
    resolved_template: Annotated[ResolvedReference | None, Field(doc="Template that was used.")] = None
    resolved_runtime_config: Annotated[
        ResolvedRuntimeConfig | None, Field(doc="Runtime configuration that was used.")
    ] = None
    model_caches: Annotated[
        tuple[CachedModel, ...] | None,
        Field(
            doc="The model sources of the template and their caches.",
            max_items=MOST_SOURCES,
            list_type="atomic",
        ),
    ] = None


class AIMTemplateCache(KubeObject):
    spec: AIMTemplateCacheSpec
    status: AIMTemplateCacheStatus | None = None


class Placement(Wire):
    """Where model servers run that read the files."""

    gpu_model: Annotated[GpuModel | None, Field(doc="GPU model that they need, such as MI300X.")] = None
    scheduling: Annotated[
        Scheduling | None,
        Field(doc="Where they may run, by service and template; the runtime configuration is below it."),
    ] = None


class ExistingClaim(Wire):
    """A claim that has the files already, or one folder of it."""

    name: Annotated[ObjectName, Field(doc="Claim in the same namespace.")]
    sub_path: Annotated[
        str | None,
        Field(
            doc="Folder in its volume that holds the files of this model; the root of it if unset.",
            min_length=1,
            max_length=512,
            rules=(
                Rule(
                    rule="self.matches('^[-A-Za-z0-9._/]+$') && !self.startsWith('/')"
                    " && !self.matches('(^|/)[.][.](/|$)')",
                    message="write a relative path of letters, digits, '-', '_' and '.', without '..', such "
                    "as models/llama",
                ),
            ),
        ),
    ] = None


class AIMModelCacheSpec(Wire):
    """What to download, and onto which kind of volume."""

    RULES = (
        *_settled("include"),
        *_settled("exclude"),
        *_settled("existingClaim"),
        Rule(
            rule="!has(self.existingClaim) || (!has(self.size) && !has(self.storageClassName))",
            message="that claim has its own size and class; leave out spec.size and spec.storageClassName",
            field_path=".existingClaim",
        ),
    )

    source_uri: Annotated[
        str,
        Field(
            doc="hf://owner/model[:revision] or s3://bucket/prefix. Immutable.",
            min_length=1,
            max_length=1024,
            rules=(
                *SOURCE_RULES,
                Rule(
                    rule="self == oldSelf",
                    message="immutable; create a new AIMModelCache for another source",
                ),
            ),
        ),
    ]
    size: Annotated[
        Quantity | None,
        Field(
            doc="Size of the files to download, such as 16Gi; if unset, the source is asked for it. "
            "Raising it enlarges the claim where its storage class allows that; claims never shrink.",
            int_or_string=True,
            max_length=64,
            rules=(
                Rule(
                    rule="isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
                    message="write a quantity above 0, such as 16Gi",
                ),
            ),
        ),
    ] = None
    storage_class_name: Annotated[ObjectName | None, Field(doc="Storage class of the volume.")] = None
    env: Annotated[DownloadEnvVars | None, Field(doc="Environment of the download, such as HF_TOKEN.")] = None
    image_pull_secrets: Annotated[
        PullSecrets | None, Field(doc="Secrets to pull the downloader image with.")
    ] = None
    runtime_config_name: RuntimeConfigName | None = None
    existing_claim: Annotated[
        ExistingClaim | None,
        Field(
            doc="Claim that has the files already. It is mounted read-only and checked, by names and sizes, "
            "instead of a download; nothing is ever written to it, and it is never deleted. Immutable."
        ),
    ] = None
    placement: Annotated[
        Placement | None,
        Field(
            doc="Where the files are read. A download onto a volume that belongs to one node or zone "
            "(ReadWriteOnce, ReadWriteOncePod, or a class that binds with WaitForFirstConsumer) runs there. "
            "Set by the operator on caches that it makes."
        ),
    ] = None
    include: Annotated[FilePatterns | None, Field(doc=f"{INCLUDE_DOC} Immutable.")] = None
    exclude: Annotated[FilePatterns | None, Field(doc=f"{EXCLUDE_DOC} Immutable.")] = None
    shared: Annotated[
        bool | None,
        Field(
            doc="Let templates and services of this namespace that need the same files use them, instead of "
            "a cache that the operator makes for them. Whoever makes it decides how it is filled."
        ),
    ] = None
    retain: Annotated[
        bool | None,
        Field(doc="Keep it also where the runtime configuration has caches deleted that nobody uses."),
    ] = None


class Listing(Attempts):
    """Bookkeeping of attempts to learn from the source how large its files are."""

    reason: Annotated[
        str | None, Field(doc="Why the last attempt failed, in one word for programs.", max_length=63)
    ] = None
    total_bytes: Annotated[
        int | None, Field(doc="Bytes of the files to download.", minimum=0, format="int64")
    ] = None
    revision: Annotated[
        str | None, Field(doc="What was listed: a commit, or a digest of the listing.", max_length=256)
    ] = None


class Download(Attempts):
    """Bookkeeping of download attempts."""

    claim_uid: Annotated[
        str | None, Field(doc="Uid of the claim that the last attempt wrote to.", max_length=128)
    ] = None
    origin: Annotated[
        str | None,
        Field(doc="Hash of the endpoint that the files are from; empty for the public one.", max_length=64),
    ] = None
    downloaded_bytes: Annotated[
        int | None,
        Field(doc="Bytes on the volume when the last attempt ended.", minimum=0, format="int64"),
    ] = None
    reason: Annotated[
        str | None, Field(doc="Why the last attempt failed, in one word for programs.", max_length=63)
    ] = None
    revision: Annotated[
        str | None,
        Field(doc="What of the source was downloaded: a commit, or a digest of its listing.", max_length=256),
    ] = None


class AIMModelCacheStatus(Wire):
    """How far the download is, and which claim holds the files."""

    observed_generation: ObservedGeneration | None = None
    status: Annotated[
        str | None,
        Field(
            doc="Where the download is in its life. Degraded: something that it needs is missing.",
            enum=("Pending", "Progressing", "Available", "Failed", "Degraded"),
        ),
    ] = None
    conditions: Conditions | None = None
    blocked_by: Blocked | None = None
    persistent_volume_claim: Annotated[
        str | None, Field(doc="Claim that holds the files.", max_length=253)
    ] = None
    size: Annotated[
        str | None,
        Field(doc="Size of the files to download, as a quantity, once it is known.", max_length=64),
    ] = None
    files: Annotated[int | None, Field(doc="How many files that are.", minimum=0)] = None
    left_out: Annotated[
        tuple[LeftOutFiles, ...] | None,
        Field(
            doc="Files of the source that are not downloaded, by the pattern that leaves them out.",
            max_items=8,
            list_type="atomic",
        ),
    ] = None
    listing: Annotated[
        Listing | None, Field(doc="What came of asking the source for the size, where that was needed.")
    ] = None
    progress: Annotated[CacheProgress | None, Field(doc="How far the download is.")] = None
    started_at: Annotated[str | None, Field(doc="When the download began.", format="date-time")] = None
    finished_at: Annotated[str | None, Field(doc="When it was complete.", format="date-time")] = None
    download: Annotated[Download | None, Field(doc="What came of downloading the files, so far.")] = None
    unused_since: Annotated[
        str | None,
        Field(
            doc="When the last template or service that used it was gone; unset while one does.",
            format="date-time",
        ),
    ] = None
    removal_time: Annotated[
        str | None,
        Field(
            doc="When it is deleted, if nobody uses it until then and storage.unused still says so.",
            format="date-time",
        ),
    ] = None
    resolved_runtime_config: Annotated[
        ResolvedRuntimeConfig | None, Field(doc="Runtime configuration that was used.")
    ] = None


class AIMModelCache(KubeObject):
    spec: AIMModelCacheSpec
    status: AIMModelCacheStatus | None = None
