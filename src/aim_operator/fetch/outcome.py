"""How a download or a listing ended: reason, exit code, and the termination message for the operator."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch.redaction import Redactor

MOST_BYTES = 4096
"""A kubelet keeps no more of a termination message."""
_LONGEST_MESSAGE = 1024
_MOST_LEFT_OUT = 8
_LONGEST_PATTERN = 64
INTERRUPTED_CODE = 143


class FetchReason:
    """Reasons of the termination message; those that are failures are condition reasons too."""

    DOWNLOADED = "Downloaded"
    LISTED = "Listed"
    VERIFIED = "Verified"
    VERIFICATION_FAILED = "VerificationFailed"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    SOURCE_NOT_FOUND = "SourceNotFound"
    INSUFFICIENT_SPACE = "InsufficientSpace"
    STALLED = "Stalled"
    DOWNLOAD_FAILED = "DownloadFailed"
    INVALID_REQUEST = "InvalidRequest"
    INTERRUPTED = "Interrupted"


DONE = (FetchReason.DOWNLOADED, FetchReason.LISTED, FetchReason.VERIFIED)
EXIT_CODES = {
    **dict.fromkeys(DONE, 0),
    FetchReason.INVALID_REQUEST: 2,
    FetchReason.AUTHENTICATION_FAILED: 10,
    FetchReason.SOURCE_NOT_FOUND: 11,
    FetchReason.INSUFFICIENT_SPACE: 12,
    FetchReason.STALLED: 13,
    FetchReason.DOWNLOAD_FAILED: 14,
    FetchReason.VERIFICATION_FAILED: 15,
    FetchReason.INTERRUPTED: INTERRUPTED_CODE,
}


class LeftOut(Struct, frozen=True, kw_only=True, rename="camel"):
    """Files of the source that are not fetched, all by one pattern."""

    pattern: str
    files: int
    total_bytes: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a download or a listing. The message is for people: what happened, and what to do."""

    reason: str
    message: str
    total_bytes: int = 0
    downloaded_bytes: int = 0
    files: int = 0
    revision: str = ""
    left_out: tuple[LeftOut, ...] = ()

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.reason]


async def outcome_of(
    work: Callable[[], Awaitable[Outcome]], failed: Callable[[str, str], Outcome]
) -> Outcome:
    """Return what comes of `work`, or what `failed` makes of the reason and message of its failure.

    Raises only what is a bug, and OSError.
    """
    try:
        return await work()
    except UserError as error:
        return failed(FetchReason.INVALID_REQUEST, str(error))
    except FetchError as error:
        return failed(error.reason, str(error))
    except asyncio.CancelledError:
        return failed(
            FetchReason.INTERRUPTED, "asked to stop; what is there stays, and the next run continues from it"
        )


def encode(outcome: Outcome, redactor: Redactor) -> bytes:
    """The termination message: one line of JSON, never over 4096 bytes, with no secret in it."""
    message = redactor.one_line(outcome.message, _LONGEST_MESSAGE)
    content: dict[str, Any] = {
        "reason": outcome.reason,
        "message": message,
        "totalBytes": outcome.total_bytes,
        "downloadedBytes": outcome.downloaded_bytes,
    }
    if outcome.files:
        content["files"] = outcome.files
    if outcome.revision:
        content["revision"] = redactor.one_line(outcome.revision, 200)
    if outcome.left_out:
        content["leftOut"] = _left_out(outcome.left_out, redactor)
    encoded = json.dumps(content, ensure_ascii=False).encode()
    while len(encoded) > MOST_BYTES:
        # 1024 characters of four bytes each, or of escapes: a shorter message says enough.
        message = message[: len(message) // 2]
        content["message"] = message + "…"
        encoded = json.dumps(content, ensure_ascii=False).encode()
    return encoded


def _left_out(left_out: tuple[LeftOut, ...], redactor: Redactor) -> list[dict[str, str | int]]:
    """Return the first few, and the rest as one."""
    first, rest = left_out[: _MOST_LEFT_OUT - 1], left_out[_MOST_LEFT_OUT - 1 :]
    if len(rest) > 1:
        rest = (
            LeftOut(
                pattern="others",
                files=sum(one.files for one in rest),
                total_bytes=sum(one.total_bytes for one in rest),
            ),
        )
    return [
        {
            "pattern": redactor.one_line(one.pattern, _LONGEST_PATTERN),
            "files": one.files,
            "totalBytes": one.total_bytes,
        }
        for one in (*first, *rest)
    ]


def write(path: Path, outcome: Outcome, redactor: Redactor) -> None:
    """Write the termination message in place: a kubelet's file is a mount and can't be replaced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(outcome, redactor))
