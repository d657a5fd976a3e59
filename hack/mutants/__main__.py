"""`make mutants`: has the tests find each mutant, and writes the table of what caught which.

python -m hack.mutants                  all of them, a quarter of an hour on two idle cores
python -m hack.mutants --only REGEX     those whose name has a match
python -m hack.mutants --new            those that no test is known to catch
python -m hack.mutants --until likely   with the likeliest tests only (units: those that are no simulations)
python -m hack.mutants --list           names only

Exit code 1 when one survives.
"""

from __future__ import annotations

import argparse
import queue
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec
from msgspec import Struct, field

from hack.mutants import page
from hack.mutants.mutant import ROOT, Mutant
from hack.mutants.runner import BrokenMutantError, Caught, Depth, Workshop
from hack.mutants.table import MUTANTS

CAUGHT = Path(__file__).with_name("caught.json")
"""Which test caught each the last time, which is tried first; and what is told of the last whole run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name has a match of this regular expression")
    parser.add_argument("--list", action="store_true", help="names only")
    parser.add_argument("--new", action="store_true", help="those that no test is known to catch")
    parser.add_argument("--until", choices=[*Depth], default=Depth.ALL, help="how many tests are run at most")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if re.search(options.only, f"{m.group}: {m.fault}", re.IGNORECASE)]
    memory = Memory.read()
    if options.new:
        chosen = [mutant for mutant in chosen if mutant.fault not in memory.caught]
    if options.list:
        print(*(f"{mutant.group}: {mutant.fault}" for mutant in chosen), sep="\n")
        return 0
    began = time.monotonic()
    real = [mutant for mutant in chosen if not mutant.harmless]
    results, broken = hunt(real, memory, options.workers, depth=Depth(options.until))
    survivors = [fault for fault, caught in results.items() if not caught.test]
    work = sum(caught.cpu_seconds for caught in results.values())
    summary = page.summary(len(results), len(survivors), seconds=time.monotonic() - began, cpu_seconds=work)
    print("", summary, *(f"survived: {fault}" for fault in survivors), *broken, sep="\n")
    if not (options.only or options.new or options.until != Depth.ALL):
        memory.last_run = f"{datetime.now(UTC):%Y-%m-%d}, commit {commit()}: {summary}."
    memory.write()
    page.PAGE.write_text(page.text(MUTANTS, memory.caught, memory.last_run))
    return 1 if survivors or broken else 0


def commit() -> str:
    """Return the commit that is checked out."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


class Memory(Struct):
    """What is known of runs before."""

    last_run: str = ""
    caught: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Self:
        return msgspec.json.decode(CAUGHT.read_bytes(), type=cls) if CAUGHT.exists() else cls()

    def write(self) -> None:
        there = {mutant.fault for mutant in MUTANTS if not mutant.harmless}
        self.caught = {fault: test for fault, test in sorted(self.caught.items()) if fault in there}
        CAUGHT.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")

    def note(self, mutant: Mutant, caught: Caught) -> None:
        """Keep which test caught a mutant, as soon as it is known: a run may be interrupted."""
        self.caught.pop(mutant.fault, None)
        if caught.test:
            self.caught[mutant.fault] = caught.test
        self.write()


def hunt(
    mutants: Sequence[Mutant], memory: Memory, workers: int, *, depth: Depth
) -> tuple[dict[str, Caught], list[str]]:
    """Return what caught each, by its fault, and what is to be said of those that are no mutants.

    `memory` is kept up to date.
    """
    with tempfile.TemporaryDirectory(prefix="aim-mutants-") as folder, ThreadPoolExecutor(workers) as pool:
        idle: queue.Queue[Workshop] = queue.Queue()
        for number in range(workers):
            idle.put(Workshop(Path(folder) / str(number)))
        sound(idle, sorted({memory.caught[m.fault] for m in mutants if m.fault in memory.caught}))

        def one(mutant: Mutant) -> Caught:
            workshop = idle.get()
            try:
                return workshop.hunt(mutant, memory.caught.get(mutant.fault, ""), depth=depth)
            finally:
                idle.put(workshop)

        running = {pool.submit(one, mutant): mutant for mutant in mutants}
        results, broken = {}, []
        for future in as_completed(running):
            mutant = running[future]
            try:
                results[mutant.fault] = caught = future.result()
            except BrokenMutantError as error:
                broken.append(f"no mutant: {error}")
                print(f"BROKEN {mutant.fault}", flush=True)
                continue
            print(f"{caught.cpu_seconds:6.1f} s  {mutant.fault}: {caught.test or 'SURVIVED'}", flush=True)
            memory.note(mutant, caught)
        return results, broken


def sound(idle: queue.Queue[Workshop], tests: Sequence[str]) -> None:
    """Exit unless these tests pass on the code as it is: otherwise they would catch anything."""
    there = [test for test in tests if Path(test.partition("::")[0]).exists()]
    workshop = idle.get()
    failed = workshop.first_failure(there) if there else ""
    idle.put(workshop)
    if failed:
        sys.exit(f"{failed} fails without any mutant")


if __name__ == "__main__":
    sys.exit(main())
