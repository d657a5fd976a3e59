"""A fetch inside the test's process, with limits that a test can wait for."""

from __future__ import annotations

from pathlib import Path

from aim_operator.fetch.outcome import Outcome
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.run import Options, fetch
from aim_operator.fetch.selection import Selection

DEFAULT = Selection()
PATIENT_SECONDS = 30.0
"""What a busy machine never needs between two bytes."""
STALL_SECONDS = 3.0
"""Where silence is what is tested."""


def stall_seconds_for(fault: str) -> float:
    """The limit for a fetch that meets this fault."""
    return STALL_SECONDS if fault.startswith(("stall", "silent")) else PATIENT_SECONDS


async def fetched(
    uri: str,
    directory: Path,
    environment: dict[str, str],
    *,
    capacity_bytes: int | None = None,
    connections: int = 4,
    attempts: int = 4,
    stall_seconds: float = PATIENT_SECONDS,
    selection: Selection = DEFAULT,
    said: list[str] | None = None,
) -> tuple[Outcome, list[str]]:
    """What became of it, and the lines that it said: those of `said`, which are there meanwhile."""
    lines: list[str] = [] if said is None else said
    options = Options(
        uri=uri,
        selection=selection,
        directory=directory,
        capacity_bytes=capacity_bytes,
        stall_seconds=stall_seconds,
        connections=connections,
        policy=Policy(attempts=attempts, first_seconds=0.01, limit_seconds=0.1),
    )
    return await fetch(options, environment, lines.append), lines
