"""GPUs of nodes before and after a change, where some of a cluster may not be read."""

from typing import Any

from aim_operator.cli.plan.gpus import Pair, gpus
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE

LIMITS = {"limits": {"amd.com/gpu": "8"}}
POD: dict[str, Any] = {
    "metadata": {"name": "chat-1", "namespace": "team", "labels": {OF_INFERENCE_SERVICE: "chat"}},
    "spec": {"nodeName": "node-1", "containers": [{"name": "server", "resources": LIMITS}]},
}
STOPPED: Pair = (
    ("InferenceService", "team", "chat"),
    {"spec": {"predictor": {"minReplicas": 1, "model": {"resources": LIMITS}}}},
    {"spec": {"predictor": {"minReplicas": 0, "model": {"resources": LIMITS}}}},
)


def test_whoever_may_not_read_nodes_is_told_nothing_of_their_gpus() -> None:
    """And not that eight of none were taken, and none of none is now."""
    assert gpus((), [POD], [STOPPED]) == ((), ())
    node = {"metadata": {"name": "node-1"}, "status": {"allocatable": {"amd.com/gpu": "8"}}}
    (seen,), unplaced = gpus([node], [POD], [STOPPED])
    assert (seen.before, seen.after, seen.allocatable, unplaced) == (8, 0, 8, ())
