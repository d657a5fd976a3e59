"""What the caches hold is shown by namespace, in a bounded number of series."""

from __future__ import annotations

import re

from aim_operator.api.meta import KubeObject, ObjectMeta
from aim_operator.api.v1alpha1 import SERVICES, AIMService, AIMServiceSpec
from aim_operator.runtime.footprint import NAMED_NAMESPACES, OTHERS, register
from aim_operator.runtime.informer import Informer
from aim_operator.runtime.metrics import Metrics
from aim_operator.runtime.store import Store
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock


def service(namespace: str, name: str = "a", model: str = "m", uid: str = "u") -> AIMService:
    metadata = ObjectMeta(name=name, namespace=namespace, uid=uid, resource_version=model)
    return AIMService(metadata=metadata, spec=AIMServiceSpec(model=model))


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """The values of a gauge by namespace."""
    text = metrics.exposition().decode()
    found = re.findall(rf'^{name}{{namespace="([^"]*)",resource="[^"]*"}} (\S+)$', text, re.MULTILINE)
    return {namespace: float(value) for namespace, value in found}


def test_the_namespaces_with_the_most_bytes_are_named_and_the_others_summed_up() -> None:
    """A tenant's thousand namespaces make no thousand series; one that fills the cache is named."""
    metrics = Metrics()
    informer = Informer(FakeClient(), SERVICES, clock=VirtualClock())
    register(metrics, [informer])
    for index in range(1000):
        informer.store.upsert(service(f"small-{index}"))
    for index in range(50):
        informer.store.upsert(service("hostile", f"s{index}", "m" * 5000))
    objects, taken = shown(metrics, "aim_cached_objects"), shown(metrics, "aim_cached_bytes")
    assert len(objects) == NAMED_NAMESPACES + 1
    assert objects.keys() == taken.keys()
    assert objects["hostile"] == 50
    assert objects[OTHERS] == 1000 - (NAMED_NAMESPACES - 1)
    assert taken["hostile"] > 50 * 5000 > taken[OTHERS]


def test_what_goes_is_counted_no_more() -> None:
    store: Store[AIMService] = Store()
    one, other = service("team", "one"), service("team", "two", "n" * 100)
    store.upsert(one)
    alone = dict(store.usage())
    store.upsert(other)
    assert store.usage()["team"].bytes > alone["team"].bytes + 100
    store.upsert(service("team", "two"))
    store.remove("team", "two")
    assert store.usage() == alone
    store.replace_all([other])
    assert store.usage()["team"].objects == 1
    store.replace_all([service("team", "two", uid="another")])
    assert store.usage()["team"].objects == 1
    store.replace_all([])
    assert store.usage() == {}


def test_cluster_wide_objects_are_of_no_namespace() -> None:
    store: Store[KubeObject] = Store()
    store.upsert(KubeObject(metadata=ObjectMeta(name="a", uid="u")))
    assert store.usage()[""].objects == 1
