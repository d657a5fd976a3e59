"""`aimctl why` where a real kubelet, container runtime, KServe and gateway say what is wrong.

tests/cluster/spec/test_why.py has more situations, with their words copied from their sources; what a node
here comes to by itself is here, all of it at once, asked with the rights of those who may only look.
"""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from hack.cluster.cluster import Cluster
from tests.support.operator_process import grant_roles, running_operator
from tests.support.plugin import Measure
from tests.support.registry import registry
from tests.support.spec_world import World
from tests.support.viewer import check_answers, roles_of_users
from tests.support.why_on_a_node import MAIN, NAMESPACES, closed_gateway, fill, situations

pytestmark = [pytest.mark.needs_node, pytest.mark.needs_kserve, pytest.mark.needs_gateway]

ALL_SECONDS = 90.0
"""For all of them together: the node starts a good twenty Pods, and ends some of them twice."""


def test_the_root_and_the_remedy_in_the_words_of_a_real_node_with_the_rights_of_a_viewer(
    full_cluster: Cluster, measure: Measure
) -> None:
    grant_roles(full_cluster)
    with ExitStack() as stack:
        worlds: dict[str, World] = {}
        for name in NAMESPACES:
            namespace = stack.enter_context(full_cluster.namespace(f"why-{name}"))
            worlds[name] = World(full_cluster, namespace)
            stack.callback(worlds[name].clear)
        suffix = worlds[MAIN].namespace.rpartition("-")[2]
        stack.enter_context(roles_of_users(full_cluster, suffix))
        images = stack.enter_context(registry())
        closed = stack.enter_context(closed_gateway(full_cluster, suffix))
        fill(worlds)
        served = ",".join(world.namespace for world in worlds.values())
        stack.enter_context(running_operator(full_cluster, f"--namespaces={served}"))
        made = situations(images, closed)
        for where, situation in made.values():
            situation.begin(worlds[where])
        took = check_answers(
            full_cluster,
            {name: situation for name, (_, situation) in made.items()},
            {name: worlds[where] for name, (where, _) in made.items()},
            seconds=ALL_SECONDS,
        )
        measure("aimctl why on a real node", *took.split(": ", 1))
