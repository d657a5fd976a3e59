"""How a model server is run: configuration under template under service, and AMD's own defaults under all.

Owns the probes, how a server ends, the size of /dev/shm and the defaults of CPU and memory. Called by pin and
workload.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from aim_operator.api.meta import Manifest
from aim_operator.api.v1alpha1 import DisruptionBudget, ResourcesPerGpu, ServiceServing, Serving
from aim_operator.core import canonical, quantity
from aim_operator.core.serving import volumes
from aim_operator.core.template.desired import PORT

STARTUP_TIMEOUT_SECONDS = 3600
"""Loading hundreds of gigabytes from a slow volume takes most of an hour."""
SHARED_MEMORY_SIZE = "8Gi"
DRAIN_SECONDS = 10
"""Gateways and kube-proxy take a second or two to hear that a Pod is going."""
AFTER_DRAINING_SECONDS = 30
"""What a Pod has to end by itself where nothing is said, as Kubernetes has it."""
PER_GPU = ResourcesPerGpu(cpu="4", memory="32Gi", memory_limit="48Gi")

_PERIOD_SECONDS = 10
_TIMEOUT_SECONDS = 5
_LIVENESS_FAILURES = 6
_READINESS_FAILURES = 3

T = TypeVar("T")


def layered(*layers: ServiceServing | None) -> Serving | None:
    """Lay settings over each other field by field, the first on top; None if no layer is given."""
    present = [layer for layer in layers if layer is not None]
    if not present:
        return None
    defaults = [layer.default_resources_per_gpu for layer in present if isinstance(layer, Serving)]
    per_gpu = [each for each in defaults if each is not None]
    return Serving(
        shared_memory_size=_first(layer.shared_memory_size for layer in present),
        startup_timeout_seconds=_first(layer.startup_timeout_seconds for layer in present),
        drain_seconds=_first(layer.drain_seconds for layer in present),
        termination_grace_period_seconds=_first(layer.termination_grace_period_seconds for layer in present),
        volumes=volumes.layered(*(layer.volumes for layer in present)),
        disruption_budget=_budget(*(layer.disruption_budget for layer in present)),
        default_resources_per_gpu=_over(*per_gpu) if per_gpu else None,
    )


def _budget(*layers: DisruptionBudget | None) -> DisruptionBudget | None:
    present = [layer for layer in layers if layer is not None]
    if not present:
        return None
    return DisruptionBudget(
        enabled=_first(layer.enabled for layer in present),
        max_unavailable=_first(layer.max_unavailable for layer in present),
    )


def resources_per_gpu(serving: Serving) -> ResourcesPerGpu:
    """Return CPU and memory for each GPU, as AMD's deployments have them where the settings say nothing."""
    own = serving.default_resources_per_gpu
    return PER_GPU if own is None else _over(own, PER_GPU)


def shared_memory(serving: Serving) -> str:
    """Return the size of /dev/shm. Raises SpecError(ResourcesInvalid)."""
    size = serving.shared_memory_size
    return str(canonical.amount("memory", quantity.canonical(SHARED_MEMORY_SIZE if size is None else size)))


def grace_period(serving: Serving) -> int:
    """Return how many seconds a Pod has to end, draining included."""
    grace = serving.termination_grace_period_seconds
    return _drain_seconds(serving) + AFTER_DRAINING_SECONDS if grace is None else grace


def lifecycle(serving: Serving) -> Manifest:
    """Return the hook by which a Pod goes on answering for a while once it is to go; {} for none.

    A Pod leaves the Service at the moment when its server is told to stop, and gateways hear of it later.
    vLLM ends on SIGTERM whatever it is doing, unless it is started with a shutdown timeout. Kubernetes
    refuses a sleep that is longer than the grace period, which a nearer level may have shortened; before 1.30
    it has no such hook and drops it.
    """
    seconds = min(_drain_seconds(serving), grace_period(serving))
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds else {}


def _drain_seconds(serving: Serving) -> int:
    return DRAIN_SECONDS if serving.drain_seconds is None else serving.drain_seconds


def probes(serving: Serving) -> Manifest:
    """Return the probes of the model server's container.

    It answers /v1/models once the model is loaded; until then the others wait. From then on only /health
    tells whether the engine behind the server still works, so that it decides about requests, too. A restart
    costs another load: it takes a minute without an answer.
    """
    timeout = (
        STARTUP_TIMEOUT_SECONDS
        if serving.startup_timeout_seconds is None
        else serving.startup_timeout_seconds
    )
    return {
        "startupProbe": _probe("/v1/models", -(-timeout // _PERIOD_SECONDS)),
        "livenessProbe": _probe("/health", _LIVENESS_FAILURES),
        "readinessProbe": _probe("/health", _READINESS_FAILURES),
    }


def _probe(path: str, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": PORT},
        "periodSeconds": _PERIOD_SECONDS,
        "timeoutSeconds": _TIMEOUT_SECONDS,
        "failureThreshold": failures,
    }


def _over(*layers: ResourcesPerGpu) -> ResourcesPerGpu:
    return ResourcesPerGpu(
        cpu=_first(layer.cpu for layer in layers),
        memory=_first(layer.memory for layer in layers),
        memory_limit=_first(layer.memory_limit for layer in layers),
    )


def _first(values: Iterable[T]) -> T | None:
    return next((value for value in values if value is not None), None)
