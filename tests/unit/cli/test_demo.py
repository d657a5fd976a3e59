"""`aimctl demo` from end to end, on the sandbox."""

import shutil
from pathlib import Path

import pytest

from aim_operator.cli import main

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
    assert any(f"curl http://GATEWAY{ROUTE}/v1/models" in line for line in lines)


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
    assert said.startswith("error: AIMClusterImage bad is refused: ")
    assert "spec.image" in said


def test_time_that_is_up_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--timeout", "0.2"]) == 1
    assert "error: service ml-team/llama-chat is Pending" in capsys.readouterr().err
