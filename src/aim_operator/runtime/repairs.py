"""How often objects of ours had to be written again, and how long the next time must wait.

Another program may undo each write at once: change the object, delete it, or change the labels that our watch
selects. Writing it again at once would be a race without end. Kept by name, because an object that is deleted
and made again has another uid. Used by runtime.apply.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from msgspec import Struct

from aim_operator.api.meta import ObjectRef
from aim_operator.backoff import exponential
from aim_operator.runtime.clock import Clock, Timer

FREE_REPAIRS = 3
FIRST_HOLD_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 300.0
CALM_SECONDS = 600.0
"""After this long without a repair an object counts as calm again."""
FRESH_SECONDS = 60.0
"""For this long it is remembered that an object was written once: it was deleted if it goes meanwhile."""


class Undone(Enum):
    """What somebody does to an object as soon as it is written; the value is what a person reads."""

    CHANGED = "something changes it back as soon as it is written"
    DELETED = "something deletes it as soon as it is created"
    HIDDEN = "something changes the labels by which the operator finds it"


class Hold(NamedTuple):
    seconds: float
    undone: Undone


class _Written(Struct):
    """The last write of an object, and how many repairs in a row it was."""

    digest: str
    at: float
    repairs: int
    undone: Undone


class Repairs:
    """`held` is asked before a write, `written` called after it. At rest it keeps nothing and no timer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: dict[ObjectRef, _Written] = {}
        self._timer: Timer | None = None

    def held(self, name: ObjectRef, digest: str) -> Hold | None:
        """Return how long a write of the manifest with this digest must wait, None if it need not."""
        last = self._of(name, digest)
        if last is None or last.repairs < FREE_REPAIRS:
            return None
        wait = exponential(FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS, last.repairs - FREE_REPAIRS)
        left = last.at + wait - self._clock.monotonic()
        return Hold(left, last.undone) if left > 0 else None

    def written(self, name: ObjectRef, digest: str, undone: Undone | None) -> None:
        """Note a write. `undone` is why the same was written again; None for a new wish."""
        last = self._of(name, digest)
        now = self._clock.monotonic()
        if undone is None:
            self._written[name] = _Written(digest, now, 0, Undone.CHANGED)
        elif last is None:
            self._written[name] = _Written(digest, now, 1, undone)
        else:
            last.at, last.repairs, last.undone = now, last.repairs + 1, undone
        self._sweep_later()

    def knows(self, name: ObjectRef, digest: str) -> bool:
        """Whether the same was written a moment ago."""
        return self._of(name, digest) is not None

    def forget(self, name: ObjectRef) -> None:
        """Forget an object that we deleted ourselves."""
        self._written.pop(name, None)

    def _of(self, name: ObjectRef, digest: str) -> _Written | None:
        last = self._written.get(name)
        if last is None or last.digest != digest or self._is_calm(last):
            return None
        return last

    def _is_calm(self, last: _Written) -> bool:
        return self._clock.monotonic() - last.at > (CALM_SECONDS if last.repairs else FRESH_SECONDS)

    def _sweep_later(self) -> None:
        if self._timer is None and self._written:
            self._timer = self._clock.call_later(FRESH_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        for name in [name for name, last in self._written.items() if self._is_calm(last)]:
            del self._written[name]
        self._sweep_later()
