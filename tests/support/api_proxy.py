"""A proxy between one client and the API server whose connections a test stalls, slows and cuts.

It speaks TLS on both sides with the API server's own certificate, and so sees which connections are watches.
It runs on a thread of its own: clients are other processes, and tests wait for them.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

CHUNK_BYTES = 64 * 1024
PIECE_BYTES = 512
"""What a slow connection passes on at a time."""
BACKLOG = 256
T = TypeVar("T")


class _Connection:
    """One connection of the client and the one to the server that belongs to it."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.flows = asyncio.Event()
        self.flows.set()
        self.is_watch = False

    def asked(self, data: bytes) -> None:
        """Look at what the client sends: each request begins with its own line."""
        if data.startswith((b"GET ", b"POST ", b"PATCH ", b"PUT ", b"DELETE ")):
            self.is_watch = b"watch=true" in data.partition(b"\r\n")[0]

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class ApiProxy:
    """Use as a context manager. Everything passes until a method says otherwise."""

    def __init__(self, upstream_port: int, certificates: Path) -> None:
        self._upstream_port = upstream_port
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificates / "tls.crt", certificates / "tls.key")
        self._upstream_tls = ssl.create_default_context(cafile=str(certificates / "ca.crt"))
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes_per_second = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api-proxy", daemon=True)
        self._server: asyncio.Server
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def stall_watches(self) -> int:
        """Let nothing through any more on the watches there are now; how many they are. New ones work."""
        return self._call(self._stall_watches())

    def resume(self) -> None:
        """Pass on what was held back, and everything at full speed again."""
        self._call(self._resume())

    def cut(self) -> None:
        """Break every connection there is; new ones work."""
        self._call(self._cut())

    def slow(self, bytes_per_second: int) -> None:
        """Pass on answers no faster than that, each connection by itself."""
        self._call(self._slow(bytes_per_second))

    # On the loop

    def _call(self, made: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(made, self._loop).result(30)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(
            self._accepted, "127.0.0.1", 0, ssl=self._tls, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        await self._cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _stall_watches(self) -> int:
        watches = [connection for connection in self._connections if connection.is_watch]
        for connection in watches:
            connection.flows.clear()
        return len(watches)

    async def _resume(self) -> None:
        self._bytes_per_second = 0
        for connection in self._connections:
            connection.flows.set()

    async def _slow(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", self._upstream_port, ssl=self._upstream_tls
            )
        except OSError:
            writer.transport.abort()
            return
        connection = _Connection(writer, server_writer)
        self._connections.add(connection)
        up = self._loop.create_task(self._send(reader, server_writer, connection))
        down = self._loop.create_task(self._answer(server_reader, writer, connection))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            connection.cut()
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                connection.asked(data)
                writer.write(data)
                await writer.drain()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await connection.flows.wait()
                await self._pass_on(data, writer)

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        while self._bytes_per_second and data:
            writer.write(data[:PIECE_BYTES])
            data = data[PIECE_BYTES:]
            await asyncio.sleep(PIECE_BYTES / self._bytes_per_second)
        writer.write(data)
        await writer.drain()
