"""What the images of a sandbox do: those that a file describes, and any other, which has what is asked for.

A file is JSON: {"images": [...], "env": {"AIM_ID": ...}} for images that carry the stand-in's table of that
model, or {"images": [...], "output": [...]} with what a real image was seen to print, its profiles. How they
are chosen from, and what an image refuses, is aim_image's. Called by jobs.py and kserve.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from aim_operator.api.meta import Manifest
from aim_operator.errors import UserError
from aim_operator.sandbox import aim_image
from aim_operator.sandbox.aim_image import Entry, Run
from aim_operator.sandbox.kubelet import environment

BASE = "aim-base"


class SandboxImage(Struct, frozen=True):
    """`env` is baked in; `entries` None are those of the table for its AIM_ID."""

    env: dict[str, str]
    entries: tuple[Entry, ...] | None = None

    def dry_run(self, env: Mapping[str, str]) -> Run:
        """How a dry run ends in a container with this environment."""
        return aim_image.dry_run(self.env | dict(env), self.entries)

    def problem(self, env: Mapping[str, str]) -> str:
        """Why a server with this environment would end at once; "" if it serves."""
        return aim_image.check(self.env | dict(env), self.entries)


class _ProfileFile(Struct, frozen=True, forbid_unknown_fields=True):
    images: tuple[str, ...]
    env: dict[str, str] = {}
    output: list[dict[str, Any]] | None = None


def read_profiles(directory: Path) -> dict[str, SandboxImage]:
    """Images by reference, of all *.json files in `directory`. Raises UserError naming a bad file."""
    images: dict[str, SandboxImage] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            file = msgspec.json.decode(path.read_bytes(), type=_ProfileFile)
            made = _described(file)
        except (OSError, msgspec.DecodeError, LookupError) as error:
            raise UserError(f"profile {path}: {error}") from error
        for image in file.images:
            if image in images:
                raise UserError(f"profile {path}: {image} is in another file already")
            images[image] = made
    return images


def image(reference: str, env: Mapping[str, str], described: Mapping[str, SandboxImage]) -> SandboxImage:
    """The image of that reference; `env` is asked of one that no file describes."""
    return described.get(reference) or made_up(reference, env)


def plain_env(container: Manifest) -> dict[str, str]:
    """The variables that a container sets to a value; what a reference would give is not known here."""
    return environment(container.get("env") or ())


def made_up(reference: str, env: Mapping[str, str]) -> SandboxImage:
    """An image for one model, named after it, that has a profile for whatever the environment asks for.

    One that is called aim-base serves any model, by the general profiles of the stand-in's table.
    """
    name = reference.rpartition("/")[2].partition("@")[0].partition(":")[0]
    if name == BASE:
        return SandboxImage({})
    model = f"sandbox/{name}"
    count = env.get("AIM_GPU_COUNT", "")
    metadata = {
        "engine": "vllm",
        "gpu": env.get("AIM_GPU_MODEL") or "MI300X",
        "precision": env.get("AIM_PRECISION", "").replace("auto", "") or "fp16",
        "gpu_count": int(count) if count.isdecimal() else 1,
        "metric": env.get("AIM_METRIC") or "latency",
    }
    parts = (metadata["gpu"], metadata["precision"], f"tp{metadata['gpu_count']}", metadata["metric"])
    profile_id = env.get("AIM_PROFILE_ID") or f"vllm-{'-'.join(map(str, parts)).lower()}"
    profile = {
        "aim_id": model,
        "model_id": model,
        "metadata": metadata,
        "engine_args": {"tensor-parallel-size": metadata["gpu_count"]},
        "env_vars": {},
    }
    # Named, it is taken whatever is asked for, and so also where no GPU is.
    return SandboxImage(
        {"AIM_ID": model, "AIM_PROFILE_ID": profile_id},
        ({"filename": f"{profile_id}.yaml", "profile": profile},),
    )


def _described(file: _ProfileFile) -> SandboxImage:
    if file.output is None:
        return SandboxImage(file.env)
    ids = [each["profile"].get("aim_id") for each in file.output]
    old = any("model" in each["profile"] for each in file.output)
    env = {"AIM_ID": ids[0]} if ids and ids[0] else {aim_image.STAND_IN: aim_image.OLD} if old else {}
    return SandboxImage(env | file.env, tuple(file.output))
