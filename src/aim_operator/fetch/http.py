"""GETs: ranges of files, and documents such as listings. The only HTTP of hubs, and of all transfers.

Follows redirects by itself, since credentials must stay with the host they are for, and since the place
that a redirect names is asked directly next time. Raises Transient for what may pass. Blocking: one thread
has one stream.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from msgspec import Struct
from urllib3 import BaseHTTPResponse

from aim_operator.fetch import answers, redirects
from aim_operator.fetch.addresses import Boundary, Resolver
from aim_operator.fetch.connections import Connections
from aim_operator.fetch.documents import Budget, Document, decoded
from aim_operator.fetch.http_errors import translated
from aim_operator.fetch.listing import Request
from aim_operator.fetch.redirects import Trail
from aim_operator.fetch.replies import MOST_BYTES
from aim_operator.fetch.retrying import Transient
from aim_operator.fetch.stall import LEAST_BYTES

_DOCUMENT_PIECE_BYTES = 64 * 1024
_ERROR_BYTES = 2048
_TOTAL = re.compile(r"bytes (?:\d{1,19}-\d{1,19}|\*)/(\d{1,19})", re.ASCII)


class Facts(Struct, frozen=True):
    """What headers tell of a file without its content; None where they do not."""

    size: int | None
    etag: str | None


class _Limits:
    """What holds for all answers of one client."""

    def __init__(self, idle_seconds: float, environment: Mapping[str, str]) -> None:
        self.idle_seconds = idle_seconds
        self.stopped = threading.Event()
        self.environment = environment


class _Answer:
    """An answer that is no redirect, unread; `hops` are the headers of those before it."""

    def __init__(
        self,
        response: BaseHTTPResponse,
        trail: Trail,
        hops: list[Mapping[str, str]],
        limits: _Limits,
    ) -> None:
        self.response = response
        self.trail = trail
        self.hops = hops
        self._limits = limits

    def pieces(self, most: int, *, count: int | None = None) -> Iterator[bytes]:
        """The bytes as they come, `count` of them or all. Transient if they end early, break, or trickle."""
        host, limits, response = self.trail.host, self._limits, self.response
        gained, waited = 0, 0.0
        left = count
        with translated(host, limits.environment, in_body=True):
            while left is None or left > 0:
                before = time.monotonic()
                piece = response.read1(most if left is None else min(most, left), decode_content=False)
                if not piece:
                    if left is None:
                        return
                    raise Transient("a body ended early")
                if limits.stopped.is_set():
                    raise Transient("asked to stop")
                gained += len(piece)
                waited += time.monotonic() - before
                if gained >= LEAST_BYTES:
                    gained, waited = 0, 0.0
                elif waited >= limits.idle_seconds:
                    raise Transient(
                        f"{host} sent no more than {gained} bytes in {waited:.0f} s", stalled=True
                    )
                if left is not None:
                    left -= len(piece)
                yield piece

    def beginning(self) -> bytes:
        """Some of the body of an error; with a short one read to its end its connection can be used again."""
        content = b""
        with contextlib.suppress(Transient):
            for piece in self.pieces(_ERROR_BYTES):
                content += piece
                if len(content) >= _ERROR_BYTES:
                    break
        return content


class Body:
    """An answer that fits the request. `direct` is where to ask next time, if it came by a redirect."""

    def __init__(self, answer: _Answer, start: int, stop: int, direct: Request | None) -> None:
        self._answer = answer
        self._start = start
        self.stop = stop
        self.direct = direct

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, up to `stop`. Transient if they end earlier, or the connection breaks.

        A piece is good until as many more are asked for as this thread has `replies.buffers`.
        """
        return self._answer.pieces(MOST_BYTES, count=self.stop - self._start)


