"""What a machine can't run is named with its remedy, and is a failure where everything must run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.support.not_run import PROPERTY, NotRun, Why, lines, not_run

NOT_BUILT = Why("not built", "Run `make cluster-build`.")
TESTS = """\
import pytest


def test_without_a_cluster():
    pass


@pytest.mark.needs_kserve
def test_with_kserve():
    pass
"""


def skipped(test: str, *missing: str, reason: str = "") -> pytest.TestReport:
    """A report as pytest makes it; each of `missing` is a JSON list of part, reason and remedy."""
    return pytest.TestReport(
        nodeid=test,
        location=("", 0, ""),
        keywords={},
        outcome="skipped",
        longrepr=("file.py", 1, f"Skipped: {reason}"),
        when="setup",
        user_properties=[(PROPERTY, text) for text in missing],
    )


def missing(part: str, why: Why = NOT_BUILT) -> str:
    return f'["{part}", "{why.reason}", "{why.remedy}"]'


def test_parts_with_the_same_remedy_are_one_group_with_each_test_once() -> None:
    got = not_run(
        [skipped("a.py::b", missing("kserve"), missing("gateway")), skipped("a.py::a", missing("kserve"))]
    )
    assert got == [NotRun(NOT_BUILT, ["gateway", "kserve"], ["a.py::a", "a.py::b"])]


def test_reasons_are_kept_apart() -> None:
    root = Why("needs root", "Run as root.")
    got = not_run([skipped("a.py::b", missing("node", root)), skipped("a.py::a", missing("kserve"))])
    assert got == [NotRun(root, ["node"], ["a.py::b"]), NotRun(NOT_BUILT, ["kserve"], ["a.py::a"])]


def test_a_test_that_skips_itself_is_named_too() -> None:
    assert not_run([skipped("a.py::a", reason="no reason of ours")]) == [
        NotRun(Why("no reason of ours", ""), [], ["a.py::a"])
    ]


def test_a_file_with_many_is_one_line_and_what_to_do_is_the_last() -> None:
    many = [f"many.py::test[{number}]" for number in range(4)]
    few = ["few.py::one", "few.py::two"]
    assert list(lines(NotRun(NOT_BUILT, ["gateway", "kserve"], [*few, *many]))) == [
        "gateway, kserve: not built",
        "  - few.py::one",
        "  - few.py::two",
        "  - many.py: 4 tests",
        "  remedy: Run `make cluster-build`.",
    ]


def run_tests(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run TESTS where nothing is built yet, and Go leaves a file `go-was-started` behind when started."""
    (folder / "test_it.py").write_text(TESTS)
    go = folder / "bin" / "go"
    go.parent.mkdir()
    go.write_text(f"#!/bin/sh\ntouch {folder}/go-was-started\n")
    go.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{go.parent}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder / "cache"),
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.plugin", *options, "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("options", "want"),
    [
        pytest.param([], 0, id="by default a pass"),
        pytest.param(["--not-run=fail"], 1, id="where everything must run a failure"),
        pytest.param(["--not-run=fail", "-n1"], 1, id="the same with workers"),
    ],
)
def test_where_nothing_is_built_the_rest_runs_and_no_go_is_started(
    options: list[str], want: int, tmp_path: Path
) -> None:
    done = run_tests(tmp_path, *options)
    assert done.returncode == want, done.stdout + done.stderr
    *_, named, remedy = done.stdout.partition("NOT RUN")[2].split("That fails")[0].rstrip().splitlines()[:4]
    assert named == "  - test_it.py::test_with_kserve"
    assert "`make test-all`" in remedy
    assert "1 passed, 1 skipped" in done.stdout
    assert not (tmp_path / "go-was-started").exists()


def test_where_everything_must_run_and_does_the_run_passes(tmp_path: Path) -> None:
    done = run_tests(tmp_path, "--not-run=fail", "-k", "without")
    assert (done.returncode, "NOT RUN" in done.stdout) == (0, False), done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["-n0", "-n1"])
def test_a_path_that_is_not_there_is_named(workers: str, tmp_path: Path) -> None:
    done = run_tests(tmp_path, workers, "tests/unti", "test_it.py::test_without_a_cluster")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert "no such file or directory: tests/unti\n" in done.stderr
