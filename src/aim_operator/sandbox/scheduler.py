"""Stand-in for the scheduler: which node a Pod runs on, or in its own words why it runs on none.

It knows taints, node selectors and affinity, cordons, and volumes that belong to a node; not resources, nor
other Pods. Words and order are those of Kubernetes 1.35 (pkg/scheduler/framework/types.go, FitError, and the
filter plugins). Where the sandbox has no node at all, Pods run all the same. Called by placement.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from aim_operator.api.meta import Manifest
from aim_operator.sandbox.kinds import KindId

SELECTED_NODE = "volume.kubernetes.io/selected-node"
STORAGE_CLASS = KindId("storage.k8s.io", "StorageClass")
WAIT = "WaitForFirstConsumer"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_KEEPS_OUT = ("NoSchedule", "NoExecute")


def place(spec: Manifest, nodes: Iterable[Manifest], volume_nodes: Collection[str] = ()) -> tuple[str, str]:
    """Return the name of a node for a Pod, or "" and why there is none.

    `volume_nodes` are the nodes that its volumes are bound to: it must run on all of them.
    """
    reasons: Counter[str] = Counter()
    for node in nodes:
        reason = refusal(spec, node, volume_nodes)
        if not reason:
            return str(node["metadata"]["name"]), ""
        reasons[reason] += 1
    words = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return "", nowhere(reasons.total(), words)


def nowhere(nodes: int, words: str) -> str:
    """What is said of a Pod that none of so many nodes takes."""
    available = f"0/{nodes} nodes are available"
    return (
        f"{available}: {words}. no new claims to deallocate, preemption: {available}: "
        f"{nodes} Preemption is not helpful for scheduling."
    )


def is_bound(claim: Manifest) -> bool:
    return bool((claim.get("status") or {}).get("phase") == "Bound")


def unmountable(claims: Mapping[str, Manifest | None], classes: Mapping[str, Manifest]) -> str:
    """Why claims keep a Pod from every node, as PreFilter of the plugin VolumeBinding has it; "" if none."""
    for name, claim in claims.items():
        if claim is None:
            return f'persistentvolumeclaim "{name}" not found'
        if claim["metadata"].get("deletionTimestamp"):
            return f'persistentvolumeclaim "{name}" is being deleted'
    for claim in filter(None, claims.values()):
        storage_class = classes.get(claim["spec"].get("storageClassName") or "", {})
        if not is_bound(claim) and storage_class.get("volumeBindingMode") != WAIT:
            return "pod has unbound immediate PersistentVolumeClaims"
    return ""


def refusal(spec: Manifest, node: Manifest, volume_nodes: Collection[str]) -> str:
    """Say why a node is none for the Pod, by the first plugin that refuses it; "" if none does."""
    name, node_spec = node["metadata"]["name"], node.get("spec") or {}
    tolerations = spec.get("tolerations") or ()
    if node_spec.get("unschedulable"):
        return "node(s) were unschedulable"
    for taint in node_spec.get("taints") or ():
        if taint.get("effect") in _KEEPS_OUT and not any(_tolerates(each, taint) for each in tolerations):
            return "node(s) had untolerated taint(s)"
    if not _matches(spec, name, node["metadata"].get("labels") or {}):
        return "node(s) didn't match Pod's node affinity/selector"
    if any(bound != name for bound in volume_nodes):
        return "node(s) didn't match PersistentVolume's node affinity"
    return ""


def _tolerates(toleration: Manifest, taint: Manifest) -> bool:
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    if toleration.get("key") not in (None, "", taint.get("key")):
        return False
    exists = toleration.get("operator") == "Exists"
    return exists or (toleration.get("value") or "") == (taint.get("value") or "")


def _matches(spec: Manifest, name: str, labels: Manifest) -> bool:
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    if required is None:
        return True
    return any(_fits(term, name, labels) for term in required["nodeSelectorTerms"])


def _fits(term: Manifest, name: str, labels: Manifest) -> bool:
    """Whether a node fits a term, by all that it asks for; an empty one fits none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    return bool(expressions or fields) and all(
        (
            *(_holds(expression, labels.get(expression["key"])) for expression in expressions),
            *(_holds(field, name) for field in fields),
        )
    )


def _holds(expression: Manifest, value: str | None) -> bool:
    values: list[str] = expression.get("values") or []
    match expression["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Gt":
            return _number(value) is not None and int(value or "") > int(values[0])
        case "Lt":
            return _number(value) is not None and int(value or "") < int(values[0])
    return False


def _number(value: str | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return None
