"""What an answer to a ranged GET means: which bytes come, or why they do not. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus

from aim_operator.errors import FetchError
from aim_operator.fetch.listing import SourceChanged
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.retrying import Transient
from aim_operator.fetch.waits import wanted_seconds

_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_CHANGED = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
_ASKING_TO_WAIT = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)
_ERROR_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")


class RangeIgnored(Exception):
    """The server sends whole files only."""


class Refused(Exception):
    """401 or 403. `code` is the server's own word for it, if it has one."""

    def __init__(self, host: str, status: int, code: str) -> None:
        super().__init__(f"{host} answered {status}{f' {code}' if code else ''}")
        self.code = code


def failure(host: str, status: int, headers: Mapping[str, str], text: bytes, *, passing: bool) -> Exception:
    """What a status that is no success means; `text` is the beginning of its body.

    `passing` says that the address came by a redirect, and may be good for some time only.
    """
    match = _ERROR_CODE.search(text)
    code = match[1].decode() if match else _word(headers.get("X-Error-Code", ""))
    problem = f"{host} answered {status}{f' {code}' if code else ''}"
    if status in _CHANGED:
        return SourceChanged(problem)
    if passing and 400 <= status < 500 and status not in PASSING:
        # The place that a redirect names may be signed for some minutes only: ask for a new one.
        return Transient(problem)
    if code == "InvalidObjectState":
        return FetchError(FetchReason.DOWNLOAD_FAILED, f"{problem}: the object is archived; restore it first")
    if page := blocked(host, status, headers, code):
        return page
    if status in _REFUSED:
        return Refused(host, status, code)
    if status in _GONE:
        return SourceChanged(problem)
    if status in PASSING or status >= 500:
        return not_now(host, status, headers, code)
    return FetchError(FetchReason.DOWNLOAD_FAILED, problem)


def blocked(host: str, status: int, headers: Mapping[str, str], code: str) -> FetchError | None:
    """A 403 that is a web page: hubs and stores say in a word of their own why they refuse."""
    kind = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if status != HTTPStatus.FORBIDDEN or code or kind not in ("text/html", "application/xhtml+xml"):
        return None
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{host} answered 403 with a web page, as proxies and firewalls do that block an address, and mirrors"
        " that nobody may read: have the address allowed there, or name another mirror",
    )


def checked_stop(
    host: str,
    status: int,
    headers: Mapping[str, str],
    requested: range,
    size: int,
) -> int:
    """Where the body stops, once the headers of a success are what was asked for.

    Earlier than asked perhaps, never later. RangeIgnored if only the whole can be had. A Content-Encoding
    tells how the file lies at the source, if the length fits: its bytes are what is wanted.
    """
    encoding = headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "") and not _is_as_stored(status, headers, requested, size):
        raise Transient(
            f"{host} answered with Content-Encoding {encoding[:20]} though asked for none; have it, or the"
            " proxy between, send models as they are"
        )
    if status == HTTPStatus.OK:
        length = headers.get("Content-Length", "")
        if re.fullmatch(r"\d{1,19}", length, re.ASCII) and int(length) != size:
            raise Transient(f"{host} answered 200 with {length} bytes for a file of {size}")
        if requested != range(size):
            raise RangeIgnored
        return size
    content_range = headers.get("Content-Range", "")
    if not content_range.strip():
        return _stop_by_length(host, headers, requested, size)
    match = _CONTENT_RANGE.fullmatch(content_range.strip())
    if match is None:
        raise Transient(f"{host} answered 206 with Content-Range {content_range[:60]!r}")
    first, last, total = (int(number) for number in match.groups())
    if total != size:
        raise SourceChanged(f"{host} has a file of {total} bytes where {size} were listed")
    if first != requested.start or last not in requested:
        raise Transient(
            f"{host} sent bytes {first}-{last} when asked for {requested.start}-{requested.stop - 1}"
        )
    return last + 1


def _is_as_stored(status: int, headers: Mapping[str, str], requested: range, size: int) -> bool:
    """Whether the body is as long as the file's own bytes: it was not compressed on the way."""
    length = headers.get("Content-Length", "").strip()
    if status == HTTPStatus.OK:
        return length == str(size)
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", "").strip())
    if match is None:
        return length == str(len(requested))
    first, last, total = (int(number) for number in match.groups())
    return total == size and length == str(last - first + 1)


def _stop_by_length(host: str, headers: Mapping[str, str], requested: range, size: int) -> int:
    """A 206 that does not say of what: taken if it is as long as what was asked for; checksums decide."""
    length = headers.get("Content-Length", "").strip()
    if length == str(len(requested)):
        return requested.stop
    if requested != range(size):
        raise RangeIgnored
    raise FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"{host} answered 206 without a Content-Range, and with {length[:20] or 'no'} bytes where"
        f" {size} were asked for: a proxy or mirror that can't serve ranges",
    )


def not_now(host: str, status: int, headers: Mapping[str, str], code: str = "") -> Transient:
    """An answer that may be another one later; it says so if the server asks to wait."""
    seconds = wanted_seconds(headers) if status in _ASKING_TO_WAIT else None
    wait = "" if seconds is None else f"; it asks to wait {seconds:.0f} s"
    words = " (too many requests)" if status == HTTPStatus.TOO_MANY_REQUESTS else ""
    return Transient(
        f"{host} answered {status}{f' {code}' if code else ''}{words}{wait}", retry_after_seconds=seconds
    )


def _word(code: str) -> str:
    """A server's own word, if it is one: it becomes part of messages."""
    return code if re.fullmatch(r"[A-Za-z0-9.]{1,64}", code, re.ASCII) else ""
