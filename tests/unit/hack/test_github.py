"""What GitHub would only tell after a push: workflows and forms are what it takes, and run what is here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yaml"))
CHECK = Path(sys.executable).parent / "check-jsonschema"


def jobs() -> list[Any]:
    return [
        pytest.param(job, id=f"{path.stem}: {name}")
        for path in WORKFLOWS
        for name, job in yaml.safe_load(path.read_text())["jobs"].items()
    ]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        (
            "vendor.github-issue-forms",
            [GITHUB / f"ISSUE_TEMPLATE/{name}.yml" for name in ("bug", "idea")],
        ),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_github_takes_them(schema: str, files: list[Path]) -> None:
    assert files
    checked = subprocess.run(
        [CHECK, "--builtin-schema", schema, *files], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("job", jobs())
def test_every_job_ends_and_has_no_more_rights_than_it_names(job: dict[str, Any]) -> None:
    assert "timeout-minutes" in job or "uses" in job
    assert "write-all" not in str(job)
    for step in job.get("steps", []):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_they_call_exists(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    text = path.read_text()
    for target in re.findall(r"\bmake ([a-z-]+)", text):
        assert f"\n{target}:" in makefile
    for module in re.findall(r"python -m hack\.(\w+)", text):
        assert (ROOT / "hack" / f"{module}.py").exists() or (ROOT / "hack" / module).is_dir()
    for name in re.findall(r"(?<![\w/])(?:deploy|docs|charts|hack)/[\w./-]+\w", text):
        assert (ROOT / name).exists(), name


def test_nothing_of_an_event_reaches_a_shell() -> None:
    """A title or a branch's name is a stranger's text: GitHub pastes `${{ }}` into the script."""
    for path in WORKFLOWS:
        assert not re.search(r"\$\{\{\s*github\.(event|head_ref)\b(?!_name)", path.read_text())
