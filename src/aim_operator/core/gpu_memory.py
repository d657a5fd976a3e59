"""How much memory GPUs have, by model: whether the files of a model can be in it at all.

The figures are those of "AMD GPU specifications" in ROCm's documentation (rocm.docs.amd.com,
reference/gpu-specs, column VRAM in GiB). An MI250 or MI250X is two GPUs to Kubernetes, each with half of its
128 GiB. What is not in that page, such as MI308X, is not known here; nor are NVIDIA's, which are sold with
several sizes under one name.
"""

from __future__ import annotations

from msgspec import Struct

from aim_operator.core import hardware
from aim_operator.core.quantity import readable

GIB = 1024**3
_GIB_OF = {
    "MI100": 32,
    "MI210": 64,
    "MI250": 64,
    "MI250X": 64,
    "MI300A": 128,
    "MI300X": 192,
    "MI325X": 256,
    "MI350X": 288,
    "MI355X": 288,
    "V710": 28,
    "W7900": 48,
    "R9700": 32,
    "RX7900XTX": 24,
}
_FOR_WEIGHTS = 0.9
"""What vLLM takes of a GPU's memory unless `gpu_memory_utilization` says otherwise; the rest of that is for
the KV cache, without which it does not start."""


class MemoryVerdict(Struct, frozen=True, kw_only=True):
    """`fits` is None where the model of GPU or the size of the files is not known."""

    fits: bool | None
    message: str


def memory_bytes(model: str) -> int | None:
    """Return the memory of one GPU, as Kubernetes counts GPUs; None for a model that is not known."""
    gib = next((gib for known, gib in _GIB_OF.items() if hardware.same(known, model)), None)
    return None if gib is None else gib * GIB


def judge(model: str | None, count: int, size_bytes: int | None, *, partition: bool = False) -> MemoryVerdict:
    """Return whether files of so many bytes can be in the memory of `count` GPUs of a model.

    `partition`: a GPU is a part of one, of a size that its resource does not tell.
    """
    if not size_bytes:
        return MemoryVerdict(fits=None, message="the size of the model's files is not known")
    files = f"the model's files have {readable(size_bytes)}"
    if model is None or not count:
        return MemoryVerdict(fits=None, message=f"{files}; it names no GPU")
    each = memory_bytes(model)
    if each is None or partition:
        what = "a partition of a GPU" if partition else f"GPU model {model}"
        return MemoryVerdict(fits=None, message=f"{files}; how much memory {what} has is not known here")
    memory = f"{count} {model} {'has' if count == 1 else 'have'} {readable(count * each)}"
    if size_bytes > count * each:
        return MemoryVerdict(fits=False, message=f"{files}, and {memory}: use more of them, or fewer bits")
    if size_bytes > count * each * _FOR_WEIGHTS:
        return MemoryVerdict(
            fits=True, message=f"{files}, and {memory}: hardly anything is left for requests (the KV cache)"
        )
    return MemoryVerdict(fits=True, message=f"{files}, and {memory}")