class Client:
    """HTTP with the limits of one download. `idle_seconds` with next to nothing end a stream."""

    def __init__(
        self,
        *,
        connections: int,
        idle_seconds: float,
        environment: Mapping[str, str],
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        self._limits = _Limits(idle_seconds, environment)
        self._connections = Connections(
            count=connections,
            idle_seconds=idle_seconds,
            environment=environment,
            boundary=Boundary(environment, resolve),
        )

    def close(self) -> None:
        """End what is under way, at its next byte, and close what nobody uses."""
        self._limits.stopped.set()
        self._connections.close()

    @contextlib.contextmanager
    def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> Iterator[Body]:
        """GET the bytes from start to before stop of a file of `size` bytes.

        The body may stop earlier (`Body.stop`), never later. RangeIgnored if only the whole can be had.
        `passing` tells that the request is an earlier `Body.direct`, which may be good for some time only.
        """
        with self._asked(request, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
            response, trail = answer.response, answer.trail
            if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                raise answers.failure(
                    trail.host,
                    response.status,
                    response.headers,
                    answer.beginning(),
                    passing=passing or trail.is_redirected,
                )
            direct = None
            if trail.is_redirected:
                kept = {name: value for name, value in trail.headers.items() if name != "Range"}
                direct = Request(
                    url=trail.url,
                    headers=kept,
                    endpoint=request.endpoint or request.url,
                )
            until = answers.checked_stop(
                trail.host,
                response.status,
                response.headers,
                range(start, stop),
                size,
            )
            yield Body(answer, start, until, direct)

    def read(self, request: Request, budget: Budget) -> Document:
        """GET a document whole, within the budget; whatever its status, redirects apart."""
        budget.page()
        before = time.monotonic()
        with self._asked(request, {"Accept-Encoding": "gzip"}) as answer:
            budget.took(0, time.monotonic() - before)
            response, host = answer.response, answer.trail.host
            if response.status == HTTPStatus.OK:
                pieces = _timed(answer.pieces(_DOCUMENT_PIECE_BYTES), budget)
                content = decoded(pieces, response.headers.get("Content-Encoding", ""), host, budget)
            else:
                content = answer.beginning()
            return Document(status=response.status, headers=response.headers, content=content, host=host)

    def facts(self, request: Request) -> Facts:
        """Size and ETag of a file, by a GET of its first byte: many mirrors refuse HEAD, or tell no length.

        The first place that tells is believed: a hub tells of the file that it redirects to.
        """
        with self._asked(request, {"Range": "bytes=0-0"}) as answer:
            response, host = answer.response, answer.trail.host
            known = (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            if response.status not in known:
                raise answers.failure(
                    host, response.status, response.headers, answer.beginning(), passing=False
                )
            size = next((found for found in map(_linked_size, answer.hops) if found is not None), None)
            if size is None:
                size = _size(response.status, response.headers)
            names = ("X-Linked-Etag", "ETag")
            every = [*answer.hops, response.headers]
            etags = [headers[name] for headers in every for name in names if headers.get(name)]
            return Facts(size, etags[0].removeprefix("W/").strip('"') if etags else None)

    @contextlib.contextmanager
    def _asked(self, request: Request, headers: dict[str, str]) -> Iterator[_Answer]:
        """Ask, and follow redirects to the answer."""
        trail = Trail(request.url, {**request.headers, **headers})
        hops: list[Mapping[str, str]] = []
        while True:
            with translated(trail.host, self._limits.environment):
                response = self._connections.get(trail.url, trail.headers, request.endpoint or request.url)
            answer = _Answer(response, trail, hops, self._limits)
            try:
                if response.status not in redirects.STATUSES:
                    yield answer
                    return
                answer.beginning()
                hops.append(response.headers)
                trail.follow(response.headers.get("Location", ""))
            finally:
                # A body that is read to its end has given its connection back; any other ends with it.
                response.close()


def _timed(pieces: Iterator[bytes], budget: Budget) -> Iterator[bytes]:
    while True:
        before = time.monotonic()
        piece = next(pieces, None)
        budget.took(0, time.monotonic() - before)
        if piece is None:
            return
        yield piece


def _linked_size(headers: Mapping[str, str]) -> int | None:
    return _number(headers.get("X-Linked-Size", ""))


def _size(status: int, headers: Mapping[str, str]) -> int | None:
    if (linked := _linked_size(headers)) is not None:
        return linked
    if status == HTTPStatus.OK:
        return _number(headers.get("Content-Length", ""))
    total = _TOTAL.fullmatch(headers.get("Content-Range", "").strip())
    return int(total[1]) if total else None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,19}", text.strip(), re.ASCII) else None
