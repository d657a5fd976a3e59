"""Ranged GETs: redirects, what an answer means, and the bytes. The only HTTP of the transfer itself.

Follows redirects by itself, since credentials must stay with the host they are for, and since the place
that a redirect names is asked directly next time. Raises Transient for what may pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from aim_operator.errors import FetchError
from aim_operator.fetch.listing import Request, SourceChanged
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_CHANGED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_BUFFER_BYTES = 1024 * 1024
_ERROR_BYTES = 2048
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
_PRIVATE_HEADERS = ("authorization", "cookie", "x-amz-security-token")


class RangeIgnored(Exception):
    """The server sends whole files only."""


class Refused(Exception):
    """401 or 403. `code` is the server's own word for it, if it has one."""

    def __init__(self, host: str, status: int, code: str) -> None:
        super().__init__(f"{host} answered {status}{f' {code}' if code else ''}")
        self.code = code


class Body:
    """An answer that fits the request. `direct` is where to ask next time, if it came by a redirect."""

    def __init__(self, response: aiohttp.ClientResponse, stop: int, direct: Request | None) -> None:
        self._response = response
        self.stop = stop
        self.direct = direct

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes as they come. Transient if the connection breaks."""
        with _translated(self._response.url.host or ""):
            # Piece by piece: reading "any" would copy them together.
            async for piece, _ in self._response.content.iter_chunks():
                yield piece


class Client:
    """HTTP connections with the limits of one download. `idle_seconds` without a byte end a stream."""

    def __init__(self, *, connections: int, idle_seconds: float, environment: Mapping[str, str]) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections + 1, ssl=_tls(environment), keepalive_timeout=30, ttl_dns_cache=60
            ),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(30, idle_seconds), sock_read=idle_seconds
            ),
            read_bufsize=_BUFFER_BYTES,
            auto_decompress=False,
            trust_env=True,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"Accept-Encoding": "identity", "User-Agent": "aim-operator-fetch"},
        )

    async def close(self) -> None:
        await self._session.close()

    @contextlib.asynccontextmanager
    async def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> AsyncIterator[Body]:
        """GET the bytes from start to before stop of a file of `size` bytes.

        The body may stop earlier (`Body.stop`), never later. RangeIgnored if only the whole can be had.
        `passing` tells that the request is an earlier `Body.direct`, which may be good for some time only.
        """
        headers = {**request.headers, "Range": f"bytes={start}-{stop - 1}"}
        url = request.url
        direct: Request | None = None
        for _ in range(_MOST_REDIRECTS + 1):
            with _translated(urlsplit(url).hostname or ""):
                response = await self._session.get(
                    URL(url, encoded=True), headers=headers, allow_redirects=False
                )
            try:
                if response.status in _REDIRECTS:
                    url, headers = _redirected(url, response.headers.get("Location", ""), headers)
                    kept = {name: value for name, value in headers.items() if name != "Range"}
                    direct = Request(url=url, headers=kept)
                    continue
                await _check_status(response, passing=passing or direct is not None)
                yield Body(response, _checked_stop(response, start, stop, size), direct)
                return
            finally:
                # A body that is read to its end has given its connection back; any other can't be used again.
                if response.content.at_eof() or response.status in _REDIRECTS:
                    response.release()
                else:
                    response.close()
        raise Transient(f"{urlsplit(request.url).hostname} redirects more than {_MOST_REDIRECTS} times")


def _redirected(url: str, location: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Where to, and with which headers: nothing private goes to another host."""
    target = urljoin(url, location)
    before, after = urlsplit(url), urlsplit(target)
    if after.scheme not in ("http", "https") or not after.hostname or not location:
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED, f"{before.hostname} redirects to what is no http(s) address"
        )
    if before.scheme == "https" and after.scheme == "http":
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{before.hostname} redirects from https to http ({after.hostname}); not followed",
        )
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return target, headers


