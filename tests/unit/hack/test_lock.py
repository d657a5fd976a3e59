"""uv.lock: the image is built for both architectures from wheels, with no compiler in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from packaging import tags
from packaging.markers import Marker
from packaging.utils import parse_wheel_filename

from hack.cluster.operator_image import REPOSITORY

PYTHON = (3, 11)
OLDEST_GLIBC, NEWEST_GLIBC = 17, 36
"""2.36 is Debian bookworm's, of the Dockerfile's base."""


@cache
def locked() -> dict[str, list[dict[str, Any]]]:
    """Packages by name; several versions of one are for different Pythons."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]:
        by_name.setdefault(package["name"], []).append(package)
    return by_name


def environment(machine: str) -> dict[str, str]:
    version = ".".join(map(str, PYTHON))
    return {
        "python_version": version,
        "python_full_version": f"{version}.2",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }


def in_the_image(machine: str) -> Iterator[dict[str, Any]]:
    """Yield what the Dockerfile installs on such a machine: the project's dependencies and theirs."""
    seen: set[str] = set()
    project = locked()["aim-operator"][0]
    left = [(project, ""), (project, "otel")]
    while left:
        package, extra = left.pop()
        key = f"{package['name']} {package.get('version', '')} {extra}"
        if key in seen:
            continue
        seen.add(key)
        if "registry" in package["source"]:
            yield package
        wanted = package.get("dependencies", [])
        if extra:
            wanted = [*wanted, *package.get("optional-dependencies", {}).get(extra, [])]
        for dependency in wanted:
            if "marker" in dependency and not Marker(dependency["marker"]).evaluate(environment(machine)):
                continue
            for found in locked()[dependency["name"]]:
                if found.get("version") == dependency.get("version", found.get("version")):
                    left += [(found, each) for each in ("", *dependency.get("extra", ()))]


def fitting_tags(machine: str) -> frozenset[tags.Tag]:
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    platforms += [f"manylinux2014_{machine}"]
    return frozenset(
        (*tags.cpython_tags(PYTHON, platforms=platforms), *tags.compatible_tags(PYTHON, "cp311", platforms))
    )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_everything_in_the_image_has_a_wheel(machine: str) -> None:
    fitting = fitting_tags(machine)
    packages = list(in_the_image(machine))
    names = {package["name"] for package in packages}
    assert {"aiohttp", "botocore", "msgspec", "uvloop", "opentelemetry-sdk", "protobuf"} <= names
    assert not names & {"boto3", "pytest", "mypy", "zensical"}
    compiled = [
        f"{package['name']} {package['version']}"
        for package in packages
        if not any(
            parse_wheel_filename(wheel["url"].rpartition("/")[2])[3] & fitting
            for wheel in package.get("wheels", ())
        )
    ]
    assert not compiled, f"would be compiled on linux {machine}"


def test_groups_for_development_and_docs_are_not_in_the_image() -> None:
    """`--no-dev` would leave one of them out, and the site's generator in."""
    sync, build = re.findall(r"uv sync .*", (REPOSITORY / "Dockerfile").read_text())
    assert build.split()[2:5] == ["--frozen", "--only-group", "build"], "into a directory that is not copied"
    assert "--no-default-groups" in sync.split()
    assert "--group" not in sync
    assert re.findall(r"--extra (\S+)", sync) == ["otel"]


def test_nothing_in_the_dockerfile_is_of_one_architecture() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    commands = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    assert not re.search(r"amd64|arm64|x86_64|aarch64", commands)
