"""The clock that the sandbox runs on, as a duck type: runtime/clock.py has the real and the virtual one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall-clock time, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer: ...


def timestamp(clock: Clock) -> str:
    """Now, as Kubernetes writes metav1.Time: UTC, to the second."""
    return clock.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_seconds(clock: Clock, since: str) -> float:
    """Seconds since a metav1.Time."""
    return (clock.now() - datetime.fromisoformat(since)).total_seconds()
