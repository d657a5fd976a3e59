"""`make shuffle`: tests in any order, on a busy machine, and where SIGINT is ignored.

make shuffle ORDERS=10             tests/unit and tests/simulation ten times, each in another order
make shuffle FIRST=17 TESTS=PATH   those tests, in the order of that seed
make shuffle LOAD=8                beside so many processes that only compute

Each order follows from a number, its seed; the same commit and seed are the same order. Whole files and the
tests in them are shuffled (pytest-randomly), and any worker takes what comes next. SIGINT is ignored as a
shell ignores it for what it starts in the background. Exit code 1 if a test failed.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATHS = ("tests/unit", "tests/simulation")
_IGNORING_SIGINT = ("/bin/sh", "-c", """trap '' INT; exec "$0" "$@" """)
_COMPUTE = "while True: pass"
_WORKERS = 2


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command is called with."""
    parser = argparse.ArgumentParser(prog="python -m hack.shuffle", description=__doc__)
    parser.add_argument("paths", nargs="*", default=PATHS, metavar="PATH")
    parser.add_argument("--orders", type=int, default=1, metavar="N", help="how many")
    parser.add_argument(
        "--first", type=int, default=1, metavar="SEED", help="the first; the others follow it"
    )
    parser.add_argument("--load", type=int, default=0, metavar="N", help="processes that compute beside")
    parser.add_argument("--workers", type=int, default=_WORKERS, metavar="N")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code."""
    chosen = options(arguments)
    failed = []
    with busy(chosen.load):
        for seed in range(chosen.first, chosen.first + chosen.orders):
            began = time.monotonic()
            code = run(chosen.paths, seed, chosen.workers)
            verdict = "passed" if code == 0 else f"FAILED (exit code {code})"
            print(f"order {seed}: {verdict} in {time.monotonic() - began:.0f} s", flush=True)
            failed += [seed] if code else []
    for seed in failed:
        print(f"Again: {again(seed, chosen)}")
    return bool(failed)


def again(seed: int, chosen: argparse.Namespace) -> str:
    """Return the command that plays one of these orders again, for the shell."""
    paths = "" if tuple(chosen.paths) == PATHS else " ".join(chosen.paths)
    workers = "" if chosen.workers == _WORKERS else chosen.workers
    given = {"FIRST": seed, "LOAD": chosen.load or "", "WORKERS": workers, "TESTS": paths}
    return " ".join(
        [
            "make shuffle",
            *(f"{name}={shlex.quote(str(value))}" for name, value in given.items() if value != ""),
        ]
    )


def run(paths: Sequence[str], seed: int, workers: int) -> int:
    """Run the tests in the order of a seed; pytest's exit code."""
    order = ("-p", "randomly", f"--randomly-seed={seed}")
    spread = ("-n", str(workers), "--dist=worksteal")
    pytest = (sys.executable, "-m", "pytest", "-q", *order, *spread, *paths)
    return subprocess.run((*_IGNORING_SIGINT, *pytest), cwd=ROOT, check=False).returncode


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many processes computing."""
    started = [subprocess.Popen((sys.executable, "-c", _COMPUTE)) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