async def _check_status(response: aiohttp.ClientResponse, *, passing: bool) -> None:
    status = response.status
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        return
    host = response.url.host or ""
    with _translated(host):
        text = await response.content.read(_ERROR_BYTES)
    found = _ERROR_CODE.search(text)
    code = found[1].decode() if found else response.headers.get("X-Error-Code", "")[:64]
    said = f"{host} answered {status}{f' {code}' if code else ''}"
    if status in _CHANGED:
        raise SourceChanged(said)
    if passing and 400 <= status < 500 and status not in _PASSING:
        # The place that a redirect names may be signed for some minutes only: ask for a new one.
        raise Transient(said)
    if code == "InvalidObjectState":
        raise FetchError(FetchReason.DOWNLOAD_FAILED, f"{said}: the object is archived; restore it first")
    if status in _REFUSED:
        raise Refused(host, status, code)
    if status in _GONE:
        raise SourceChanged(said)
    if status in _PASSING or status >= 500:
        raise Transient(said, retry_after_seconds=_retry_after(response.headers.get("Retry-After")))
    raise FetchError(FetchReason.DOWNLOAD_FAILED, said)


def _checked_stop(response: aiohttp.ClientResponse, start: int, stop: int, size: int) -> int:
    """Where the body stops, once its headers are what was asked for."""
    host = response.url.host
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", ""):
        raise Transient(f"{host} answered with Content-Encoding {encoding[:20]} though asked for none")
    if response.status == HTTPStatus.OK:
        length = response.content_length
        if length is not None and length != size:
            raise Transient(f"{host} answered 200 with {length} bytes for a file of {size}")
        if (start, stop) != (0, size):
            raise RangeIgnored
        return size
    said = response.headers.get("Content-Range", "")
    found = _CONTENT_RANGE.fullmatch(said.strip())
    if found is None:
        raise Transient(f"{host} answered 206 with Content-Range {said[:60]!r}")
    first, last, total = (int(number) for number in found.groups())
    if total != size:
        raise SourceChanged(f"{host} has a file of {total} bytes where {size} were listed")
    if first != start or not start <= last < stop:
        raise Transient(f"{host} sent bytes {first}-{last} when asked for {start}-{stop - 1}")
    return last + 1


def _retry_after(text: str | None) -> float | None:
    """Seconds; the header may have a date instead."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text.strip(), re.ASCII):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


@contextlib.contextmanager
def _translated(host: str) -> Iterator[None]:
    try:
        yield
    except aiohttp.SocketTimeoutError as error:
        raise Transient(f"no byte from {host}", stalled=True) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, ValueError) as error:
        raise FetchError(FetchReason.DOWNLOAD_FAILED, f"{host}: no valid address") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{host}: its certificate is not trusted ({error.certificate_error}); set SSL_CERT_FILE to a file"
            " of CA certificates that has its issuer",
        ) from error
    except aiohttp.ClientConnectorError as error:
        raise Transient(f"can't connect to {error.host}:{error.port} ({_cause(error.os_error)})") from error
    except aiohttp.ClientPayloadError as error:
        raise Transient(f"{host} ended the body early") from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Transient(f"connection to {host} broke ({_cause(error)})") from error
    except TimeoutError as error:
        raise Transient(f"no byte from {host}", stalled=True) from error
    except asyncio.IncompleteReadError as error:
        raise Transient(f"{host} ended the body early") from error


def _cause(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _tls(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Trust what SSL_CERT_FILE, AWS_CA_BUNDLE or REQUESTS_CA_BUNDLE name, else the system's certificates.

    Where an image has none, those of certifi, which huggingface_hub brings and trusts.
    """
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        path = environment.get(name)
        if path:
            return ssl.create_default_context(cafile=path)
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if not context.get_ca_certs() and not (paths.capath and any(Path(paths.capath).glob("*"))):
        import certifi  # noqa: PLC0415 - only where an image lacks certificates

        context.load_verify_locations(certifi.where())
    return context
