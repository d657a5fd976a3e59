"""Calls to the volume, off the event loop: a file system that hangs must not hold up signals and watches.

For all but the transfer's own calls, which its stall watch sees.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from aim_operator.errors import FetchError
from aim_operator.fetch.folders import volume_error
from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.threads import in_thread

T = TypeVar("T")

_LOOK_SECONDS = 1.0


def _no_steps() -> int:
    return 0


async def on_volume(
    call: Callable[[], T],
    silent_seconds: float,
    steps: Callable[[], int] = _no_steps,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what `call` does, in a thread that is left to itself if nobody waits for it any more.

    FetchError(Stalled) once it has neither ended nor changed `steps` for so long; an OSError comes out as
    what it says about the volume.
    """
    work = asyncio.ensure_future(in_thread(call))
    seen, since = steps(), clock()
    try:
        while True:
            await asyncio.wait((work,), timeout=min(_LOOK_SECONDS, silent_seconds / 4))
            if work.done():
                try:
                    return work.result()
                except OSError as error:
                    raise volume_error(error) from error
            now = clock()
            if steps() != seen:
                seen, since = steps(), now
            if now - since >= silent_seconds:
                raise FetchError(
                    FetchReason.STALLED,
                    f"the volume did not answer for {now - since:.0f} s; see whether its server can be"
                    " reached from this node. What is there stays, and the next run continues from it",
                )
    finally:
        work.cancel()
