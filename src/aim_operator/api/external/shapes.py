"""What the views of other people's kinds have in common."""

from __future__ import annotations

import msgspec

from aim_operator.api.meta import Condition, KubeObject, Wire

Conditions = tuple[Condition, ...] | None


class OwnedObject(KubeObject):
    """An object we render: its spec is kept as the bytes the server sent."""

    spec: msgspec.Raw = msgspec.Raw(b"")


class ConditionedStatus(Wire):
    observed_generation: int | None = None
    conditions: Conditions = None
