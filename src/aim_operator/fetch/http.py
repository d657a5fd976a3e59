"""Ranged GETs: redirects, what fails on the way, and the bytes. The only HTTP of the transfer itself.

Follows redirects by itself, since credentials must stay with the host they are for, and since the place
that a redirect names is asked directly next time. Raises Transient for what may pass. Blocking: one thread
has one stream.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from urllib3 import BaseHTTPResponse, exceptions

from aim_operator.errors import FetchError
from aim_operator.fetch import answers
from aim_operator.fetch.connections import Connections
from aim_operator.fetch.listing import Request
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PIECE_BYTES = 1024 * 1024
"""Read at once at most. Each step costs a turn with the interpreter's lock; larger ones gain nothing."""
_ERROR_BYTES = 2048
_PRIVATE_HEADERS = ("authorization", "cookie", "x-amz-security-token")


class Body:
    """An answer that fits the request. `direct` is where to ask next time, if it came by a redirect."""

    def __init__(
        self, response: BaseHTTPResponse, host: str, start: int, stop: int, direct: Request | None
    ) -> None:
        self._response = response
        self._host = host
        self._start = start
        self.stop = stop
        self.direct = direct

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, up to `stop`. Transient if they end earlier, or the connection breaks."""
        left = self.stop - self._start
        while left:
            with _translated(self._host, in_body=True):
                # What one recv(2) gives, straight into the object that is written: no copy in between.
                piece = self._response.read1(min(_PIECE_BYTES, left), decode_content=False)
            if not piece:
                raise Transient("a body ended early")
            left -= len(piece)
            yield piece


class Client:
    """HTTP with the limits of one download. `idle_seconds` without a byte end a stream."""

    def __init__(self, *, connections: int, idle_seconds: float, environment: Mapping[str, str]) -> None:
        self._connections = Connections(count=connections, idle_seconds=idle_seconds, environment=environment)

    def close(self) -> None:
        self._connections.close()

    @contextlib.contextmanager
    def get(
        self, request: Request, start: int, stop: int, size: int, *, passing: bool = False
    ) -> Iterator[Body]:
        """GET the bytes from start to before stop of a file of `size` bytes.

        The body may stop earlier (`Body.stop`), never later. RangeIgnored if only the whole can be had.
        `passing` tells that the request is an earlier `Body.direct`, which may be good for some time only.
        """
        headers = {**request.headers, "Range": f"bytes={start}-{stop - 1}"}
        url = request.url
        direct: Request | None = None
        for _ in range(_MOST_REDIRECTS + 1):
            host = urlsplit(url).hostname or ""
            with _translated(host):
                response = self._connections.get(url, headers)
            try:
                if response.status in _REDIRECTS:
                    url, headers = _redirected(url, response.headers.get("Location", ""), headers)
                    kept = {name: value for name, value in headers.items() if name != "Range"}
                    direct = Request(url=url, headers=kept)
                    _beginning(response, host)
                    continue
                if response.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                    text = _beginning(response, host)
                    raise answers.failure(
                        host, response.status, response.headers, text, passing=passing or direct is not None
                    )
                requested = range(start, stop)
                until = answers.checked_stop(host, response.status, response.headers, requested, size)
                yield Body(response, host, start, until, direct)
                return
            finally:
                # A body that is read to its end has given its connection back; any other ends with it.
                response.close()
        raise Transient(f"{urlsplit(request.url).hostname} redirects more than {_MOST_REDIRECTS} times")


def _beginning(response: BaseHTTPResponse, host: str) -> bytes:
    with _translated(host):
        return response.read(_ERROR_BYTES, decode_content=False)


def _redirected(url: str, location: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Where to, and with which headers: nothing private goes to another host."""
    before = urlsplit(url)
    no_address = FetchError(
        FetchReason.DOWNLOAD_FAILED, f"{before.hostname} redirects to what is no http(s) address"
    )
    try:
        target = urljoin(url, location)
        after = urlsplit(target)
    except ValueError as error:
        raise no_address from error
    if after.scheme not in ("http", "https") or not after.hostname or not location:
        raise no_address
    if before.scheme == "https" and after.scheme == "http":
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{before.hostname} redirects from https to http ({after.hostname}); not followed",
        )
    if (before.scheme, before.netloc) != (after.scheme, after.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return target, headers


@contextlib.contextmanager
def _translated(host: str, *, in_body: bool = False) -> Iterator[None]:
    """What urllib3 raises, as what may pass and what may not."""
    try:
        yield
    except exceptions.NewConnectionError as error:
        # The proxy's address, where there is one.
        raise Transient(f"can't connect to {error.conn.host}:{error.conn.port} ({_cause(error)})") from error
    except exceptions.TimeoutError as error:
        raise Transient(f"no byte from {host}", stalled=True) from error
    except exceptions.SSLError as error:
        untrusted = next((arg for arg in error.args if isinstance(arg, ssl.SSLCertVerificationError)), None)
        if untrusted is None:
            raise Transient(f"connection to {host} broke ({_cause(error)})") from error
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED,
            f"{host}: its certificate is not trusted ({untrusted.verify_message}); set SSL_CERT_FILE to a"
            " file of CA certificates that has its issuer",
        ) from error
    except exceptions.ProxyError as error:
        raise Transient(f"can't reach {host} through the proxy ({_cause(error)})") from error
    except exceptions.ProtocolError as error:
        broke = f"{host} ended the body early" if in_body else f"connection to {host} broke ({_cause(error)})"
        raise Transient(broke) from error
    except exceptions.URLSchemeUnknown as error:
        raise FetchError(
            FetchReason.DOWNLOAD_FAILED, f"the proxy for {host} is none of http:// or https://"
        ) from error
    except (exceptions.LocationValueError, UnicodeError, ValueError) as error:
        raise FetchError(FetchReason.DOWNLOAD_FAILED, f"{host}: no valid address") from error
    except (exceptions.HTTPError, OSError) as error:
        raise Transient(f"connection to {host} broke ({_cause(error)})") from error


def _cause(error: BaseException) -> str:
    """The last reason of a chain: the system's own word, if it said one."""
    while error.__cause__ is not None:
        error = error.__cause__
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
