"""Runs tests on a copy of src/ that has one mutant."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hack.mutants import witness
from hack.mutants.mutant import ROOT, SOURCE, Mutant

EVERYTHING = ("tests/unit/runtime", "tests/unit/controllers", "tests/unit/core", "tests/simulation")
"""What a mutant must survive, quickest first."""
_PASSED, _FAILED, _NO_TESTS = 0, 1, (4, 5)
_FILE_SECONDS, _FOLDER_SECONDS = 120.0, 900.0


class Caught(NamedTuple):
    """The first test that failed, and what was run until then. `test` is "" for a mutant that survived."""

    test: str
    seconds: float


class BrokenMutantError(Exception):
    """Its module can't even be imported, or pytest can't run: that proves nothing."""


class Workshop:
    """One copy of src/ in `folder`, for one mutant at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._source = folder / "src"
        self._report = folder / "first-failure"
        shutil.copytree(SOURCE, self._source)

    def hunt(self, mutant: Mutant, caught_by: str, *, quick: bool = False) -> Caught:
        """Run tests on the mutant until one fails: the one that caught it before, those it names, and all.

        `quick` leaves out the last.
        """
        file = self._source / mutant.path
        true, times = file.read_bytes(), file.stat()
        began = time.monotonic()
        mutant.apply(self._source)
        try:
            test = ""
            rest = () if quick else tuple(each for each in EVERYTHING if each not in mutant.tests)
            for tests in ((caught_by,), mutant.tests, rest):
                if any(tests) and (test := self.first_failure(tests)):
                    break
        except BrokenMutantError as error:
            raise BrokenMutantError(f"{mutant.fault}: {error}") from error
        finally:
            file.write_bytes(true)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        return Caught(test, round(time.monotonic() - began, 1))

    def first_failure(self, tests: Sequence[str]) -> str:
        """Return the first of these tests that fails, "" where all pass. Raises BrokenMutantError."""
        self._report.unlink(missing_ok=True)
        options = ("-x", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-p", witness.__name__)
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=ROOT,
            env=os.environ
            | {
                "PYTHONPATH": str(self._source),
                # A mutated module and the true one may be of one second and one length.
                "PYTHONDONTWRITEBYTECODE": "1",
                "HYPOTHESIS_STORAGE_DIRECTORY": str(self._folder / "hypothesis"),
                witness.REPORT: str(self._report),
                witness.SOURCE: str(self._source),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        limit = sum(_FILE_SECONDS if ".py" in test else _FOLDER_SECONDS for test in tests)
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"{' '.join(tests)} (did not end in {limit:.0f} s)"
        first = self._report.read_text() if self._report.exists() else ""
        if process.returncode == _PASSED or (process.returncode in _NO_TESTS and not first):
            return ""
        if process.returncode != _FAILED or not first or first.startswith(witness.UNREADABLE):
            raise BrokenMutantError(f"{first}\n{output[-2000:]}")
        return first
