"""The profiles that stand-in images carry: a table for each model, as the published images have them.

MI300X and MI325X alike, each for both metrics. A row is "precision GPUs type", with `m` for one that only
AIM_PROFILE_ID takes. General profiles serve whatever AIM_MODEL_ID names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from .variables import METRICS, NO_GPU

Entry = dict[str, Any]
"""What a dry run prints of one profile; where it has no `models`, they follow from its model."""

INSTINCT = ("MI300X", "MI325X")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`models` by precision where it is not the image's own; `latency` and `throughput` add to `both`."""

    both: tuple[str, ...] = ()
    latency: tuple[str, ...] = ()
    throughput: tuple[str, ...] = ()
    models: dict[str, str] = field(default_factory=dict)
    gpus: tuple[str, ...] = INSTINCT


LLAMA_8B, LLAMA_70B = "meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"
CPU_MODEL = "stand-in/cpu-model"
DEFAULT = Table(both=("fp16 1 optimized", "fp16 2 preview", "fp8 1 optimized", "fp8 2 unoptimized"))
"""For an AIM_ID that no published image has."""
TABLES = {
    LLAMA_8B: Table(
        both=("fp16 1 optimized", "fp16 2 preview", "fp8 1 optimized", "fp8 2 optimized"),
        models={"fp8": "amd/Llama-3.1-8B-Instruct-FP8-KV"},
    ),
    LLAMA_70B: Table(
        both=("fp8 1 preview", "fp16 1 unoptimized m", "fp16 2 unoptimized m"),
        latency=("fp8 2 unoptimized m",),
        throughput=("fp8 2 preview",),
        models={"fp8": "amd/Llama-3.3-70B-Instruct-FP8-KV"},
    ),
    "Qwen/Qwen3-32B": Table(
        both=("fp16 1 optimized", "fp16 2 unoptimized m", "fp8 1 unoptimized m", "fp8 2 unoptimized m"),
        models={"fp8": "Qwen/Qwen3-32B-FP8"},
    ),
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": Table(both=("fp16 1 optimized", "fp16 2 optimized")),
    "openai/gpt-oss-20b": Table(
        both=("fp4 1 optimized", "fp4 2 optimized", "fp4 4 optimized"),
        latency=("fp4 8 unoptimized m",),
        throughput=("fp4 8 optimized",),
        gpus=(*INSTINCT, "MI250X"),
    ),
    CPU_MODEL: Table(both=("fp32 0 optimized",), gpus=(NO_GPU,)),
}
GENERAL = Table(both=tuple(f"fp16 {count} general" for count in (1, 2, 4, 8)), gpus=(*INSTINCT, "MI355X"))
SIZES_GB = {
    LLAMA_8B: 14.97,
    "amd/Llama-3.1-8B-Instruct-FP8-KV": 8.47,
    LLAMA_70B: 131.43,
    "amd/Llama-3.3-70B-Instruct-FP8-KV": 67.69,
    "Qwen/Qwen3-32B": 61.03,
    "Qwen/Qwen3-32B-FP8": 31.96,
    "mistralai/Mistral-Small-3.2-24B-Instruct-2506": 89.46,
    "openai/gpt-oss-20b": 38.51,
    CPU_MODEL: 0.25,
}
"""What the simulated hub says of its models, in GiB; of any other, one."""
_FILE_PRECISION = {"fp4": "mxfp4"}


@lru_cache(64)
def entries(aim_id: str, *, old: bool = False) -> tuple[Entry, ...]:
    """The profiles of an image, its own first, then the general ones; of one from before 0.8 only its own."""
    if old:
        return tuple(_before_08(entry) for entry in _rows(LLAMA_8B, TABLES[LLAMA_8B]))
    own = _rows(aim_id, TABLES.get(aim_id, DEFAULT)) if aim_id else ()
    return (*own, *_rows("", GENERAL))


def _rows(aim_id: str, table: Table) -> Iterator[Entry]:
    for gpu in table.gpus:
        for metric in METRICS:
            for row in (*table.both, *(table.latency if metric == "latency" else table.throughput)):
                yield _entry(aim_id, table, gpu, metric, row)


def _entry(aim_id: str, table: Table, gpu: str, metric: str, row: str) -> Entry:
    precision, count, type_, *manual = row.split()
    name = f"{gpu.lower()}-{_FILE_PRECISION.get(precision, precision)}-tp{max(1, int(count))}-{metric}"
    ids = {"aim_id": aim_id, "model_id": table.models.get(precision, aim_id)} if aim_id else {}
    arguments: dict[str, Any] = {"tensor-parallel-size": max(1, int(count)), "max-model-len": 32768}
    if type_ == "optimized":
        # A flag without a value.
        arguments |= {"async-scheduling": None, "gpu-memory-utilization": 0.9}
    metadata = {
        "engine": "vllm",
        "gpu": gpu,
        "gpu_count": int(count),
        "manual_selection_only": bool(manual),
        "metric": metric,
        "precision": precision,
        "type": type_,
    }
    variables = {} if gpu == NO_GPU else {"GPU_ARCHS": "gfx90a" if gpu == "MI250X" else "gfx942"}
    prefix = "vllm-general" if type_ == "general" else "vllm"
    return {
        "filename": f"{prefix}-{name}.yaml",
        "profile": {**ids, "metadata": metadata, "engine_args": arguments, "env_vars": variables},
    }


def _before_08(entry: Entry) -> Entry:
    profile = dict(entry["profile"])
    ids = {"model": profile.pop("aim_id"), "quantized_model": profile.pop("model_id")}
    return {**entry, "profile": ids | profile}
