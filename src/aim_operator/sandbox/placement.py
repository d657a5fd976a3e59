"""Where a Pod of the sandbox goes: scheduler.py's word on the objects that are there, and its writes.

Called by jobs.py.
"""

from __future__ import annotations

from aim_operator.api.meta import Manifest
from aim_operator.sandbox import scheduler
from aim_operator.sandbox.kinds import KindId
from aim_operator.sandbox.server import SandboxServer
from aim_operator.sandbox.storage import Key, Stored

NODE = KindId("", "Node")
CLAIM = KindId("", "PersistentVolumeClaim")
_POD = KindId("", "Pod")
_MANAGER = "kube-scheduler"


def node_for(server: SandboxServer, pod: Stored) -> tuple[str, str]:
    """Return the node that a Pod runs on, or why on none; neither where the sandbox has no nodes."""
    nodes = _all(server, NODE)
    claims = _claims(server, pod)
    classes = {each["metadata"]["name"]: each for each in _all(server, scheduler.STORAGE_CLASS)}
    if message := scheduler.unmountable(claims, classes):
        return "", scheduler.nowhere(max(1, len(nodes)), message)
    if not nodes:
        return "", ""
    annotations = [claim["metadata"].get("annotations") or {} for claim in claims.values() if claim]
    bound = [each[scheduler.SELECTED_NODE] for each in annotations if scheduler.SELECTED_NODE in each]
    return scheduler.place(pod.obj["spec"], nodes, bound)


def waits_for_volumes(server: SandboxServer, pod: Stored, node: str) -> bool:
    """Have the volumes made that wait for their first Pod; the Pod has its node once they are bound."""
    claims = _claims(server, pod)
    pending = [name for name, claim in claims.items() if claim and not scheduler.is_bound(claim)]
    selected = {"metadata": {"annotations": {scheduler.SELECTED_NODE: node}}}
    for name in pending if node else ():
        kind = server.kinds.of(CLAIM)
        server.patch(kind, name, selected, namespace=pod.key.namespace, manager=_MANAGER)
    return bool(pending)


def bind(server: SandboxServer, pod: Stored, node: str) -> Stored:
    """Write the node into the Pod, and return the Pod as it is then."""
    patch = {"spec": {"nodeName": node}}
    return server.patch(
        server.kinds.of(_POD), pod.key.name, patch, namespace=pod.key.namespace, manager=_MANAGER
    )


def _claims(server: SandboxServer, pod: Stored) -> dict[str, Manifest | None]:
    """The claims that a Pod mounts, by name; None for one that is not there."""
    volumes = pod.obj["spec"].get("volumes") or ()
    names = [v["persistentVolumeClaim"]["claimName"] for v in volumes if "persistentVolumeClaim" in v]
    found = {name: server.storage.get(Key(CLAIM, pod.key.namespace, name)) for name in names}
    return {name: stored.obj if stored else None for name, stored in found.items()}


def _all(server: SandboxServer, id_: KindId) -> list[Manifest]:
    return [stored.obj for stored in server.storage.collection(id_).objects.values()]
