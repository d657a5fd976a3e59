"""What the Makefile's targets call, with a Python in place of the project's that notes it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from hack import shuffle
from hack.cluster.__main__ import parser
from hack.cluster.components import BY_PART, TOOLS
from hack.cluster.errors import CANNOT
from tests.docs.blocks import ROOT

PYTHON = """\
#!/bin/sh
echo "$@" >>"${0%/*}/calls"
[ "$2" != "$(cat "${0%/*}/ending")" ] || exit "$(cat "${0%/*}/code")"
"""


def make(
    folder: Path, *words: str, ending: str = "", code: int = 0, kubeconfig: str = ""
) -> tuple[int, list[list[str]]]:
    """Return how `make WORDS` ended where the module `ending` exits with `code`, and what was called."""
    (folder / "ending").write_text(ending)
    (folder / "code").write_text(str(code))
    (folder / "python").write_text(PYTHON)
    (folder / "python").chmod(0o755)
    # As if the environment had been made: what a target does after that is looked at here.
    options = [f"BIN={folder}", "--assume-old=.venv/.setup", f"AIM_TEST_KUBECONFIG={kubeconfig}"]
    # Not with what the tests themselves were called with, as by `make shuffle LOAD=4`.
    given = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        ["make", "-s", "-C", ROOT, *options, *words], capture_output=True, text=True, check=False, env=given
    )
    calls = folder / "calls"
    return done.returncode, [line.split() for line in calls.read_text().splitlines()]


@pytest.mark.parametrize(
    ("kubeconfig", "wanted"),
    [
        pytest.param("", set(BY_PART), id="all that tests use"),
        pytest.param("/a/kubeconfig", set(TOOLS), id="a cluster of one's own takes the tools alone"),
    ],
)
def test_cluster_build_calls_the_builder_as_it_takes_it(
    tmp_path: Path, kubeconfig: str, wanted: set[str]
) -> None:
    ended, [[_, module, *arguments]] = make(tmp_path, "cluster-build", kubeconfig=kubeconfig)
    assert (ended, module) == (0, "hack.cluster")
    assert wanted >= set(parser().parse_args(arguments).parts) >= set(TOOLS)


@pytest.mark.parametrize(
    ("target", "module"), [("cluster-build", "hack.cluster"), ("bench", "bench.latency")]
)
@pytest.mark.parametrize(
    ("code", "fails"),
    [
        pytest.param(CANNOT, False, id="what can't be done here was said"),
        pytest.param(2, True, id="called wrongly"),
        pytest.param(1, True, id="a failure"),
    ],
)
def test_only_what_cannot_be_done_here_is_let_pass(
    tmp_path: Path, target: str, module: str, code: int, *, fails: bool
) -> None:
    ended, _ = make(tmp_path, target, ending=module, code=code)
    assert (ended != 0) is fails


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        pytest.param([], "make shuffle FIRST=17", id="units and simulations"),
        pytest.param(["--load=8", "--orders=3"], "make shuffle FIRST=17 LOAD=8", id="one of several orders"),
        pytest.param(
            ["--workers=4", "tests/unit/core", "tests/unit/hack"],
            "make shuffle FIRST=17 WORKERS=4 TESTS='tests/unit/core tests/unit/hack'",
            id="some tests",
        ),
    ],
)
def test_the_command_that_plays_an_order_again_calls_shuffle_as_before(
    tmp_path: Path, arguments: list[str], command: str
) -> None:
    before = shuffle.options(arguments)
    assert shuffle.again(17, before) == command
    ended, [[_, module, *called]] = make(tmp_path, *shlex.split(command)[1:])
    assert (ended, module) == (0, "hack.shuffle")
    got = shuffle.options(called)
    assert (got.first, got.orders) == (17, 1)
    assert (list(got.paths), got.load, got.workers) == (list(before.paths), before.load, before.workers)
