"""Blocking calls in threads that nobody has to wait for at the end: one may hang in a dead file system."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def started(call: Callable[[], T]) -> Future[T]:
    """Start `call` in a thread of its own. Unlike a pool's threads it is no obstacle to the process's end."""
    future: Future[T] = Future()
    # So that whoever waits can be cancelled, and not the result that is set one day.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


async def in_thread(call: Callable[[], T]) -> T:
    """Return what `call` does, off the event loop. If the waiting is cancelled it is left to itself."""
    return await asyncio.wrap_future(started(call))


def limited(call: Callable[[], T], limit_seconds: float) -> T:
    """Return what `call` does; TimeoutError after the limit, with the call left to itself."""
    return started(call).result(limit_seconds)
