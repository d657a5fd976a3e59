"""How long a server asks to wait, in all the forms in which servers do. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?", re.ASCII)
_PARAMETER = re.compile(r"\b(r|t|remaining|reset)\s*=\s*(\d{1,12})\b", re.ASCII | re.IGNORECASE)
_RESETS = ("RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset")
_LONGEST_HEADER = 1024
_EPOCH_FROM = 1_000_000_000
"""A number of seconds above it is a moment since 1970, as GitHub and some proxies write it."""


def wanted_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return the longest wait that the headers ask for, None where they ask for none.

    Retry-After in seconds or as a date (RFC 9110); `RateLimit: "api";r=0;t=30`, which the Hub sends, and its
    older form `limit=10, remaining=0, reset=30` (draft-ietf-httpapi-ratelimit-headers); RateLimit-Reset.
    """
    moment = now or datetime.now(UTC)
    found = [
        _retry_after(headers.get("Retry-After", ""), moment),
        *(_rate_limit(one) for one in headers.get("RateLimit", "")[:_LONGEST_HEADER].split(",")),
        _whole_rate_limit(headers.get("RateLimit", "")[:_LONGEST_HEADER]),
        *(_reset(headers.get(name, ""), moment) for name in _RESETS),
    ]
    return max((seconds for seconds in found if seconds is not None), default=None)


def _rate_limit(text: str) -> float | None:
    """One limit of a list; only one that is used up tells how long to wait."""
    parameters = {name.lower(): int(value) for name, value in _PARAMETER.findall(text)}
    return float(parameters["t"]) if parameters.get("r", 0) == 0 and "t" in parameters else None


def _whole_rate_limit(text: str) -> float | None:
    """The older form, where commas separate the parameters of the one limit."""
    parameters = {name.lower(): int(value) for name, value in _PARAMETER.findall(text)}
    if parameters.get("remaining", 0) == 0 and "reset" in parameters:
        return float(parameters["reset"])
    return None


def _retry_after(text: str, now: datetime) -> float | None:
    value = text.strip()[:_LONGEST_HEADER]
    if _NUMBER.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        # One without a zone is in GMT, as all dates of HTTP are.
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def _reset(text: str, now: datetime) -> float | None:
    value = text.strip()
    if not re.fullmatch(r"\d{1,12}", value, re.ASCII):
        return None
    seconds = float(value)
    return max(0.0, seconds - now.timestamp()) if seconds >= _EPOCH_FROM else seconds
