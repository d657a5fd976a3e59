"""Whether a service fits: nodes, quotas, claims and the memory of GPUs, each on its own. Pure.

Called by command.py with what gather.py has read. What could not be read is unknown, and no problem.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct, field

from aim_operator.api.meta import Manifest
from aim_operator.cli.fit import nodes as on
from aim_operator.cli.fit.demand import Amounts, Demand, amounts, listed, shown
from aim_operator.cli.fit.nodes import Bound, NodeFit, Room
from aim_operator.core import gpu_memory

WAITS = "WaitForFirstConsumer"


class Verdict(StrEnum):
    FITS = "fits"
    NO = "does not fit"
    UNKNOWN = "not known"


class Finding(Struct, frozen=True, kw_only=True, rename="camel"):
    check: str
    verdict: Verdict
    message: str
    remedy: str = ""


class Fit(Struct, frozen=True, kw_only=True, rename="camel"):
    """One service. `nodes` are those it goes to; `running` on how many it is already."""

    namespace: str
    name: str
    verdict: Verdict
    needs: str
    replicas: int
    running: int = 0
    goes_to: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    nodes: tuple[NodeFit, ...] = ()


class Surroundings(Struct, frozen=True, kw_only=True):
    """What a namespace has around a Pod; each is None where it may not be read, which `unseen` tells."""

    room: Room | None = None
    quotas: tuple[Manifest, ...] | None = None
    claims: Mapping[str, Manifest] | None = None
    volumes: Mapping[str, Manifest] = {}
    """PersistentVolumes by name, as far as they may be read."""
    classes: Mapping[str, Manifest] = {}
    unseen: Mapping[str, str] = {}
    promised: Amounts = field(default_factory=Counter)
    """What services that were judged before take of the quotas, as KEY of QUOTA; `fit` adds to it."""


def unknown(namespace: str, name: str, message: str) -> Fit:
    """Return a service of whose Pods nothing is known yet."""
    finding = Finding(check="service", verdict=Verdict.UNKNOWN, message=message)
    return Fit(
        namespace=namespace, name=name, verdict=Verdict.UNKNOWN, needs="", replicas=0, findings=(finding,)
    )


def fit(demand: Demand, around: Surroundings) -> Fit:
    """Return whether all Pods of a service have a place; those that have one keep it."""
    running = around.room.own.get((demand.namespace, demand.name), ()) if around.room is not None else ()
    missing = max(demand.replicas - len(running), 0)
    bound_to, claims = _claims(demand, around)
    nodes: tuple[NodeFit, ...] = ()
    chosen: list[str] = []
    if around.room is None:
        where = Finding(
            check="nodes", verdict=Verdict.UNKNOWN, message=around.unseen.get("nodes", "no nodes are seen")
        )
    else:
        nodes = on.judge(demand, around.room, bound_to)
        together = _of_one_node(demand, around)
        chosen = on.place(demand, around.room, missing, bound_to, together)
        if together and chosen:
            bound_to = {chosen[0]: together}
        # What is in the way of the rest is known once the others have their place.
        left = on.judge(demand, around.room, bound_to) if 0 < len(chosen) < missing else nodes
        where = _where(demand, around, left, missing, chosen)
    findings = (where, *claims, *_quotas(demand, around, missing), _memory(demand))
    verdicts = {each.verdict for each in findings if each.check != "memory"}
    if any(each.verdict is Verdict.NO for each in findings):
        verdict = Verdict.NO
    else:
        verdict = Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts else Verdict.FITS
    return Fit(
        namespace=demand.namespace,
        name=demand.name,
        verdict=verdict,
        needs=listed(demand.requests),
        replicas=demand.replicas,
        running=len(running),
        goes_to=tuple(chosen),
        findings=findings,
        nodes=nodes,
    )


def _where(
    demand: Demand, around: Surroundings, nodes: Sequence[NodeFit], missing: int, chosen: Sequence[str]
) -> Finding:
    if not missing:
        return Finding(check="nodes", verdict=Verdict.FITS, message="all of its Pods have a node")
    if len(chosen) == missing:
        pods = "its Pod" if missing == 1 else f"its {missing} Pods"
        places = ", ".join(dict.fromkeys(chosen))
        if around.room is not None and not around.room.counted:
            return Finding(
                check="nodes",
                verdict=Verdict.UNKNOWN,
                message=f"{places} would do, if enough is free there: {around.unseen.get('pods', '')}",
            )
        return Finding(check="nodes", verdict=Verdict.FITS, message=f"room for {pods}: {places}")
    reasons = Counter(node.why.partition(":")[0] for node in nodes if node.why)
    words = ", ".join(f"{count} {why}" for why, count in reasons.most_common()) or "there is no node"
    some = f"room for {len(chosen)} of {missing} Pods" if chosen else "no node has room for its Pod"
    return Finding(
        check="nodes",
        verdict=Verdict.NO,
        message=f"{some}: {words}",
        remedy=_remedy(demand, [node.why for node in nodes]),
    )


def _remedy(demand: Demand, reasons: Iterable[str]) -> str:
    """Return what opens the node that is nearest: room first, then taints, then selectors."""
    said = list(reasons)
    if any(each.startswith("Insufficient") for each in said):
        return "free what it lacks, add a node, or ask for less: fewer GPUs in a template, or fewer replicas"
    if any("taint" in each for each in said):
        return "tolerate the taint with scheduling.tolerations"
    if any("claim" in each for each in said):
        return "delete the AIMModelCache to have it downloaded again where the model is served"
    if any("affinity/selector" in each for each in said):
        of = f" (it needs {demand.gpu_model})" if demand.gpu_model else ""
        return f"compare kubectl get nodes --show-labels with its scheduling and GPU model{of}"
    return "add a node, or uncordon one"


def _quotas(demand: Demand, around: Surroundings, missing: int) -> Iterator[Finding]:
    if around.quotas is None:
        words = around.unseen.get("quotas", "")
        yield Finding(check="quota", verdict=Verdict.UNKNOWN, message=words)
        return
    for quota in around.quotas:
        name = quota["metadata"]["name"]
        spec, status = quota.get("spec") or {}, quota.get("status") or {}
        if spec.get("scopes") or spec.get("scopeSelector"):
            words = f"ResourceQuota {name!r} is about some Pods only; whether about these is not looked at"
            yield Finding(check="quota", verdict=Verdict.UNKNOWN, message=words)
            continue
        hard, used = amounts(spec.get("hard")), amounts(status.get("used"))
        for key, limit in sorted(hard.items()):
            asked, entry = _of_quota(key, demand) * missing, f"{key} of {name}"
            taken = used[key] + around.promised[entry]
            if asked and taken + asked > limit:
                yield Finding(
                    check="quota",
                    verdict=Verdict.NO,
                    message=f"ResourceQuota {name!r}: {key} {shown(key, taken)} of "
                    f"{shown(key, limit)} is used, and {shown(key, asked)} more is asked for",
                    remedy="free some of the quota, raise it, or ask for less",
                )
            else:
                around.promised[entry] += asked


def _of_quota(key: str, demand: Demand) -> int:
    """Return what one Pod takes of a quota's entry."""
    if key in ("pods", "count/pods"):
        return 1000
    if key.startswith("limits."):
        return demand.limits[key.removeprefix("limits.")]
    if key.startswith("requests."):
        return demand.requests[key.removeprefix("requests.")]
    return demand.requests[key] if key in ("cpu", "memory") else 0


