"""Whether it is true what a status says of what it waits for: that is not ready, or it is said missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aim_operator.api.v1alpha1 import BlockedBy
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import labels

_CRD = "CustomResourceDefinition"
MISSING = {
    Reason.IMAGE_NOT_FOUND: ("AIMImage", "AIMClusterImage"),
    Reason.TEMPLATE_NOT_FOUND: ("AIMServiceTemplate", "AIMClusterServiceTemplate"),
    Reason.RUNTIME_CONFIG_MISSING: ("AIMRuntimeConfig",),
    Reason.CLAIM_NOT_FOUND: ("PersistentVolumeClaim",),
    Reason.KSERVE_NOT_INSTALLED: (_CRD,),
    Reason.GATEWAY_API_NOT_INSTALLED: (_CRD,),
    Reason.KEDA_NOT_INSTALLED: (_CRD,),
}
"""By reason what it says is missing: where it names another kind, that one has the reason itself."""
IN_THE_WAY = frozenset(
    {
        Reason.NAME_CONFLICT,
        Reason.ROUTE_CONFLICT,
        Reason.TEMPLATE_IMAGE_MISMATCH,
        Reason.NO_MODEL_SOURCES,
        Reason.WAITING_FOR_DELETION,
        Reason.CHANGED_BY_OTHERS,
        Reason.KSERVE_TOO_OLD,
        Reason.AUTOSCALING_FAILED,
    }
)
"""What such an object says of itself has nothing to do with it."""
Find = Callable[[str, str, str], dict[str, Any] | None]
"""An object by kind, namespace and name, as the API server has it."""


def untrue(blocked: BlockedBy, namespace: str, find: Find) -> str:
    """Return what is wrong with a `status.blockedBy` of an object in `namespace`; "" where it is true."""
    where = blocked.namespace if blocked.namespace is not None else namespace
    named = f"{blocked.kind} {where}/{blocked.name} ({blocked.reason})"
    if blocked.namespace == namespace:
        return f"{named} has the namespace of its own object"
    live = find(blocked.kind, where, blocked.name) or find(blocked.kind, "", blocked.name)
    if blocked.reason in IN_THE_WAY:
        return "" if live is not None else f"{named} is in the way, and is not there"
    if blocked.kind in MISSING.get(blocked.reason, ()):
        return "" if live is None else f"{named} is said missing, and is there"
    if live is None:
        return f"{named} is not there, and not said missing"
    return f"{named} is ready{_conditions(live)}" if _is_ready(live) else ""


def _conditions(live: dict[str, Any]) -> str:
    conditions = (live.get("status") or {}).get("conditions") or ()
    words = ", ".join(f"{each['type']} is {each['status']}/{each.get('reason', '')}" for each in conditions)
    return words and f" ({words})"


def _is_ready(live: dict[str, Any]) -> bool:
    """Whether nobody need wait for an object any more."""
    metadata, status = live["metadata"], live.get("status") or {}
    if "deletionTimestamp" in metadata or labels.PAUSED in (metadata.get("annotations") or {}):
        return False
    if status.get("observedGeneration", metadata.get("generation")) != metadata.get("generation"):
        return False
    told = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    if live["kind"] == "Job":
        return "True" in (told.get("Complete"), told.get("Failed"))
    if live["kind"] == "PersistentVolumeClaim":
        return bool(status.get("phase") == "Bound")
    if live["kind"] == "HTTPRoute":
        parents = status.get("parents") or ()
        judged = [each for parent in parents for each in parent.get("conditions") or ()]
        return bool(judged) and all(each["status"] == "True" for each in judged)
    return told.get("Ready") == "True"
