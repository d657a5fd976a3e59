"""What `aimctl doctor` says: checks, each with what was found and what to do."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """`warning` is what some services miss; `problem` is what none can do without."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


class Check(Struct, frozen=True, kw_only=True):
    """`remedy` is "" where there is nothing to do."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""


class Report(Struct, frozen=True, kw_only=True):
    checks: tuple[Check, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is known that keeps every service from running."""
        return all(check.verdict != Verdict.PROBLEM for check in self.checks)


def ok(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.OK, found=found)


def warning(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, verdict=Verdict.WARNING, found=found, remedy=remedy)


def problem(name: str, found: str, remedy: str) -> Check:
    return Check(name=name, verdict=Verdict.PROBLEM, found=found, remedy=remedy)


def unknown(name: str, found: str) -> Check:
    return Check(name=name, verdict=Verdict.UNKNOWN, found=found)


def some(words: list[str], most: int = 3) -> str:
    """Return them as a list in words, of which the first few are named."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
