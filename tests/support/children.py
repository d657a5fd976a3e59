"""What is compared of a cluster in memory and of a real one: what the operator made, and what it says of it.

Left out is what two clusters can't have in common: times, versions, uids, and hashes over uids. What
the API server adds counts: in memory it shall be the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from aim_operator.cli.plan.world import World as PlanWorld
from aim_operator.core import labels
from aim_operator.sandbox.nodes import gpu_node
from aim_operator.settings import Settings
from hack.cluster.api import Manifest
from hack.cluster.cluster import Cluster
from hack.cluster.node import GPU_LABELS
from tests.support.spec_cluster import GATEWAY, GATEWAY_NAMESPACE
from tests.support.stand_ins.node import CAPACITY, NODE

KINDS = (
    ("aim.silogen.ai/v1alpha1", "AIMServiceTemplate", "aimservicetemplates"),
    ("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime", "servingruntimes"),
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime", "clusterservingruntimes"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes"),
    ("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("aim.silogen.ai/v1alpha1", "AIMService", "aimservices"),
    ("aim.silogen.ai/v1alpha1", "AIMTemplateCache", "aimtemplatecaches"),
    ("aim.silogen.ai/v1alpha1", "AIMModelCache", "aimmodelcaches"),
    ("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("batch/v1", "Job", "jobs"),
)
"""Those that the operator makes (charts/aim-operator/files/rules), and services, that it makes them for."""
HASHED = ("PersistentVolumeClaim", "Job")
"""Their names end in a hash over the cache's or the template's uid."""
OURS = "aim.silogen.ai/"
MANAGER = "aim-operator"
"""Of fields that the operator applies."""
_DOWNLOADS = "download-"
_NEVER_SECONDS = 1e6
_HASH = re.compile(r"-[0-9a-f]{8}$")
_HASHED_VALUE = re.compile(r'("(?:claimName|(?:batch\.kubernetes\.io/)?job-name)": "[^"]*)-[0-9a-f]{8}"')
_UID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Seen = dict[str, str]
"""What matters of each object, as text, by its kind and name."""
Mine = Callable[[str], bool]
"""Whether an object is of the test, by `namespace/name`."""


def seen(objects: Iterable[Manifest], mine: Mine) -> Seen:
    """Return what matters of the objects, without Jobs that ask an image: these go once they are read."""
    lasting = (
        obj for obj in objects if obj["kind"] != "Job" or obj["metadata"]["name"].startswith(_DOWNLOADS)
    )
    return _seen(lasting, mine)


def discoveries(jobs: Iterable[Manifest], mine: Mine) -> Seen:
    """Return what matters of the Jobs that ask an image, as they were made."""
    return _seen((job for job in jobs if not job["metadata"]["name"].startswith(_DOWNLOADS)), mine)


def _seen(objects: Iterable[Manifest], mine: Mine) -> Seen:
    out: Seen = {}
    for obj in objects:
        where = f"{obj['metadata'].get('namespace', '')}/{obj['metadata']['name']}"
        if not mine(where):
            continue
        if obj["kind"] in HASHED:
            where = _HASH.sub("-<hash>", where)
        text = json.dumps(_matters(obj), sort_keys=True, indent=1)
        out[f"{obj['kind']} {where}"] = _HASHED_VALUE.sub(r'\1-<hash>"', _UID.sub("<uid>", text))
    return out


def _matters(obj: Manifest) -> Manifest:
    metadata, kind = obj["metadata"], obj["kind"]
    if kind == "AIMService":
        status = obj.get("status") or {}
        return _told(obj) | {
            "template": (status.get("resolvedTemplate") or {}).get("name"),
            "path": (status.get("routing") or {}).get("path"),
        }
    owners = metadata.get("ownerReferences") or ()
    annotations = {**(metadata.get("annotations") or {})}
    if owners and labels.APPLIED in annotations:
        # A hash over the owner's uid, too, which is another one on every server.
        annotations[labels.APPLIED] = "<hash>"
    if kind in HASHED:
        # The scheduler and the volume controller write down there whom they wait for.
        annotations = {name: value for name, value in annotations.items() if name.startswith(OURS)}
    kept: dict[str, Any] = {
        "labels": metadata.get("labels") or {},
        "annotations": annotations,
        "owners": sorted((each["kind"], each["name"]) for each in owners),
        "spec": obj["spec"],
    }
    return kept | (_told(obj) if kind in ("AIMTemplateCache", "AIMModelCache") else {})


def _told(obj: Manifest) -> Manifest:
    status = obj.get("status") or {}
    conditions = status.get("conditions") or ()
    return {
        "status": status.get("status"),
        "conditions": sorted((each["type"], each["status"], each["reason"]) for each in conditions),
    }


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


def beside_stand_ins(late: Manifest) -> PlanWorld:
    """Return what is around the operator on the cluster of tests/support/spec_cluster.py."""
    world = PlanWorld({})
    # What images print here is what they print there: tests/support/stand_ins/images.py has the same.
    world.sandbox.jobs.made_up = True
    node = gpu_node(NODE)
    node["metadata"]["labels"] |= GPU_LABELS
    node["status"] |= {"capacity": CAPACITY, "allocatable": CAPACITY}
    # Nobody provisions there, either.
    world.sandbox.claims.bind_seconds = _NEVER_SECONDS
    world.sandbox.load([node, *platform(), late])
    return world


def platform() -> tuple[Manifest, ...]:
    """Return the namespaces of the operator and of the gateway, and the Gateway."""
    return namespace(Settings().operator_namespace), namespace(GATEWAY_NAMESPACE), _gateway()


async def planned(world: PlanWorld, objects: Iterable[Manifest], mine: Mine) -> tuple[Seen, Seen]:
    """Return what comes of the objects in memory, and the discoveries for it."""
    world.sandbox.load(objects)
    found = await world.settle()
    kinds = {kind for _, kind, _ in KINDS}
    children = (stored.obj for stored in found if stored.obj.get("kind") in kinds)
    return seen(children, mine), discoveries(world.jobs, mine)


def on_the_server(cluster: Cluster, mine: Mine, *, beside_kserve: bool = False) -> Seen:
    """Return what there is; `beside_kserve`: of InferenceServices what the operator has written."""
    out: Seen = {}
    for api_version, kind, plural in KINDS:
        items = cluster.api.request("GET", f"{_root(api_version)}/{plural}")["items"]
        objects = ({"kind": kind} | each for each in items)
        if beside_kserve and kind == "InferenceService":
            # KServe's webhook adds its defaults.
            objects = (_as_applied(obj) for obj in objects)
        out |= seen(objects, mine)
    return out


def _as_applied(obj: Manifest) -> Manifest:
    """Return the fields that the operator has applied, and whose object it is."""
    metadata = obj["metadata"]
    [fields] = [
        each["fieldsV1"]
        for each in metadata["managedFields"]
        if (each["manager"], each["operation"]) == (MANAGER, "Apply")
    ]
    ours = _within(obj, fields)
    kept = {name: metadata[name] for name in ("name", "namespace", "ownerReferences")}
    return {"kind": obj["kind"], "spec": ours["spec"], "metadata": ours.get("metadata", {}) | kept}


def _within(value: Any, fields: Manifest) -> Any:
    """Return the part of a value that is in `fieldsV1`: k:{…} are items of lists by key, f:… fields."""
    below = {key: each for key, each in fields.items() if key != "."}
    if not below:
        return value
    if isinstance(value, list):
        keys = [(json.loads(key.removeprefix("k:")), each) for key, each in below.items()]
        return [_within(item, each) for key, each in keys for item in value if key.items() <= item.items()]
    names = {key.removeprefix("f:"): each for key, each in below.items()}
    return {name: _within(value[name], each) for name, each in names.items() if name in value}


class DiscoveriesSince:
    """The Jobs that ask an image, from the moment on in which this is made."""

    def __init__(self, cluster: Cluster) -> None:
        self._api = cluster.api
        self._version = self._api.request("GET", "/apis/batch/v1/jobs?limit=1")["metadata"]["resourceVersion"]

    def seen(self, mine: Mine) -> Seen:
        """Return them as they were made, also if they are gone: the API server has not forgotten it yet."""
        path = f"/apis/batch/v1/jobs?watch=1&resourceVersion={self._version}&timeoutSeconds=1"
        made = [event["object"] for event in self._api.stream(path) if event["type"] == "ADDED"]
        return discoveries(made, mine)


def differences(want: Seen, got: Seen) -> str:
    """Every object that differs, as it is on both sides."""
    keys = sorted(key for key in want.keys() | got.keys() if want.get(key) != got.get(key))
    return "\n".join(
        f"{key}\n  plan:   {want.get(key, 'none')}\n  server: {got.get(key, 'none')}" for key in keys
    )


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def late_class(name: str) -> Manifest:
    """Return one whose claims wait for their first Pod, and then for ever: so downloads are made, not run."""
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"late-{name}"},
        "provisioner": "example.com/nobody",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


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
