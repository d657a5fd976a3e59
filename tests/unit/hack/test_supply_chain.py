"""The licences of what is inside, and that the same versions build everywhere."""

from __future__ import annotations

import json
import re
import tomllib
from importlib.metadata import Distribution, PackageMetadata
from os import PathLike
from pathlib import Path

import pytest

from hack import supply_chain

ROOT = Path(__file__).resolve().parents[3]


def metadata(*headers: tuple[str, str]) -> PackageMetadata:
    """Metadata as a package's METADATA file has it."""
    # Its parser keeps the lines that follow, each indented, as part of a header.
    lines = [f"{name}: {value}".replace("\n", "\n        ") for name, value in headers]
    return Written(
        "\n".join(["Metadata-Version: 2.4", "Name: some-package", "Version: 1", *lines, ""])
    ).metadata


class Written(Distribution):
    """A package of which only the METADATA file is there."""

    def __init__(self, text: str) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "METADATA" else None

    def locate_file(self, path: str | PathLike[str]) -> Path:
        raise FileNotFoundError(path)


CLASSIFIED = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("headers", "want"),
    [
        ([("License-Expression", "Apache-2.0 AND MIT")], "Apache-2.0 AND MIT"),
        ([("License", "Apache License 2.0")], "Apache-2.0"),
        ([("License", "The MIT License\n\nCopyright …"), ("Classifier", f"{CLASSIFIED}MIT License")], "MIT"),
        (
            [("Classifier", f"{CLASSIFIED}BSD License"), ("Classifier", f"{CLASSIFIED}MIT License")],
            "BSD-3-Clause OR MIT",
        ),
    ],
    ids=["an expression", "an older name", "a whole text, and a classifier", "two classifiers"],
)
def test_the_licence_is_what_a_package_declares(headers: list[tuple[str, str]], want: str) -> None:
    assert supply_chain.licence(metadata(*headers)) == want


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ([("License-Expression", "AGPL-3.0-only")], "AGPL-3.0-only"),
        ([("License-Expression", "MIT AND GPL-2.0-only")], "MIT AND GPL-2.0-only"),
        ([("Classifier", f"{CLASSIFIED}GNU Affero General Public License v3")], "GNU Affero"),
        ([], "nothing"),
    ],
    ids=["another", "one of two", "by classifier", "none"],
)
def test_a_licence_that_nobody_read_fails_the_check(headers: list[tuple[str, str]], word: str) -> None:
    with pytest.raises(ValueError, match=f"some-package says .*{word}.*read it"):
        supply_chain.licence(metadata(*headers))


def test_the_bill_of_materials_has_each_package_with_hashes_and_says_the_same_each_time() -> None:
    first = supply_chain.files()
    bill = json.loads(first["sbom.cdx.json"])
    names = {component["name"] for component in bill["components"]}
    assert {"aiohttp", "botocore", "msgspec", "yarl"} <= names
    assert "pytest" not in names
    for component in bill["components"]:
        assert all(reference["hashes"] for reference in component["externalReferences"]), component["name"]
    assert supply_chain.files() == first


def test_what_reads_the_lock_is_the_version_in_the_lock() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (locked,) = (each["version"] for each in lock["package"] if each["name"] == "uv")
    for name in ("Dockerfile", "hack/setup.sh"):
        assert re.findall(r"uv==([\d.]+)", (ROOT / name).read_text()) == [locked], name


def test_the_image_installs_nothing_that_the_lock_does_not_name() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    lines = dockerfile.replace("\\\n", " ").splitlines()
    commands = [each for line in lines if line.startswith("RUN ") for each in line[4:].split("&&")]
    installs = [each for each in commands if re.search(r"pip install|uv sync|uv build", each)]
    pinned = ("uv==", "--frozen", "--no-build-isolation", "--no-index")
    assert len(installs) == 5
    assert [each for each in installs if not any(word in each for word in pinned)] == []
