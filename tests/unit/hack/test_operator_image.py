"""hack.cluster.operator_image: the image is rebuilt exactly when something in it changes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hack.cluster.operator_image import (
    MACHINES,
    NATIVE,
    REFERENCE,
    REPOSITORY,
    SOURCES,
    reference,
    sources_hash,
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in SOURCES:
        source, target = REPOSITORY / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def test_whatever_the_dockerfile_copies_is_part_of_the_hash() -> None:
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    copied = {name for line in copies for name in line.split()}
    assert copied == set(SOURCES) - {"Dockerfile", ".dockerignore"}


def test_whatever_the_dockerfile_copies_is_sent_to_the_builder() -> None:
    allowed = {
        line[1:] for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert allowed == set(SOURCES) - {"Dockerfile", ".dockerignore"}


def test_equal_checkouts_share_an_image(checkout: Path) -> None:
    assert sources_hash(checkout) == sources_hash()


@pytest.mark.parametrize("name", ["Dockerfile", "uv.lock", "src/aim_operator/app.py"])
def test_a_change_of_any_source_makes_another_image(checkout: Path, name: str) -> None:
    before = sources_hash(checkout)
    path = checkout / name
    path.write_text(path.read_text() + "# changed\n")
    assert sources_hash(checkout) != before


def test_bytecode_makes_no_other_image(checkout: Path) -> None:
    before = sources_hash(checkout)
    cached = checkout / "src/aim_operator/__pycache__/app.cpython-311.pyc"
    cached.parent.mkdir()
    cached.write_bytes(b"anything")
    assert sources_hash(checkout) == before


def test_the_tag_is_fixed_so_that_no_registry_is_asked() -> None:
    assert re.fullmatch(r"ghcr\.io/silogen/aim-operator:\d+\.\d+\.\d+", REFERENCE)


def test_each_architecture_has_an_image_of_its_own() -> None:
    foreign = next(architecture for architecture in MACHINES if architecture != NATIVE)
    assert reference(NATIVE) == REFERENCE
    assert reference(foreign) == f"{REFERENCE}-{foreign}"
    assert sources_hash(architecture=foreign) != sources_hash()
