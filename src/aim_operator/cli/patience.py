"""Says that a server is slow to answer, once, to somebody who waits for it. Called by connect.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aim_operator.kube.transport import SilentObserver

FIRST_WORD_SECONDS = 1.0


class Patience(SilentObserver):
    """Observes the client: any answer, whatever it says, ends the wait."""

    def __init__(self, server: str, say: Callable[[str], None]) -> None:
        self._server, self._say = server, say
        self._answered = False

    def called(self, verb: str, resource: str, code: int, seconds: float) -> None:
        del verb, resource, seconds
        self._answered = self._answered or code != 0

    @asynccontextmanager
    async def watching(self, seconds: float = FIRST_WORD_SECONDS) -> AsyncIterator[None]:
        """Say so if nothing was answered after so many seconds of what is done inside."""
        reminder = asyncio.create_task(self._remind(seconds), name="say that the server is slow")
        try:
            yield
        finally:
            reminder.cancel()
            await asyncio.wait((reminder,))

    async def _remind(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if not self._answered:
            self._say(f"waiting for {self._server} …")
