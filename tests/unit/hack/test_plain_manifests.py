"""deploy/aim-operator.yaml is known to be out of date without Helm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hack.generate import kept
from hack.plain_manifests import CHART, PATH, outdated


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CHART, tmp_path / "chart"))


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    return Path(shutil.copy(PATH, tmp_path))


def test_as_committed_it_is_up_to_date(manifests: Path, chart: Path) -> None:
    assert not outdated(manifests, chart)


@pytest.mark.parametrize("name", ["values.yaml", "templates/deployment.yaml", "files/rules/everywhere.yaml"])
def test_a_changed_chart_shows(manifests: Path, chart: Path, name: str) -> None:
    (chart / name).write_text((chart / name).read_text() + "# changed\n")
    assert outdated(manifests, chart)


def test_an_edited_file_shows(manifests: Path, chart: Path) -> None:
    manifests.write_text(manifests.read_text().replace("replicas: 2", "replicas: 3"))
    assert outdated(manifests, chart)


def test_a_missing_file_shows(tmp_path: Path, chart: Path) -> None:
    assert outdated(tmp_path / "none.yaml", chart)


def test_crds_are_not_part_of_it(manifests: Path, chart: Path) -> None:
    shutil.rmtree(chart / "files" / "crds")
    assert not outdated(manifests, chart)


def test_a_crd_of_the_chart_is_kept_by_helm() -> None:
    crd = "# header\nkind: CustomResourceDefinition\nmetadata:\n  name: things.example.com\nspec: {}\n"
    want = "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name: things.example.com\n"
    assert want in kept(crd)


def test_a_crd_that_has_annotations_is_no_silent_loss() -> None:
    with pytest.raises(ValueError, match="annotations"):
        kept("kind: X\nmetadata:\n  annotations: {}\n  name: x\nspec: {}\n")
