"""All mutants. A module for each kind of fault; a new one is a row there."""

from __future__ import annotations

from hack.mutants.mutant import Mutant
from hack.mutants.rows import wake_rows, wiring
from hack.mutants.table import finding, jobs, running, writing

MUTANTS: tuple[Mutant, ...] = (
    *wake_rows(),
    *wiring(),
    *finding.MUTANTS,
    *jobs.MUTANTS,
    *writing.MUTANTS,
    *running.MUTANTS,
)
