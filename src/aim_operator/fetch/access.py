"""Access to the volume while a run goes on: once it has ended nothing is done there any more."""

from __future__ import annotations

import threading
from types import TracebackType

from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.stall import StallWatch


class Stopped(Exception):
    """The run has ended: this thread is to end too, and to leave the volume alone."""


class Access:
    """A context around all that is done on the volume, by any thread: FetchError if it fails, or Stopped.

    Of a class instead of a generator: it is entered for each piece of a download.
    """

    def __init__(self, stall: StallWatch) -> None:
        self._stall = stall
        self._lock = threading.Lock()
        self._left = threading.Condition(self._lock)
        self._inside = 0
        self._is_over = False

    def __enter__(self) -> None:
        with self._lock:
            if self._is_over:
                raise Stopped
            self._inside += 1
        self._stall.entered_volume()

    def __exit__(
        self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None
    ) -> None:
        self._stall.left_volume()
        with self._lock:
            self._inside -= 1
            if self._is_over:
                self._left.notify_all()
        if isinstance(error, OSError):
            raise volume_error(error) from error

    def end(self) -> None:
        """Let nobody in any more."""
        with self._lock:
            self._is_over = True

    def settle(self, limit_seconds: float) -> bool:
        """Wait, once it has ended, until nobody is inside. Whether that came: some volumes never answer."""
        with self._lock:
            return self._left.wait_for(lambda: not self._inside, limit_seconds)
