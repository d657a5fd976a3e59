"""What the sandbox makes of every example set is what a real API server has after it is applied."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aim_operator.cli import quickstart
from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience
from tests.support.children import (
    KINDS,
    DiscoveriesSince,
    beside_stand_ins,
    differences,
    in_order,
    late_class,
    on_the_server,
    planned,
)
from tests.support.spec_world import OPERATOR_NAMESPACE

SECONDS = 30.0
DEFAULT = "default"
NOT_IN_EXAMPLES = {"PodDisruptionBudget"}


def of_a_set(name: str, class_: str) -> Iterator[Manifest]:
    """The objects of an example set, in namespaces of its own; nobody provisions the class of its claims."""
    objects = [copy.deepcopy(each.manifest) for each in quickstart.load(quickstart.find(None, name))]
    shared = {OPERATOR_NAMESPACE}
    for obj in objects:
        kind, metadata = obj["kind"], obj["metadata"]
        # Two sets have a service of one name in namespaces of one name.
        if kind == "Namespace" and metadata["name"] not in shared:
            metadata["name"] += f"-of-{name}"
        elif metadata.get("namespace", OPERATOR_NAMESPACE) not in shared:
            metadata["namespace"] += f"-of-{name}"
        if kind in ("AIMTemplateCache", "AIMModelCache"):
            obj["spec"]["storageClassName"] = class_
        elif kind.endswith("RuntimeConfig"):
            obj["spec"]["defaultStorageClassName"] = class_
    served = sorted({obj["metadata"]["namespace"] for obj in objects if obj["kind"] == "AIMService"})
    for obj in objects:
        if (obj["kind"], obj["metadata"]["name"]) == ("AIMClusterRuntimeConfig", DEFAULT):
            # That of the whole cluster is other tests', too.
            for namespace in served:
                yield obj | {
                    "kind": "AIMRuntimeConfig",
                    "metadata": obj["metadata"] | {"namespace": namespace},
                }
        else:
            yield obj


def surroundings_first(objects: Iterable[Manifest]) -> list[Manifest]:
    order = ("Namespace", "Secret", "ConfigMap", "ServiceAccount")
    return sorted(
        in_order(objects), key=lambda obj: order.index(obj["kind"]) if obj["kind"] in order else len(order)
    )


@contextmanager
def applied(cluster: Cluster, objects: list[Manifest]) -> Iterator[None]:
    """The objects on the API server, and gone again, but for the operator's own namespace."""
    try:
        for obj in objects:
            cluster.api.apply_when_served(obj)
        yield
    finally:
        for obj in reversed(objects):
            if (obj["kind"], obj["metadata"]["name"]) != ("Namespace", OPERATOR_NAMESPACE):
                cluster.api.delete(object_path(obj))


def test_a_real_server_has_what_the_sandbox_makes_of_every_example_set(spec_cluster: Cluster) -> None:
    late = late_class("examples")
    names = sorted(quickstart.shipped())
    objects = surroundings_first(obj for name in names for obj in of_a_set(name, late["metadata"]["name"]))
    paths = [object_path(obj) for obj in objects]
    twice = {path for path in paths if paths.count(path) > 1 and OPERATOR_NAMESPACE not in path}
    assert not twice, "a set overrides another's object"
    namespaces = {obj["metadata"].get("namespace") for obj in objects} - {None, OPERATOR_NAMESPACE}
    templates = [obj["metadata"]["name"] for obj in objects if obj["kind"] == "AIMClusterServiceTemplate"]

    def mine(where: str) -> bool:
        namespace, _, name = where.partition("/")
        if namespace in ("", OPERATOR_NAMESPACE):
            return name in templates or any(name.startswith(f"discover-{each[:30]}") for each in templates)
        return namespace in namespaces

    want, asked = asyncio.run(planned(beside_stand_ins(late), objects, mine))
    assert {key.split()[0] for key in want} == {kind for _, kind, _ in KINDS} - NOT_IN_EXAMPLES
    served = [text for key, text in want.items() if key.startswith("AIMService ")]
    assert len(served) == sum(obj["kind"] == "AIMService" for obj in objects) > len(names)
    assert len(asked) >= len(templates)
    since = DiscoveriesSince(spec_cluster)
    with applied(spec_cluster, [late, *objects]):
        patience = Patience(SECONDS)
        while (different := differences(want, on_the_server(spec_cluster, mine))) and patience.left > 0:
            time.sleep(0.5)
        different += differences(asked, since.seen(mine))
    assert not different
