"""Time, as everything in this room sees it: so that simulations can run on a virtual one.

SystemClock is the only code in the package that asks the machine what time it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Timer(Protocol):
    def cancel(self) -> None:
        """Do not call. No effect once it was called."""
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall time, in UTC, with its time zone."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` from the event loop once `seconds` have passed."""
        ...


class SystemClock:
    """The machine's clock. Usable inside a running event loop only."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(max(seconds, 0.0), callback)


async def within(clock: Clock, seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. Raises TimeoutError, with `work` cancelled, after `seconds`.

    asyncio.timeout measures the loop's time; this measures the clock's.
    """
    task = asyncio.ensure_future(work)
    current = asyncio.current_task()
    cancelled_before = current.cancelling() if current is not None else 0
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = clock.call_later(seconds, expire)
    try:
        return await task
    except asyncio.CancelledError:
        cancelled_now = current.cancelling() if current is not None else 0
        if expired and cancelled_now == cancelled_before:
            raise TimeoutError(f"not done in {seconds:g} s") from None
        task.cancel()
        raise
    finally:
        timer.cancel()


def micro_time(moment: datetime) -> str:
    """Write metav1.MicroTime, which Leases and Events carry."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
