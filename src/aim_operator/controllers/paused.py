"""The pause switch: an annotation that makes the operator leave an object alone."""

from __future__ import annotations

from aim_operator.api.meta import KubeObject
from aim_operator.core import labels


def paused(obj: KubeObject) -> bool:
    """Whether the object asks not to be reconciled (`aim.silogen.ai/reconciliation-paused: "true"`)."""
    return (obj.metadata.annotation(labels.PAUSED) or "false").lower() not in ("false", "")
