"""The objects that a service waits for once it has a model server, as its status names them."""

from __future__ import annotations

from collections.abc import Sequence

from aim_operator.api.external import INFERENCE_SERVICES, PODS, InferenceService, Pod
from aim_operator.api.meta import ObjectRef
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core import labels
from aim_operator.core.pods import is_ready, youngest


def served_by(same: InferenceService | AIMService) -> ObjectRef:
    """Return the InferenceService; its name is that of the service."""
    return ObjectRef(INFERENCE_SERVICES.kind, same.metadata.namespace, same.metadata.name)


def stuck_pod(pods: Sequence[Pod], revision: str) -> ObjectRef | None:
    """Return the youngest Pod of a revision that is not ready: beside it the InferenceService may be."""
    current = [pod for pod in pods if pod.metadata.label(labels.REVISION) == revision and not is_ready(pod)]
    pod = youngest(current)
    return ObjectRef(PODS.kind, pod.metadata.namespace, pod.metadata.name) if pod is not None else None
