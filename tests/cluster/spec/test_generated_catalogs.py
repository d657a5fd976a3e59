"""What `aimctl plan` says of drawn catalogs is what a real API server has after they are applied."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aim_operator.cli.plan.world import World as PlanWorld
from aim_operator.core import labels
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.settings import Settings
from hack.cluster.api import Manifest, object_path
from hack.cluster.cluster import Cluster
from hack.cluster.node import GPU_LABELS
from hack.cluster.patience import Patience
from tests.simulation.explore.draw import TOKENS, catalog
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.stand_ins.node import CAPACITY, NODE

NUMBER = int(os.environ.get("AIM_TEST_CATALOGS", "20"))
"""200 by hand: AIM_TEST_CATALOGS=200 make test TESTS=tests/cluster/spec/test_generated_catalogs.py"""
SECONDS = 20.0 + NUMBER
KINDS = (
    ("aim.silogen.ai/v1alpha1", "AIMServiceTemplate", "aimservicetemplates"),
    ("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes"),
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
    ("aim.silogen.ai/v1alpha1", "AIMService", "aimservices"),
    ("aim.silogen.ai/v1alpha1", "AIMTemplateCache", "aimtemplatecaches"),
    ("aim.silogen.ai/v1alpha1", "AIMModelCache", "aimmodelcaches"),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("batch/v1", "Job", "jobs"),
)
HASHED = ("PersistentVolumeClaim", "Job")
"""Their names end in a hash over the cache's uid."""
OURS = "aim.silogen.ai/"
_DOWNLOADS = "download-"
_NEVER_SECONDS = 1e6
_HASH = re.compile(r"-[0-9a-f]{8}$")
_HASHED_VALUE = re.compile(r'("(?:claimName|(?:batch\.kubernetes\.io/)?job-name)": "[^"]*)-[0-9a-f]{8}"')
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Seen = dict[str, str]


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
                spec[field] = _storage_class(base)["metadata"]["name"]
        out.append(made)
    return out


def around(objects: Iterable[Manifest]) -> list[Manifest]:
    """The namespaces, and the Secrets that variables are from."""
    namespaces = sorted({obj["metadata"]["namespace"] for obj in objects if "namespace" in obj["metadata"]})
    made: list[Manifest] = []
    for namespace in namespaces:
        made.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for token in TOKENS:
            metadata = {"name": token, "namespace": namespace}
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata}
            made.append(secret | {"stringData": {"token": "x"}})
    return made


def in_order(objects: Iterable[Manifest]) -> list[Manifest]:
    """Services last, by name: of those that want one path the first has it, and then the first by name."""
    return sorted(
        objects,
        key=lambda obj: (
            obj["kind"] == "AIMService",
            obj["metadata"].get("namespace", ""),
            obj["metadata"]["name"],
        ),
    )


def seen(objects: Iterable[Manifest], base: str) -> Seen:
    """What matters of the objects, as text by kind and name: without times, versions and uids."""
    out: Seen = {}
    for obj in objects:
        metadata = obj["metadata"]
        where = f"{metadata.get('namespace', '')}/{metadata['name']}"
        if f"{base}-" not in where:
            continue
        if obj["kind"] == "Job" and not metadata["name"].startswith(_DOWNLOADS):
            # A discovery is gone once it is read, sooner or later.
            continue
        if obj["kind"] in HASHED:
            where = _HASH.sub("-<hash>", where)
        owners = metadata.get("ownerReferences") or ()
        annotations = {**(metadata.get("annotations") or {})}
        if owners and labels.APPLIED in annotations:
            # A hash over the owner's uid, too, which is another one on every server.
            annotations[labels.APPLIED] = "<hash>"
        if obj["kind"] in HASHED:
            # The scheduler and the volume controller write down there whom they wait for.
            annotations = {name: value for name, value in annotations.items() if name.startswith(OURS)}
        kept: dict[str, Any] = {
            "labels": metadata.get("labels") or {},
            "annotations": annotations,
            "owners": sorted((each["kind"], each["name"]) for each in owners),
            "spec": obj["spec"],
        }
        if obj["kind"] in ("AIMTemplateCache", "AIMModelCache"):
            kept |= _told(obj)
        elif obj["kind"] == "AIMService":
            status = obj.get("status") or {}
            kept = _told(obj) | {
                "template": (status.get("resolvedTemplate") or {}).get("name"),
                "path": (status.get("routing") or {}).get("path"),
            }
        text = json.dumps(kept, sort_keys=True, indent=1)
        out[f"{obj['kind']} {where}"] = _HASHED_VALUE.sub(r'\1-<hash>"', _UID.sub("<uid>", text))
    return out


