"""GPUs of each node before and after a change. Pure.

The scheduler decides; here Pods go where most of the GPUs are taken already, as it does not have to. What a
node refuses is the scheduler's own rules, as the sandbox has them. Called by difference.py.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest
from aim_operator.core.hardware import NVIDIA_RESOURCE
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.sandbox.scheduler import place

Pair = tuple[tuple[str, str, str], Manifest | None, Manifest | None]
_ENDED = ("Succeeded", "Failed")


class NodeGpus(Struct, frozen=True, kw_only=True):
    """What a node has of one resource, and how many of that are taken."""

    node: str
    resource: str
    allocatable: int
    before: int
    after: int


def gpus(
    all_nodes: Iterable[Manifest], pods: Iterable[Manifest], services: Sequence[Pair]
) -> tuple[tuple[NodeGpus, ...], tuple[str, ...]]:
    """Return the nodes whose taken GPUs differ, and the services for whose Pods no node has enough.

    Nothing where no nodes were seen.
    """
    nodes = {obj["metadata"]["name"]: obj for obj in all_nodes}
    if not nodes:
        return (), ()
    taken: Counter[tuple[str, str]] = Counter()
    of_service: dict[tuple[str, str], list[Manifest]] = defaultdict(list)
    for pod in pods:
        if pod["spec"].get("nodeName") and (pod.get("status") or {}).get("phase") not in _ENDED:
            for resource, count in _of_pod(pod).items():
                taken[pod["spec"]["nodeName"], resource] += count
            name = (pod["metadata"].get("labels") or {}).get(OF_INFERENCE_SERVICE)
            of_service[pod["metadata"].get("namespace") or "", name or ""].append(pod)
    before = taken.copy()
    changed = [(key, old, new) for key, old, new in services if _wants(old) != _wants(new)]
    for (_, namespace, name), _, _ in changed:
        for pod in of_service[namespace, name]:
            for resource, count in _of_pod(pod).items():
                taken[pod["spec"]["nodeName"], resource] -= count
    unplaced = [
        f"{namespace}/{name}"
        for (_, namespace, name), _, new in changed
        if new is not None and not _placed(new, nodes, taken)
    ]
    return (
        tuple(
            NodeGpus(
                node=node,
                resource=resource,
                allocatable=_allocatable(nodes.get(node, {})).get(resource, 0),
                before=before[node, resource],
                after=taken[node, resource],
            )
            for node, resource in sorted(before.keys() | taken.keys())
            if before[node, resource] != taken[node, resource]
        ),
        tuple(unplaced),
    )


def autoscaled(services: Iterable[Pair]) -> list[str]:
    """Name the services whose GPUs differ and that may run more Pods than they are counted with.

    Counted are the fewest: those they always have. How many more there will be is up to their load.
    """
    named = []
    for (_, namespace, name), old, new in services:
        asked, fewest = _wants(new)
        most = int(new["spec"]["predictor"].get("maxReplicas") or 0) if new is not None else 0
        if asked and most > fewest and _wants(old) != (asked, fewest):
            named.append(f"{namespace}/{name} ({fewest} of up to {most} replicas)")
    return named


def _placed(isvc: Manifest, nodes: dict[str, Manifest], taken: Counter[tuple[str, str]]) -> bool:
    """Find a node for each Pod, and take its GPUs there; False as soon as one has none."""
    asked, replicas = _wants(isvc)
    predictor = isvc["spec"]["predictor"]
    for _ in range(replicas if asked else 0):
        free = {
            name: sum(_allocatable(node).get(resource, 0) - taken[name, resource] for resource in dict(asked))
            for name, node in nodes.items()
            if all(
                _allocatable(node).get(resource, 0) - taken[name, resource] >= count
                for resource, count in asked
            )
            and not place(predictor, [node])[1]
        }
        if not free:
            return False
        chosen = min(free, key=lambda name: (free[name], name))
        for resource, count in asked:
            taken[chosen, resource] += count
    return True


def _wants(isvc: Manifest | None) -> tuple[tuple[tuple[str, int], ...], int]:
    """Return what each Pod asks for, and how many there are."""
    if isvc is None:
        return (), 0
    predictor = isvc["spec"]["predictor"]
    resources = (predictor.get("model") or {}).get("resources") or {}
    replicas = predictor.get("minReplicas")
    asked = _counts(resources.get("limits") or {})
    return tuple(sorted(asked.items())), 1 if replicas is None else int(replicas)


def _of_pod(pod: Manifest) -> Counter[str]:
    total: Counter[str] = Counter()
    for container in pod["spec"].get("containers") or ():
        total.update(_counts((container.get("resources") or {}).get("limits") or {}))
    return total


def _allocatable(node: Manifest) -> dict[str, int]:
    return _counts((node.get("status") or {}).get("allocatable") or {})


def _counts(amounts: Manifest) -> dict[str, int]:
    """Return the GPUs among resources; partitions have names of their own, such as amd.com/cpx_nps4."""
    parsed = {
        name: quantity.parse(str(amount))
        for name, amount in amounts.items()
        if name.startswith("amd.com/") or name == NVIDIA_RESOURCE
    }
    return {name: int(count) for name, count in parsed.items() if count}
