"""What our Jobs have in common: non-root Pods that any namespace admits, retries that are ours, an owner."""

from __future__ import annotations

from collections.abc import Sequence

from aim_operator.api.external import JOBS
from aim_operator.api.meta import Manifest
from aim_operator.api.plan import Child
from aim_operator.api.v1alpha1 import LocalObjectReference
from aim_operator.core.catalog import RuntimeConfig
from aim_operator.core.manifests import child, plain

NON_ROOT_UID = 65532

POD_SECURITY: Manifest = {
    "runAsNonRoot": True,
    "runAsUser": NON_ROOT_UID,
    "runAsGroup": NON_ROOT_UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Manifest = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""With POD_SECURITY all that Pod Security "restricted" asks for."""


def job(
    metadata: Manifest,
    pod_spec: Manifest,
    *,
    config: RuntimeConfig,
    pull_secrets: Sequence[LocalObjectReference],
    ttl_seconds: int | None,
    spec: Manifest,
) -> Child:
    """Render a Job: `pod_spec` with its credentials, `spec` with what is particular to its kind.

    It has a TTL only once its result is kept elsewhere.
    """
    pod: Manifest = {"restartPolicy": "Never", **pod_spec}
    if config.service_account_name is not None:
        pod["serviceAccountName"] = config.service_account_name
    if pull_secrets:
        pod["imagePullSecrets"] = plain(pull_secrets)
    ttl = {"ttlSecondsAfterFinished": ttl_seconds} if ttl_seconds is not None else {}
    return child(
        JOBS,
        metadata=metadata,
        spec={
            "backoffLimit": 0,  # the retries are ours: they need a status, and a slot or a pause
            **spec,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": pod},
            **ttl,
        },
    )
