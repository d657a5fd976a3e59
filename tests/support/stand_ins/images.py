"""What model images print in their dry run, by name; the environment may ask for something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from aim_operator.sandbox.profiles import made_up

BROKEN = "ghcr.io/example/broken"
GARBAGE = "ghcr.io/example/garbage"
MISSING = "ghcr.io/example/not-there"


class Run(NamedTuple):
    exit_code: int
    log: bytes


def pull_error(image: str) -> str | None:
    """Return why the image can't be pulled, in a registry's words."""
    if image.startswith(MISSING):
        return f"failed to resolve reference {image!r}: not found"
    return None


def run(image: str, env: Mapping[str, str]) -> Run:
    """Return how the dry run ends. AIM_TEST_TYPE is the profile's type, AIM_TEST_MODELS=none finds none.

    AIM_TEST_FLAG names a flag among its engine arguments.
    """
    if image.startswith(BROKEN):
        return Run(3, b"error: no profile of this image fits\n")
    if image.startswith(GARBAGE):
        return Run(0, b"INFO reading profiles\nthis is no JSON\n")
    ended = made_up(image, env).dry_run(env)
    if ended.exit_code:
        return Run(ended.exit_code, ended.log)
    output: list[dict[str, Any]] = msgspec.json.decode(ended.stdout)
    if env.get("AIM_TEST_TYPE"):
        output[0]["profile"]["metadata"]["type"] = env["AIM_TEST_TYPE"]
    if env.get("AIM_TEST_FLAG"):
        output[0]["profile"]["engine_args"][env["AIM_TEST_FLAG"]] = None
    if env.get("AIM_TEST_MODELS") == "none":
        output[0]["models"] = []
    return Run(0, b"INFO selecting a profile\n" + msgspec.json.encode(output) + b"\n")
