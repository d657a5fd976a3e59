"""What can go wrong when a cluster is built or started, said so that a person can act on it.

ClusterError is raised; Missing is returned, because a machine that cannot do a part is no failure.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """A part that this machine cannot do."""

    part: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.part}: {self.reason} ({self.remedy})"


class ClusterError(Exception):
    """A step failed. `remedy` says what to do about it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}\n{remedy}" if remedy else reason)
        self.reason = reason
        self.remedy = remedy
