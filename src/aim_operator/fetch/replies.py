"""The beginning of an answer, and the lines between its chunks, within a time limit.

A socket's timeout is for each recv(2): a server that sends one byte a second never meets it. The bytes of a
body are counted by whoever reads them; lines are read here, all of a header's within one limit.

Large pieces of a body are gathered here too: TLS hands out 16 KiB at a time, and each step beyond this loop
would cost more than to decrypt them.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from collections import deque
from typing import Any, cast

GATHERED_BYTES = 128 * 1024
"""Who asks for this much at once gets a view of one of its thread's buffers."""
MOST_BYTES = 1024 * 1024
_FEW, _FEW_BYTES = 4, 512 * 1024
_MANY, _MANY_BYTES = 8, MOST_BYTES
_GATHER_SECONDS = 0.05
"""Then what has come is handed out: a slow stream is to look alive."""


class _Buffers(threading.local):
    """Used again and again: fresh pages for each piece cost as much as to fill them."""

    def __init__(self) -> None:
        self.use(_FEW, _FEW_BYTES)

    def use(self, count: int, each_bytes: int) -> None:
        # Memory that nothing was written to is none yet.
        self.views = deque(memoryview(bytearray(each_bytes)) for _ in range(count))

    def next(self) -> memoryview:
        self.views.rotate()
        return self.views[0]


_BUFFERS = _Buffers()


def buffers() -> int:
    """So many has this thread, used in turn: a view is good until so many more are asked for."""
    return len(_BUFFERS.views)


def use_many_buffers() -> None:
    """Have this thread use more and larger ones, so that it seldom waits for what works on their content."""
    _BUFFERS.use(_MANY, _MANY_BYTES)


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
        self._failure: Exception | None = None
        self._sock = sock
        self._lines_hold_more = True
        self.fp = self._lines
        self._start()

    def read1(self, n: int = -1) -> bytes:
        """As the base class, where the lines around a chunk have a limit of their own.

        From GATHERED_BYTES on it is a view of a buffer of the thread's: urllib3 hands on what it gets.
        """
        if n < GATHERED_BYTES:
            return self._some(n)
        view = _BUFFERS.next()[:n]
        return cast("bytes", view[: self._gathered(view)])

    def _gathered(self, view: memoryview) -> int:
        """Fill the view, or as much of it as comes at once; 0 at the end. An error comes after the bytes."""
        count, until = 0, time.monotonic() + _GATHER_SECONDS
        while count < len(view):
            try:
                got = self._received(view[count:])
            except (OSError, http.client.HTTPException) as error:
                if not count:
                    raise
                self._failure = error
                break
            count += got
            if not got or time.monotonic() >= until:
                break
        return count

    def _received(self, view: memoryview) -> int:
        if self._failure is not None:
            raise self._failure
        if self.chunked or self.length is None or self.fp is None:
            piece = self._some(len(view))
            view[: len(piece)] = piece
            return len(piece)
        # What one recv(2) gives, straight into the view: first what the reader of lines holds, which is less
        # than this asks for, then without the reader.
        part = view if len(view) <= self.length else view[: self.length]
        if not part:
            return 0
        if self._lines_hold_more:
            got = self._lines.readinto1(part)
            self._lines_hold_more = not got or got == len(part)
        else:
            got = self._sock.recv_into(part)
        self.length -= got
        return got

    def _some(self, n: int) -> bytes:
        if self._failure is not None:
            raise self._failure
        self._lines_hold_more = True
        self._start()
        return super().read1(n)

    def _start(self) -> None:
        self._lines.deadline = time.monotonic() + self._limit_seconds
