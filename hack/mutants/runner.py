"""Runs tests on a copy of src/ that has one mutant."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hack.mutants import witness
from hack.mutants.mutant import SOURCE, Mutant

EVERYTHING = ("tests/unit/runtime", "tests/unit/controllers", "tests/unit/core", "tests/simulation")
"""What a mutant must survive, quickest first."""
_PASSED, _FAILED, _NO_TESTS = 0, 1, (4, 5)
_FILE_SECONDS, _FOLDER_SECONDS = 120.0, 900.0


_PREPARED = multiprocessing.get_context("forkserver")
"""Processes that have imported what takes longest: most mutants are caught in a second."""
_PREPARED.set_forkserver_preload(
    ["pytest", "hypothesis.strategies", "aiohttp.web", "structlog", "yaml", "syrupy", "anyio", "rich.console"]
)


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
        output = self._folder / "output"
        arguments = (self._source, self._report, output, self._folder / "hypothesis")
        process = _PREPARED.Process(target=witness.run, args=(*map(str, arguments), tuple(tests)))
        process.start()
        limit = sum(_FILE_SECONDS if ".py" in test else _FOLDER_SECONDS for test in tests)
        process.join(limit)
        if process.is_alive():
            os.killpg(process.pid or 0, signal.SIGKILL)
            process.join()
            return f"{' '.join(tests)} (did not end in {limit:.0f} s)"
        code = process.exitcode
        process.close()
        first = self._report.read_text() if self._report.exists() else ""
        if code == _PASSED or (code in _NO_TESTS and not first):
            return ""
        if code != _FAILED or not first or first.startswith(witness.UNREADABLE):
            raise BrokenMutantError(f"{first}\n{output.read_text()[-2000:]}")
        return first
