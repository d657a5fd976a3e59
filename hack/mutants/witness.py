"""The pytest plugin of a run with a mutant: notes the first test that fails.

Loaded with -p by runner.py. Fails the run if the mutant is not what is tested.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

import aim_operator

REPORT = "AIM_MUTANT_REPORT"
SOURCE = "AIM_MUTANT_SOURCE"
UNREADABLE = "can't be imported: "
_MOST_MEMORY = 4 * 2**30
"""Bytes. Some mutants never stop to remember."""


def pytest_configure() -> None:
    if not Path(aim_operator.__file__).is_relative_to(os.environ[SOURCE]):
        raise pytest.UsageError(f"{aim_operator.__file__} is tested, not the mutant")
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY, _MOST_MEMORY))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _note(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _note(f"{UNREADABLE}{report.nodeid}")


def _note(text: str) -> None:
    file = Path(os.environ[REPORT])
    if not file.exists():
        file.write_text(text)
