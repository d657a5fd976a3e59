"""When a request that failed is sent again.

Time is the caller's: the transport's is its loop's, a simulation's is virtual. Called by kube.transport.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aim_operator import errors
from aim_operator.backoff import exponential, jittered, spread
from aim_operator.kube.translate import maybe_written

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
T = TypeVar("T")


class Retries:
    """Sends again while that is safe and `seconds` have not passed.

    What was refused before it was carried out (429, no connection) is repeated for every request, what may
    have been carried out only where the request is idempotent.
    """

    def __init__(
        self, now: Callable[[], float], sleep: Callable[[float], Awaitable[None]], seconds: float
    ) -> None:
        self._now, self._sleep, self._seconds = now, sleep, seconds

    async def send(self, once: Callable[[float], Awaitable[T]], *, idempotent: bool) -> T:
        """Return the first answer of `once`, which gets the seconds that are left; raise its last error."""
        deadline = self._now() + self._seconds
        attempt = 0
        while True:
            attempt += 1
            try:
                return await once(deadline - self._now())
            except errors.Unavailable as error:
                pause = _pause(attempt, error)
                unsafe = maybe_written(error) and not idempotent
                if unsafe or _refused(error) or attempt >= ATTEMPTS or self._now() + pause >= deadline:
                    raise
            await self._sleep(pause)


def _refused(error: errors.Unavailable) -> bool:
    """Whether the server answered that it will not, which the next second does not change."""
    return 400 <= error.code < 500 and error.code not in {408, 429}


def _pause(attempt: int, error: errors.Unavailable) -> float:
    if isinstance(error, errors.TooManyRequests):
        return error.retry_after_seconds * spread(1.0, 1.25)
    return jittered(exponential(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, attempt - 1))
