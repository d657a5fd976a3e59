"""Attempts of Jobs whose retries are ours: what came of them, and when a failed one is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import UNSET, UnsetType

from aim_operator.api.meta import given
from aim_operator.api.v1alpha1 import Attempts
from aim_operator.backoff import exponential
from aim_operator.core.conditions import parse_time

FIRST_RETRY_SECONDS = 10
LONGEST_RETRY_SECONDS = 3600


def succeeded(known: Attempts | UnsetType, wanted: str) -> bool:
    """Whether the recorded result is that of the inputs `wanted`."""
    return known is not UNSET and known.spec_hash == wanted and given(known.attempts, 0) == 0


def failed_attempts(known: Attempts | UnsetType, wanted: str) -> int:
    if known is UNSET or known.spec_hash != wanted:
        return 0
    return given(known.attempts, 0)


def recorded(known: Attempts | UnsetType, wanted: str, ended_at: str) -> bool:
    """Whether the attempt that ended at `ended_at` (RFC 3339) is already accounted for."""
    if known is UNSET or known.spec_hash != wanted:
        return False
    last = given(known.last_attempt_time, None)
    return last is not None and parse_time(last) >= parse_time(ended_at)


def retry_at(known: Attempts | UnsetType, wanted: str) -> datetime | None:
    """When the next attempt is due: 10 s after the first failure, doubling up to 1 h. None: now."""
    attempts = failed_attempts(known, wanted)
    if known is UNSET or attempts == 0:
        return None
    last = given(known.last_attempt_time, None)
    if last is None:
        return None
    delay = exponential(FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS, attempts - 1)
    return parse_time(last) + timedelta(seconds=delay)
