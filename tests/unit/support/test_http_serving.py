"""What tests serve with ends whole."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket

import pytest
from aiohttp import web

from tests.support.http_serving import Serving


@pytest.mark.parametrize("rounds", range(6))
async def test_a_connection_that_comes_as_the_server_is_closed_is_closed_with_it(rounds: int) -> None:
    """Else the test that happens to run when its socket is collected fails."""
    server = await Serving.start(web.Application())
    client = socket.create_connection(("127.0.0.1", server.port))
    for _ in range(rounds):
        await asyncio.sleep(0)
    await server.close()
    with client, contextlib.suppress(ConnectionResetError):
        client.settimeout(5)
        assert client.recv(1) == b""
    gc.collect()
