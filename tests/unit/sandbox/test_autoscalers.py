"""What HorizontalPodAutoscalers say: with and without a metrics-server, and before there is a Pod."""

from __future__ import annotations

import pytest

from aim_operator.api.external import (
    CLUSTER_SERVING_RUNTIMES,
    HORIZONTAL_POD_AUTOSCALERS,
)
from aim_operator.sandbox.kserve import DEPLOYMENT
from tests.unit.sandbox.cluster import Cluster, running
from tests.unit.sandbox.test_kserve import make_inference_service, make_runtime


async def scaled(cluster: Cluster) -> None:
    cluster.sandbox.load([make_runtime(CLUSTER_SERVING_RUNTIMES), make_inference_service()])
    await cluster.advance()


def active(cluster: Cluster) -> tuple[str, str]:
    stored = cluster.stored(HORIZONTAL_POD_AUTOSCALERS, "chat-predictor")
    (found,) = (each for each in stored["status"]["conditions"] if each["type"] == "ScalingActive")
    return found["status"], found["reason"]


@pytest.mark.parametrize(
    ("metrics_server", "want"),
    [(True, ("True", "ValidMetricFound")), (False, ("False", "FailedGetResourceMetric"))],
)
async def test_pods_are_measured_where_the_api_of_metrics_is_served(
    metrics_server: bool,  # noqa: FBT001 - a table
    want: tuple[str, str],
) -> None:
    async with running() as cluster:
        cluster.sandbox.autoscalers.metrics_server = metrics_server
        await scaled(cluster)
        assert active(cluster) == want


async def test_a_pod_that_is_not_ready_is_not_measured() -> None:
    async with running() as cluster:
        cluster.sandbox.kserve.ready_seconds = 600
        await scaled(cluster)
        assert active(cluster) == ("False", "FailedGetResourceMetric")
        await cluster.advance(600)
        assert active(cluster) == ("True", "ValidMetricFound")


async def test_a_deployment_at_zero_is_left_alone() -> None:
    async with running() as cluster:
        await scaled(cluster)
        server = cluster.sandbox.server
        found = server.kinds.of(DEPLOYMENT)
        server.patch(found, "chat-predictor", {"spec": {"replicas": 0}}, namespace="default", manager="user")
        await cluster.advance()
        assert active(cluster) == ("False", "ScalingDisabled")
