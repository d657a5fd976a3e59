"""Owns what a person sees while a cluster is built and started: one line a step, with its duration.

On a terminal the running step counts its seconds in place; elsewhere a long one says every 30 s that it
still runs. `Progress(None)` is silent, for tests.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

SUBJECT_WIDTH = 21
SILENT_SECONDS = 30.0
ANNOUNCE_SECONDS = 3.0


class Progress:
    """Prints steps to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._terminal = stream is not None and stream.isatty()

    def line(self, subject: str, text: str) -> None:
        """One line that stays."""
        self._write(f"  {subject:<{SUBJECT_WIDTH}} {text}\n")

    @contextmanager
    def step(self, subject: str, doing: str, done: str = "ready") -> Iterator[None]:
        """Shows `doing` while the body runs, then `done` with the seconds it took, or that it failed."""
        began = time.monotonic()
        finished = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(subject, doing, began, finished), daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = done
        finally:
            finished.set()
            ticker.join()
            self.line(subject, f"{outcome} {_seconds(time.monotonic() - began)}")

    def _tick(self, subject: str, doing: str, began: float, finished: threading.Event) -> None:
        period = 1.0 if self._terminal else SILENT_SECONDS
        # Where nothing can be taken back, a quick step has one line only: its result.
        if not self._terminal and finished.wait(ANNOUNCE_SECONDS):
            return
        while True:
            elapsed = time.monotonic() - began
            if self._terminal:
                self._show(subject, f"{_seconds(elapsed, digits=0):>5}  {doing}")
            else:
                self.line(subject, doing if elapsed < period else f"{doing} … {_seconds(elapsed, digits=0)}")
            if finished.wait(period):
                return

    def _show(self, subject: str, text: str) -> None:
        # Cut, because what wraps into a second line could not be taken back.
        width = shutil.get_terminal_size().columns - 1
        self._write(f"  {subject:<{SUBJECT_WIDTH}} {text}"[:width] + "\r")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        erase = "\x1b[2K" if self._terminal else ""
        self._stream.write(erase + text)
        self._stream.flush()


def _seconds(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f} s"
