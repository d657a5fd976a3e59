"""Builders of what decisions about caches read. Every argument has a harmless default."""

from __future__ import annotations

from typing import Any

from msgspec import convert

from aim_operator.api.external import Job, PersistentVolumeClaim, Pod, StorageClass
from aim_operator.api.v1alpha1 import AIMModelCache, AIMTemplateCache
from aim_operator.core import labels
from aim_operator.core.naming import claim_name

NAMESPACE = "team"
CREATED = "2026-01-31T11:00:00Z"
SOURCE = "hf://example/model"
OURS = {
    "labels": {labels.MANAGED_BY: labels.CONTROLLER},
    "annotations": {labels.APPLIED: "0123456789abcdef"},
}
"""Metadata of what the operator wrote."""
LABELLED = {"labels": OURS["labels"]}
"""Metadata of what somebody put the operator's label on."""


def make_model_cache(
    name: str = "example-model",
    *,
    metadata: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> AIMModelCache:
    """Specs and statuses are written as in YAML; `size` None is one without."""
    fields = {"sourceUri": SOURCE, "size": "10Gi", "shared": True, **spec}
    return convert(
        {
            "metadata": _metadata(name, metadata),
            "spec": {field: value for field, value in fields.items() if value is not None},
            **({"status": status} if status is not None else {}),
        },
        AIMModelCache,
    )


def make_template_cache(
    name: str = "fast",
    template: str = "fast",
    *,
    metadata: dict[str, Any] | None = None,
    ready: str = "",
    models: dict[str, str] | None = None,
    status: str = "",
    ours: bool = False,
    **spec: Any,
) -> AIMTemplateCache:
    """`ready` is "status/reason: message" of Ready; `models` maps sources to model caches."""
    told: dict[str, Any] = {}
    if ready:
        word, _, rest = ready.partition("/")
        reason, _, message = rest.partition(": ")
        told["conditions"] = [
            {"type": "Ready", "status": word, "reason": reason, "message": message},
            {
                "type": "Failure",
                "status": "True" if status in ("Failed", "Degraded") else "False",
                "reason": reason,
                "message": message,
            },
        ]
    if status:
        told["status"] = status
    if models is not None:
        told["modelCaches"] = [
            {"sourceUri": uri, **({"name": name} if name else {})} for uri, name in models.items()
        ]
    marks = OURS if ours else {}
    return convert(
        {
            "metadata": _metadata(name, {**marks, **(metadata or {})}),
            "spec": {"templateRef": template, **({} if ours else {"shared": True}), **spec},
            **({"status": told} if told else {}),
        },
        AIMTemplateCache,
    )


def make_claim(
    cache: AIMModelCache | None = None,
    *,
    phase: str = "Bound",
    class_name: str | None = "standard",
    deleting: bool = False,
    uid: str = "uid-of-claim",
) -> PersistentVolumeClaim:
    owner = cache or make_model_cache()
    spec: dict[str, Any] = {"resources": {"requests": {"storage": "11Gi"}}}
    if class_name is not None:
        spec["storageClassName"] = class_name
    metadata = {"uid": uid, **({"deletionTimestamp": CREATED} if deleting else {})}
    return convert(
        {
            "metadata": _metadata(claim_name(owner.metadata.name, owner.metadata.uid), metadata),
            "spec": spec,
            "status": {"phase": phase},
        },
        PersistentVolumeClaim,
    )


def make_storage_class(name: str = "standard", *, wait: bool = False) -> StorageClass:
    mode = "WaitForFirstConsumer" if wait else "Immediate"
    return convert({"metadata": {"name": name}, "volumeBindingMode": mode}, StorageClass)


def make_download_job(name: str, *, complete: str = "", failed: str = "", deleting: bool = False) -> Job:
    """`complete` and `failed` say when it ended."""
    ended = {"Complete": complete, "Failed": failed}
    conditions = [
        {"type": type_, "status": "True", "lastTransitionTime": at, "message": "Job has failed"}
        for type_, at in ended.items()
        if at
    ]
    metadata = {"deletionTimestamp": CREATED} if deleting else {}
    return convert({"metadata": _metadata(name, metadata), "status": {"conditions": conditions}}, Job)


def make_download_pod(
    *,
    phase: str = "Running",
    waiting: tuple[str, str] | None = None,
    exit_code: int | None = None,
    message: str | None = None,
    reason: str | None = None,
    sidecar: bool = False,
    container: str = "download",
    name: str = "download-pod",
    created: str = CREATED,
    deleting: bool = False,
) -> Pod:
    """`waiting`, `exit_code`, `message` and `reason` are those of our container; a sidecar runs before it."""
    state: dict[str, Any] = {}
    if waiting is not None:
        state["waiting"] = {"reason": waiting[0], "message": waiting[1]}
    if exit_code is not None:
        state["terminated"] = {"exitCode": exit_code, "message": message, "reason": reason}
    if phase == "Running" and not state:
        state["running"] = {}
    ours = {"name": container, "state": state}
    proxy = {"name": "istio-proxy", "state": {"running": {}}}
    status = {"phase": phase, "containerStatuses": [proxy, ours] if sidecar else [ours]}
    metadata = {"creationTimestamp": created, **({"deletionTimestamp": created} if deleting else {})}
    return convert({"metadata": _metadata(name, metadata), "status": status}, Pod)


def _metadata(name: str, more: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": f"uid-of-{name}",
        "generation": 3,
        "creationTimestamp": CREATED,
        **(more or {}),
    }
