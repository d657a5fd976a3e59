"""`aimctl why` in more than forty broken situations at once, with the rights of those who may only look."""

from __future__ import annotations

from contextlib import ExitStack

from hack.cluster.cluster import Cluster
from tests.support.plugin import Measure
from tests.support.spec_world import World
from tests.support.viewer import check_answers, roles_of_users, viewer_of
from tests.support.why_situations import SITUATIONS

ALL_SECONDS = 90.0
"""For all of them together; they come by themselves within a few seconds."""


def test_the_root_and_the_remedy_of_every_situation_with_the_rights_of_a_viewer(
    spec_cluster: Cluster, measure: Measure
) -> None:
    with ExitStack() as stack:
        worlds: dict[str, World] = {}
        for name in SITUATIONS:
            namespace = stack.enter_context(spec_cluster.namespace("why"))
            worlds[name] = World(spec_cluster, namespace)
            stack.callback(worlds[name].clear)
            spec_cluster.api.apply(viewer_of(namespace))
        first = next(iter(worlds.values())).namespace
        stack.enter_context(roles_of_users(spec_cluster, first))
        for name, situation in SITUATIONS.items():
            situation.begin(worlds[name])
        took = check_answers(spec_cluster, SITUATIONS, worlds, seconds=ALL_SECONDS)
        measure("aimctl why", *took.split(": ", 1))
