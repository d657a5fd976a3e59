"""An AIM image as a program: the stand-in's as a process, or AIM_TEST_IMAGE by docker, podman or nerdctl.

The contract's tests ask the program itself for what it carries, so that they hold against any model image.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import aim_operator.sandbox.aim_image as package
from aim_operator.sandbox.aim_image.tables import LLAMA_8B

IMAGE_VARIABLE = "AIM_TEST_IMAGE"
NOBODY = "http://127.0.0.1:9"
"""A hub that can't be reached: the discard port."""
GPUS = ("MI300X", "MI325X", "MI355X", "MI250X", "NONE")


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def profiles(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.out)
        return found


class Program(Protocol):
    def run(self, *arguments: str, env: Mapping[str, str]) -> Ended: ...


class Process:
    """The stand-in's package in a directory of its own, as in its image, with a model image's environment."""

    def __init__(self, directory: Path, baked_in: Mapping[str, str]) -> None:
        self.directory, self.baked_in = directory, baked_in
        target = directory / "aim_image"
        if not target.exists():
            source = Path(package.__file__).parent
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        return {"PYTHONPATH": str(self.directory), **self.baked_in, **env}

    def run(self, *arguments: str, env: Mapping[str, str]) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "aim_image", *arguments],
            env=self.environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


class Container:
    """A container image, run by whatever is here to run it."""

    def __init__(self, reference: str) -> None:
        engines = ("docker", "podman", "nerdctl")
        self._engine = next((each for each in engines if shutil.which(each)), "")
        assert self._engine, f"{IMAGE_VARIABLE} is set, and none of {', '.join(engines)} is here to run it"
        self._reference = reference

    def run(self, *arguments: str, env: Mapping[str, str]) -> Ended:
        variables = [f"--env={name}={value}" for name, value in env.items()]
        done = subprocess.run(
            [self._engine, "run", "--rm", *variables, self._reference, *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)


def model_image(directory: Path) -> Program:
    """The image under test: that of AIM_TEST_IMAGE, else the stand-in's."""
    if reference := os.environ.get(IMAGE_VARIABLE):
        return Container(reference)
    return Process(directory, model_env(LLAMA_8B))


def model_env(aim_id: str) -> dict[str, str]:
    """What is baked into a model image."""
    return {"AIM_ID": aim_id, "AIM_ALLOW_GENERAL_PROFILE_FALLBACK": "false"}


def fitting(program: Program) -> dict[str, str]:
    """Variables for which a model image has a profile: the first that it takes."""
    for gpu, count, metric in product(GPUS, ("1", "2", "8", "0"), ("latency", "throughput")):
        env = {"AIM_GPU_MODEL": gpu, "AIM_GPU_COUNT": count, "AIM_METRIC": metric, "HF_ENDPOINT": NOBODY}
        if program.run("dry-run", "--format=json", env=env).profiles:
            return env
    raise AssertionError("the image has no profile for any GPU that was tried")
