"""One version: what is released under a tag is what every file of it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack import version

CHANGELOG = """\
# Changelog

## [Unreleased]

- Later.

## [1.2.0] - 2026-11-26

- It serves.

## [1.1.0] - 2026-10-01

- Before.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": '[project]\nname = "x"\nversion = "1.2.0"\n',
        "charts/aim-operator/Chart.yaml": "version: 1.2.0\nappVersion: 1.2.0\n",
        "src/aim_operator/settings.py": 'DOWNLOADER_IMAGE = "ghcr.io/silogen/aim-operator:1.2.0"\n',
        "CHANGELOG.md": CHANGELOG,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_this_checkout_names_one_version() -> None:
    assert version.disagreeing() == []


def test_a_release_prints_its_version_and_its_notes(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert version.main(["--tag", "v1.2.0"], checkout) == 0
    assert version.main(["--notes"], checkout) == 0
    assert capsys.readouterr().out == "1.2.0\n- It serves.\n"


@pytest.mark.parametrize(
    ("name", "old", "new", "problem"),
    [
        pytest.param("pyproject.toml", "1.2.0", "1.3.0", "the tag is v1.2.0", id="another tag"),
        pytest.param(
            "charts/aim-operator/Chart.yaml",
            "appVersion: 1.2.0",
            "appVersion: 1.1.0",
            "1.1.0",
            id="the chart",
        ),
        pytest.param("src/aim_operator/settings.py", ":1.2.0", ":latest", "says latest", id="the downloader"),
        pytest.param("src/aim_operator/settings.py", "DOWNLOADER", "X", "says nothing", id="no downloader"),
        pytest.param("CHANGELOG.md", "[1.2.0] - 2026-11-26", "[1.2.0]", "has no text below", id="no date"),
    ],
)
def test_what_disagrees_is_named_and_nothing_is_released(
    checkout: Path, name: str, old: str, new: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / name
    path.write_text(path.read_text().replace(old, new))
    assert version.main(["--tag", "v1.2.0"], checkout) == 1
    printed = capsys.readouterr()
    assert problem in printed.err
    assert printed.out == ""
