"""Files served in ranges by a test server, with faults, and a log of which bytes went out."""

from __future__ import annotations

import asyncio
import json
import re
import time
from pathlib import Path
from typing import IO, Any

from aiohttp import web

from tests.support.faults import Fault

_BLOCK_BYTES = 1024 * 1024


class RequestLog:
    """JSON lines, kept in memory too: {"server", "method", "path", "status", "start", "stop", "sent"}."""

    def __init__(self, path: Path | None = None) -> None:
        self.entries: list[dict[str, Any]] = []
        self._file: IO[str] | None = path.open("a", buffering=1) if path else None

    def add(self, **entry: Any) -> dict[str, Any]:
        """Remember a request; what is sent for it is written once that is known."""
        self.entries.append(entry)
        return entry

    def write(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps({"time": time.time(), **entry}) + "\n")


class Broken(Exception):
    """A fault wants the connection closed."""


def asked_range(request: web.Request, size: int) -> tuple[int, int, bool]:
    """First byte, the one after the last, and whether it is a range at all."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
    if found is None:
        return 0, size, False
    start = int(found[1])
    stop = min(int(found[2]) + 1, size) if found[2] else size
    if start >= stop:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return start, stop, True


async def serve_file(
    request: web.Request,
    where: Path,
    size: int,
    headers: dict[str, str],
    log: RequestLog,
    server: str,
    fault: Fault | None,
) -> web.StreamResponse:
    start, stop, ranged = asked_range(request, size)
    kind = fault.kind if fault else ""
    if kind == "no-range":
        start, stop, ranged = 0, size, False
    if fault is not None and kind == "part" and ranged:
        stop = min(stop, start + int(fault.number("bytes")))
    response = web.StreamResponse(
        status=206 if ranged else 200, headers={"Accept-Ranges": "bytes", **headers}
    )
    if ranged:
        moved, more = (1 if kind == "wrong-range" else 0), (1 if kind == "other-size" else 0)
        response.headers["Content-Range"] = f"bytes {start + moved}-{stop - 1 + moved}/{size + more}"
    if kind == "gzip":
        response.headers["Content-Encoding"] = "gzip"
    if kind == "short":
        response.enable_chunked_encoding()
    else:
        response.content_length = stop - start
    entry = log.add(
        server=server,
        method=request.method,
        path=request.path,
        status=response.status,
        start=start,
        stop=stop,
        sent=0,
    )
    if request.method == "HEAD":
        entry["stop"] = start
        log.write(entry)
        return response
    try:
        await _send(request, response, where, entry, fault)
    finally:
        log.write(entry)
    return response


async def _send(
    request: web.Request,
    response: web.StreamResponse,
    where: Path,
    entry: dict[str, Any],
    fault: Fault | None,
) -> None:
    kind = fault.kind if fault else ""
    start, stop = entry["start"], entry["stop"]
    after = int(fault.number("after")) if fault and kind in ("drop", "short", "stall") else None
    end = stop if after is None else min(stop, start + after)
    with where.open("rb") as file:
        if kind in ("corrupt", "slow", "drop", "short", "stall"):
            await response.prepare(request)
            await _send_copied(response, file, start, end, entry, fault)
        else:
            await _send_from_kernel(request, response, file, start, end, entry)
    if kind == "drop":
        raise Broken
    if kind == "stall":
        await asyncio.sleep(3600)
    await response.write_eof()


async def _send_from_kernel(
    request: web.Request,
    response: web.StreamResponse,
    file: IO[bytes],
    start: int,
    end: int,
    entry: dict[str, Any],
) -> None:
    """By sendfile(2): this server is not to be what a measurement measures."""
    writer = await response.prepare(request)
    assert writer is not None
    writer.send_headers()
    loop = asyncio.get_running_loop()
    while start < end:
        if request.transport is None or request.transport.is_closing():
            raise ConnectionResetError
        count = min(_BLOCK_BYTES, end - start)
        await loop.sendfile(request.transport, file, start, count)
        start += count
        entry["sent"] += count


async def _send_copied(
    response: web.StreamResponse,
    file: IO[bytes],
    start: int,
    end: int,
    entry: dict[str, Any],
    fault: Fault | None,
) -> None:
    file.seek(start)
    rate = fault.number("rate") if fault and fault.kind == "slow" else 0
    block_bytes = int(max(1, min(rate / 20, _BLOCK_BYTES))) if rate else 64 * 1024
    while start < end:
        block = bytearray(file.read(min(block_bytes, end - start)))
        if fault and fault.kind == "corrupt" and start == entry["start"]:
            block[0] ^= 0xFF
        await response.write(block)
        start += len(block)
        entry["sent"] += len(block)
        if rate:
            await asyncio.sleep(len(block) / rate)
