"""What the kinds of this room have in common: a pause switch, and nothing held in memory."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from msgspec import Struct

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.plan import Outcomes, Plan, Report
from aim_operator.core.pause import paused_report


class AimKind:
    """Base of the runtime.reconcile.Kind of each of our kinds."""

    status_type: ClassVar[type[Struct]]

    def paused(self, obj: KubeObject, now: datetime) -> Report[Any] | None:
        return paused_report(obj, self.status_type(), now)

    def settle(self, ref: ObjectRef, plan: Plan[Any], outcomes: Outcomes) -> None:
        """Nothing is reserved or followed."""

    def forget(self, ref: ObjectRef) -> None:
        """Nothing is held in memory."""
