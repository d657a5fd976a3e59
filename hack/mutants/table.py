"""All mutants: the rows of tables in the code, each removed in turn, and those of faults/.

A file there has, by group and then by module, the likeliest `tests` (paths) and `faults`: what goes wrong, in
the words of who meets it; `old`, which the module has exactly once; `new`, what stands there instead. One
that nobody would notice has `harmless`, which says why, and is not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from hack.mutants.mutant import Mutant
from hack.mutants.rows import wake_rows, wiring

FAULTS = Path(__file__).with_name("faults")
_FILES = (
    *("finding", "writing", "running", "runtime", "kube"),
    *("slots", "jobs", "templates", "caches", "serving"),
)


def read(file: Path) -> Iterator[Mutant]:
    """Return the mutants of one file of faults."""
    for group, modules in yaml.safe_load(file.read_text()).items():
        for each in modules:
            for fault in each["faults"]:
                yield Mutant(group, module=each["module"], tests=tuple(each["tests"]), **fault)


MUTANTS: tuple[Mutant, ...] = (
    *wake_rows(),
    *wiring(),
    *(mutant for name in _FILES for mutant in read(FAULTS / f"{name}.yaml")),
)
