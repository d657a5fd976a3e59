"""An event loop without sockets, for programs that wait by a virtual clock and for nothing else.

asyncio's own asks the kernel for news after each round: with most of what happens in memory that is a
third of the time. This one asks nobody. Used by simulations that play thousands of stories.
"""

from __future__ import annotations

import asyncio
import selectors
from asyncio.events import Handle
from collections.abc import Callable
from contextvars import Context
from typing import Any

MANY_STEPS = 1_000_000
"""After as many callbacks without rest, something spins: stories take some hundreds. A minute of CPU."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in their order. What waits for a socket or for asyncio's timers waits for ever.

    Both are errors here, raised as soon as nothing else can happen.
    """

    def __init__(self) -> None:
        super().__init__(_NoSelector())
        self._idle: asyncio.Future[None] | None = None
        self._countdown = 0
        self._then: Callable[[], None] | None = None

    def after_steps(self, steps: int, callback: Callable[[], None] | None) -> None:
        """Call back once so many callbacks have run from now: between any two awaits. 0 for never."""
        self._countdown, self._then = steps, callback

    async def idle(self) -> None:
        """Wait until nobody else can go on. Raises AssertionError where that never comes."""
        self._idle = self.create_future()
        await self._idle

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Handle:
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        steps = 0
        while ready:
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 - as the loop of asyncio does
                handle._run()  # noqa: SLF001
            if self._stopping:  # type: ignore[attr-defined]
                return
            if self._countdown:
                self._countdown -= 1
                if not self._countdown and self._then is not None:
                    self._then()
            steps += 1
            if steps > MANY_STEPS:
                self._tell(AssertionError("the program does not come to rest: something spins"))
                return
        self._tell(None)

    def _tell(self, error: AssertionError | None) -> None:
        waiting, self._idle = self._idle, None
        if waiting is None or waiting.done():
            raise error or AssertionError("everybody waits, and nobody for this loop")
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)


class _NoSelector(selectors.SelectSelector):
    """Has what the loop registers for itself, and never looks at it."""

    def select(self, timeout: float | None = None) -> list[Any]:
        del timeout
        return []
