"""The variables of an AIM image, read and judged: what is unset, unknown or contradictory.

An empty string counts as unset. An unknown value of an enumeration gives a warning and the default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PRECISIONS = ("auto", "fp4", "fp8", "fp16", "fp32", "bf16", "int4", "int8")
METRICS = ("latency", "throughput")
ENGINES = ("vllm",)
GPU_MODELS = (
    "MI100", "MI210", "MI250X", "MI300A", "MI300X", "MI308X", "MI325X", "MI350X", "MI355X", "V710",
    "RADEON_RX_7900_XTX", "RADEON_PRO_W7900", "RADEON_AI_PRO_R9700", "NONE",
)  # fmt: skip
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
AUTO = "auto"
NO_GPU = "NONE"


class RefusedError(Exception):
    """The program ends with code 1; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """`gpu_model` None is to be detected, `gpu_count` None and `precision` auto are free."""

    aim_id: str
    model_id: str
    profile_id: str
    engine: str
    metric: str
    precision: str
    gpu_model: str | None
    gpu_count: int | None
    general_fallback: bool
    cache_path: str
    port: int
    engine_args: dict[str, Any]
    custom_model_name: str
    level: int
    root_level: int
    warnings: tuple[str, ...] = field(default=())

    @property
    def model(self) -> str:
        """The model that is asked for, as org/model (or bucket/prefix)."""
        return (self.aim_id or self.model_id).partition("://")[2] or self.aim_id or self.model_id

    @property
    def source(self) -> str:
        """Where that model is fetched from."""
        named = self.aim_id or self.model_id
        return named if "://" in named else f"hf://{named}"


def check_ids(env: Mapping[str, str]) -> None:
    """Raises RefusedError where both ids are set, or none: whatever the command."""
    aim_id, model_id = env.get("AIM_ID", ""), env.get("AIM_MODEL_ID", "")
    if aim_id and model_id:
        raise RefusedError(f"cannot set both AIM_ID ({aim_id}) and AIM_MODEL_ID ({model_id})")
    if not aim_id and not model_id:
        raise RefusedError("neither AIM_ID nor AIM_MODEL_ID is set: there is no model to serve")


def read(env: Mapping[str, str]) -> Variables:
    """Raises RefusedError for what has no default to fall back to."""
    warnings: list[str] = []

    def one_of(name: str, choices: tuple[str, ...], default: str, given: str) -> str:
        match = next((each for each in choices if each.lower() == given.lower()), None)
        if given and match is None:
            warnings.append(f"unknown {name} {given!r}, using {default!r}; known are {', '.join(choices)}")
        return match or default

    def level(name: str, default: str) -> int:
        return LEVELS[one_of(name, tuple(LEVELS), default, env.get(name, ""))]

    count = env.get("AIM_GPU_COUNT", "") or AUTO
    if count != AUTO and not count.isdecimal():
        warnings.append(f"unknown AIM_GPU_COUNT {count!r}, using {AUTO!r}")
        count = AUTO
    gpu = env.get("AIM_GPU_MODEL", "")
    return Variables(
        aim_id=env.get("AIM_ID", ""),
        model_id=env.get("AIM_MODEL_ID", ""),
        profile_id=env.get("AIM_PROFILE_ID", ""),
        engine=one_of("AIM_ENGINE", ENGINES, "vllm", env.get("AIM_ENGINE", "")),
        metric=one_of("AIM_METRIC", METRICS, "latency", env.get("AIM_METRIC", "")),
        precision=one_of("AIM_PRECISION", PRECISIONS, AUTO, env.get("AIM_PRECISION", "")),
        gpu_model=one_of("AIM_GPU_MODEL", GPU_MODELS, AUTO, gpu).replace(AUTO, "") or None,
        gpu_count=None if count == AUTO else int(count),
        general_fallback=env.get("AIM_ALLOW_GENERAL_PROFILE_FALLBACK", "true").lower() != "false",
        cache_path=env.get("AIM_CACHE_PATH", "") or "/workspace/model-cache",
        port=_number("AIM_PORT", env.get("AIM_PORT", "") or "8000"),
        engine_args=_object("AIM_ENGINE_ARGS", env.get("AIM_ENGINE_ARGS", "")),
        custom_model_name=env.get("AIM_CUSTOM_MODEL_NAME", ""),
        level=level("AIM_LOG_LEVEL", "INFO"),
        root_level=level("AIM_LOG_LEVEL_ROOT", "WARNING"),
        warnings=tuple(warnings),
    )


def _number(name: str, text: str) -> int:
    if not text.isdecimal():
        raise RefusedError(f"{name} is {text!r}, which is no number")
    return int(text)


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        decoded = json.loads(text) if text else {}
    except ValueError as error:
        raise RefusedError(f"{name} is no JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise RefusedError(f"{name} is no JSON object: {text!r}")
    return decoded
