"""Agenda: what the stand-ins have yet to do, and when; the only thing in the sandbox that runs by itself.

Stand-ins hear of a change and put work on the agenda; the work is done later, in the order of time, one piece
at a time, so that a run repeats. Built by sandbox.py.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Hashable
from contextlib import suppress
from itertools import count

from aim_operator.errors import Conflict, Forbidden, NotFound
from aim_operator.sandbox.clock import Clock

Work = Callable[[], None]


class Agenda:
    """Work by due time. Equal keys are one piece of work: the earlier due time holds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Hashable]] = []
        self._work: dict[Hashable, tuple[float, Work]] = {}
        self._order = count()
        self._earlier: asyncio.Future[None] | None = None

    def put(self, key: Hashable, work: Work, *, after_seconds: float = 0.0) -> None:
        due = self._clock.monotonic() + after_seconds
        scheduled = self._work.get(key)
        if scheduled is not None and scheduled[0] <= due:
            return
        self._work[key] = (due, work)
        heapq.heappush(self._heap, (due, next(self._order), key))
        if self._earlier is not None and not self._earlier.done():
            self._earlier.set_result(None)

    def do_due(self) -> int:
        """Does all that is due now, and what comes of it; returns how much that was."""
        done = 0
        while (due := self.next_due()) is not None and due <= self._clock.monotonic():
            _, _, key = heapq.heappop(self._heap)
            _, work = self._work.pop(key)
            # A refusal is an answer: what the work was about has changed, and that brings it back if need be.
            # Any other error is a mistake of the stand-in.
            with suppress(NotFound, Conflict, Forbidden):
                work()
            done += 1
        return done

    def next_due(self) -> float | None:
        """When there is something to do, on the monotonic clock; None if never."""
        while self._heap:
            due, _, key = self._heap[0]
            if key in self._work and self._work[key][0] == due:
                return due
            heapq.heappop(self._heap)
        return None

    async def run(self) -> None:
        """Works for ever; cancel it."""
        while True:
            self.do_due()
            self._earlier = asyncio.get_running_loop().create_future()
            due = self.next_due()
            if due is None:
                await self._earlier
                continue
            timer = asyncio.ensure_future(self._clock.sleep(due - self._clock.monotonic()))
            try:
                await asyncio.wait((self._earlier, timer), return_when=asyncio.FIRST_COMPLETED)
            finally:
                # Not awaited: that would swallow a cancellation of ours that comes at this very moment.
                timer.cancel()
