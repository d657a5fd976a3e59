"""`aimctl fetch` for people: a bar on a terminal, sizes with units, one thing at a time."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aim_operator.cli import flags
from aim_operator.cli.app import app
from aim_operator.errors import UserError
from tests.support.fetch_process import AIMCTL, assert_same_files
from tests.support.hub_server import HubThread

GIB = 1024**3


@pytest.mark.parametrize(
    ("text", "want"),
    [("10Gi", 10 * GIB), ("500M", 500_000_000), ("1.5Ti", 1536 * GIB), ("1e3", 1000), ("12345", 12345)],
)
def test_a_size_has_a_unit_if_you_like(text: str, want: int) -> None:
    assert flags.size("--capacity", text, 1 << 60) == want


@pytest.mark.parametrize("text", ["10GB", "10 Gi", "-1Gi", "0", "0.1", "much", "", "1E9999"])
def test_what_is_no_size_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError, match="such as 10Gi, 500M"):
        flags.size("--capacity", text, 1 << 60)


@pytest.mark.parametrize(
    ("argv", "want"),
    [
        pytest.param([], "as in aimctl fetch hf://Qwen", id="nothing"),
        pytest.param(["hf://a/b"], "name a directory", id="no directory"),
        pytest.param(["hf://a/b", "d", "--list"], "leave DIR out", id="a listing into a directory"),
        pytest.param(["hf://a/b", "--verify", "d"], "--verify asks no source", id="a source to verify"),
        pytest.param(["--check", "d"], "aimctl fetch --check URI DIR", id="a check without a source"),
        pytest.param(["--check"], "aimctl fetch --check URI DIR", id="a check of nothing"),
        pytest.param(["hf://a/b", "--check", "--list"], "--check compares", id="a check and a listing"),
        pytest.param(["--check", "--verify", "d"], "--check compares", id="a check and a verification"),
        pytest.param(["--list", "--verify", "d"], "--verify asks no source", id="a listing to verify"),
        pytest.param(["--list"], "as in aimctl fetch hf://Qwen", id="a listing of nothing"),
    ],
)
def test_one_thing_at_a_time(argv: list[str], want: str) -> None:
    result = CliRunner().invoke(app("fetch"), ["fetch", *argv])
    assert isinstance(result.exception, UserError), result.output
    assert want in str(result.exception)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    model = tmp_path / "models" / "acme" / "tiny"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    (model / "model.safetensors").write_bytes(bytes(3_000_000))
    return tmp_path / "models"


def on_a_terminal(argv: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Exit code, and all that was drawn."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [AIMCTL, *argv],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "COLUMNS": "120", **environment},
    )
    os.close(theirs)
    drawn = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            # What Linux says once the other side is closed.
            break
        if not piece:
            break
        drawn += piece
    os.close(ours)
    return process.wait(30), drawn.decode(errors="replace")


def test_on_a_terminal_a_bar_moves_and_sentences_stay(models: Path, tmp_path: Path) -> None:
    with HubThread(models) as running:
        code, drawn = on_a_terminal(
            ["fetch", "hf://acme/tiny", str(tmp_path / "out")],
            {"HF_ENDPOINT": running.hub.url, "TERM": "xterm-256color"},
        )
    assert code == 0, drawn
    assert "100%" in drawn
    assert "2.9/2.9 MiB" in drawn
    assert "progress downloadedBytes" not in drawn
    assert "done: 2 files, 3000002 bytes (2.9MiB)" in drawn
    assert_same_files(tmp_path / "out", models / "acme" / "tiny")


def test_the_bar_shows_how_far_it_is_while_the_server_makes_it_wait(models: Path, tmp_path: Path) -> None:
    """One of two files of the same size is there, and what is waited for is said above the bar."""
    (models / "acme" / "tiny" / "second.safetensors").write_bytes(bytes(3_000_000))
    with HubThread(models) as running:
        running.hub.faults.add("status:code=429,path=*/resolve/*/second.safetensors,times=1,retry_after=2")
        code, drawn = on_a_terminal(
            ["fetch", "hf://acme/tiny", str(tmp_path / "out")],
            {"HF_ENDPOINT": running.hub.url, "TERM": "xterm-256color"},
        )
    assert code == 0, drawn
    shown = list(dict.fromkeys(int(each) for each in re.findall(r"(\d+)%", drawn)))
    assert shown == sorted(shown)
    assert {50, 100} <= set(shown), shown
    assert "it asks to wait 2 s" in drawn


def test_a_terminal_that_can_not_move_its_cursor_gets_lines(models: Path, tmp_path: Path) -> None:
    with HubThread(models) as running:
        code, drawn = on_a_terminal(
            ["fetch", "hf://acme/tiny", str(tmp_path / "out")],
            {"HF_ENDPOINT": running.hub.url, "TERM": "dumb"},
        )
    assert code == 0, drawn
    assert "progress downloadedBytes=3000002" in drawn


def test_on_a_terminal_too_the_last_line_says_why_it_failed(models: Path, tmp_path: Path) -> None:
    with HubThread(models) as running:
        code, drawn = on_a_terminal(
            ["fetch", "hf://acme/none", str(tmp_path / "out")],
            {"HF_ENDPOINT": running.hub.url, "TERM": "xterm"},
        )
    assert code in (10, 11), drawn
    assert "acme/none" in drawn.strip().splitlines()[-1]
