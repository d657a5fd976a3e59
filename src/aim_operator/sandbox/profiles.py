"""What an image prints in its dry run: from a profile file, or made up from the Job's environment.

A profile file is JSON: {"images": [...], "output": [...]}, where `images` are the references that print
`output`. Called by jobs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from aim_operator.errors import UserError


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """`output` is what a real image prints: a JSON array."""

    images: tuple[str, ...]
    output: list[dict[str, Any]]


def read_profiles(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Outputs by image reference, of all *.json files in `directory`. Raises UserError naming a bad file."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(directory.glob("*.json")):
        try:
            profile = msgspec.json.decode(path.read_bytes(), type=Profile)
        except (OSError, msgspec.DecodeError) as error:
            raise UserError(f"profile {path}: {error}") from error
        for image in profile.images:
            if image in found:
                raise UserError(f"profile {path}: {image} is in another file already")
            found[image] = profile.output
    return found


def dry_run(output: list[dict[str, Any]], env: Mapping[str, str]) -> bytes:
    """The log of a dry run: `output`, as far as the environment asks for something else than it says."""
    asked = {
        "metric": env.get("AIM_METRIC"),
        "precision": env.get("AIM_PRECISION"),
        "gpu": env.get("AIM_GPU_MODEL"),
        "gpu_count": int(env["AIM_GPU_COUNT"]) if env.get("AIM_GPU_COUNT", "").isdecimal() else None,
    }
    wanted = {name: value for name, value in asked.items() if value is not None and value != "auto"}
    printed = []
    for entry in output:
        profile = entry["profile"]
        metadata = profile["metadata"] | wanted
        arguments = profile.get("engine_args", {})
        if "tensor-parallel-size" in arguments and "gpu_count" in wanted:
            arguments = arguments | {"tensor-parallel-size": wanted["gpu_count"]}
        profile = profile | {"metadata": metadata, "engine_args": arguments}
        printed.append(entry | {"profile": profile, "filename": _filename(metadata)})
    return msgspec.json.format(msgspec.json.encode(printed), indent=2) + b"\n"


def made_up(image: str) -> list[dict[str, Any]]:
    """The output of an image that no file is about: one model, named after the image."""
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    model = f"sandbox/{name}"
    metadata = {"engine": "vllm", "gpu": "MI300X", "precision": "fp16", "gpu_count": 1, "metric": "latency"}
    return [
        {
            "filename": _filename(metadata),
            "profile": {
                "model": model,
                "quantized_model": "",
                "metadata": metadata,
                "engine_args": {"dtype": "auto"},
                "env_vars": {},
            },
            "models": [{"name": model, "source": f"hf://{model}", "size_gb": 1.0}],
        }
    ]


def _filename(metadata: Mapping[str, Any]) -> str:
    parts = (metadata["gpu"], metadata["precision"], f"tp{metadata['gpu_count']}", metadata["metric"])
    return f"{metadata['engine']}-{'-'.join(str(part).lower() for part in parts)}.yaml"
