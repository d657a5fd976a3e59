"""How many copies of a model server are wanted, and how many there are.

KServe's Deployment tells: its status counts Pods of all revisions, also those that were made before the
operator started.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from aim_operator.api.external import Deployment, Pod
from aim_operator.api.v1alpha1 import AIMService
from aim_operator.core import labels
from aim_operator.core.serving.autoscaling import fewest

OF_INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"
"""The label that KServe gives to the Pods of an InferenceService, by its name."""


class Replicas(Struct, frozen=True, kw_only=True):
    """Counts of Pods. `updated` are of the revision that is wanted now."""

    desired: int
    present: int = 0
    ready: int = 0
    updated: int = 0


def desired_replicas(service: AIMService, deployment: Deployment | None) -> int:
    """Return how many copies are wanted now: with an autoscaler, as many as it wrote last."""
    autoscaling = service.spec.autoscaling
    if autoscaling is None or is_stopped(service):
        return service.spec.replicas
    return fewest(autoscaling) if deployment is None else deployment.spec.replicas


def is_stopped(service: AIMService) -> bool:
    """Whether the service is wanted with everything but its model server."""
    return service.spec.replicas == 0


def count(service: AIMService, deployment: Deployment | None, *, revision: str) -> Replicas:
    """Count the copies; of a Deployment that KServe has yet to make there are none."""
    desired = desired_replicas(service, deployment)
    if deployment is None:
        return Replicas(desired=desired)
    status = deployment.status
    # KServe hands the revision on with its update; before that, what is there is of another one.
    current = deployment.metadata.label(labels.REVISION) == revision
    current &= (status.observed_generation or 0) >= deployment.metadata.generation
    return Replicas(
        desired=desired,
        present=status.replicas,
        ready=status.ready_replicas,
        updated=status.updated_replicas if current else 0,
    )


def remaining_pods(deployment: Deployment | None, pods: Collection[Pod]) -> int:
    """Return how many Pods there are still, those that are ending included."""
    return max(len(pods), 0 if deployment is None else deployment.status.replicas)


def selector(service: AIMService) -> str:
    """Return the label selector of the service's Pods."""
    return f"{OF_INFERENCE_SERVICE}={service.metadata.name}"
