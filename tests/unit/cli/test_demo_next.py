"""What the demo says at its end: that it fits a small screen, and that what it prints works."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from aim_operator.cli import main, quickstart
from aim_operator.cli.demo_ending import Ending, How, explain, verdict
from aim_operator.cli.demo_next import MOST_LINES, next_steps, program
from aim_operator.cli.demo_snapshot import ServiceRow, Snapshot, TemplateRow

SOURCE = Path("examples/quickstart")
EXAMPLES = quickstart.load(SOURCE)
PATH = "/ml-team/research/meta-llama-3-8b-instruct"
AVAILABLE = TemplateRow(name="a", namespace="", state="Available")
RUNNING = ServiceRow(name="llama-chat", namespace="ml-team", state="Running", path=PATH)
STARTING = ServiceRow(name="b", namespace="ml-team", state="Starting", message="CreatingRuntime: soon")
DONE = Snapshot(seconds=1.66, templates=(AVAILABLE,) * 3, services=(RUNNING,))


def steps(width: int = 80, **more: object) -> list[str]:
    return next_steps(DONE, SOURCE, EXAMPLES, width=width, **more).plain.splitlines()  # type: ignore[arg-type]


def commands(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if line.startswith("   ") and not line.startswith("   #")]


@pytest.mark.parametrize(("width", "height"), [(60, 24), (80, 24), (120, 40)])
def test_verdict_and_steps_are_on_one_screen(width: int, height: int) -> None:
    lines = ["", "the verdict", *steps(width), "", "the prompt"]
    rows = sum(max(-(-Text(line).cell_len // width), 1) for line in lines)
    assert rows <= height
    assert width < 80 or rows <= MOST_LINES


def test_the_steps_are_commands_that_work_from_here() -> None:
    first, run, apply, *_ = commands(steps())
    crds, pipe = first.split(" | ")
    assert pipe == "kubectl apply --server-side -f -"
    program = shlex.split(crds)[0]
    assert Path(shutil.which(program) or "").samefile(Path(sys.executable).with_name("aimctl"))
    printed = subprocess.run(crds, shell=True, capture_output=True, text=True, check=True).stdout
    assert printed.count("kind: CustomResourceDefinition") == 9
    assert run == f"{program} run"
    assert Path(apply.removeprefix("kubectl apply --server-side -f ")).samefile(SOURCE)


def test_aimctl_is_called_by_its_name_where_that_is_enough(tmp_path: Path) -> None:
    here = Path(sys.executable).with_name("aimctl")
    assert program(str(tmp_path)) != "aimctl"
    (tmp_path / "aimctl").symlink_to(here)
    assert program(str(tmp_path)) == "aimctl"
    assert program(str(here.parent)) == "aimctl"


def test_what_must_be_put_in_first_is_said_before_the_objects_are_applied() -> None:
    lines = steps()
    text = " ".join(line.strip().lstrip("# ") for line in lines)
    want = (
        "with your images instead of ghcr.io/example/… and ghcr.io/ml-team/… "
        "(placeholders; stand-ins: examples/stand-in-image) "
        "and your Gateway instead of gateways/inference-gateway kubectl apply"
    )
    assert want in text
    assert Path("examples/stand-in-image/README.md").is_file()


@pytest.mark.parametrize(
    ("gateway_url", "where"),
    [
        pytest.param(None, [], id="at the gateway's own address"),
        pytest.param("http://g:1/", ["--gateway-url", "http://g:1/"], id="a known address"),
    ],
)
def test_the_last_step_asks_the_model_through_the_gateway(
    gateway_url: str | None, where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    program, *arguments = shlex.split(commands(steps(gateway_url=gateway_url))[-1])
    assert Path(shutil.which(program) or "").samefile(Path(sys.executable).with_name("aimctl"))
    assert arguments == ["call", "llama-chat", "What is a GPU?", "-n", "ml-team", *where]
    # Every flag is one that it takes: what is missing here is a cluster.
    assert main([*arguments, "--kubeconfig", "nowhere"]) != 0
    assert "nowhere" in capsys.readouterr().err


def test_after_a_demo_on_a_cluster_nothing_is_left_to_install() -> None:
    said = steps(cluster=True, gateway_url="http://g:1")
    assert said[1] == " Look around"
    assert not any(word in line for line in said for word in ("crds", "make", "placeholder"))


@pytest.mark.parametrize(
    ("templates", "services", "how", "want", "errors"),
    [
        pytest.param(
            (AVAILABLE,) * 3,
            (RUNNING,),
            How.OVER,
            "✔ 1 service running, 3 templates discovered, 1.7 s",
            [],
            id="done",
        ),
        pytest.param((AVAILABLE,), (), How.OVER, "✔ 1 template discovered, 1.7 s", [], id="no service"),
        pytest.param((), (), How.OVER, "✔ no template and no service to watch, 1.7 s", [], id="nothing"),
        pytest.param(
            (AVAILABLE,),
            (RUNNING, STARTING),
            How.TIMED_OUT,
            "✖ 1 of 2 services running, 1 template discovered, 1.7 s",
            ["timed out after 9 s; not ready:", "service ml-team/b is Starting: CreatingRuntime: soon"],
            id="time is up",
        ),
        pytest.param(
            (),
            (STARTING,),
            How.INTERRUPTED,
            "■ stopped after 1.7 s: 0 of 1 service running",
            [],
            id="Ctrl-C is no error",
        ),
    ],
)
def test_verdicts(
    templates: tuple[TemplateRow, ...],
    services: tuple[ServiceRow, ...],
    how: How,
    want: str,
    errors: list[str],
) -> None:
    last = Snapshot(seconds=1.66, templates=templates, services=services)
    ending = Ending(last=last, how=how, timeout_seconds=9)
    assert verdict(ending).plain == want
    assert list(explain(ending)) == errors


def test_a_service_that_does_not_answer_is_no_success() -> None:
    ending = Ending(last=DONE, how=How.OVER, timeout_seconds=9)
    assert verdict(ending, failed=True).plain.startswith("✖ 1 service running")
