"""Runs tests on a copy of src/ that has one mutant."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from hack.mutants import witness
from hack.mutants.mutant import ROOT, SOURCE, Mutant

EVERYTHING = (
    "tests/unit/controllers",
    "tests/unit/kube",
    "tests/unit/api",
    "tests/unit/test_app.py",
    "tests/unit/runtime",
    "tests/unit/core",
    "tests/simulation",
)
"""What a mutant must survive, quickest first: all of tests/unit that is about the operator."""
ENDLESS = "(does not end)"
_PASSED, _FAILED, _NO_TESTS = 0, 1, (4, 5)
_FILE_SECONDS, _FOLDER_SECONDS = 60, 600
_MOST_IDLE = 20
"""How many times as long a run may take in all, on a machine that others use: some mutants wait for ever."""


_PREPARED = multiprocessing.get_context("forkserver")
"""Processes that have imported what takes longest: most mutants are caught in a second."""
_PREPARED.set_forkserver_preload(
    ["pytest", "hypothesis.strategies", "aiohttp.web", "structlog", "yaml", "syrupy", "anyio", "rich.console"]
)


class Depth(StrEnum):
    """How far a mutant is hunted, beside the test that caught it before."""

    UNITS = "units"
    """With the likeliest tests that are no simulations."""
    LIKELY = "likely"
    ALL = "all"


class Caught(NamedTuple):
    """The first test that failed, "" for a mutant that survived; and what the tests worked until then."""

    test: str
    cpu_seconds: float


class BrokenMutantError(Exception):
    """Its module can't even be imported, or pytest can't run: that proves nothing."""


class Workshop:
    """One copy of src/ in `folder`, for one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        tree = folder / "tree"
        self._source = tree / "src"
        self.cpu_seconds = 0.0
        """What all runs so far have taken."""
        shutil.copytree(SOURCE, self._source)
        # Some of the code reads pages and manifests beside src/ where it is run from a checkout.
        for beside in ROOT.iterdir():
            if beside != SOURCE and not beside.name.startswith("."):
                (tree / beside.name).symlink_to(beside)

    def hunt(self, mutant: Mutant, caught_by: str, *, depth: Depth) -> Caught:
        """Run tests on the mutant until one fails: the one that caught it before, those it names, and all.

        Raises BrokenMutantError, also for a test not known before unless it fails each time with the mutant,
        and passes without.
        """
        file = self._source / mutant.path
        true, times = file.read_bytes(), file.stat()
        before = self.cpu_seconds
        try:
            mutant.apply(self._source)
            test = ""
            units = tuple(test for test in mutant.tests if not test.startswith("tests/simulation"))
            likely = units if depth == Depth.UNITS else mutant.tests
            rest = EVERYTHING if depth == Depth.ALL else ()
            for tests in ((caught_by,), likely, rest):
                if any(tests) and (test := self.first_failure(tests)):
                    break
            is_new = test not in ("", caught_by) and not test.endswith(ENDLESS)
            by_chance = is_new and not self.first_failure((test,))
        except (BrokenMutantError, ValueError) as error:
            raise BrokenMutantError(f"{mutant.fault}: {error}") from error
        finally:
            file.write_bytes(true)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        found = Caught(test, self.cpu_seconds - before)
        if by_chance:
            raise BrokenMutantError(f"{mutant.fault}: {test} failed once, and passed when it was run again")
        if is_new and self.first_failure((test,)):
            raise BrokenMutantError(f"{mutant.fault}: {test} fails without any mutant")
        return found

    def first_failure(self, tests: Sequence[str]) -> str:
        """Return the first of these tests that fails, "" where all pass. Raises BrokenMutantError."""
        for name in (witness.FIRST, witness.SECONDS):
            (self._folder / name).unlink(missing_ok=True)
        limit = sum(_FILE_SECONDS if ".py" in test else _FOLDER_SECONDS for test in tests)
        arguments = (os.getpid(), limit, str(self._folder), tuple(tests))
        process = _PREPARED.Process(target=witness.run, args=arguments)
        process.start()
        process.join(limit * _MOST_IDLE)
        if process.is_alive():
            os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
        code = process.exitcode
        process.close()
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return f"{' '.join(tests)} {ENDLESS}"
        self.cpu_seconds += float(self._read(witness.SECONDS) or 0)
        first = self._read(witness.FIRST)
        if code == _PASSED or (code in _NO_TESTS and not first):
            return ""
        if code != _FAILED or not first or first.startswith(witness.UNREADABLE):
            raise BrokenMutantError(f"{first}\n{self._read(witness.OUTPUT)[-2000:]}")
        return first

    def _read(self, name: str) -> str:
        file = self._folder / name
        return file.read_text() if file.exists() else ""
