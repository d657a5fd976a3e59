"""Many nodes, and nodes that come, change and go: whom that concerns, and what it costs."""

from __future__ import annotations

import time
from typing import Any

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from aim_operator.sandbox.claims import storage_class
from aim_operator.sandbox.nodes import gpu_node, plain_node
from tests.simulation.catalog import NAMESPACE, config, image, service, template
from tests.simulation.world import World


async def test_two_thousand_nodes_do_not_stop_the_operator_for_seconds() -> None:
    """While it counts GPU models it renews no Lease, and answers no liveness probe."""
    async with World() as world:
        world.apply(gpu_node(f"node-{number}") for number in range(2000))
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        began = time.process_time()
        world.start()
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        assert time.process_time() - began < 6, "seconds of CPU; 2,000 looks at 2,000 nodes took 30"


async def test_a_node_with_another_gpu_makes_its_templates_available() -> None:
    """Without anybody touching the template; and when the last such node goes, that is said as well."""
    async with World() as world:
        world.apply([image(), template(gpuSelector={"count": 1, "model": "MI355X"})])
        world.start()

        def hardware() -> str:
            return world.reason(aim.TEMPLATES, "fast", NAMESPACE, "HardwareAvailable")

        await world.until(lambda: hardware().startswith("False"))
        world.apply([gpu_node("new", product="AMD_Instinct_MI355X_OAM")])
        await world.until(lambda: hardware().startswith("True"), limit_seconds=5)
        world.apply([gpu_node("newer", product="AMD_Instinct_MI355X_OAM")])
        world.delete(NODES, "new")
        await world.pass_seconds(10)
        assert hardware().startswith("True"), "one node has it still"
        world.delete(NODES, "newer")
        await world.until(lambda: hardware().startswith("False"), limit_seconds=5)


TAINT = {"key": "amd.com/gpu", "effect": "NoSchedule"}
TOLERATION = {"key": "amd.com/gpu", "operator": "Exists"}
ONE_NODE: dict[str, Any] = {"defaultStorageClassName": "disk", "storage": {"accessModes": ["ReadWriteOnce"]}}


async def test_a_disk_of_a_node_waits_for_the_gpu_pool_for_ever_and_is_made_there_once_it_is_tolerated() -> (
    None
):
    """Not on the node without GPUs, however long that takes; meanwhile the user reads what to do."""
    async with World() as world:
        gpu = gpu_node("node-1")
        world.apply([plain_node("plain"), {**gpu, "spec": {"taints": [TAINT]}}])
        world.apply([storage_class("disk", default=False, wait=True), config("default", **ONE_NODE)])
        fast = template(caching={"enabled": True}, gpuSelector={"count": 1, "model": "MI300X"})
        world.apply([image(defaultServiceTemplate="fast"), fast, service()])
        world.start()

        def message() -> str:
            caches = world.all(aim.MODEL_CACHES)
            conditions = caches[0].get("status", {}).get("conditions", []) if caches else []
            return next((each["message"] for each in conditions if each["type"] == "Ready"), "")

        await world.until(lambda: "jobs.scheduling.tolerations" in message())
        await world.pass_seconds(4 * 3600)
        assert "had untolerated taint(s)" in message()
        assert world.reason(aim.MODEL_CACHES, cache_name(world), NAMESPACE, "Failure") == "True/Unschedulable"
        [claim] = world.all(PERSISTENT_VOLUME_CLAIMS)
        assert claim["status"]["phase"] == "Pending"

        world.apply([config("default", **ONE_NODE, scheduling={"tolerations": [TOLERATION]})])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
        [claim] = world.all(PERSISTENT_VOLUME_CLAIMS)
        assert claim["metadata"]["annotations"]["volume.kubernetes.io/selected-node"] == "node-1"
        downloads = [p for p in world.all(PODS) if p["metadata"]["name"].startswith("download-")]
        assert [pod["spec"]["nodeName"] for pod in downloads] == ["node-1"]


def cache_name(world: World) -> str:
    [cache] = world.all(aim.MODEL_CACHES)
    return str(cache["metadata"]["name"])


async def test_a_job_that_no_node_takes_runs_once_there_is_one() -> None:
    async with World() as world:
        world.apply([plain_node("plain")])
        world.apply([config("default", jobs={"scheduling": {"nodeSelector": {"pool": "batch"}}})])
        world.apply([image(defaultServiceTemplate="fast"), template(), service()])
        world.start()

        def message() -> str:
            conditions = world.status(aim.TEMPLATES, "fast", NAMESPACE).get("conditions", [])
            return next((each["message"] for each in conditions if each["type"] == "Discovered"), "")

        await world.until(lambda: "those of jobs.scheduling" in message())
        batch = plain_node("batch")
        batch["metadata"]["labels"]["pool"] = "batch"
        world.apply([batch])
        await world.until(lambda: world.state_of(aim.SERVICES, "chat", NAMESPACE) == "Running")
