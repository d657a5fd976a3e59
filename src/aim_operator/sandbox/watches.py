"""Watch: one open stream of changes, with selectors, as the API server's watch cache serves it.

Storage pushes changes; the client pulls them, on the clock's time. Called by client.py; network.py breaks
and stalls it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Literal, NamedTuple

from aim_operator.errors import ApiError
from aim_operator.sandbox.clock import Clock
from aim_operator.sandbox.kinds import ServedKind
from aim_operator.sandbox.selectors import Match
from aim_operator.sandbox.storage import Change, Storage, Stored


class Event(NamedTuple):
    """What a watch sends; a bookmark has no object."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    revision: int
    stored: Stored | None = None
    initial_events_end: bool = False


class Watch:
    """One stream. `match` gets objects as stored."""

    def __init__(self, storage: Storage, kind: ServedKind, match: Match, namespace: str) -> None:
        self.resource = kind.plural
        self._collection = storage.collection(kind.id)
        self._match, self._namespace = match, namespace
        self._events: deque[Event] = deque()
        self._error: ApiError | None = None
        self._ended = self._stalled = False
        self._changed: asyncio.Future[None] | None = None
        self._collection.streams.append(self)

    @property
    def over(self) -> bool:
        """The server has closed the stream, and everything before has been read."""
        return self._ended and not self._events

    @property
    def stalled(self) -> bool:
        return self._stalled

    def begin(self, objects: Iterable[Stored], revision: int, *, bookmark: bool) -> None:
        """Sends the present state first, with a bookmark at its end if asked for."""
        self._events.extend(
            Event("ADDED", stored.revision, stored) for stored in objects if self.sees(stored)
        )
        if bookmark:
            self._events.append(Event("BOOKMARK", revision, initial_events_end=True))

    def push(self, change: Change) -> None:
        """An object that comes to fit the selector is added, one that ceases to is deleted."""
        before = change.old is not None and self.sees(change.old)
        after = change.type != "DELETED" and self.sees(change.new)
        if after:
            self._events.append(Event("MODIFIED" if before else "ADDED", change.revision, change.new))
        elif before and change.old is not None:
            last = change.new if change.type == "DELETED" else change.old.at(change.revision)
            self._events.append(Event("DELETED", change.revision, last))
        else:
            return
        self._wake()

    def sees(self, stored: Stored) -> bool:
        if self._namespace and stored.key.namespace != self._namespace:
            return False
        return self._match(stored.obj)

    def end(self) -> None:
        """The server closes the stream: what was pushed is still read."""
        self._ended = True
        self._wake()

    def fail(self, error: ApiError) -> None:
        """The connection breaks: nothing more is read."""
        self._error = error
        self._wake()

    def stall(self, *, stalled: bool) -> None:
        if stalled != self._stalled:
            self._stalled = stalled
            self._wake()

    def close(self) -> None:
        if self in self._collection.streams:
            self._collection.streams.remove(self)

    def take(self) -> Event | None:
        """The next event, if one is there. Raises what broke the stream."""
        if self._error is not None:
            raise self._error
        if self._stalled or not self._events:
            return None
        return self._events.popleft()

    async def wait(self, clock: Clock, until: float) -> None:
        """Returns when there is something to take, or at `until` on the monotonic clock."""
        self._changed = asyncio.get_running_loop().create_future()
        # A timer, no task: most of what happens in a simulation is that nothing happens on thirty watches.
        timer = clock.call_later(max(0.0, until - clock.monotonic()), self._wake)
        try:
            await self._changed
        finally:
            self._changed = None
            timer.cancel()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
