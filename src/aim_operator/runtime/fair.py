"""What namespaces share, so that none of them can have it all: a queue that serves them in turn, and a share.

Cluster objects count as one namespace (""). Used by runtime.workqueue and everything else of which there is
a limited amount: workers, events, log streams, watches of names.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


def may_have_more(held: int, free: int) -> bool:
    """Return whether one who holds `held` may have one more of what `free` are left of.

    As long as it holds fewer than are left: a single one gets half of all, and whoever comes later still
    finds some. (Dynamic thresholds, as in packet switches: Choudhury and Hahne, "Dynamic queue length
    thresholds for shared-memory packet switches", 1998.)
    """
    return held < free


class FairQueue(Generic[T]):
    """First come, first served within a namespace; between namespaces one item each, in turn."""

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[T]] = OrderedDict()
        """Those that have items, the next one first."""
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def length_of(self, namespace: str) -> int:
        """Return how many items of that namespace wait."""
        queue = self._queues.get(namespace)
        return len(queue) if queue is not None else 0

    def heads(self) -> list[T]:
        """Return the first item of each namespace that has some."""
        return [queue[0] for queue in self._queues.values()]

    def push(self, namespace: str, item: T) -> None:
        queue = self._queues.get(namespace)
        if queue is None:
            queue = self._queues[namespace] = deque()
        queue.append(item)
        self._length += 1

    def pop(self, may: Callable[[str], bool] | None = None) -> T | None:
        """Return the first item of the namespace whose turn it is and that `may`; None if none has one.

        A namespace that may not keeps its turn. Costs what there are such.
        """
        for namespace, queue in self._queues.items():
            if may is None or may(namespace):
                return self._taken(namespace, queue)
        return None

    def _taken(self, namespace: str, queue: deque[T]) -> T:
        item = queue.popleft()
        self._length -= 1
        if queue:
            self._queues.move_to_end(namespace)
        else:
            del self._queues[namespace]
        return item

    def discard(self, namespace: str, item: T) -> None:
        """Take an item out, if it waits. Costs what its namespace has waiting."""
        queue = self._queues.get(namespace)
        if queue is None or item not in queue:
            return
        queue.remove(item)
        self._length -= 1
        if not queue:
            del self._queues[namespace]


class FairLimit:
    """At most `limit` at once; who waits is let in by namespace, in turn. For one event loop."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()

    @property
    def contended(self) -> bool:
        """Whether somebody waits."""
        return bool(len(self._waiting))

    @asynccontextmanager
    async def turn(self, namespace: str) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the end of the block."""
        # Who leaves lets in who waits: where some are free, nobody does.
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.push(namespace, turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._waiting.discard(namespace, turn)
                if turn.done() and not turn.cancelled():
                    self._release()
                raise
        try:
            yield
        finally:
            self._release()

    def _release(self) -> None:
        while (turn := self._waiting.pop()) is not None:
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
