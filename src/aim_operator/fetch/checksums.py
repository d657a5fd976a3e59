"""Hashing of a file from its beginning, as its pieces become known. No I/O."""

from __future__ import annotations

import hashlib
import re

from aim_operator.fetch.listing import Checksum

_ALGORITHMS = {"sha256": "sha256", "git": "sha1", "md5": "md5"}
_TEXT = re.compile(
    r"(sha256:[0-9a-f]{64}|git:[0-9a-f]{40}|md5:[0-9a-f]{32})(?:/([1-9][0-9]{0,18}))?", re.ASCII
)


def as_text(checksum: Checksum) -> str:
    """Write a checksum for a record: `sha256:<hex>`, or `md5:<hex>/<part size>` for one of parts."""
    size = f"/{checksum.part_size}" if checksum.part_size else ""
    return f"{checksum.algorithm}:{checksum.value}{size}"


def of_text(text: str | None) -> Checksum | None:
    """Read what `as_text` wrote; None for anything else: a record may be of another version."""
    match = _TEXT.fullmatch(text or "")
    if match is None:
        return None
    algorithm, _, value = match[1].partition(":")
    return Checksum(algorithm, value, int(match[2] or 0))


class Digest:
    """Fed in order; `hexdigest` is to be compared with the checksum's value once all is fed."""

    def __init__(self, checksum: Checksum, size: int) -> None:
        self._algorithm = _ALGORITHMS[checksum.algorithm]
        self._part_size = checksum.part_size
        self._of_parts = self._new()
        self._hash = self._new()
        self._room = self._part_size
        if checksum.algorithm == "git":
            self._hash.update(b"blob %d\0" % size)

    def update(self, content: memoryview | bytes) -> None:
        if not self._part_size:
            self._hash.update(content)
            return
        view = memoryview(content)
        while view:
            piece = view[: self._room]
            self._hash.update(piece)
            self._room -= len(piece)
            view = view[len(piece) :]
            if not self._room:
                self._end_part()

    def hexdigest(self) -> str:
        if not self._part_size:
            return self._hash.hexdigest()
        if self._room != self._part_size:
            self._end_part()
        return self._of_parts.hexdigest()

    def _end_part(self) -> None:
        self._of_parts.update(self._hash.digest())
        self._hash = self._new()
        self._room = self._part_size

    def _new(self) -> hashlib._Hash:
        # No secret is protected by it: what the source calls its checksum is compared.
        return hashlib.new(self._algorithm, usedforsecurity=False)
