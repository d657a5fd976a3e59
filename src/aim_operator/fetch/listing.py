"""What a source has: files with sizes and checksums. Owns every check of that untrusted listing.

Behind `check`, every path is safe to make below the directory of the model.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason, LeftOut

STATE_FOLDER = ".aim-fetch"
MOST_FILES = 100_000
MOST_BYTES = 1 << 50
_LONGEST_PATH = 1024
_LONGEST_NAME = 255
"""Bytes; what file systems take."""
_DEEPEST = 32
_QUOTED = 120


class SourceChanged(Exception):
    """A file is not, or no longer, what was listed."""


class Checksum(Struct, frozen=True):
    """What the content hashes to.

    With a part size it is the hash of the hashes of the parts, as S3 makes them. `git` is a blob's SHA-1.
    """

    algorithm: str
    value: str
    part_size: int = 0


class RemoteFile(Struct, frozen=True):
    """One file of the source. `etag` changes whenever its content does."""

    path: str
    size: int
    etag: str
    checksum: Checksum | None = None


class Listing(Struct, frozen=True):
    revision: str
    files: tuple[RemoteFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    """What the source has and no volume can: said, and not fetched."""

    @property
    def total_bytes(self) -> int:
        return sum(file.size for file in self.files)


class Request(Struct, frozen=True):
    """Where to GET a file, and with which headers.

    `endpoint` is the address that redirected to here; "" where it is what the user named.
    """

    url: str
    headers: dict[str, str]
    endpoint: str = ""


class Source(Protocol):
    """A place that models come from. Blocking, within limits; called from threads."""

    def refusal(self, code: str) -> str:
        """What to do when a file is refused with the server's word `code`, for people."""

    def list(self, pinned: str | None) -> Listing:
        """List at the pinned revision, or, where there is none or it is gone, at what the URI means now."""

    def request(self, file: RemoteFile) -> Request:
        """How to GET the file, from now on for some minutes."""

    def checksum(self, file: RemoteFile) -> Checksum | None:
        """What to verify the file by; None where the source has nothing usable."""

    def close(self) -> None:
        """Nothing is asked any more: end what another thread still does here, as far as that can be."""


def check(files: Iterable[RemoteFile]) -> tuple[RemoteFile, ...]:
    """Return the files in order of their paths, or raise FetchError for what must not be made on a volume.

    Stops reading at the limit, so that an endless listing ends.
    """
    files_by_path: dict[str, RemoteFile] = {}
    total = 0
    for file in files:
        problem = path_problem(file.path)
        if problem:
            raise refused_path(file.path, problem)
        if file.path in files_by_path:
            raise _refused(f"the source lists {_quoted(file.path)} twice")
        total += file.size
        if file.size < 0 or total > MOST_BYTES:
            raise _refused(
                f"the source lists {_quoted(file.path)} with {file.size} bytes; no size to believe"
            )
        files_by_path[file.path] = file
        if len(files_by_path) > MOST_FILES:
            raise _refused(f"the source lists more than {MOST_FILES} files; name a part of it")
    for path in files_by_path:
        parent = os.path.dirname(path)  # noqa: PTH120 - a name at the source, no path of this machine
        while parent:
            if parent in files_by_path:
                raise _refused(f"the source lists {_quoted(parent)} as a file and as a folder")
            parent = os.path.dirname(parent)  # noqa: PTH120
    return tuple(files_by_path[path] for path in sorted(files_by_path))


def refused_path(path: str, problem: str) -> FetchError:
    """Say that a path is none to make; `problem` is what path_problem returned."""
    return _refused(f"the source lists {_quoted(path)}, {problem}; nothing was written")


def path_problem(path: str) -> str:
    """Return why a file of this relative path must not be made; "" if it may."""
    segments = path.split("/")
    if not path or path.startswith("/") or not {"", ".", ".."}.isdisjoint(segments):
        return "which is no plain relative path"
    try:
        encoded = [segment.encode() for segment in segments]
    except UnicodeEncodeError:
        return "which is no Unicode"
    if not path.isprintable() or "\\" in path:
        return "which has characters that no file name should have"
    if (
        len(path.encode()) > _LONGEST_PATH
        or max(map(len, encoded)) > _LONGEST_NAME
        or len(segments) > _DEEPEST
    ):
        return "which is too long"
    if segments[0].lower() in (STATE_FOLDER, "lost+found"):
        return f"which is a place of the volume's own ({segments[0]})"
    return ""


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else text[: _QUOTED - 1] + "…")


def _refused(message: str) -> FetchError:
    return FetchError(FetchReason.DOWNLOAD_FAILED, message)
