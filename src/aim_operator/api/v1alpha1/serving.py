"""How model servers are run where nothing else says: shared memory, time to start, resources for each GPU."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule
from aim_operator.api.v1alpha1.resources import QUANTITY_RULES, Quantity
from aim_operator.api.v1alpha1.volumes import Volumes

_MEMORY = "quantity(string(self.memory))"
_MEMORY_LIMIT = "quantity(string(self.memoryLimit))"
_BOTH = (
    "has(self.memory) && has(self.memoryLimit)"
    " && isQuantity(string(self.memory)) && isQuantity(string(self.memoryLimit))"
)


class ResourcesPerGpu(Wire):
    """CPU and memory for each GPU of a profile."""

    RULES = (
        Rule(
            rule=f"!({_BOTH}) || {_MEMORY_LIMIT}.isLessThan(quantity('1'))"
            f" || !{_MEMORY}.isGreaterThan({_MEMORY_LIMIT})",
            message="more than memoryLimit; lower it or raise the limit",
            field_path=".memory",
        ),
    )

    cpu: Annotated[
        Quantity | None,
        Field(
            doc="CPU requested for each GPU; 4 if unset, 0 for none.",
            int_or_string=True,
            max_length=64,
            rules=QUANTITY_RULES,
        ),
    ] = None
    memory: Annotated[
        Quantity | None,
        Field(
            doc="Memory requested for each GPU; 32Gi if unset, 0 for none.",
            int_or_string=True,
            max_length=64,
            rules=QUANTITY_RULES,
        ),
    ] = None
    memory_limit: Annotated[
        Quantity | None,
        Field(
            doc="Limit of memory for each GPU; 48Gi if unset, 0 for none, and never below what is requested.",
            int_or_string=True,
            max_length=64,
            rules=QUANTITY_RULES,
        ),
    ] = None


class DisruptionBudget(Wire):
    """How many replicas may be away at once because nodes are drained."""

    enabled: Annotated[
        bool | None,
        Field(doc="Whether there is a PodDisruptionBudget of more than one replica; true if unset."),
    ] = None
    max_unavailable: Annotated[
        int | None, Field(doc="Replicas that may be away at once; 1 if unset.", minimum=1, maximum=1000)
    ] = None


class ServiceServing(Wire):
    """How the model server of one service is run."""

    RULES = (
        Rule(
            rule="!has(self.drainSeconds) || !has(self.terminationGracePeriodSeconds)"
            " || self.drainSeconds < self.terminationGracePeriodSeconds",
            message="the grace period runs while a Pod drains, and must be longer; lower it or raise "
            "terminationGracePeriodSeconds",
            field_path=".drainSeconds",
        ),
    )

    shared_memory_size: Annotated[
        Quantity | None,
        Field(
            doc="Size of /dev/shm, which counts as memory of the container; 8Gi if unset.",
            int_or_string=True,
            max_length=64,
            rules=(
                *QUANTITY_RULES,
                Rule(
                    rule="!isQuantity(string(self)) || quantity(string(self)).isGreaterThan(quantity('0'))",
                    message="0 would mean no bound; write a size such as 8Gi",
                ),
            ),
        ),
    ] = None
    startup_timeout_seconds: Annotated[
        int | None,
        Field(
            doc="How long the model server may take to load its model before it is restarted; 3600 if unset.",
            minimum=10,
            maximum=86400,
        ),
    ] = None
    drain_seconds: Annotated[
        int | None,
        Field(
            doc="How long a Pod that is to go continues to answer before its server gets SIGTERM (a "
            "preStop sleep): gateways hear of it meanwhile, and requests in progress end. 10 if unset, 0 for "
            "none.",
            minimum=0,
            maximum=3600,
        ),
    ] = None
    termination_grace_period_seconds: Annotated[
        int | None,
        Field(
            doc="How long a Pod that is to go has, draining included, before it is killed; 30 more than "
            "drainSeconds if unset.",
            minimum=1,
            maximum=7200,
        ),
    ] = None
    volumes: Annotated[
        Volumes | None,
        Field(
            doc="Files that the model server gets. Added to those of the levels below; of two with one "
            "name or one mountPath, the nearest level's is used."
        ),
    ] = None
    disruption_budget: Annotated[
        DisruptionBudget | None,
        Field(doc="How many replicas may be away at once because nodes are drained."),
    ] = None


class Serving(ServiceServing):
    """How model servers are run where nothing closer to them says."""

    default_resources_per_gpu: Annotated[
        ResourcesPerGpu | None,
        Field(
            doc="CPU and memory for each GPU of a profile that needs GPUs, where service, template and image "
            "say nothing about that resource."
        ),
    ] = None
