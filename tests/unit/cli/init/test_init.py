"""`aimctl init`: files by flags or by answers, that plan takes and that write over nothing unasked."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from aim_operator.cli import main
from aim_operator.cli.init.catalog import Wish, files
from aim_operator.cli.init.folder import write
from aim_operator.errors import UserError
from tests.docs.blocks import shown

AIMCTL = str(Path(sys.executable).with_name("aimctl"))
IMAGE = "ghcr.io/example/aim-llama-3.1-8b:v1.2.0"
ALL_FLAGS = [
    *("--model", "llama-3.1", "--template", "fast", "--service", "chat", "-n", "team", "--namespaced"),
    *("--metric", "latency", "--precision", "fp8", "--gpus", "2", "--gpu-model", "MI300X", "--replicas", "3"),
    *("--cache", "--gateway", "gateways/inference", "--path", "/team/chat"),
]


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["init", *argv])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    "flags",
    [
        pytest.param([], id="an image alone"),
        pytest.param(ALL_FLAGS, id="every flag"),
        pytest.param(["--precision", "fp8", "--metric", "throughput"], id="a template named by what it is"),
    ],
)
def test_what_is_written_to_standard_output(
    flags: list[str], capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert run(capsys, "--image", IMAGE, *flags, "-o", "yaml") == snapshot


def test_a_folder_is_what_plan_takes_and_what_comes_next_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    snapshot: SnapshotAssertion,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--image", IMAGE, *ALL_FLAGS) == snapshot
    assert (tmp_path / "chat" / "kustomization.yaml").read_text() == snapshot
    assert main(["plan", "chat", "--check"]) == 0


def test_help_has_an_example_of_everything(
    capsys: pytest.CaptureFixture[str], snapshot: SnapshotAssertion
) -> None:
    assert run(capsys, "--help") == snapshot


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        pytest.param(["--image", "https://x/y"], "no https:// before it", id="a URL"),
        pytest.param(["--image", "@"], "write one such as", id="no name at all"),
        pytest.param(["--image", IMAGE, "--model", "A b"], "metadata.name", id="a model's name that is none"),
        pytest.param(["--image", IMAGE, "--service", "../x"], "metadata.name", id="a way out of the folder"),
        pytest.param(["--image", IMAGE, "--metric", "speed"], '"latency", "throughput"', id="a metric"),
        pytest.param(["--image", IMAGE, "--gpus", "0"], "--gpus is '0'", id="no GPUs"),
        pytest.param(["--image", IMAGE, "-n", "A_b"], "--namespace is 'A_b'", id="a namespace that is none"),
        pytest.param(["--image", IMAGE, "--path", "/a"], "--path needs --gateway", id="a path of nothing"),
        pytest.param(["--image", IMAGE, "--gateway", "a/"], "gatewayRef.name", id="a gateway with no name"),
        pytest.param(["--image", IMAGE, "-o", "json"], "--output", id="a form that is not there"),
        pytest.param(["x", "--image", IMAGE, "-o", "yaml"], "leave out DIR", id="a folder that stays empty"),
        pytest.param([], "nobody can be asked", id="no image and no terminal"),
    ],
)
def test_what_the_api_server_would_refuse_is_one_line_and_nothing_is_written(
    flags: list[str],
    want: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *flags)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert want in err
    assert not list(tmp_path.iterdir())


def test_what_somebody_wrote_is_overwritten_only_when_asked_and_then_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "chat"
    assert run(capsys, str(folder), "--image", IMAGE)[0] == 0
    (folder / "service.yaml").write_text("mine")
    code, _, err = run(capsys, str(folder), "--image", IMAGE)
    assert (code, (folder / "service.yaml").read_text()) == (2, "mine")
    assert err == (
        f"error: {folder}/service.yaml would be overwritten; choose another folder, or say --overwrite\n"
    )
    code, out, _ = run(capsys, str(folder), "--image", IMAGE, "--overwrite")
    assert code == 0
    assert [line for line in out.splitlines() if "overwritten" in line] == [
        f"{folder}/service.yaml: overwritten"
    ]
    # The same again changes nothing, and needs no leave.
    assert "overwritten" not in run(capsys, str(folder), "--image", IMAGE)[1]


def test_nothing_is_written_through_a_link_or_into_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    folder.mkdir()
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="chat/b would be overwritten"):
        write(folder, {"a": "1", "b": "2"}, overwrite=False)
    assert not (folder / "a").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file/a can't be written: Not a directory"):
        write(tmp_path / "file", {"a": "1"}, overwrite=False)


@given(image=st.text(alphabet="abzAZ019-._/:@", max_size=90))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_whatever_an_image_is_called_its_names_are_names_or_it_is_refused(image: str) -> None:
    wish = Wish(image=image)
    made, refusal = {"service.yaml": ""}, ""
    try:
        made = files(wish)
    except UserError as error:
        refusal = str(error)
    # Never refused for a name that was made here: those fit.
    assert "metadata.name" not in refusal
    named = f"name: {wish.service_name}\n" in made["service.yaml"].replace("'", "")
    assert named or refusal


@pytest.mark.parametrize(
    ("image", "model", "service"),
    [
        ("ghcr.io/org/aim-llama:v1", "llama", "llama"),
        ("localhost:5000/7b_Chat@sha256:" + "a" * 64, "7b-chat", "model-7b-chat"),
        ("a/" + "x" * 80, "x" * 63, "x" * 53),
    ],
)
def test_names_that_an_image_suggests(image: str, model: str, service: str) -> None:
    wish = Wish(image=image)
    assert (wish.model_name, wish.service_name) == (model, service)


def conversation(folder: Path, answers: str, *argv: str) -> tuple[int, str, str]:
    """Exit code, what the terminal showed and what standard output had, after typing `answers`."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answers.encode())
        done = subprocess.run(
            [AIMCTL, "init", *argv],
            cwd=folder,
            stdin=theirs,
            stderr=theirs,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        screen = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, screen, done.stdout


def test_a_terminal_is_asked_and_a_bad_answer_again(tmp_path: Path, snapshot: SnapshotAssertion) -> None:
    answers = f"https://x\n{IMAGE}\n\nspeed\nlatency\n\n\nmany\n1\nchat\nteam\n\n"
    code, screen, out = conversation(tmp_path, answers)
    assert code == 0
    assert out == snapshot
    # After what the terminal itself echoed of the keys.
    assert screen.replace("\r", "").partition("Container image")[2] == snapshot
    assert sorted(path.name for path in (tmp_path / "chat").iterdir()) == [
        "image.yaml",
        "kustomization.yaml",
        "service.yaml",
        "template.yaml",
    ]
    assert "namespace: team" in (tmp_path / "chat" / "service.yaml").read_text()


def test_what_flags_said_is_not_asked(tmp_path: Path) -> None:
    code, screen, out = conversation(tmp_path, f"{IMAGE}\n" + "\n" * 5, *ALL_FLAGS, "-o", "yaml")
    assert code == 0
    assert screen.count("Container image of the model") == 1
    assert "Name of the" not in screen
    assert out.startswith("# The catalog entry")


def test_who_ends_the_questions_gets_no_files(tmp_path: Path) -> None:
    code, screen, out = conversation(tmp_path, f"{IMAGE}\n\x04")
    assert (code, out) == (1, "")
    assert screen.endswith("error: nothing was done: the questions were ended\r\n")
    assert not list(tmp_path.iterdir())


def test_the_guide_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    want = shown("docs/guides/command-line.md", "llama-3-1-8b/kustomization.yaml")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "--image", "ghcr.io/org/llama-3.1-8b:v1") == (0, want, "")


def test_the_guides_pipe_ends_with_changes_and_no_mistake() -> None:
    """As docs/guides/command-line.md has it under "Begin a catalog"."""
    page = Path("docs/guides/command-line.md").read_text()
    [line] = [line for line in page.splitlines() if line.startswith("aimctl init --image")]
    line = line.replace("aimctl", AIMCTL)
    done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert "AIMService team/llama-3-1-8b" in done.stdout
