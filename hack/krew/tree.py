"""Makes the folder that Krew unpacks: our wheel and what it depends on, for one platform and several Pythons.

Compiled modules have Python's version in their names, so one folder serves all: what differs between the
versions of a file apart from these is an error. Everything comes from wheels of uv.lock, by their hashes.
Called by __main__.py.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
GLIBC, MACOS = "2.28", "13"
"""What uv takes for these platforms."""
PARTS = Path(__file__).parent
"""The folder of what is of no wheel."""
# What tells of an installation or of one wheel of several; lib/bin has scripts for one Python's path.
_NOT_KEPT = {"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}


@dataclass(frozen=True, slots=True)
class Platform:
    """As Krew names it, as uv does, and as `uname -m` says it there."""

    os: str
    arch: str
    target: str
    machine: str


PLATFORMS = (
    Platform("linux", "amd64", "x86_64-unknown-linux-gnu", "x86_64"),
    Platform("linux", "arm64", "aarch64-unknown-linux-gnu", "aarch64"),
    Platform("darwin", "amd64", "x86_64-apple-darwin", "x86_64"),
    Platform("darwin", "arm64", "aarch64-apple-darwin", "arm64"),
)


class DifferentError(Exception):
    """Two Pythons need different files of one name: one folder can't serve both."""


def build(platform: Platform, pythons: Sequence[str], wheel: Path, folder: Path) -> None:
    """Fill `folder`, which is not there yet, with the plugin for these Pythons.

    Raises CalledProcessError where uv can't, DifferentError.
    """
    library = folder / "lib"
    library.mkdir(parents=True)
    for python in pythons:
        installed = folder / f"of-{python}"
        _install(platform, python, wheel, installed)
        merge(installed, library)
        shutil.rmtree(installed)
    shutil.copy(ROOT / "LICENSE", folder)
    shutil.copy(PARTS / "start.py", folder)
    script = folder / "kubectl-aim"
    script.write_text(launcher(platform, pythons))
    script.chmod(0o755)


def merge(installed: Path, library: Path) -> None:
    """Move the files of an installation to those that are there. Raises DifferentError."""
    for path in sorted(installed.rglob("*")):
        name = path.relative_to(installed)
        if path.is_dir() or name.parts[0] == "bin":
            continue
        if name.parts[0].endswith(".dist-info") and name.name in _NOT_KEPT:
            continue
        there = library / name
        if there.exists():
            if there.read_bytes() != path.read_bytes():
                raise DifferentError(f"{name} is not the same for all Pythons")
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        path.rename(there)


def launcher(platform: Platform, pythons: Sequence[str]) -> str:
    """Return the script kubectl-aim for these Pythons."""
    text = (PARTS / "kubectl-aim").read_text()
    newest_first = reversed(pythons)
    filled = {
        "@PYTHONS@": " ".join(pythons),
        "@MACHINE@": platform.machine,
        "@NAMES@": " ".join(f"python{python}" for python in newest_first),
        "@RANGE@": pythons[0] if len(pythons) == 1 else f"{pythons[0]} to {pythons[-1]}",
    }
    for sign, value in filled.items():
        text = text.replace(sign, value)
    return text


def _install(platform: Platform, python: str, wheel: Path, target: Path) -> None:
    for_it = (f"--python-platform={platform.target}", f"--python-version={python}", f"--target={target}")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-build", *for_it)
    run(*install, "--require-hashes", "--requirements=-", given=_locked())
    # The one wheel that is not of the lock.
    run(*install, "--no-index", str(wheel))


def _locked() -> str:
    return run("export", "--quiet", "--frozen", "--no-default-groups", "--no-emit-project", "--no-header")


def run(*arguments: str, given: str = "") -> str:
    """Run uv, of this .venv, in the checkout; its output. Raises CalledProcessError."""
    environment = {**os.environ, "UV_NATIVE_TLS": "1", "UV_SYSTEM_CERTS": "1"}
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, *arguments],
        cwd=ROOT,
        env=environment,
        input=given,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def files(folder: Path) -> Iterable[Path]:
    """Return the files of a tree, always in the same order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
