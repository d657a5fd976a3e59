"""Command lines: exit codes, one-line errors, and what `--help` costs."""

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from aim_operator.cli import main
from aim_operator.cli.app import COMMANDS, app
from hack.version import version

AIMCTL = str(Path(sys.executable).with_name("aimctl"))
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: c, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: u, user: {}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
"""
SERVICE = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMService
metadata: {name: chat}
spec:
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    """Of a server at the discard port, where nobody answers."""
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return path


@pytest.mark.parametrize(
    ("argv", "want"),
    [
        pytest.param(["run", "--workers", "-3"], "--workers", id="negative workers"),
        pytest.param(["run", "--max-discovery-jobs=x"], "--max-discovery-jobs", id="a count that is none"),
        pytest.param(
            ["run", "--metrics-address", "8080"], "--metrics-address", id="an address with no colon"
        ),
        pytest.param(["run", "--probe-address", ":x"], "--probe-address", id="a port that is none"),
        pytest.param(["run", "--namespaces", "A"], "--namespaces", id="an invalid namespace"),
        pytest.param(
            ["run", "--operator-namespace", "a/b"], "--operator-namespace", id="an invalid own namespace"
        ),
        pytest.param(["run", "--log-format", "xml"], "--log-format", id="an unknown log format"),
        pytest.param(["run", "--log-level", "loud"], "--log-level", id="an unknown log level"),
        pytest.param(["run", "--kubeconfig", "/no/such"], "/no/such", id="a kubeconfig that is not there"),
        pytest.param(["run", "--kubeconfig", __file__], "not YAML", id="a kubeconfig that is none"),
        pytest.param(
            ["fetch", "hf://a/b", "d", "--capacity=much"], "--capacity", id="a capacity that is none"
        ),
        pytest.param(["fetch", "hf://a/b", "d", "--connections=0"], "--connections", id="no connections"),
        pytest.param(["fetch", "hf://a/b", "d", "--stall-seconds=0"], "--stall-seconds", id="no time at all"),
        pytest.param(["status", "-o", "xml"], "--output", id="an unknown form"),
        pytest.param(["status", "-n", "A_b"], "--namespace", id="a namespace that is none"),
        pytest.param(["status", "-A", "-n", "a"], "--all-namespaces", id="one namespace and all"),
        pytest.param(["status", "--as-group", "g"], "--as-group needs --as", id="a group without a user"),
        pytest.param(["status", "-w", "-o", "json"], "--watch", id="JSON that never ends"),
        pytest.param(["why", "servce/chat"], "did you mean service?", id="a kind that is not there"),
        pytest.param(["wait", "chat", "--timeout", "nan"], "--timeout", id="a time that is no number"),
        pytest.param(["logs", "chat", "--tail", "0"], "--tail is '0'", id="no lines at all"),
        pytest.param(["logs", "chat", "--server", "--download"], "choose one", id="two logs in one"),
        pytest.param(["logs", "cache/a"], "is an AIMModelCache; this is for AIMService", id="a log of none"),
        pytest.param(["url", "a/b"], "there is no kind 'a'", id="a URL of a kind that is not there"),
        pytest.param(["models", "-A", "-n", "a"], "choose one", id="models of one namespace and all"),
        pytest.param(["doctor", "-o", "wide"], "--output", id="a form that doctor has not"),
        pytest.param(["snapshot", "-n", "a"], "has all namespaces", id="a snapshot of one namespace"),
        pytest.param(["completion", "tcsh"], "bash, zsh or fish", id="a shell that nobody knows"),
        pytest.param(["demo", "--timeout", "nan"], "--timeout", id="a time that is none"),
        pytest.param(["demo", "--timeout", "inf"], "--timeout", id="a time without an end"),
        pytest.param(["demo", "--dir", "/no/such"], "--dir /no/such", id="a directory that is not there"),
        pytest.param(["crds", "--output-dir", "/dev/null"], "/dev/null", id="a directory that is a file"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(
    argv: list[str], want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert want in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("command", [["plan"], ["crds", "--output-dir"]], ids=["plan", "any other command"])
def test_the_name_of_a_file_does_not_control_the_terminal(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of a merge request are named by anybody."""
    file = tmp_path / "a\x1b]0;owned\x07\x9b2Jb.yaml"
    file.write_bytes(b"\xff")
    assert main([*command, str(file)]) in (2, 3)
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "b.yaml" in said
    assert not {"\x1b", "\x07", "\x9b"} & set(said)


