"""The pause switch: an annotation that makes the operator leave an object alone, and its condition."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import Struct, structs

from aim_operator.api.meta import Condition, KubeObject
from aim_operator.api.plan import Report
from aim_operator.api.v1alpha1 import conditions as c
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import conditions, labels


def is_paused(obj: KubeObject) -> bool:
    """Whether the object asks not to be reconciled (`aim.silogen.ai/reconciliation-paused: "true"`)."""
    return (obj.metadata.annotation(labels.PAUSED) or "false").lower() not in ("false", "")


def paused_report(obj: KubeObject, empty: Struct, now: datetime) -> Report[Any] | None:
    """Return the status of a paused object: as it was, and the condition Paused. None if it is not paused.

    `empty` is the status of an object that has none yet. The other conditions and observedGeneration stay:
    they tell of what was last looked at.
    """
    if not is_paused(obj):
        return None
    status: Any = getattr(obj, "status", None) or empty
    current = status.conditions or ()
    paused = Condition(
        type=c.PAUSED,
        status="True",
        reason=Reason.PAUSED,
        message=f"annotation {labels.PAUSED} is set; remove it and the operator continues",
    )
    before = conditions.find(current, c.PAUSED)
    if before is None or before.observed_generation != obj.metadata.generation:
        stamped = conditions.merge(
            current, [paused], now=conditions.timestamp(now), generation=obj.metadata.generation
        )
        current = (*(condition for condition in current if condition.type != c.PAUSED), *stamped)
    return Report(status=structs.replace(status, conditions=current))
