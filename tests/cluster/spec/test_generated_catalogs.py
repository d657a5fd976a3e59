"""What `aimctl plan` says of drawn catalogs is what a real API server has after they are applied."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.patience import Patience
from tests.simulation.explore.draw import TOKENS, catalog
from tests.support import children
from tests.support.children import beside_stand_ins, differences, in_order, late_class, on_the_server, planned
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE

NUMBER = int(os.environ.get("AIM_TEST_CATALOGS", "20"))
"""200 by hand: AIM_TEST_CATALOGS=200 make test TESTS=tests/cluster/spec/test_generated_catalogs.py"""
SECONDS = 20.0 + NUMBER


def named_apart(number: int, base: str) -> list[Manifest]:
    """A catalog in namespaces of its own, with cluster-wide names and paths of its own."""
    own = f"{base}-{number}"
    out: list[Manifest] = []
    for obj in catalog(number):
        text = json.dumps(obj)
        for name in ("model", "small", "fast", "slow", "third", "mine", "yours", "own"):
            # As values only: fields are called so, too.
            text = text.replace(f': "{name}"', f': "{name}-{own}"')
        made: Manifest = json.loads(text)
        metadata, spec = made["metadata"], made["spec"]
        if "namespace" in metadata:
            metadata["namespace"] = f"{own}-{metadata['namespace']}"
        elif metadata["name"] == "default":
            # Everybody's, also other tests'.
            continue
        routing = spec.get("routing") or {}
        if "routeTemplate" in routing:
            routing["routeTemplate"] = f"/{own}{routing['routeTemplate']}"
        if "gatewayRef" in routing:
            routing["gatewayRef"] = {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}
        for field in ("storageClassName", "defaultStorageClassName"):
            if field in spec:
                spec[field] = late_class(base)["metadata"]["name"]
        out.append(made)
    return out


def around(objects: Iterable[Manifest]) -> list[Manifest]:
    """The namespaces, and the Secrets that variables are from."""
    namespaces = sorted({obj["metadata"]["namespace"] for obj in objects if "namespace" in obj["metadata"]})
    made: list[Manifest] = []
    for namespace in namespaces:
        made.append(children.namespace(namespace))
        for token in TOKENS:
            metadata = {"name": token, "namespace": namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            made.append(secret | {"stringData": {"token": "x"}})
    return made


@contextmanager
def applied(cluster: Cluster, objects: list[Manifest], base: str) -> Iterator[None]:
    """The objects on the API server, and gone again."""
    surroundings = [*around(objects), late_class(base)]
    try:
        for obj in [*surroundings, *in_order(objects)]:
            cluster.api.apply_when_served(obj)
        yield
    finally:
        for obj in [*reversed(in_order(objects)), *surroundings]:
            cluster.api.delete(object_path(obj))


def test_a_real_server_has_what_plan_says_of_drawn_catalogs(spec_cluster: Cluster) -> None:
    with spec_cluster.namespace("drawn") as namespace:
        base = f"g{namespace.rpartition('-')[2]}"

        def mine(where: str) -> bool:
            return f"{base}-" in where

        objects = [obj for number in range(NUMBER) for obj in named_apart(number, base)]
        want, asked = asyncio.run(
            planned(beside_stand_ins(late_class(base)), [*around(objects), *in_order(objects)], mine)
        )
        assert len(want) > NUMBER
        since = children.DiscoveriesSince(spec_cluster)
        with applied(spec_cluster, objects, base):
            patience = Patience(SECONDS)
            while (different := differences(want, on_the_server(spec_cluster, mine))) and patience.left > 0:
                time.sleep(0.5)
            different += differences(asked, since.seen(mine))
        assert not different
