"""What the scheduler makes of a required node affinity, as far as the operator writes any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def admits(affinity: Any, labels: Mapping[str, str]) -> bool:
    """Whether the scheduler takes a node with these labels: any term, all of its expressions."""
    if affinity is None:
        return True
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return any(
        all(_holds(expression, labels) for expression in term["matchExpressions"])
        for term in required["nodeSelectorTerms"]
    )


def _holds(expression: Any, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    match expression["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
    raise AssertionError(expression)
