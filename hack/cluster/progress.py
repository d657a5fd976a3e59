"""Owns what a person sees while a cluster is built and started: one line a step, with its duration.

On a terminal the running steps count their seconds in place, all in one line; elsewhere a long one says every
30 s that it still runs. Steps may run in several threads. `Progress(None)` is silent, for tests.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, TextIO

SUBJECT_WIDTH = 21
SILENT_SECONDS = 30.0
ANNOUNCE_SECONDS = 3.0


class _Step(NamedTuple):
    subject: str
    doing: str
    began: float


class Progress:
    """Prints steps to a stream."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._terminal = stream is not None and stream.isatty()
        self._running: list[_Step] = []
        self._lock = threading.Lock()

    def line(self, subject: str, text: str) -> None:
        """One line that stays."""
        with self._lock:
            self._write(f"  {subject:<{SUBJECT_WIDTH}} {text}\n")

    @contextmanager
    def step(self, subject: str, doing: str, done: str = "ready") -> Iterator[None]:
        """Shows `doing` while the body runs, then `done` with the seconds it took, or that it failed."""
        step = _Step(subject, doing, time.monotonic())
        with self._lock:
            self._running.append(step)
        finished = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(step, finished), daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = done
        finally:
            finished.set()
            ticker.join()
            with self._lock:
                self._running.remove(step)
            self.line(subject, f"{outcome} {_seconds(time.monotonic() - step.began)}")

    def _tick(self, step: _Step, finished: threading.Event) -> None:
        period = 1.0 if self._terminal else SILENT_SECONDS
        # Where nothing can be taken back, a quick step has one line only: its result.
        if not self._terminal and finished.wait(ANNOUNCE_SECONDS):
            return
        while True:
            elapsed = time.monotonic() - step.began
            if self._terminal:
                self._show_running()
            else:
                text = step.doing if elapsed < period else f"{step.doing} … {_seconds(elapsed, digits=0)}"
                self.line(step.subject, text)
            if finished.wait(period):
                return

    def _show_running(self) -> None:
        with self._lock:
            now = time.monotonic()
            seconds = [f"{_seconds(now - step.began, digits=0):>5}" for step in self._running]
            if len(self._running) == 1:
                (step,) = self._running
                text = f"{step.subject:<{SUBJECT_WIDTH}} {seconds[0]}  {step.doing}"
            else:
                several = zip(self._running, seconds, strict=True)
                text = "  ".join(f"{step.subject:<{SUBJECT_WIDTH}} {count}" for step, count in several)
            # Cut, because what wraps into a second line could not be taken back.
            width = shutil.get_terminal_size().columns - 1
            self._write(f"  {text}"[:width] + "\r")

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        erase = "\x1b[2K" if self._terminal else ""
        self._stream.write(erase + text)
        self._stream.flush()


def _seconds(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f} s"