def test_a_wrong_context_names_the_right_ones(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--kubeconfig", str(kubeconfig), "--context", "there"]) == 2
    assert "here" in capsys.readouterr().err


OF_A_CLUSTER = (
    "call chat hello",
    "demo --cluster",
    "doctor",
    "events chat",
    "fit chat",
    "fit -",
    "logs chat",
    "models",
    "pause chat",
    "plan --live -",
    "rediscover fast",
    "restart chat",
    "resume chat",
    "retry llama",
    "run",
    "serve llama --apply",
    "snapshot",
    "status",
    "url chat",
    "version",
    "wait chat",
    "why chat",
)
"""Calls of every command that needs a cluster. For `plan`, 2 says that something would change."""


def test_of_a_server_that_does_not_answer_every_command_says_so_in_one_line(kubeconfig: Path) -> None:
    """All at once: each waits some seconds for an answer."""
    service = "apiVersion: aim.silogen.ai/v1alpha1\nkind: AIMService\nmetadata: {name: a}\nspec: {model: m}\n"
    started = {
        command: subprocess.Popen(
            [AIMCTL, *command.split(), f"--kubeconfig={kubeconfig}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for command in OF_A_CLUSTER
    }
    said = {command: process.communicate(service) for command, process in started.items()}
    want = {command: 3 if command.startswith("plan") else 2 for command in OF_A_CLUSTER}
    assert {command: process.returncode for command, process in started.items()} == want, said
    for output, error in said.values():
        assert not output.removeprefix(f"aimctl    {version()}\n")
        assert error.startswith("error: the API server http://127.0.0.1:9 can't be used: ")
        assert error.count("\n") == 1


def test_those_are_all_commands_that_need_a_cluster() -> None:
    """The rest writes and reads files, and fetches models."""
    program: Any = typer.main.get_command(app())
    named = {command.split()[0] for command in OF_A_CLUSTER}
    assert set(program.commands) - named == {"init", "crds", "fetch", "completion"}


def test_on_a_terminal_the_wait_for_a_server_is_told(kubeconfig: Path) -> None:
    ours, theirs = os.openpty()
    try:
        command = [AIMCTL, "doctor", f"--kubeconfig={kubeconfig}"]
        done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, check=False)
        said = os.read(ours, 4096).decode().splitlines()
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (2, b"")
    assert said[0] == "waiting for http://127.0.0.1:9 …"
    assert said[1].startswith("error: the API server http://127.0.0.1:9 can't be used: ")
    assert len(said) == 2


def test_an_unknown_flag_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--wrokers", "3"]) == 2
    said = capsys.readouterr().err
    assert "Usage: aimctl run" in said
    assert "\nerror: No such option: --wrokers" in said


@pytest.mark.parametrize("argv", [["--version"], ["-V"], ["version"]], ids=" ".join)
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("aimctl ")


def test_versions_without_a_cluster_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [AIMCTL, "version"], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 1
    assert main(["version", "-o", "json", "--client"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"client"}


def test_the_version_is_said_also_where_the_cluster_does_not_answer(
    kubeconfig: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["version", "--kubeconfig", str(kubeconfig)]) == 2
    said = capsys.readouterr()
    assert said.out.startswith("aimctl ")
    assert said.err.startswith("error: the API server http://127.0.0.1:9 can't be used: ")


def test_help_names_the_program_as_it_was_called() -> None:
    plugin = str(Path(AIMCTL).with_name("kubectl-aim"))
    done = subprocess.run([plugin, "status", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: kubectl aim status")
    assert "kubectl aim status -A --watch" in done.stdout
    assert "aimctl" not in done.stdout


def test_what_to_do_next_is_called_as_the_program_was() -> None:
    plugin = str(Path(AIMCTL).with_name("kubectl-aim"))
    asked = (
        "import sys; sys.argv = [{!r}]; from aim_operator.cli.plain import say; say('next: aimctl wait chat')"
    )
    command = [sys.executable, "-c", asked.format(plugin)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "next: kubectl aim wait chat\n"


def test_a_file_that_is_not_right_is_so_without_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "chat.yaml")
    assert main(["fit", missing, "--kubeconfig", str(tmp_path / "none")]) == 3
    assert capsys.readouterr().err == f"error: {missing} does not exist\n"


@pytest.mark.parametrize(("asked", "same"), [(["help"], ["--help"]), (["help", "why"], ["why", "--help"])])
def test_help_is_a_command_too(asked: list[str], same: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert main(same) == 0
    assert shown == capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_their_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    # As docs/guides/command-line.md has it: source <(aimctl completion bash)
    assert "_AIMCTL_COMPLETE" in capsys.readouterr().out


def test_a_shell_is_told_which_commands_there_are() -> None:
    asked = {"_AIMCTL_COMPLETE": "complete_bash", "COMP_WORDS": "aimctl st", "COMP_CWORD": "1"}
    done = subprocess.run([AIMCTL], env=asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["status"]


def test_no_command_at_all_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "Commands:" in said
    # Each summary in full.
    assert "..." not in said.partition("Commands:")[2]


def imported_by(*argv: str) -> set[str]:
    """The modules that a process has when the command is over."""
    code = (
        f"import json, sys\nfrom aim_operator.cli import main\nmain({list(argv)})\n"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_nothing_heavy() -> None:
    heavy = {
        "aiohttp",
        "rich",
        "asyncio",
        "msgspec",
        "structlog",
        "lightkube",
        "yaml",
        "aim_operator.sandbox",
    }
    assert not heavy & imported_by("--help")


def test_a_command_that_is_called_does_not_wait_for_the_others() -> None:
    modules = imported_by("fetch", "--help")
    assert "aim_operator.cli.fetch" in modules
    # The line that every command begins with asks whether a shell wants completions.
    of_all = ("fetch", "completion")
    others = {f"aim_operator.cli.{module}" for name, module in COMMANDS.items() if name not in of_all}
    assert not (others | {"importlib.metadata"}) & modules


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_alone_is_what_it_is_among_all(name: str) -> None:
    shown = [
        CliRunner().invoke(program, [name, "--help"], prog_name="aimctl").output
        for program in (app(name), app())
    ]
    assert shown[0] == shown[1]
    assert shown[0].startswith(f"Usage: aimctl {name} ")


@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_help_before_a_command_has_all_commands(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([asked, "status"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_a_running_operator_has_no_rich(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "config"
    kubeconfig.write_text(
        "{clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: u}],"
        " contexts: [{name: x, context: {cluster: c, user: u}}], current-context: x}"
    )
    modules = imported_by("run", f"--kubeconfig={kubeconfig}")
    assert {"aim_operator.app", "structlog"} <= modules
    assert "rich" not in modules


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("", id="at a prompt"),
        pytest.param("trap '' INT;", id="in the background of a script, where SIGINT is ignored"),
    ],
)
def test_ctrl_c_ends_the_demo_quietly(before: str, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        command = ["sh", "-c", f'{before} exec "$0" demo', AIMCTL]
        demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True)
        assert demo.stdout is not None
        # Its first line says that it began.
        assert "demo" in demo.stdout.readline()
        demo.send_signal(signal.SIGINT)
        demo.communicate()
    assert (demo.returncode, (tmp_path / "out").read_text()) == (130, "")


def test_crds_are_those_of_the_repository(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds", "--output-dir", str(tmp_path / "new")]) == 0
    generated = {path.name: path.read_text() for path in Path("deploy/crds").glob("*.yaml")}
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == generated
    capsys.readouterr()
    assert main(["crds"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in generated.values())
    assert printed.count("---\n") == len(generated)


@pytest.mark.parametrize(
    "command", ["crds", "version --client", "--help", "plan examples/quickstart", "completion bash"]
)
def test_a_disk_that_is_full_is_one_line(command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [AIMCTL, *command.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (
        1,
        "error: the output can't be written: No space left on device\n",
    )


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{shlex.quote(AIMCTL)} crds | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("---\n", "")


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        pytest.param("version >&-", 0, "", id="no standard output"),
        pytest.param("version 2>&-", 0, "", id="no standard error"),
        pytest.param("version <&- >&- 2>&-", 0, "", id="no stream at all"),
        pytest.param(
            "plan - <&-",
            3,
            "error: there is nothing on standard input: did the command before the pipe fail?\n",
            id="no standard input to plan from",
        ),
        pytest.param(
            "call chat - <&-", 2, "error: there is no question: PROMPT is empty\n", id="none to ask from"
        ),
    ],
)
def test_a_stream_that_is_closed_is_one_with_nothing_in_it(call: str, code: int, said: str) -> None:
    """As cron and service managers start programs; 1 of `plan` says that something would be Degraded."""
    command = f"{shlex.quote(AIMCTL)} {call}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("form", ["json", "github"])
def test_signs_that_an_encoding_has_not_are_question_marks(form: str, tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text(f"{SERVICE}  model: \u017elu\u0165\n", encoding="utf-8")
    done = subprocess.run(
        [AIMCTL, "plan", str(file), "-o", form],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        encoding="latin-1",
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "")
    assert "?lu?" in done.stdout


@pytest.mark.parametrize("form", ["json", "github"])
def test_the_name_of_a_file_may_be_any_bytes(form: str, tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/a\xff.yaml"
    Path(os.fsdecode(file)).write_text(f"{SERVICE}  model: B\n")
    done = subprocess.run([AIMCTL, "plan", str(tmp_path), "-o", form], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    assert "a\ufffd.yaml" in done.stdout.decode() or "a?.yaml" in done.stdout.decode()


def test_an_argument_that_is_no_text_is_one_line() -> None:
    done = subprocess.run([AIMCTL, "serve", b"a\xff"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.endswith(b"is not UTF-8\n")
    assert done.stderr.count(b"\n") == 1


def test_a_question_may_have_bytes_of_any_encoding(kubeconfig: Path) -> None:
    """`git diff | aimctl call chat -` of a file in Latin-1; here nobody is asked in the end."""
    done = subprocess.run(
        [AIMCTL, "call", "chat", "-", f"--kubeconfig={kubeconfig}"],
        input=b"caf\xe9",
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: the API server http://127.0.0.1:9 can't be used")
    assert done.stderr.count(b"\n") == 1
