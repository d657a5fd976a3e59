"""Statuses whose write had no answer, and the events that go with them.

Such a write may have taken effect: then the next reconcile finds the status as it is to be, and nobody would
tell of the transition. Kept until the cache has moved on, by object. Used by runtime.reconcile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.plan import EventNote, Report
from aim_operator.errors import ApiError, Conflict

MOST = 4
"""Attempts at one version of an object. Each has the status of its moment, mostly the same."""


class _Attempt(NamedTuple):
    uid: str
    version: str
    """The resourceVersion that the write was for."""
    status: Any
    events: Sequence[EventNote]


class UnansweredStatuses:
    """For one event loop. Keeps something only for what failed and was not looked at since."""

    def __init__(self) -> None:
        self._attempts: dict[ObjectRef, list[_Attempt]] = {}

    def failed(self, key: ObjectRef, obj: KubeObject, report: Report[Any], error: ApiError) -> None:
        """Note a status of `obj` that could not be written, if it may have been all the same.

        A conflict says so, too: a request that is sent again meets what the first one has done.
        """
        lost = isinstance(error, Conflict) or error.is_unanswered
        if not lost or not report.events:
            return
        metadata = obj.metadata
        attempt = _Attempt(metadata.uid, metadata.resource_version, report.status, report.events)
        self._attempts[key] = [*self._attempts.get(key, ())[-MOST + 1 :], attempt]

    def found(self, key: ObjectRef, obj: KubeObject) -> Sequence[EventNote]:
        """Return the events of the write that made `obj` as it is now; () where it was none of these."""
        attempts = self._attempts.get(key)
        if attempts is None or attempts[-1].version == obj.metadata.resource_version:
            return ()
        del self._attempts[key]
        status = getattr(obj, "status", None)
        made = (each for each in attempts if each.uid == obj.metadata.uid and each.status == status)
        return next((each.events for each in made), ())

    def forget(self, key: ObjectRef) -> None:
        """Forget an object that is gone, going or paused."""
        self._attempts.pop(key, None)
