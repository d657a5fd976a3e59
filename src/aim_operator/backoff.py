"""How long to wait before trying again: the one formula, for requests, watches, keys, repairs and downloads.

Seed `random` to repeat a run. `exponential` is pure.
"""

from __future__ import annotations

import random


def jittered(seconds: float) -> float:
    """Return something between half of `seconds` and all of it, so that many do not come back at once."""
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret


def spread(low: float, high: float) -> float:
    """Return something between `low` and `high`."""
    return random.uniform(low, high)  # noqa: S311 - jitter, no secret


class Backoff:
    """Exponential: `first`, twice that, four times, at most `limit` seconds, each jittered."""

    def __init__(self, first_seconds: float, limit_seconds: float) -> None:
        self._first = first_seconds
        self._limit = limit_seconds
        self._failures = 0

    def next(self) -> float:
        wait = exponential(self._first, self._limit, self._failures)
        self._failures += 1
        return jittered(wait)

    def reset(self) -> None:
        self._failures = 0


def exponential(first_seconds: float, limit_seconds: float, failures: int) -> float:
    """Return first · 2^failures, at most the limit."""
    # Beyond 2^60 the product only grows into overflow.
    return float(min(first_seconds * 2.0 ** min(failures, 60), limit_seconds))
