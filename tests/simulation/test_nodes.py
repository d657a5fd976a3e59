"""Many nodes, and nodes that come, change and go: whom that concerns, and what it costs."""

from __future__ import annotations

import time

from aim_operator.api import v1alpha1 as aim
from aim_operator.api.external import NODES
from aim_operator.sandbox.nodes import gpu_node
from tests.simulation.catalog import NAMESPACE, image, service, template
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
