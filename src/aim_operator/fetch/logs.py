"""Everything that libraries print or log, through the redactor: nothing reaches the Pod's log as it is.

botocore, urllib3 and asyncio log, warnings are shown, and what a thread does not catch is printed. All of it
ends in sys.stdout or sys.stderr, and both are replaced.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import threading
from typing import TextIO

from aim_operator.fetch.redaction import Redactor

LONGEST_LINE = 2000
_MOST_HELD = 64 * 1024


class RedactedStream(io.TextIOBase):
    """Writes whole lines to another stream, each redacted. What is not ended yet is held back."""

    def __init__(self, stream: TextIO, redactor: Redactor) -> None:
        self._stream = stream
        self._redactor = redactor
        self._held = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Take any text; lines may come in pieces, and end with a line feed or a carriage return."""
        with self._lock:
            *lines, self._held = (self._held + text.replace("\r", "\n")).split("\n")
            while len(self._held) > _MOST_HELD:
                lines.append(self._held[:_MOST_HELD])
                self._held = self._held[_MOST_HELD:]
            for line in lines:
                write_line(self._stream, self._redactor.one_line(line, LONGEST_LINE))
        return len(text)

    def flush(self) -> None:
        """Flush what is whole; a secret may be split between two writes."""
        with self._lock, contextlib.suppress(OSError):
            self._stream.flush()

    def finish(self) -> None:
        """Write what is held back too: nothing follows."""
        with self._lock:
            if self._held:
                self.write("\n")

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        """No terminal: whoever asks would send it more than lines."""
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # io has an attribute that can be written
        return self._stream.encoding


def write_line(stream: TextIO, line: str) -> None:
    """Write and flush. Nothing happens where nobody reads any more (`| head`), or the log's disk is full.

    Neither is an obstacle to a download, and an OSError would be taken for the volume's.
    """
    with contextlib.suppress(OSError):
        stream.write(f"{line}\n")
        stream.flush()


def redact(redactor: Redactor) -> TextIO:
    """Redact all that this process prints and logs from now on; returns the stdout that was there.

    Exceptions that nobody catches, warnings and logging's last resort write to whatever sys.stderr is then.
    """
    stdout = sys.stdout
    for stream in (stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of files may have characters that the log's encoding has not.
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = RedactedStream(stdout, redactor), RedactedStream(sys.stderr, redactor)
    logging.captureWarnings(capture=True)
    for logger in map(logging.getLogger, list(logging.root.manager.loggerDict)):
        # One that writes by itself, to a stream that it took before.
        logger.handlers.clear()
        logger.propagate = True
    logging.basicConfig(
        force=True, stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    return stdout


def finish() -> None:
    """At the end of the process: write what has no line end yet."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, RedactedStream):
            stream.finish()
        stream.flush()
