"""What runs: Jobs, Pods and Deployments, and how many of a service's may be away."""

from __future__ import annotations

import msgspec

from aim_operator.api.external.shapes import OwnedObject
from aim_operator.api.meta import KubeObject, Wire
from aim_operator.api.resource import Resource


class JobCondition(Wire):
    type: str
    status: str
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None


class JobStatus(Wire):
    active: int | None = None
    ready: int | None = None
    start_time: str | None = None
    completion_time: str | None = None
    conditions: tuple[JobCondition, ...] | None = None


class JobContainer(Wire):
    name: str = ""
    image: str | None = None


class JobPodSpec(Wire):
    containers: tuple[JobContainer, ...] | None = None


class JobTemplate(Wire):
    spec: JobPodSpec | None = None


class JobSpec(Wire):
    ttl_seconds_after_finished: int | None = None
    suspend: bool | None = None
    template: JobTemplate | None = None
    """It can't be changed: what is in it is by whichever version made the Job."""


class Job(KubeObject):
    spec: JobSpec = msgspec.field(default_factory=JobSpec)
    status: JobStatus = msgspec.field(default_factory=JobStatus)


class ContainerWaiting(Wire):
    reason: str | None = None
    message: str | None = None


class ContainerRunning(Wire):
    started_at: str | None = None


class ContainerTerminated(Wire):
    exit_code: int = 0
    reason: str | None = None
    message: str | None = None
    finished_at: str | None = None


class ContainerState(Wire):
    waiting: ContainerWaiting | None = None
    running: ContainerRunning | None = None
    terminated: ContainerTerminated | None = None


class ContainerStatus(Wire):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    """Of a container that runs before others: whether they may start while it goes on, as a sidecar does."""
    restart_count: int = 0
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState | None = None


class PodStatus(Wire):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: str | None = None
    conditions: tuple[JobCondition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(KubeObject):
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class DeploymentSpec(Wire):
    replicas: int = 1


class DeploymentStatus(Wire):
    observed_generation: int | None = None
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0


class Deployment(KubeObject):
    """One that KServe makes of an InferenceService, whose labels it has."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class PodDisruptionBudget(OwnedObject):
    """One that the operator made for a service."""


JOBS = Resource(group="batch", version="v1", plural="jobs", kind="Job", namespaced=True, type=Job)
PODS = Resource(group="", version="v1", plural="pods", kind="Pod", namespaced=True, type=Pod)
DEPLOYMENTS = Resource(
    group="apps", version="v1", plural="deployments", kind="Deployment", namespaced=True, type=Deployment
)
POD_DISRUPTION_BUDGETS = Resource(
    group="policy",
    version="v1",
    plural="poddisruptionbudgets",
    kind="PodDisruptionBudget",
    namespaced=True,
    type=PodDisruptionBudget,
)
