"""`make mutants`: has the tests find each mutant, and writes the table of what caught which.

python -m hack.mutants                  all of them, some twenty minutes on two cores
python -m hack.mutants --only REGEX     those whose name has a match
python -m hack.mutants --new            those that no test is known to catch
python -m hack.mutants --quick          with the likeliest tests only: who passes them need not survive all
python -m hack.mutants --list           names only

Exit code 1 when one survives.
"""

from __future__ import annotations

import argparse
import json
import queue
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from hack.mutants import page
from hack.mutants.mutant import Mutant
from hack.mutants.runner import BrokenMutantError, Caught, Workshop
from hack.mutants.table import MUTANTS

CAUGHT = Path(__file__).with_name("caught.json")
"""Which test caught each the last time: it is tried first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m hack.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="those whose name has a match of this regular expression")
    parser.add_argument("--list", action="store_true", help="names only")
    parser.add_argument("--new", action="store_true", help="those that no test is known to catch")
    parser.add_argument("--quick", action="store_true", help="with the likeliest tests only")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    chosen = [m for m in MUTANTS if re.search(options.only, f"{m.group}: {m.fault}", re.IGNORECASE)]
    known: dict[str, str] = json.loads(CAUGHT.read_text()) if CAUGHT.exists() else {}
    if options.new:
        chosen = [mutant for mutant in chosen if mutant.fault not in known]
    if options.list:
        print(*(f"{mutant.group}: {mutant.fault}" for mutant in chosen), sep="\n")
        return 0
    began = time.monotonic()
    real = [mutant for mutant in chosen if not mutant.harmless]
    results, broken = hunt(real, known, options.workers, quick=options.quick)
    survivors = [fault for fault, caught in results.items() if not caught.test]
    minutes = (time.monotonic() - began) / 60
    print(f"\n{len(results)} mutants in {minutes:.0f} minutes, {len(survivors)} survived")
    print(*(f"survived: {fault}" for fault in survivors), *broken, sep="\n")
    if not (options.only or options.new or options.quick):
        page.write(MUTANTS, results, minutes)
    return 1 if survivors or broken else 0


def hunt(
    mutants: Sequence[Mutant], known: dict[str, str], workers: int, *, quick: bool
) -> tuple[dict[str, Caught], list[str]]:
    """Return what caught each, by its fault, and what is to be said of those that are no mutants.

    `known` says what caught each before, and is kept up to date.
    """
    with tempfile.TemporaryDirectory(prefix="aim-mutants-") as folder, ThreadPoolExecutor(workers) as pool:
        idle: queue.Queue[Workshop] = queue.Queue()
        for number in range(workers):
            idle.put(Workshop(Path(folder) / str(number)))
        sound(idle, sorted({known[m.fault] for m in mutants if m.fault in known}))

        def one(mutant: Mutant) -> Caught:
            workshop = idle.get()
            try:
                return workshop.hunt(mutant, known.get(mutant.fault, ""), quick=quick)
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
            print(f"{caught.seconds:6.1f} s  {mutant.fault}: {caught.test or 'SURVIVED'}", flush=True)
            remember(known, mutant, caught)
        return results, broken


def remember(known: dict[str, str], mutant: Mutant, caught: Caught) -> None:
    """Keep which test caught a mutant, as soon as it is known: a run may be interrupted."""
    known.pop(mutant.fault, None)
    if caught.test:
        known[mutant.fault] = caught.test
    there = {each.fault for each in MUTANTS}
    kept = {fault: test for fault, test in sorted(known.items()) if fault in there}
    CAUGHT.write_text(json.dumps(kept, indent=1) + "\n")


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
