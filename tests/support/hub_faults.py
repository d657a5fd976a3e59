"""What a test hub does to a whole answer: statuses, redirects, waits, bodies that cost too much.

Written as in faults.py:

    status:code=429,retry_after=1           a status; ratelimit="api";r=0;t=1 and date_after=1 (seconds, sent
                                            as a date) ask to wait too; code_name is the hub's own word
    redirect:to=/x                          send on to there, the Location as it is written, in UTF-8
    silent                                  no answer
    trickle:seconds=0.2                     the body a byte at a time
    bomb:mib=900                            gzip of so much white space
    html                                    a web page in place of the answer
    endless                                 each page of a listing names another one
    circle                                  each page names the first one
    next:to=http://x                        the next page is said to be there
    junk                                    what is no JSON, deep and long
    crowd                                   a page of two million files of the shortest kind
"""

from __future__ import annotations

import asyncio
import functools
import zlib
from base64 import b64encode
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from itertools import count
from time import time

from aiohttp import web

from tests.support.faults import Fault

KINDS = (
    *("status", "redirect", "silent", "trickle", "bomb"),
    *("html", "endless", "circle", "next", "junk", "crowd"),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_CURSORS = count()


async def played(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer, with the fault in it."""
    values = fault.values
    if fault.kind == "status":
        return _status(fault)
    if fault.kind == "redirect":
        # aiohttp writes headers in UTF-8; percent-encoding is what it leaves to us.
        return web.Response(status=302, headers={"Location": values["to"]})
    if fault.kind == "silent":
        await asyncio.sleep(3600)
    if fault.kind == "html":
        return web.Response(text="<html>Please log in</html>", content_type="text/html")
    if fault.kind == "junk":
        return web.Response(body=b"[" * 1_000_000, content_type="application/json")
    if fault.kind == "crowd":
        body = b"[" + b'{"path":"a"},' * 2_000_000 + b'{"path":"a"}]'
        return web.Response(body=body, content_type="application/json")
    if fault.kind == "bomb":
        return _bomb(int(fault.number("mib")))
    if fault.kind in ("endless", "circle"):
        number = next(_CURSORS) if fault.kind == "endless" else 0
        following = request.url.update_query(cursor=b64encode(str(number).encode()).decode())
        return web.json_response([], headers={"Link": f'<{following}>; rel="next"'})
    answer = await handler(request)
    if fault.kind == "next":
        answer.headers["Link"] = f'<{values["to"]}{request.path_qs}&cursor=MQ%3D%3D>; rel="next"'
        return answer
    return await _trickled(request, answer, fault.number("seconds", 0.2))


def _status(fault: Fault) -> web.Response:
    headers = {"X-Error-Code": fault.values.get("code_name", "")}
    if "retry_after" in fault.values:
        headers["Retry-After"] = fault.values["retry_after"]
    if "date_after" in fault.values:
        headers["Retry-After"] = formatdate(time() + fault.number("date_after"), usegmt=True)
    if "ratelimit" in fault.values:
        headers["RateLimit"] = fault.values["ratelimit"]
    return web.Response(status=int(fault.number("code")), headers=headers, text="fault")


def _bomb(mib: int) -> web.Response:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    return web.Response(body=_packed_white_space(mib), headers=headers)


@functools.cache
def _packed_white_space(mib: int) -> bytes:
    """Seconds of CPU: it is asked for again and again."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * (1 << 20)
    return b"".join(packer.compress(block) for _ in range(mib)) + packer.flush()


async def _trickled(request: web.Request, answer: web.StreamResponse, seconds: float) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    for byte in answer.body:
        await response.write(bytes([byte]))
        await asyncio.sleep(seconds)
    await response.write_eof()
    return response
