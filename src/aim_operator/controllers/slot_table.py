"""Who waits for a slot, who was granted one, and how many each namespace holds: discoveries and downloads.

Owns the counting and the turns; which Jobs count, and for how long, is with its two users (slots.py and
download_slots.py). Who is next, core/template/slots.py decides. Single-threaded, like the event loop.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from aim_operator.api.meta import ObjectRef
from aim_operator.core.template.slots import WaitingTemplate, gets_slot, next_templates
from aim_operator.errors import ApiError
from aim_operator.runtime.clock import Clock

REFUSED_SECONDS = 15.0
"""Before a slot is given again for a Job that the API server refused: a quota, Pod Security, a webhook."""


UNANSWERED_SECONDS = 15.0
"""For which a slot is kept for a Job of which nobody knows whether it was created: no answer came."""


class _Grant(NamedTuple):
    job_name: str
    unanswered_until: float | None = None
    """Set where creating the Job had no answer: until then it may still come into view."""


class _Refused(NamedTuple):
    job_name: str
    error: ApiError
    until: float


class SlotTable:
    """`wake` is called with who may get a slot now, `moved` with each who is one place nearer to it."""

    def __init__(
        self,
        *,
        limit: int,
        clock: Clock,
        wake: Callable[[WaitingTemplate], None],
        moved: Callable[[WaitingTemplate], None] | None = None,
    ) -> None:
        self._limit, self._clock, self._wake, self._moved = limit, clock, wake, moved
        self._waiting: dict[str, list[WaitingTemplate]] = {}
        self._places: dict[ObjectRef, WaitingTemplate] = {}
        self._granted: dict[ObjectRef, _Grant] = {}
        """Of the Job that each may create."""
        self._refused: dict[ObjectRef, _Refused] = {}
        self._held: Counter[str] = Counter()
        """Slots in use by namespace: granted, and held by Jobs."""

    def request(self, ref: ObjectRef, own: WaitingTemplate, job_name: str) -> bool:
        """Ask for a slot for this Job; asking again while waiting keeps the place. Returns if it is granted.

        Raises the ApiError that refused this very Job less than REFUSED_SECONDS ago. Two that are refused
        would hand the slot to each other for ever, each by the change of its own status.
        """
        refused = self._refused.get(ref)
        if refused is not None and refused.job_name == job_name and self._clock.monotonic() < refused.until:
            refused.error.known_for_seconds = refused.until - self._clock.monotonic()
            raise refused.error.with_traceback(None)
        if (grant := self._granted.get(ref)) is not None:
            # For whichever Job comes of it: its inputs may have changed before one could be created.
            self._granted[ref] = grant._replace(job_name=job_name)
            return True
        self.wait(ref, own)
        if not gets_slot(own, self._waiting, self._held, self._limit):
            return False
        self.leave(ref)
        self._held[ref.namespace] += 1
        self._granted[ref] = _Grant(job_name)
        return True

    def ahead(self, ref: ObjectRef) -> int:
        """Return how many of its namespace wait before one that waits."""
        return bisect_left(self._waiting[ref.namespace], self._places[ref])

    def ungrant(self, ref: ObjectRef, error: ApiError | None = None) -> None:
        """Give up a grant, if there is one: no Job came of it this time, because of `error` if given.

        Where there was no answer, the Job may be there: then it is given up after UNANSWERED_SECONDS.
        """
        grant = self._granted.get(ref)
        if grant is None:
            return
        now = self._clock.monotonic()
        if error is not None and error.is_unanswered and grant.unanswered_until is None:
            grant = self._granted[ref] = grant._replace(unanswered_until=now + UNANSWERED_SECONDS)
        if self._is_unanswered(ref, grant):
            return
        if error is not None:
            self._refused[ref] = _Refused(grant.job_name, error, now + REFUSED_SECONDS)
        self._ungrant(ref)
        self.wake_next()

    def withdraw(self, ref: ObjectRef) -> None:
        """Give up a grant or a place in the queue: no Job is needed (now)."""
        self._refused.pop(ref, None)
        waited, grant = self.leave(ref), self._granted.get(ref)
        held = grant is not None and not self._is_unanswered(ref, grant) and self._ungrant(ref)
        if waited or held:
            self.wake_next()

    def wait(self, ref: ObjectRef, own: WaitingTemplate) -> None:
        """Take a place in the queue, or another one if what it follows from has changed."""
        if self._places.get(ref) == own:
            return
        self.leave(ref)
        self._places[ref] = own
        insort(self._waiting.setdefault(ref.namespace, []), own)

    def leave(self, ref: ObjectRef) -> bool:
        """Leave the queue. Returns whether it was in it."""
        own = self._places.pop(ref, None)
        if own is None:
            return False
        beside = self._waiting[ref.namespace]
        place = bisect_left(beside, own)
        del beside[place]
        if self._moved is not None:
            for behind in beside[place:]:
                self._moved(behind)
        if not beside:
            del self._waiting[ref.namespace]
        return True

    def wake_next(self) -> None:
        """Wake those who get the free slots."""
        free = max(0, self._limit - self._held.total())
        for each in next_templates(self._waiting, self._held, free):
            self._wake(each)

    def arrived(self, ref: ObjectRef, job_name: str) -> None:
        """The Job of a grant is there: it holds the slot from now on, by `hold`."""
        grant = self._granted.get(ref)
        if grant is not None and grant.job_name == job_name:
            self._ungrant(ref)

    def hold(self, ref: ObjectRef) -> None:
        """Count the slot that the Jobs of one hold together; `release` gives it back."""
        self._held[ref.namespace] += 1

    def release(self, ref: ObjectRef) -> None:
        """Give back the slot of `hold`."""
        self._free_one(ref)
        self.wake_next()

    def samples(self) -> list[tuple[tuple[str, ...], float]]:
        """Return how many run and wait: for a gauge labelled `state`."""
        return [(("running",), float(self._held.total())), (("waiting",), float(len(self._places)))]

    def _is_unanswered(self, ref: ObjectRef, grant: _Grant) -> bool:
        """Whether the Job may still come into view. Whoever asks no more gives the slot back by the clock."""
        if grant.unanswered_until is None:
            return False
        left = grant.unanswered_until - self._clock.monotonic()
        if left > 0:
            self._clock.call_later(left, partial(self._lapse, ref, grant))
        return left > 0

    def _lapse(self, ref: ObjectRef, grant: _Grant) -> None:
        if self._granted.get(ref) is grant and self._ungrant(ref):
            self.wake_next()

    def _ungrant(self, ref: ObjectRef) -> bool:
        if self._granted.pop(ref, None) is None:
            return False
        self._free_one(ref)
        return True

    def _free_one(self, ref: ObjectRef) -> None:
        self._held[ref.namespace] -= 1
        if not self._held[ref.namespace]:
            del self._held[ref.namespace]
