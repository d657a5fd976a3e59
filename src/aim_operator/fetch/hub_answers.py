"""What a hub answers, as far as a download needs it. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from msgspec import Struct

_COMMIT = re.compile(r"[0-9A-Za-z]{1,128}", re.ASCII)
_NEXT = re.compile(r'<([^<>]{1,8192})>\s*;[^,<>]{0,200}?\brel="?next\b', re.IGNORECASE)
_LONGEST_LINK = 16 * 1024
_MOST_PARAMETERS = 32


class Lfs(Struct, frozen=True):
    """A large file: trees call its SHA-256 `oid`, a model's own list `sha256`."""

    oid: str | None = None
    sha256: str | None = None
    size: int | None = None


class Entry(Struct, frozen=True):
    """One entry of a tree; a mirror may have null in it, above all for folders."""

    path: str
    type: str = "file"
    size: int | None = 0
    oid: str | None = None
    lfs: Lfs | None = None

    @property
    def whole_size(self) -> int | None:
        return self.size if self.lfs is None or self.lfs.size is None else self.lfs.size

    @property
    def sha256(self) -> str:
        return (self.lfs.oid or self.lfs.sha256 or "") if self.lfs else ""


Entries = list[Entry]
"""A page of a tree."""


class Sibling(Struct, frozen=True, rename={"blob_id": "blobId"}):
    """One file of a model's own list; a mirror may tell its name only."""

    rfilename: str
    size: int | None = None
    blob_id: str | None = None
    lfs: Lfs | None = None

    @property
    def whole_size(self) -> int | None:
        return self.size if self.lfs is None or self.lfs.size is None else self.lfs.size

    @property
    def sha256(self) -> str:
        return (self.lfs.sha256 or self.lfs.oid or "") if self.lfs else ""


class Info(Struct, frozen=True):
    """A model."""

    sha: str | None = None
    siblings: list[Sibling] | None = None

    @property
    def commit(self) -> str | None:
        """None where the server has none, or something that is none: it becomes a part of addresses."""
        return self.sha if self.sha and _COMMIT.fullmatch(self.sha) else None


def next_query(link: str) -> dict[str, str] | None:
    """The query of the next page, by a Link header (RFC 8288); None if this page was the last."""
    match = _NEXT.search(link[:_LONGEST_LINK])
    if match is None:
        return None
    try:
        query = urlsplit(match[1]).query
        return dict(parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)) or None
    except ValueError:
        return None
