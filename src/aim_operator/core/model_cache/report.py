"""What a download says about itself: lines in its log, and a last word when it ends.

Both come from a container and are read as such: bounded, and no word of it is taken for more than text.
Written by aim_operator.fetch; docs/reference/fetch.md describes them.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from aim_operator.api.external import ContainerTerminated, Pod
from aim_operator.api.meta import UNREADABLE, Wire
from aim_operator.api.v1alpha1 import LeftOutFiles
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.messages import one_line
from aim_operator.core.pods import Verdict, terminated

FAILURES = frozenset(
    {
        Reason.DOWNLOAD_FAILED,
        Reason.AUTHENTICATION_FAILED,
        Reason.SOURCE_NOT_FOUND,
        Reason.INSUFFICIENT_SPACE,
        Reason.STALLED,
        Reason.VERIFICATION_FAILED,
    }
)
"""What a download may give as the reason of its failure."""

_PROGRESS = re.compile(r"progress downloadedBytes=(?P<done>[0-9]{1,18}) totalBytes=(?P<total>[0-9]{1,18})\b")
_REASONS_BY_CODE = {
    10: Reason.AUTHENTICATION_FAILED,
    11: Reason.SOURCE_NOT_FOUND,
    12: Reason.INSUFFICIENT_SPACE,
    13: Reason.STALLED,
    15: Reason.VERIFICATION_FAILED,
}
_REVISION_LIMIT = 256
_PATTERN_LIMIT = 256
_MOST_LEFT_OUT = 8
_MOST = 2**63
_MOST_FILES = 2**31


class Progress(Struct, frozen=True, kw_only=True):
    """Bytes on the volume, of all that there are to be."""

    downloaded_bytes: int
    total_bytes: int


class Contents(Struct, frozen=True, kw_only=True):
    """What is downloaded of a source, and what is left out."""

    total_bytes: int
    files: int
    left_out: tuple[LeftOutFiles, ...] = ()


class LastWord(Struct, frozen=True, kw_only=True):
    """How a download or a listing ended. `failure` is None where it succeeded."""

    failure: Verdict | None = None
    progress: Progress | None = None
    contents: Contents | None = None
    """Of one that succeeded; None where it does not say."""
    revision: str = ""
    message: str = ""
    """Of one that succeeded."""


class _LeftOut(Wire):
    pattern: str = ""
    files: int = 0
    total_bytes: int = 0


class _Message(Wire):
    """The termination message of aim_operator.fetch."""

    reason: str = ""
    message: str = ""
    total_bytes: int | None = None
    downloaded_bytes: int | None = None
    revision: str | None = None
    files: int | None = None
    left_out: tuple[_LeftOut, ...] | None = None


def parse_progress(line: str) -> Progress | None:
    """Read one line of the log; None where it tells of something else."""
    match = _PROGRESS.match(line)
    if match is None:
        return None
    return _progress(int(match["done"]), int(match["total"]))


def last_word(pod: Pod | None, container: str) -> LastWord | None:
    """Return how the download ended, as the status of its Pod keeps it; None where its container has not."""
    ended = terminated(pod, container)
    return _last_word(ended) if ended is not None else None


def _last_word(ended: ContainerTerminated) -> LastWord:
    message = _decoded(ended.message or "")
    progress = _progress(
        -1 if message.downloaded_bytes is None else message.downloaded_bytes,
        -1 if message.total_bytes is None else message.total_bytes,
    )
    if ended.exit_code == 0:
        revision = one_line(message.revision or "", _REVISION_LIMIT)
        return LastWord(
            progress=progress,
            revision=revision,
            contents=_contents(message),
            message=one_line(message.message),
        )
    reason = message.reason if message.reason in FAILURES else _REASONS_BY_CODE.get(ended.exit_code)
    cause = one_line(message.message)
    if not cause:
        kind = f" ({one_line(ended.reason)})" if ended.reason not in (None, "", "Error") else ""
        cause = f"the download exited with code {ended.exit_code}{kind}"
    return LastWord(failure=Verdict(reason or Reason.DOWNLOAD_FAILED, cause), progress=progress)


def _decoded(text: str) -> _Message:
    try:
        return msgspec.json.decode(text, type=_Message)
    except (*UNREADABLE, ValueError):
        return _Message()


def _contents(message: _Message) -> Contents | None:
    """Return what it counted; None where it did not, or in numbers that nothing can have."""
    total, files = (-1 if message.total_bytes is None else message.total_bytes), message.files or 0
    if not (0 <= total < _MOST and 0 < files < _MOST_FILES):
        return None
    left_out = tuple(
        LeftOutFiles(
            pattern=one_line(one.pattern, _PATTERN_LIMIT), files=one.files, total_bytes=one.total_bytes
        )
        for one in (message.left_out or ())[:_MOST_LEFT_OUT]
        if 0 < one.files < _MOST_FILES and 0 <= one.total_bytes < _MOST
    )
    return Contents(total_bytes=total, files=files, left_out=left_out)


def _progress(downloaded: int, total: int) -> Progress | None:
    if not 0 <= downloaded <= total < _MOST:
        return None
    return Progress(downloaded_bytes=downloaded, total_bytes=total)
