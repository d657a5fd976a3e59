"""`make shuffle` finds tests that pass in one order only, and leaves no busy process behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hack import shuffle

IN_ORDER = """
import signal
seen = []
def test_first(): seen.append(1)
def test_second(): assert seen == [1]
def test_third(): assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
"""


def test_the_order_of_a_seed_is_played_again_as_the_last_line_says(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The order of a seed follows from the names of tests, and those from where they are.
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--rootdir={tmp_path}")
    (tmp_path / "test_it.py").write_text(IN_ORDER)
    assert shuffle.main([str(tmp_path), "--first=2", "--workers=0"]) == 1
    said = capfd.readouterr().out
    assert "1 failed, 2 passed" in said
    assert f"\nAgain: make shuffle FIRST=2 WORKERS=0 TESTS={tmp_path}\n" in said


def test_the_busy_processes_are_gone_at_the_end() -> None:
    with shuffle.busy(2):
        during = children()
    assert len(during - children()) == 2


def children() -> set[str]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(path.read_text().split())
