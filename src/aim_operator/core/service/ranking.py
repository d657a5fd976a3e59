"""How well a template fits, by its discovered profile; and how well it may fit before there is one."""

from __future__ import annotations

from collections.abc import Sequence

from aim_operator.api.v1alpha1 import AIMServiceTemplateStatus
from aim_operator.core import hardware
from aim_operator.core.catalog import Template, scope_of
from aim_operator.core.template.desired import discovered

OPTIMIZED = "optimized"
_TYPES = (OPTIMIZED, "preview", "unoptimized")
_GENERATIONS = ("MI355X", "MI350X", "MI325X", "MI300X", "MI250X", "MI210")
_METRICS = ("latency", "throughput")
_PRECISIONS = ("fp4", "int4", "fp8", "int8", "fp16", "bf16", "fp32", "auto")

Rank = tuple[int, ...]
"""Smaller is better."""
CRITERIA = ("scope", "profile type", "GPUs that nodes have", "GPU generation", "metric", "precision")
"""What the places of a rank stand for."""


def _place(order: Sequence[str], value: object) -> int:
    return order.index(value) if isinstance(value, str) and value in order else len(order)


def rank(template: Template, models: frozenset[hardware.NodeGpus]) -> Rank:
    """Smaller is better; the places are those of CRITERIA."""
    metadata = discovered(template.status or AIMServiceTemplateStatus())
    selector = template.spec.gpu_selector
    gpu = metadata.get("gpu") or ((selector.model or "") if selector else "")
    gpu = gpu.upper() if isinstance(gpu, str) else ""
    return (
        int(scope_of(template) != "Namespace"),
        _place(_TYPES, metadata.get("type")),
        int(not hardware.available(gpu, models)),
        _place(_GENERATIONS, gpu),
        _place(_METRICS, metadata.get("metric") or (template.spec.metric or "")),
        _place(_PRECISIONS, metadata.get("precision") or (template.spec.precision or "")),
    )


def hoped_rank(template: Template, models: frozenset[hardware.NodeGpus]) -> Rank:
    """Return the best rank that discovery can give: as the spec says, and the best where it says nothing."""
    selector = template.spec.gpu_selector
    gpu = (selector.model or "").upper() if selector else ""
    precision = template.spec.precision or ""
    metric = template.spec.metric or ""
    return (
        int(scope_of(template) != "Namespace"),
        0,
        int(bool(gpu) and not hardware.available(gpu, models)),
        _place(_GENERATIONS, gpu) if gpu else 0,
        _place(_METRICS, metric) if metric else 0,
        _place(_PRECISIONS, precision) if precision not in ("", "auto") else 0,
    )


def profile_type(template: Template) -> str:
    """Return the type of the discovered profile; "" where it says none."""
    type_ = discovered(template.status or AIMServiceTemplateStatus()).get("type")
    return type_ if isinstance(type_, str) else ""


def is_optimized(template: Template) -> bool:
    return profile_type(template) == OPTIMIZED