def _claims(demand: Demand, around: Surroundings) -> tuple[Bound, list[Finding]]:
    """Return the nodes that volumes bind the Pods to, and what is wrong with its claims."""
    if not demand.claims:
        return None, []
    if around.claims is None:
        words = around.unseen.get("claims", "")
        return None, [Finding(check="claims", verdict=Verdict.UNKNOWN, message=words)]
    bound: dict[str, str] | None = None
    findings = [found for name in demand.claims if (found := _claim(name, demand, around)) is not None]
    for name in demand.claims:
        places = _places(name, demand, around)
        if places is not None:
            bound = {node: name for node in places if bound is None or node in bound}
    return bound, findings


def _claim(name: str, demand: Demand, around: Surroundings) -> Finding | None:
    claim = (around.claims or {}).get(name)
    problem, remedy = "", ""
    if claim is None:
        problem, remedy = "is not there", "create it, or have the model downloaded again"
    elif claim["metadata"].get("deletionTimestamp"):
        problem, remedy = "is being deleted", "wait until it is gone and the model downloaded again"
    elif (claim.get("status") or {}).get("phase") == "Lost":
        problem, remedy = "has lost its volume", "delete it, to have the model downloaded again"
    elif _only(claim) == "ReadWriteOncePod" and demand.replicas > 1:
        problem = f"is ReadWriteOncePod, and {demand.replicas} Pods are wanted"
        remedy = "set storage.accessModes to ReadWriteMany, or spec.replicas to 1"
    elif (claim.get("status") or {}).get("phase") != "Bound":
        storage_class = around.classes.get((claim.get("spec") or {}).get("storageClassName") or "") or {}
        if storage_class.get("volumeBindingMode") != WAITS:
            problem, remedy = "is not bound", f"see its events: kubectl describe pvc {name}"
    if not problem:
        return None
    return Finding(check="claims", verdict=Verdict.NO, message=f"claim {name!r} {problem}", remedy=remedy)


def _places(name: str, demand: Demand, around: Surroundings) -> list[str] | None:
    """Return the nodes that a claim can be mounted on; None for any."""
    claim = (around.claims or {}).get(name)
    if claim is None or around.room is None:
        return None
    volume = around.volumes.get((claim.get("spec") or {}).get("volumeName") or "") or {}
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    nodes: list[str] | None = None
    if required is not None:
        nodes = on.on_nodes(required["nodeSelectorTerms"], around.room.nodes.values())
    mounted = around.room.mounted.get((demand.namespace, name))
    if mounted and _only(claim) == "ReadWriteOnce":
        # A disk of a cloud is bound to a zone, of which one node has it.
        return [node for node in sorted(mounted) if nodes is None or node in nodes]
    return nodes


def _of_one_node(demand: Demand, around: Surroundings) -> str:
    """Return a claim that one node at a time mounts; "" where there is none."""
    claims = around.claims or {}
    return next((name for name in demand.claims if _only(claims.get(name) or {}) == "ReadWriteOnce"), "")


def _only(claim: Manifest) -> str:
    """Return the access mode of a claim that has one alone."""
    modes: list[str] = (claim.get("spec") or {}).get("accessModes") or []
    return modes[0] if len(modes) == 1 else ""


def _memory(demand: Demand) -> Finding:
    found = gpu_memory.judge(
        demand.gpu_model, demand.gpu_count, demand.size_bytes, partition=demand.partition
    )
    verdict = {True: Verdict.FITS, False: Verdict.NO, None: Verdict.UNKNOWN}[found.fits]
    return Finding(
        check="memory",
        verdict=verdict,
        message=found.message,
        remedy="use a template with more GPUs, larger ones, or a lower precision"
        if found.fits is False
        else "",
    )
