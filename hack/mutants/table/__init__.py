"""All mutants. A module each for a group of them; a new one is a row there."""

from __future__ import annotations

from hack.mutants.mutant import Mutant
from hack.mutants.rows import wake_rows, wiring

MUTANTS: tuple[Mutant, ...] = (*wake_rows(), *wiring())
