"""How many copies of a model server run, by what they measure."""

from __future__ import annotations

from typing import Annotated

from aim_operator.api.meta import Wire
from aim_operator.api.schema import Field, Rule

RESOURCE_METRICS = ("CPU", "Memory")
"""Metrics that an HPA has without anything else installed than metrics-server."""


class ScalingMetric(Wire):
    """One measure, and how much of it one copy should have."""

    RULES = (
        Rule(
            rule="(self.type == 'Query') == has(self.query)",
            message="a Query needs a PromQL query, and nothing else has one",
            field_path=".query",
        ),
        Rule(
            rule="!(self.type in ['CPU', 'Memory', 'CacheUsage']) || self.target <= 100",
            message="a share of what one copy has, in percent; write at most 100",
            field_path=".target",
        ),
    )

    type: Annotated[
        str,
        Field(
            doc="CPU and Memory: percent of what is requested, by an HPA of KServe's. QueueLength: requests "
            "that wait in vLLM, for each copy. CacheUsage: percent of vLLM's KV cache that is in use. Query: "
            "your own PromQL query. The last three need KEDA and Prometheus.",
            enum=("CPU", "Memory", "QueueLength", "CacheUsage", "Query"),
        ),
    ]
    target: Annotated[
        int, Field(doc="What each copy should have of it, on average.", minimum=1, maximum=1000000)
    ]
    query: Annotated[
        str | None,
        Field(doc="PromQL that yields one number: the sum over all copies.", min_length=1, max_length=2048),
    ] = None


class Autoscaling(Wire):
    """Copies between two bounds, by the metric that asks for most."""

    RULES = (
        Rule(
            rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            message="more than maxReplicas; lower it or raise maxReplicas",
            field_path=".minReplicas",
        ),
        Rule(
            rule="!has(self.minReplicas) || self.minReplicas > 0"
            " || self.metrics.exists(m, m.type == 'Query')",
            message="what the last copy measures is gone with it, so nothing would start it again; add a "
            "Query about requests, such as the gateway's",
            field_path=".minReplicas",
        ),
    )

    min_replicas: Annotated[
        int | None, Field(doc="Fewest copies; 1 if unset. 0 needs a Query.", minimum=0, maximum=1000)
    ] = None
    max_replicas: Annotated[int, Field(doc="Most copies.", minimum=1, maximum=1000)]
    metrics: Annotated[
        tuple[ScalingMetric, ...],
        Field(
            doc="What is measured. The metric that asks for most copies decides.",
            min_items=1,
            max_items=8,
            list_type="atomic",
        ),
    ]


class ConfigAutoscaling(Wire):
    """What autoscaling needs to know of the cluster."""

    prometheus_address: Annotated[
        str | None,
        Field(
            doc="Where KEDA asks for metrics of vLLM, such as http://prometheus.monitoring:9090.",
            min_length=8,
            max_length=512,
            rules=(
                Rule(
                    rule=r"self.matches('^https?://[^\\s/@]+(/[^\\s@]*)?$')",
                    message="write an address such as http://prometheus.monitoring:9090, without credentials",
                ),
            ),
        ),
    ] = None
