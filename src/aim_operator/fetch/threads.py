"""Blocking calls of libraries, off the event loop, in threads that nobody has to wait for at the end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T], limit_seconds: float) -> T:
    """Return what `call` does; TimeoutError after the limit, with the call left to itself.

    Unlike a pool's threads these are no obstacle to the end of the process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error it is what call returned

    def run() -> None:
        result: T | None = None
        problem: BaseException | None = None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            problem = error
        with contextlib.suppress(RuntimeError):  # the loop ended; nobody waits any more
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, daemon=True).start()
    async with asyncio.timeout(limit_seconds):
        return await future
