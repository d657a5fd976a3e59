"""How far a download is, for logs and for the operator that reads them. Prints; decides nothing.

One line per step, never rewritten, so that it is whole in a Pod's log:

    progress downloadedBytes=N totalBytes=N percentage=N rate=12.3MiB/s remaining=1m40s

Bytes count once they are on the volume and remembered there, so that the next run does not show less.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable

_LEAST_SECONDS = 2.0
_MOST_SECONDS = 15.0
_LOOK_SECONDS = 0.25
_RATE_SECONDS = 20.0
_MOST_CAUSES = 3
_NEARLY = 99


class Progress:
    """Counts, for any thread; `report` prints until cancelled. `say` prints one sentence.

    With `show` there are no lines for machines: it is given this, often, to draw what it likes.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        show: Callable[[Progress], None] | None = None,
    ) -> None:
        self.say = say
        self._show = show
        self._clock = clock
        self._lock = threading.Lock()
        self.total_bytes = 0
        self.verified = False
        self._stored = 0
        self._shown = 0
        self._received = 0
        self._causes: Counter[str] = Counter()
        self._samples: list[tuple[float, int]] = [(clock(), 0)]
        self.last_byte = clock()

    def begin(self, *, total_bytes: int, stored_bytes: int, shown_bytes: int) -> None:
        """Set where it stands; `shown_bytes` were shown before, so that no less may be now."""
        self.total_bytes = total_bytes
        self._stored = stored_bytes
        self._shown = min(max(self._shown, shown_bytes), total_bytes)

    def received(self, count: int) -> None:
        """Bytes came in."""
        with self._lock:
            self._received += count
            self.last_byte = self._clock()

    def stored(self, count: int) -> None:
        """Bytes are on the volume, and remembered (or, negative, were discarded)."""
        with self._lock:
            self._stored += count

    def retried(self, cause: str) -> None:
        with self._lock:
            self._causes[cause] += 1

    @property
    def downloaded_bytes(self) -> int:
        with self._lock:
            self._shown = max(self._shown, min(self._stored, self.total_bytes))
            return self._shown

    @property
    def percentage(self) -> int:
        """Floor; 100 only once everything is verified."""
        if self.verified:
            return 100
        if not self.total_bytes:
            return 0
        return min(_NEARLY, self.downloaded_bytes * 100 // self.total_bytes)

    def line(self) -> str:
        rate = self._rate()
        left = self.total_bytes - self.downloaded_bytes
        remaining = "0s" if self.verified else _duration(left / rate) if rate >= 1 else "unknown"
        return (
            f"progress downloadedBytes={self.downloaded_bytes} totalBytes={self.total_bytes}"
            f" percentage={self.percentage} rate={_size(rate)}/s remaining={remaining}"
        )

    def print_now(self) -> None:
        self._print_causes()
        if self._show is None:
            self.say(self.line())
        else:
            self._show(self)

    async def report(self) -> None:
        """Print when something moved, at most every 2 s; else every 15 s, saying that nothing does."""
        self.print_now()
        last_time, last_bytes = self._clock(), self.downloaded_bytes
        last_causes = last_time
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self._show is not None:
                self._show(self)
            now = self._clock()
            waited = now - last_time
            if waited < _LEAST_SECONDS:
                continue
            if self.downloaded_bytes != last_bytes or waited >= _MOST_SECONDS:
                silent = now - self.last_byte
                if silent >= _MOST_SECONDS:
                    self.say(f"no byte came in for {silent:.0f} s")
                self.print_now()
                last_time, last_bytes = now, self.downloaded_bytes
            elif self._causes and now - last_causes >= _LEAST_SECONDS:
                self._print_causes()
                last_causes = now

    def _print_causes(self) -> None:
        with self._lock:
            causes, self._causes = self._causes, Counter()
        if not causes:
            return
        often = ", ".join(f"{count} x {cause}" for cause, count in causes.most_common(_MOST_CAUSES))
        others = sum(causes.values()) - sum(count for _, count in causes.most_common(_MOST_CAUSES))
        self.say(f"trying again after: {often}{f' and {others} others' if others else ''}")

    def _rate(self) -> float:
        now = self._clock()
        self._samples.append((now, self._received))
        while len(self._samples) > 2 and now - self._samples[1][0] > _RATE_SECONDS:
            self._samples.pop(0)
        since, before = self._samples[0]
        return (self._received - before) / (now - since) if now > since else 0.0


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f}{unit}" if unit == "B" else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}TiB"


def size_text(count: int) -> str:
    """A number of bytes for people: exact, and in a unit that can be read."""
    return f"{count} bytes" if count < 1024 else f"{count} bytes ({_size(count)})"


def _duration(seconds: float) -> str:
    whole = int(seconds) + 1
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"
