"""One run of pytest with a mutant, in a process of its own, and the plugin that notes the first test to fail.

Imports nothing of the operator before `run` has put the mutant first in the path. Called by runner.py.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

REPORT = "AIM_MUTANT_REPORT"
OUTPUT, FIRST, SECONDS = "output", "first-failure", "seconds"
"""Files in the folder of a run: what it printed, the first test that failed, how long it worked."""
UNREADABLE = "can't be imported: "
_MOST_MEMORY = 6 * 2**30
"""Bytes. Some mutants never stop to remember."""
_OPTIONS = (
    *("-x", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-p", __name__),
    # They are imported already, which is what makes it quick.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


def run(parent: int, limit: int, folder: str, tests: Sequence[str]) -> None:
    """Run these tests on the operator in `folder`, and exit as pytest does; at once when `parent` ends.

    Killed by SIGXCPU after `limit` seconds of work: what takes long on a busy machine is no mutant caught.
    """
    source = f"{folder}/tree/src"
    os.setsid()
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with Path(folder, OUTPUT).open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    sys.path.insert(0, source)
    # For processes that tests start. A mutated module and the true one may be of one second and one length.
    os.environ |= {"PYTHONPATH": source, "PYTHONDONTWRITEBYTECODE": "1", REPORT: f"{folder}/{FIRST}"}
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = f"{folder}/hypothesis"
    sys.dont_write_bytecode = True
    tested = importlib.import_module("aim_operator").__file__
    if not Path(tested or "").is_relative_to(source):
        sys.exit(f"{tested} would be tested, not the mutant")
    code = pytest.main([*_OPTIONS, *tests])
    sys.stdout.flush()
    _exit(code, Path(folder))


def _end_with(parent: int) -> None:
    """End when the parent does: nobody would stop this process otherwise."""
    while Path(f"/proc/{parent}").exists():
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


def _exit(code: int, folder: Path) -> None:
    Path(folder, SECONDS).write_text(str(time.process_time()))
    # Not by sys.exit: a thread that some mutant leaves behind would be waited for.
    os._exit(code)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _note(report.nodeid)
        # At once: some mutants leave tasks behind that can't be cancelled, and the test never ends.
        _exit(int(pytest.ExitCode.TESTS_FAILED), Path(os.environ[REPORT]).parent)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _note(f"{UNREADABLE}{report.nodeid}")


def _note(text: str) -> None:
    file = Path(os.environ[REPORT])
    if not file.exists():
        file.write_text(text)
