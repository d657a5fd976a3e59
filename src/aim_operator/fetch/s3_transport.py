"""How the library's requests to S3 and STS are sent: by our own connections, within limits.

So proxies, certificates and time limits are those of the files themselves, no answer is larger than it may
be, no redirect is followed, and no answer is parsed that could cost more than it is long.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from aim_operator.fetch.addresses import Boundary
from aim_operator.fetch.connections import Connections
from aim_operator.fetch.http_errors import translated
from aim_operator.fetch.redirects import shown_host
from aim_operator.fetch.retrying import Transient

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from urllib3 import BaseHTTPResponse

_MOST_BYTES = 4 * 1024 * 1024
"""A thousand keys of 1024 bytes, each of them escaped, are 3.4 MB."""
_MOST_ERROR_BYTES = 64 * 1024
_MOST_TAGS = 100_000
_MOST_ATTRIBUTES = 10_000
"""A thousand objects have some 20,000 tags and one attribute. Elements take far more memory than text."""
_DECLARATION = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"=\s*[\"']")
_SCOPE = re.compile(r"Credential=[^/\s]+/\d{8}/([a-z0-9-]{1,63})/s3/aws4_request")
_REGION = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_SUCCESSES = range(200, 300)


class Sender:
    """A handler of botocore's `before-send` event: what it returns is taken for the answer.

    `region` is the one that the store last accepted a signature for, or said that the bucket is in.
    """

    def __init__(self, *, count: int, limit_seconds: float, environment: Mapping[str, str]) -> None:
        self._connections = Connections(
            count=count,
            idle_seconds=limit_seconds,
            environment=environment,
            boundary=Boundary(environment),
        )
        self._limit_seconds = limit_seconds
        self._environment = environment
        self.region: str | None = None

    def __call__(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        from botocore.awsrequest import AWSResponse  # noqa: PLC0415 - takes long to import

        host = shown_host(request.url)
        headers = {name: _text(value) for name, value in request.headers.items()}
        until = time.monotonic() + self._limit_seconds
        with translated(host, self._environment):
            response = self._connections.send(request.method, request.url, headers, _whole(request.body))
        try:
            is_success = response.status in _SUCCESSES
            pieces: list[bytes] = []
            if request.method != "HEAD":
                most = _MOST_BYTES if is_success else _MOST_ERROR_BYTES
                with translated(host, self._environment, in_body=True):
                    pieces = _read(response, host, most, until)
        finally:
            response.close()
        body = b"".join(pieces)
        _check(host, response.headers, body)
        self._note_region(headers, response.headers, is_success=is_success)
        headers_got: Any = response.headers
        return AWSResponse(request.url, response.status, headers_got, _Body(body))

    def close(self) -> None:
        self._connections.close()

    def _note_region(self, sent: Mapping[str, str], got: Mapping[str, str], *, is_success: bool) -> None:
        told = got.get("x-amz-bucket-region", "")
        signed = _SCOPE.search(sent.get("Authorization", ""))
        if is_success and signed is not None:
            self.region = signed[1]
        elif _REGION.fullmatch(told):
            self.region = told


class _Body(io.BytesIO):
    """What botocore reads an answer by."""

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def _read(response: BaseHTTPResponse, host: str, most: int, until: float) -> list[bytes]:
    """Return the body in pieces. Transient if it is longer than `most`, or not whole by then: it trickles."""
    pieces: list[bytes] = []
    length = 0
    while True:
        piece: bytes = response.read1(64 * 1024, decode_content=False)
        if not piece:
            return pieces
        pieces.append(piece)
        length += len(piece)
        if length > most:
            raise Transient(f"{host} sent an answer of more than {most} bytes to a question about a bucket")
        if time.monotonic() > until:
            raise Transient(f"{host} sends its answer too slowly: {length} bytes so far", stalled=True)


def _check(host: str, headers: Mapping[str, str], body: bytes) -> None:
    """Transient where this is nothing to hand to a parser of XML."""
    encoding = headers.get("Content-Encoding", "identity").lower()
    if body and encoding not in ("identity", "utf-8", ""):
        raise Transient(
            f"{host} compresses its answers ({encoding[:20]}) though asked not to; is a proxy between?"
        )
    if (
        _DECLARATION.search(body)
        or body.count(b"<") > _MOST_TAGS
        or len(_ATTRIBUTE.findall(body)) > _MOST_ATTRIBUTES
    ):
        raise Transient(f"{host} sent XML that no S3 sends (declarations, or too many elements)")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _whole(body: object) -> bytes | None:
    """The few requests with a body have it in memory."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    return bytes(body.read()) if hasattr(body, "read") else None
