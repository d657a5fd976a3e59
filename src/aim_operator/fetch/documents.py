"""Answers that are read whole, such as the pages of a listing: how much they may cost. No I/O of its own.

Counts what comes out of a decompression as it comes: a few hundred kB of gzip may be a gigabyte.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.progress import size_text
from aim_operator.fetch.retrying import Transient

MOST_BYTES = 128 * 1024 * 1024
MOST_PAGE_BYTES = 32 * 1024 * 1024
MOST_PAGES = 5000
MOST_SECONDS = 900.0
MOST_OBJECTS = 400_000
"""Of JSON, in one answer: a hundred thousand files have two or three each. They take far more than text."""
_STEP_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class Document(Struct, frozen=True):
    """An answer that is no redirect. Of an error only the beginning is there."""

    status: int
    headers: Mapping[str, str]
    content: bytes | bytearray
    host: str
    """Who answered: not who was asked, where a redirect lies between."""


class Budget:
    """What one listing may cost, over all of its pages and all attempts. FetchError beyond it."""

    def __init__(
        self,
        *,
        most_bytes: int = MOST_BYTES,
        most_page_bytes: int = MOST_PAGE_BYTES,
        most_pages: int = MOST_PAGES,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._most_bytes = most_bytes
        self._most_page_bytes = most_page_bytes
        self._most_pages = most_pages
        self._most_seconds = most_seconds
        self._bytes = self._page_bytes = self._pages = 0
        self._seconds = 0.0

    def page(self) -> None:
        """Another answer begins."""
        self._pages += 1
        self._page_bytes = 0
        if self._pages > self._most_pages:
            raise _refused(f"has more than {self._most_pages} pages")

    def took(self, size: int, seconds: float = 0.0) -> None:
        """So many bytes came, in so much time; waits between attempts are no part of it."""
        self._bytes += size
        self._page_bytes += size
        self._seconds += seconds
        if self._page_bytes > self._most_page_bytes:
            raise _refused(f"has more than {size_text(self._most_page_bytes)} in one answer")
        if self._bytes > self._most_bytes:
            raise _refused(f"has more than {size_text(self._most_bytes)}")
        if self._seconds > self._most_seconds:
            raise FetchError(
                FetchReason.STALLED,
                f"the source's listing is not whole after {self._most_seconds:.0f} s of receiving it; see"
                " what slows the source down",
            )


def check_objects(content: bytes | bytearray) -> None:
    """Raise FetchError for JSON that would cost far more than it is long."""
    if content.count(b"{") > MOST_OBJECTS:
        raise _refused(f"has more than {MOST_OBJECTS} objects in one answer")


def decoded(pieces: Iterable[bytes], encoding: str, host: str, budget: Budget) -> bytes | bytearray:
    """Put an answer together, decompressed, within the budget."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        steps: Iterator[bytes] = iter(pieces)
    elif name in ("gzip", "x-gzip"):
        steps = _inflated(pieces, host, budget)
    else:
        raise Transient(f"{host} answered with a Content-Encoding that was not asked for")
    content = bytearray()
    for step in steps:
        budget.took(len(step))
        content += step
    return content


def _inflated(pieces: Iterable[bytes], host: str, budget: Budget) -> Iterator[bytes]:
    """In steps of at most 64 KiB. What is unpacked counts too: it may unpack to nothing, for ever."""
    unpacker, is_whole = zlib.decompressobj(_GZIP), True
    for piece in pieces:
        budget.took(len(piece))
        rest = piece
        while rest:
            try:
                yield unpacker.decompress(rest, _STEP_BYTES)
            except zlib.error as error:
                raise Transient(f"{host} sent gzip that can't be unpacked") from error
            rest, is_whole = unpacker.unconsumed_tail, unpacker.eof
            if is_whole:
                # Another member may follow.
                rest, unpacker = unpacker.unused_data, zlib.decompressobj(_GZIP)
    if not is_whole:
        raise Transient(f"{host} sent gzip that ends early")


def _refused(problem: str) -> FetchError:
    return FetchError(
        FetchReason.DOWNLOAD_FAILED,
        f"the source's listing {problem}, which no model has; nothing was fetched",
    )
