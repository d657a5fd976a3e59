"""HTTP servers of tests that end whole: no connection of theirs outlives them.

asyncio starts a connection that it has accepted one round of the loop later, and forgets its socket where the
server was closed in between; whichever test runs when the socket is collected fails for it. So a server here
first stops accepting, then lets what was accepted begin, and only then is closed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl

from aiohttp import web

# Connections that break are what these servers are for.
_QUIET = logging.getLogger("tests.serving")
_QUIET.disabled = True

_ROUNDS = 3
"""Of the loop, until an accepted connection has its protocol, or a closed one has let go of its socket."""


class Serving:
    """A server on one port of an address, on the running loop."""

    def __init__(self, runner: web.BaseRunner, listening: socket.socket) -> None:
        self._runner = runner
        self._listening = listening
        self.port: int = listening.getsockname()[1]

    @classmethod
    async def start(
        cls,
        served: web.Application | web.Server,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> Serving:
        """Serve on `port`, 0 for any. Handlers whose client has gone are cancelled."""
        runner: web.BaseRunner
        if isinstance(served, web.Application):
            runner = web.AppRunner(
                served, access_log=None, logger=_QUIET, handler_cancellation=True, shutdown_timeout=0.1
            )
        else:
            runner = web.ServerRunner(served, shutdown_timeout=0.1)
        await runner.setup()
        listening = socket.create_server((host, port), backlog=128)
        await web.SockSite(runner, listening, ssl_context=tls).start()
        return cls(runner, listening)

    async def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._listening)
        await _rounds()
        await self._runner.cleanup()
        await _rounds()


async def _rounds() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)
