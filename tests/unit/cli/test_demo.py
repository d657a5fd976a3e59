"""`aimctl demo` from end to end, on the sandbox."""

import asyncio
import io
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from aim_operator.cli import main, quickstart
from aim_operator.cli.demo_ending import tell
from aim_operator.cli.demo_next import MOST_LINES
from aim_operator.cli.demo_sandbox import run_in_sandbox
from aim_operator.cli.demo_show import on_console
from tests.support.virtual_clock import VirtualClock

QUICKSTART = Path("examples/quickstart")
ROUTE = "/ml-team/research/meta-llama-3-8b-instruct"


def test_the_quickstart_ends_with_its_service_running(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    (running,) = [line for line in lines if "llama-chat" in line and " Running " in line]
    assert running.endswith(f"on llama-3-8b-latency, path {ROUTE}")
    available = [line for line in lines if " template " in line and " Available " in line]
    assert len(available) == 3
    (verdict,) = [number for number, line in enumerate(lines) if line.startswith(" ✔ ")]
    assert re.fullmatch(r" ✔ 1 service running, 3 templates discovered, \d+\.\d s", lines[verdict])
    assert lines[verdict + 2].startswith(" Next")


EXAMPLES = [
    pytest.param(
        "team-overrides",
        {
            "team-blue/chat": ("llama-shared-latency", "/team-blue/chat"),
            "team-red/chat": ("llama-shared-latency-ovr-", "/red/preview/chat"),
            "team-red/batch": ("llama-shared-latency-ovr-", "/red/production/batch"),
        },
        id="a team with its own overrides",
    ),
    pytest.param(
        "tenant-routes",
        {
            "tenant-one/chat": ("llama-tenants-latency", "/tenant-one/search/llama-tenants"),
            "tenant-two/chat": ("llama-tenants-latency", "/tenant-two/search/llama-tenants"),
            "tenant-two/canary": ("llama-tenants-latency", "/tenant-two/search/llama-tenants/canary"),
        },
        id="a tenant-wide route template",
    ),
    pytest.param(
        "gated-model",
        {
            "search/chat": ("llama-gated-latency", "/search/chat"),
            "speech/chat": ("llama-gated-latency", "/speech/chat"),
        },
        id="a hub token in the platform's configuration",
    ),
    pytest.param(
        "cached-model",
        {"search/chat": ("llama-cached-latency", "/search/chat")},
        id="model files on a volume before the service",
    ),
    pytest.param(
        "amd-catalog",
        {
            "models/llama-3-1-8b-instruct": (
                "llama-3-1-8b-instruct-fp8-1-latency",
                "/models/llama-3-1-8b-instruct",
            ),
            "models/llama-3-3-70b-instruct": (
                "llama-3-3-70b-instruct-fp8-1-latency",
                "/models/llama-3-3-70b-instruct",
            ),
            "models/qwen3-32b": ("qwen3-32b-fp16-1-latency", "/models/qwen3-32b"),
            "models/mistral-small-3-2-24b-instruct": (
                "mistral-small-3-2-24b-instruct-fp16-1-latency",
                "/models/mistral-small-3-2-24b-instruct",
            ),
            "models/gpt-oss-20b": ("gpt-oss-20b-fp4-1-latency", "/models/gpt-oss-20b"),
        },
        id="the published model images",
    ),
]


@pytest.mark.parametrize(("name", "want"), EXAMPLES)
def test_an_example_set_ends_with_its_services_running(
    name: str, want: dict[str, tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--example", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    for service, (template, path) in want.items():
        (running,) = [line for line in lines if f" {service} " in line and " Running " in line]
        on, at = running.partition(" on ")[2].split(", path ")
        assert on.startswith(template), running
        assert at == path


@pytest.mark.parametrize(
    ("file", "right", "wrong", "want"),
    [
        pytest.param(
            "04-service.yaml",
            "model: meta-llama-3-8b-instruct",
            "model: nobody",
            "service ml-team/llama-chat is Degraded: ImageNotFound: ",
            id="a service of a model that is not in the catalog",
        ),
        pytest.param(
            "04-service.yaml",
            "['team']",
            "['crew']",
            "service ml-team/llama-chat is Degraded: RouteTemplateInvalid: ",
            id="a route template that leads to no data",
        ),
        pytest.param(
            "03-templates.yaml",
            "runtimeConfigName: ml-research",
            "runtimeConfigName: gone",
            "template ml-research/llama-3-8b-throughput is Degraded: RuntimeConfigMissing: ",
            id="a template whose configuration is missing",
        ),
    ],
)
def test_a_broken_catalog_fails_and_names_the_cause(
    tmp_path: Path, file: str, right: str, wrong: str, want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "quickstart"
    shutil.copytree(QUICKSTART, broken)
    text = (broken / file).read_text()
    assert right in text
    (broken / file).write_text(text.replace(right, wrong))
    assert main(["demo", "--dir", str(broken)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if line.startswith(f"error: {want}")], errors


def test_an_object_that_the_server_refuses_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "image.yaml").write_text(
        "{apiVersion: aim.silogen.ai/v1alpha1, kind: AIMClusterImage, metadata: {name: bad}, spec: {}}"
    )
    assert main(["demo", "--dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {tmp_path}/image.yaml: AIMClusterImage bad is refused: ")
    assert "spec.image" in said


def test_time_that_is_up_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--timeout", "0.2"]) == 1
    said = capsys.readouterr()
    first, *others = said.err.splitlines()
    assert first == "error: timed out after 0.2 s; not ready:"
    assert any(line.startswith("error: service ml-team/llama-chat is Pending") for line in others)
    assert " ✖ 0 of 1 service running, 0 of 3 templates discovered, " in said.out


@pytest.mark.parametrize(
    ("spec", "want"),
    [
        pytest.param("{image: a, resorces: {}}", "spec.resorces; did you mean resources?", id="a slip"),
        pytest.param(
            "{image: a, resources: {limitz: {}}}",
            "spec.resources.limitz; did you mean limits?",
            id="further in",
        ),
        pytest.param("{image: a, qqq: 1}", "spec.qqq", id="nothing like it"),
    ],
)
def test_an_unknown_field_is_named_with_what_may_be_meant(
    tmp_path: Path, spec: str, want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "image.yaml"
    kind = "apiVersion: aim.silogen.ai/v1alpha1, kind: AIMClusterImage"
    path.write_text(f"{{{kind}, metadata: {{name: bad}}, spec: {spec}}}")
    assert main(["demo", "--dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {path}: AIMClusterImage bad has no field {want}\n"


CATALOG = """\
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterImage
metadata: {name: m}
spec: {image: "reg.me/m:v1"}
---
apiVersion: aim.silogen.ai/v1alpha1
kind: AIMClusterServiceTemplate
metadata: {name: m}
spec: {aimImageName: m, gpuSelector: {model: MI300X}}
"""


def test_made_up_discoveries_are_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    assert main(["demo", "--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "simulated: no profile for reg.me/m:v1; what discovery found is made up" in out
    assert "✔ 1 template discovered (simulated), " in out
    (tmp_path / "profiles").mkdir()
    profile = (QUICKSTART / "profiles" / "llama-3.1-8b-instruct.json").read_text()
    profile = profile.replace("ghcr.io/example/llama-3.1-8b-instruct:v1.2.0", "reg.me/m:v1")
    (tmp_path / "profiles" / "m.json").write_text(profile)
    assert main(["demo", "--dir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "simulated" not in out
    assert "hf://meta-llama/Llama-3.1-8B-Instruct" in out


@pytest.mark.parametrize(
    ("flags", "want"),
    [
        pytest.param(["--gateway-url", "http://x"], "--gateway-url needs --cluster", id="one of a cluster"),
        pytest.param(
            ["--context=a", "--kubeconfig=b"], "--kubeconfig and --context need --cluster", id="two of them"
        ),
        pytest.param(["--operator-namespace=a"], "--operator-namespace needs --cluster", id="a namespace"),
        pytest.param(
            ["--dir=.", "--example=quickstart"], "--example does nothing beside --dir", id="two sets"
        ),
    ],
)
def test_flags_that_do_nothing_are_refused(
    flags: list[str], want: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *flags]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {want}")


async def test_ctrl_c_keeps_the_last_frame_and_says_how_far_it_got() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, _environ={})
    display = on_console(console, "demo: of something", below=MOST_LINES)
    examples = quickstart.load(QUICKSTART)
    clock = VirtualClock()
    demo = asyncio.create_task(run_in_sandbox(clock, QUICKSTART, examples, 60.0, display))
    await clock.run_until(lambda: "Progressing" in out.getvalue())
    # As asyncio.run does at the first Ctrl-C.
    demo.cancel()
    ending = await clock.run(asyncio.wait_for(demo, None))
    assert tell(ending, console) == 130
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert screen.rpartition("demo  of something")[2].count("Progressing") >= 3
    last = screen.splitlines()[-1]
    assert re.fullmatch(
        r" ■ stopped after \d\.\d s: 0 of 1 service running, 0 of 3 templates discovered", last
    )
