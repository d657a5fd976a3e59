"""What can go wrong when a cluster is built or started, said so that a person can act on it.

    ClusterError            a step failed
    └── CannotError         this machine lacks something: no root, no Go, no registry

Missing is returned where a CannotError would end too much: tests of the other parts can still run.
"""

from __future__ import annotations

from dataclasses import dataclass

# The exit code where this machine can't do what was asked. Not 2: that a command was called wrongly.
CANNOT = 3


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


class CannotError(ClusterError):
    """This machine lacks something that the step needs."""

    def missing(self, part: str) -> Missing:
        return Missing(part, self.reason, self.remedy)
