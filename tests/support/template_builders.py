"""Builders of what a decision about a template reads. Every argument has a harmless default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import convert, structs

from aim_operator.api.external import Job, Pod
from aim_operator.api.v1alpha1 import (
    AIMClusterImage,
    AIMClusterRuntimeConfig,
    AIMClusterServiceTemplate,
    AIMImage,
    AIMRuntimeConfig,
    AIMServiceTemplate,
    AIMServiceTemplateStatus,
    Discovery,
    LocalObjectReference,
    ModelSource,
)
from aim_operator.core import labels
from aim_operator.core.catalog import Image, MissingRuntimeConfig, RuntimeConfig, Template
from aim_operator.core.discovery_output import DiscoveryResult
from aim_operator.core.manifests import plain
from aim_operator.core.naming import derived_template_name, discovery_job_name, short_hash
from aim_operator.core.template import discovery
from aim_operator.core.template.observed import TemplateObserved
from aim_operator.core.template.plan import DiscoveryOptions

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "ml"
OPERATOR_NAMESPACE = "kaiwo-system"
MODEL = "llama"
REFERENCE = "ghcr.io/example/llama:v1"
DERIVED = {
    "labels": {labels.MANAGED_BY: labels.DERIVED_MANAGER, labels.DERIVED_TEMPLATE: "true"},
    "annotations": {labels.APPLIED: "0123456789abcdef"},
}
"""Metadata of a template that the operator derived."""
OPTIONS = DiscoveryOptions(requests={"cpu": "50m", "memory": "64Mi"}, ttl_seconds=600)


def _metadata(name: str, namespace: str, metadata: dict[str, Any]) -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "uid": f"uid-of-{name}", "generation": 3, **metadata}


def make_template(
    name: str = "fast",
    *,
    namespace: str = NAMESPACE,
    metadata: dict[str, Any] | None = None,
    status: AIMServiceTemplateStatus | None = None,
    **spec: Any,
) -> AIMServiceTemplate:
    """`spec` and `metadata` are written as in YAML: `gpuSelector={"count": 2}`."""
    return convert(
        {
            "metadata": _metadata(name, namespace, metadata or {}),
            "spec": {"aimImageName": MODEL, **spec},
            **({"status": status} if status is not None else {}),
        },
        AIMServiceTemplate,
        from_attributes=True,
    )


def make_derived_template(**spec: Any) -> AIMServiceTemplate:
    """What the operator makes of overrides: both labels, and a name by the content."""
    digest = short_hash(plain(make_template(**spec).spec))
    return make_template(derived_template_name("fast", digest), metadata=DERIVED, **spec)


def make_cluster_template(
    name: str = "fast",
    *,
    metadata: dict[str, Any] | None = None,
    status: AIMServiceTemplateStatus | None = None,
    **spec: Any,
) -> AIMClusterServiceTemplate:
    return convert(
        {
            "metadata": _metadata(name, "", metadata or {}),
            "spec": {"aimImageName": MODEL, **spec},
            **({"status": status} if status is not None else {}),
        },
        AIMClusterServiceTemplate,
        from_attributes=True,
    )


def make_image(
    name: str = MODEL, *, namespace: str = NAMESPACE, metadata: dict[str, Any] | None = None, **spec: Any
) -> AIMImage:
    return convert(
        {"metadata": _metadata(name, namespace, metadata or {}), "spec": {"image": REFERENCE, **spec}},
        AIMImage,
    )


def make_cluster_image(
    name: str = MODEL, *, metadata: dict[str, Any] | None = None, **spec: Any
) -> AIMClusterImage:
    return convert(
        {"metadata": _metadata(name, "", metadata or {}), "spec": {"image": REFERENCE, **spec}},
        AIMClusterImage,
    )


def make_runtime_config(
    name: str = "default",
    *,
    namespace: str = NAMESPACE,
    metadata: dict[str, Any] | None = None,
    **spec: Any,
) -> AIMRuntimeConfig:
    return convert({"metadata": _metadata(name, namespace, metadata or {}), "spec": spec}, AIMRuntimeConfig)


def make_cluster_runtime_config(
    name: str = "default", *, metadata: dict[str, Any] | None = None, **spec: Any
) -> AIMClusterRuntimeConfig:
    return convert({"metadata": _metadata(name, "", metadata or {}), "spec": spec}, AIMClusterRuntimeConfig)


def make_resolved_config(
    *, service_account: str | None = None, pull_secrets: tuple[str, ...] = ()
) -> RuntimeConfig:
    return RuntimeConfig(
        service_account_name=service_account,
        image_pull_secrets=tuple(LocalObjectReference(name=name) for name in pull_secrets),
    )


def make_result(
    *names: str, gpu_count: int = 1, profile: dict[str, Any] | None = None, **metadata: Any
) -> DiscoveryResult:
    """What a dry run printed: one source for each model name, or for one of the name org/model.

    `profile` is what the profile says beside its metadata: by default what an image for one model prints.
    """
    named = {"filename": "vllm-a-profile.yaml", "aim_id": "org/model", "model_id": "org/model"}
    return DiscoveryResult(
        model_sources=tuple(
            ModelSource(name=name, source_uri=f"hf://{name}", size="1024") for name in names or ("org/model",)
        ),
        profile={
            **(named if profile is None else profile),
            "metadata": {
                "engine": "vllm",
                "gpu": "MI300X",
                "precision": "fp8",
                "gpu_count": gpu_count,
                "metric": "latency",
                **metadata,
            },
            "engine_args": {},
            "env_vars": {},
        },
    )


def make_job(
    name: str = "discover-fast-00000000",
    *,
    namespace: str = NAMESPACE,
    complete: str = "",
    failed: str = "",
    message: str = "",
    reason: str = "",
    deleted: bool = False,
    ttl_seconds: int | None = None,
    started: str = "",
    uid: str = "",
    suspend: bool | None = None,
    queue: str = "",
) -> Job:
    """`complete` and `failed` are when it ended; with neither it is still active, since `started`."""
    conditions = [
        {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": at}
        for type_, at in (("Complete", complete), ("Failed", failed))
        if at
    ]
    metadata: dict[str, Any] = {"creationTimestamp": "2026-01-31T11:00:00Z"}
    if uid:
        metadata["uid"] = uid
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-31T11:59:00Z"
    if queue:
        metadata["labels"] = {"kueue.x-k8s.io/queue-name": queue}
    return convert(
        {
            "metadata": _metadata(name, namespace, metadata),
            "spec": {"ttlSecondsAfterFinished": ttl_seconds, "suspend": suspend},
            "status": {
                **({"startTime": started} if started else {}),
                **({"conditions": conditions} if conditions else {"active": 1}),
            },
        },
        Job,
    )


def container(
    name: str,
    *,
    waiting: tuple[str, str] | None = None,
    running: bool = False,
    started: str = "",
    exit_code: int | None = None,
    message: str = "",
    finished: str = "",
) -> dict[str, Any]:
    """The status of a container. `waiting` is (reason, message); times are RFC 3339."""
    state: dict[str, Any] = {}
    if waiting is not None:
        state["waiting"] = {"reason": waiting[0], "message": waiting[1]}
    if running or started:
        state["running"] = {"startedAt": started} if started else {}
    if exit_code is not None:
        ended = {"exitCode": exit_code, "message": message}
        state["terminated"] = {**ended, "finishedAt": finished} if finished else ended
    return {"name": name, "state": state}


def make_pod(
    *,
    name: str = "pod",
    created: str = "2026-01-31T11:00:00Z",
    phase: str = "Pending",
    waiting: tuple[str, str] | None = None,
    exit_code: int | None = None,
    message: str = "",
    unschedulable: str = "",
    gated: bool = False,
    reason: tuple[str, str] = ("", ""),
    deleted: bool = False,
    disrupted: bool = False,
    init: tuple[dict[str, Any], ...] = (),
    containers: tuple[dict[str, Any], ...] = (),
) -> Pod:
    """`waiting` and `exit_code` are those of the discovery container; or all `containers` are given.

    `reason` is (reason, message) of the Pod itself.
    """
    status: dict[str, Any] = {"phase": phase, "reason": reason[0], "message": reason[1]}
    if waiting is not None or exit_code is not None:
        ours = container("discovery", waiting=waiting, exit_code=exit_code, message=message)
        containers = (*containers, ours)
    if containers:
        status["containerStatuses"] = list(containers)
    if init:
        status["initContainerStatuses"] = list(init)
    status["conditions"] = []
    if unschedulable:
        status["conditions"].append(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": unschedulable,
            }
        )
    if gated:
        status["conditions"].append(
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        )
    if disrupted:
        status["conditions"].append({"type": "DisruptionTarget", "status": "True"})
    metadata = {"creationTimestamp": created, **({"deletionTimestamp": created} if deleted else {})}
    return convert({"metadata": _metadata(name, NAMESPACE, metadata), "status": status}, Pod)


def make_template_observed(
    template: Template | None = None,
    *,
    image: Image | None = None,
    image_missing: bool = False,
    runtime_config: RuntimeConfig | MissingRuntimeConfig | None = None,
    job: Job | None = None,
    **fields: Any,
) -> TemplateObserved:
    """A snapshot with the digest that the controller would compute.

    `job` is the one of the current inputs: it is given that name. Everything is there and nothing
    has happened yet, unless the arguments say otherwise.
    """
    template = make_template() if template is None else template
    config = RuntimeConfig() if runtime_config is None else runtime_config
    found = None if image_missing else (image or make_image(namespace=template.metadata.namespace))
    known = found is not None and not isinstance(config, MissingRuntimeConfig)
    digest = digest_of(template, found, config) if known else ""
    jobs: tuple[Job, ...] = fields.pop("jobs", ())
    if job is not None:
        jobs = (*jobs, renamed(job, discovery_job_name(template.metadata.name, digest)))
    return TemplateObserved(
        template=template,
        image=found,
        runtime_config=config,
        discovery_namespace=template.metadata.namespace or OPERATOR_NAMESPACE,
        digest=digest,
        jobs=jobs,
        **fields,
    )


def digest_of(
    template: Template | None = None,
    image: Image | None = None,
    config: RuntimeConfig | MissingRuntimeConfig | None = None,
) -> str:
    assert not isinstance(config, MissingRuntimeConfig)
    return discovery.digest(template or make_template(), image or make_image(), config or RuntimeConfig())


def renamed(job: Job, name: str) -> Job:
    return structs.replace(job, metadata=structs.replace(job.metadata, name=name))


def with_status(observed: TemplateObserved, status: AIMServiceTemplateStatus) -> TemplateObserved:
    """The same snapshot after `status` was written."""
    return structs.replace(observed, template=structs.replace(observed.template, status=status))


def make_discovery(
    digest: str,
    *,
    attempts: int = 0,
    last: str = "2026-01-31T12:00:00Z",
    message: str | None = None,
    image: str = "ghcr.io/example/llama:v1",
) -> Discovery:
    return Discovery(
        spec_hash=digest,
        image=image,
        attempts=attempts,
        last_attempt_time=last,
        message=None if message is None else message,
    )


def make_discovered_status(digest: str, result: DiscoveryResult | None = None) -> AIMServiceTemplateStatus:
    """The status of a template whose inputs with `digest` were discovered; without conditions."""
    found = result or make_result()
    return AIMServiceTemplateStatus(
        status="Available",
        model_sources=found.model_sources,
        profile=found.profile,
        discovery=make_discovery(digest),
    )
