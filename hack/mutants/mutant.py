"""A mutant: one place in one module, and what stands there instead."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = Path("aim_operator")


class Mutant(NamedTuple):
    """One fault. `fault` says it as somebody who meets it would, and names it: no two have the same."""

    group: str
    fault: str
    module: str
    """The file, from src/aim_operator/ on."""
    old: str
    """What the file has exactly once."""
    new: str
    tests: tuple[str, ...] = ()
    """Paths of the tests that should catch it, the likeliest first; the others are run after them."""
    harmless: str = ""
    """Why nobody would notice. Such a mutant is not run, only told in the table."""

    @property
    def path(self) -> Path:
        """The file, from src/ on."""
        return PACKAGE / self.module

    def places(self, source: Path = SOURCE) -> int:
        """Return how many places of the file are as `old` says: one, unless the table is out of date."""
        return (source / self.path).read_text().count(self.old)

    def apply(self, source: Path) -> None:
        """Change the file below `source`. Raises ValueError unless there is exactly one such place."""
        if (places := self.places(source)) != 1:
            raise ValueError(f"{self.fault}: {places} places in {self.module} are as the mutant says, not 1")
        file = source / self.path
        file.write_text(file.read_text().replace(self.old, self.new))
