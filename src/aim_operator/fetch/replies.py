"""The beginning of an answer, and the lines between its chunks, within a time limit.

A socket's timeout is for each recv(2): a server that sends one byte a second never meets it. The bytes of a
body are counted by whoever reads them; lines are read here, all of a header's within one limit.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import Any


class _Lines(io.BufferedReader):
    """What is received: bytes without a step of Python's in between, lines with a look at the clock."""

    deadline = 0.0

    def readline(self, size: int | None = -1, /) -> bytes:
        """One recv(2) at a time. TimeoutError once the deadline has passed."""
        line = bytearray()
        while True:
            if time.monotonic() > self.deadline:
                raise TimeoutError("lines came too slowly")
            held = self.peek(1)
            count = held.find(b"\n") + 1 or len(held)
            if size is not None and size >= 0:
                count = min(count, size - len(line))
            if not count:
                return bytes(line)
            line += self.read(count)
            if line.endswith(b"\n"):
                return bytes(line)


class Reply(http.client.HTTPResponse):
    """http.client's, for a connection's `response_class`. The limit is the socket's timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._limit_seconds = sock.gettimeout() or 0.0
        # In place of the reader that the base class has just made of the same socket.
        self.fp.close()
        self._lines = _Lines(sock.makefile("rb", buffering=0))
        self.fp = self._lines
        self._start()

    def read1(self, n: int = -1) -> bytes:
        """As the base class, where the lines around a chunk have a limit of their own."""
        self._start()
        return super().read1(n)

    def _start(self) -> None:
        self._lines.deadline = time.monotonic() + self._limit_seconds
