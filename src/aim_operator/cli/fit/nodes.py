"""Which nodes have room for a Pod, and why the others have none. Pure.

Rules and words are the scheduler's own, as far as sandbox.scheduler has them; resources are counted here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from msgspec import Struct

from aim_operator.api.meta import Manifest
from aim_operator.cli.fit.demand import Amounts, Demand, amounts, claims_of, is_gpu, pod_requests, shown
from aim_operator.core.serving.scale import OF_INFERENCE_SERVICE
from aim_operator.sandbox.scheduler import refusal

Bound = Mapping[str, str] | None
_ENDED = ("Succeeded", "Failed")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_KEEPS_OUT = ("NoSchedule", "NoExecute")
_PODS = "pods"


class NodeFit(Struct, frozen=True, kw_only=True, rename="camel"):
    """`free` is of the GPUs that are asked for; `why` is "" where a Pod fits."""

    node: str
    free: str
    why: str


class Room(Struct, kw_only=True):
    """What nodes have and what is taken of it; `place` takes more. `counted`: all Pods were seen."""

    nodes: dict[str, Manifest]
    taken: defaultdict[str, Amounts]
    counted: bool = True
    own: dict[tuple[str, str], tuple[str, ...]] = {}
    """Nodes on which Pods of a service are already."""
    mounted: dict[tuple[str, str], frozenset[str]] = {}
    """Nodes on which a claim is mounted, by namespace and name."""


def room(nodes: Iterable[Manifest], pods: Iterable[Manifest] | None) -> Room:
    """Return what is free. `pods` None: they were not seen."""
    taken: defaultdict[str, Amounts] = defaultdict(Counter)
    own: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    mounted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for pod in pods or ():
        node = pod["spec"].get("nodeName")
        if not node or (pod.get("status") or {}).get("phase") in _ENDED:
            continue
        taken[node].update(pod_requests(pod) + Counter({_PODS: 1000}))
        namespace = pod["metadata"].get("namespace") or ""
        name = (pod["metadata"].get("labels") or {}).get(OF_INFERENCE_SERVICE)
        if name and "deletionTimestamp" not in pod["metadata"]:
            own[namespace, name].append(node)
        for claim in claims_of(pod["spec"]):
            mounted[namespace, claim].add(node)
    return Room(
        nodes={node["metadata"]["name"]: node for node in nodes},
        taken=taken,
        counted=pods is not None,
        own={key: tuple(each) for key, each in own.items()},
        mounted={key: frozenset(each) for key, each in mounted.items()},
    )


def judge(demand: Demand, there: Room, bound_to: Bound) -> tuple[NodeFit, ...]:
    """Return each node with the first thing that keeps a Pod from it.

    `bound_to` are nodes that volumes bind the Pod to, with the claim that does; None: to none.
    """
    return tuple(
        NodeFit(node=name, free=_free(demand, there, name), why=_why(demand, there, name, bound_to))
        for name in sorted(there.nodes)
    )


def place(demand: Demand, there: Room, count: int, bound_to: Bound, together: str = "") -> list[str]:
    """Take room for so many Pods, where most is taken already. Returns their nodes, as far as there are.

    `together` is a claim that one node alone mounts: all go where the first goes, where most is left.
    """
    chosen: list[str] = []
    for _ in range(count):
        fitting = [name for name in there.nodes if not _why(demand, there, name, bound_to)]
        if not fitting:
            break
        nearest = max if together and count > 1 else min
        node = nearest(fitting, key=lambda name: (sum(_left(demand, there, name).values()), name))
        there.taken[node].update(demand.requests + Counter({_PODS: 1000}))
        chosen.append(node)
        if together:
            bound_to = {node: together}
    return chosen


def _why(demand: Demand, there: Room, name: str, bound_to: Bound) -> str:
    node = there.nodes[name]
    words = refusal(demand.predictor, node, ())
    if words:
        return words.replace("untolerated taint(s)", f"untolerated taint {_taint(demand, node)}")
    if bound_to is not None and name not in bound_to:
        where, claim = next(iter(bound_to.items()), ("", ""))
        return f"claim {claim!r} is on {where}" if claim else "no node has the volumes of its claims"
    left = _left(demand, there, name)
    short = [resource for resource, asked in demand.requests.items() if asked and left[resource] < asked]
    if short:
        resource = min(short, key=lambda each: (not is_gpu(each), each))
        return f"Insufficient {resource}: {shown(resource, max(left[resource], 0))} free"
    limit = _allocatable(node).get(_PODS)
    return "Too many pods" if limit is not None and there.taken[name][_PODS] >= limit else ""


def _taint(demand: Demand, node: Manifest) -> str:
    """Return the first taint that keeps the Pod out."""
    for taint in (node.get("spec") or {}).get("taints") or ():
        alone = {"metadata": node["metadata"], "spec": {"taints": [taint]}}
        if taint.get("effect") in _KEEPS_OUT and "taint" in refusal(
            {"tolerations": demand.predictor.get("tolerations")}, alone, ()
        ):
            value = taint.get("value")
            return f"{taint.get('key')}{f'={value}' if value else ''}:{taint['effect']}"
    return ""


def on_nodes(terms: list[Manifest], nodes: Iterable[Manifest]) -> list[str]:
    """Return the nodes that the terms of a volume's affinity take."""
    affinity = {"affinity": {"nodeAffinity": {_REQUIRED: {"nodeSelectorTerms": terms}}}}
    alone = ({"metadata": node["metadata"]} for node in nodes)
    return [node["metadata"]["name"] for node in alone if not refusal(affinity, node, ())]


def _left(demand: Demand, there: Room, name: str) -> Amounts:
    """Return what is free of what is asked for."""
    has, taken = _allocatable(there.nodes[name]), there.taken[name]
    return Counter({each: has[each] - taken[each] for each in demand.requests})


def _free(demand: Demand, there: Room, name: str) -> str:
    """Write how many GPUs of the kind that is asked for are free."""
    has, taken = _allocatable(there.nodes[name]), there.taken[name]
    devices = [each for each in sorted(demand.requests) if is_gpu(each)]
    free = {each: shown(each, max(has[each] - taken[each], 0)) if there.counted else "?" for each in devices}
    return ", ".join(f"{count} of {shown(each, has[each])}" for each, count in free.items())


def _allocatable(node: Manifest) -> Amounts:
    return amounts((node.get("status") or {}).get("allocatable"))
