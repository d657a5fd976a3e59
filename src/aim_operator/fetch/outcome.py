"""How a download ended: the reason, the exit code, and the termination message that the operator reads."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from msgspec import Struct

from aim_operator.fetch.redaction import Redactor

MOST_BYTES = 4096
"""A kubelet keeps no more of a termination message."""
_LONGEST_MESSAGE = 1024
INTERRUPTED_CODE = 143


class FetchReason:
    """Reasons of the termination message; those that are failures are condition reasons too."""

    DOWNLOADED = "Downloaded"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    SOURCE_NOT_FOUND = "SourceNotFound"
    INSUFFICIENT_SPACE = "InsufficientSpace"
    STALLED = "Stalled"
    DOWNLOAD_FAILED = "DownloadFailed"
    INVALID_REQUEST = "InvalidRequest"
    INTERRUPTED = "Interrupted"


EXIT_CODES = {
    FetchReason.DOWNLOADED: 0,
    FetchReason.INVALID_REQUEST: 2,
    FetchReason.AUTHENTICATION_FAILED: 10,
    FetchReason.SOURCE_NOT_FOUND: 11,
    FetchReason.INSUFFICIENT_SPACE: 12,
    FetchReason.STALLED: 13,
    FetchReason.DOWNLOAD_FAILED: 14,
    FetchReason.INTERRUPTED: INTERRUPTED_CODE,
}


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a download. The message is for people: what happened, and what to do."""

    reason: str
    message: str
    total_bytes: int = 0
    downloaded_bytes: int = 0
    revision: str = ""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.reason]


def encode(outcome: Outcome, redactor: Redactor) -> bytes:
    """The termination message: one line of JSON, never over 4096 bytes, with no secret in it."""
    message = redactor.one_line(outcome.message, _LONGEST_MESSAGE)
    content: dict[str, str | int] = {
        "reason": outcome.reason,
        "message": message,
        "totalBytes": outcome.total_bytes,
        "downloadedBytes": outcome.downloaded_bytes,
    }
    if outcome.revision:
        content["revision"] = redactor.one_line(outcome.revision, 200)
    encoded = json.dumps(content, ensure_ascii=False).encode()
    while len(encoded) > MOST_BYTES:
        # 1024 characters of four bytes each, or of escapes: a shorter message says enough.
        message = message[: len(message) // 2]
        content["message"] = message + "…"
        encoded = json.dumps(content, ensure_ascii=False).encode()
    return encoded


def write(path: Path, outcome: Outcome, redactor: Redactor) -> None:
    """Write the termination message in place: a kubelet's file is a mount and can't be replaced."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode(outcome, redactor))
