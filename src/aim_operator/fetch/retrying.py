"""When to try again: which failures pass, and how long to wait. Used for listings and for streams."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from aim_operator.backoff import exponential, jittered, spread
from aim_operator.errors import FetchError
from aim_operator.fetch.outcome import FetchReason

T = TypeVar("T")


class Transient(Exception):
    """An attempt that failed in a way that may pass. The message is the cause, for people."""

    def __init__(
        self, cause: str, *, stalled: bool = False, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(cause)
        self.stalled = stalled
        self.retry_after_seconds = retry_after_seconds


class Policy(Struct, frozen=True):
    """`attempts` in a row may fail without a byte gained."""

    attempts: int = 8
    first_seconds: float = 0.5
    limit_seconds: float = 30
    most_retry_after_seconds: float = 300
    """The Hub counts requests in windows of five minutes."""

    def wait_seconds(self, failures: int, asked_seconds: float | None) -> float:
        """How long after the n-th failure in a row: exponentially, or longer if the server asks to wait."""
        # Never less: a server that asks to wait 0 s would use up all attempts in a moment.
        own_seconds = jittered(exponential(self.first_seconds, self.limit_seconds, failures - 1))
        if asked_seconds is None:
            return own_seconds
        # Later by up to a tenth, so that streams do not all come at once.
        return max(own_seconds, min(asked_seconds, self.most_retry_after_seconds) * spread(1, 1.1))

    def given_up(self, what: str, cause: Transient, then: str = "") -> FetchError:
        reason = FetchReason.STALLED if cause.stalled else FetchReason.DOWNLOAD_FAILED
        attempts = f"{self.attempts} attempts in a row" if self.attempts > 1 else "1 attempt"
        return FetchError(reason, f"{what}: {cause} ({attempts} without progress){then}")


def retrying(
    what: str,
    call: Callable[[], T],
    policy: Policy,
    retried: Callable[[str], None],
    wait: Callable[[float], object] = time.sleep,
) -> T:
    """Return what `call` does once it does not fail in passing; FetchError after the last attempt.

    `wait` gets the seconds between two attempts. It may raise, to end it all.
    """
    failures = 0
    while True:
        try:
            return call()
        except Transient as cause:
            failures += 1
            if failures >= policy.attempts:
                raise policy.given_up(what, cause) from cause
            retried(str(cause))
            wait(policy.wait_seconds(failures, cause.retry_after_seconds))
