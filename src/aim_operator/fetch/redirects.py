"""The way of one request from place to place: where it may go on to, and what it carries. No I/O.

Nothing private leaves the host that it is for; and what can't be followed is said.
"""

from __future__ import annotations

import string
from urllib.parse import quote, urljoin, urlsplit

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient

STATUSES = (301, 302, 303, 307, 308)
_MOST = 5
_PORTS = {"http": 80, "https": 443}
_PRIVATE_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-amz-security-token")
_LONGEST = 16 * 1024
"""Signed addresses have some 2 kB."""


class Trail:
    """Where a request is by now. `url` and `headers` are those of the next question."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.headers = headers
        self._start = url
        self._asked = {url}

    @property
    def host(self) -> str:
        return shown_host(self.url)

    @property
    def is_redirected(self) -> bool:
        return self.url != self._start

    def follow(self, location: str) -> None:
        """Go on to where a redirect leads. FetchError for what is not followed, Transient for a circle."""
        before = urlsplit(self.url)
        target = _target(self.url, location)
        after = urlsplit(target)
        if before.scheme == "https" and after.scheme == "http":
            raise FetchError(
                FetchReason.DOWNLOAD_FAILED,
                f"{self.host} redirects from https to http ({shown_host(target)}); not followed",
            )
        if target in self._asked:
            raise Transient(f"{self.host} redirects in a circle: it redirects more than once to one place")
        if len(self._asked) > _MOST:
            raise Transient(f"{shown_host(self._start)} redirects more than {_MOST} times")
        self._asked.add(target)
        if origin(self.url) != origin(target):
            self.headers = {
                name: value for name, value in self.headers.items() if name.lower() not in _PRIVATE_HEADERS
            }
        self.url = target


def shown_host(url: str) -> str:
    """The host of an address as people write it, with its port where it has one; never a user."""
    return urlsplit(url).netloc.rpartition("@")[2]


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what a token is given for."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme, 0)


def _target(url: str, location: str) -> str:
    """The address that a Location names, in ASCII. FetchError if it is none that can be asked."""
    no_address = FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{shown_host(url)} redirects to what is no http(s) address",
    )
    if not location or len(location) > _LONGEST:
        raise no_address
    try:
        parts = urlsplit(urljoin(url, _bytes_of(location).decode(errors="surrogateescape")))
        host, port = parts.hostname, parts.port
        if parts.scheme not in _PORTS or not host:
            raise no_address
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError) as error:
        raise no_address from error
    if not _is_host(ascii_host):
        raise no_address
    shown = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    # A user and a password in it are nobody's that we know of.
    netloc = shown if port is None else f"{shown}:{port}"
    return parts._replace(
        netloc=netloc, path=_ascii(parts.path), query=_ascii(parts.query), fragment=""
    ).geturl()


def _bytes_of(location: str) -> bytes:
    """http.client decodes headers as Latin-1; many servers send UTF-8 as it is."""
    try:
        return location.encode("latin-1")
    except UnicodeEncodeError:
        return location.encode()


def _ascii(text: str) -> str:
    """Percent-encode what may not be in an address, and leave everything else as it is: it may be signed."""
    return quote(text.encode(errors="surrogateescape"), safe=string.punctuation)


def _is_host(text: str) -> bool:
    return all(char.isalnum() or char in "-._:%" for char in text) and len(text) <= 255