def _told(obj: Manifest) -> Manifest:
    status = obj.get("status") or {}
    conditions = status.get("conditions") or ()
    return {
        "status": status.get("status"),
        "conditions": sorted((each["type"], each["status"], each["reason"]) for each in conditions),
    }


async def planned(objects: list[Manifest], base: str) -> Seen:
    world = PlanWorld({})
    # What images print here is what they print there: tests/support/stand_ins/images.py has the same.
    world.sandbox.jobs.made_up = True
    node = gpu_node(NODE)
    node["metadata"]["labels"] |= GPU_LABELS
    node["status"] |= {"capacity": CAPACITY, "allocatable": CAPACITY}
    world.sandbox.load([node, *around(objects), *in_order(objects)])
    # Nobody provisions there, either.
    world.sandbox.claims.bind_seconds = _NEVER_SECONDS
    namespaces = [_namespace(Settings().operator_namespace), _namespace(GATEWAY_NAMESPACE)]
    world.sandbox.load([*namespaces, _storage_class(base), _gateway()])
    found = await world.settle()
    kinds = {kind for _, kind, _ in KINDS}
    return seen((stored.obj for stored in found if stored.obj.get("kind") in kinds), base)


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _storage_class(base: str) -> Manifest:
    """Return one whose claims wait for their first Pod, and then for ever: so downloads are made, not run."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"late-{base}"},
        "provisioner": "example.com/nobody",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _gateway() -> Manifest:
    listener = {
        "name": "http",
        "port": 80,
        "protocol": "HTTP",
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "Gateway",
        "metadata": {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE},
        "spec": {"gatewayClassName": "stand-in", "listeners": [listener]},
    }


@contextmanager
def applied(cluster: Cluster, objects: list[Manifest], base: str) -> Iterator[None]:
    """The objects on the API server, and gone again."""
    surroundings = [*around(objects), _storage_class(base)]
    try:
        for obj in [*surroundings, *in_order(objects)]:
            cluster.api.apply_when_served(obj)
        yield
    finally:
        for obj in [*reversed(in_order(objects)), *surroundings]:
            cluster.api.delete(object_path(obj))


def on_the_server(cluster: Cluster, base: str) -> Seen:
    out: Seen = {}
    for api_version, kind, plural in KINDS:
        root = "apis" if "/" in api_version else "api"
        items = cluster.api.request("GET", f"/{root}/{api_version}/{plural}")["items"]
        out |= seen(({"kind": kind} | each for each in items), base)
    return out


def differences(want: Seen, got: Seen) -> str:
    """Every object that differs, as it is on both sides."""
    keys = sorted(key for key in want.keys() | got.keys() if want.get(key) != got.get(key))
    return "\n".join(
        f"{key}\n  plan:   {want.get(key, 'none')}\n  server: {got.get(key, 'none')}" for key in keys
    )


def test_a_real_server_has_what_plan_says_of_drawn_catalogs(spec_cluster: Cluster) -> None:
    with spec_cluster.namespace("drawn") as namespace:
        base = f"g{namespace.rpartition('-')[2]}"
        objects = [obj for number in range(NUMBER) for obj in named_apart(number, base)]
        want = asyncio.run(planned(objects, base))
        assert len(want) > NUMBER
        with applied(spec_cluster, objects, base):
            patience = Patience(SECONDS)
            while (different := differences(want, on_the_server(spec_cluster, base))) and patience.left > 0:
                time.sleep(0.5)
        assert not different
