"""Which tier each quantity of a service comes from. Pure; core/resources.py is what merges them."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from aim_operator.api.meta import Manifest
from aim_operator.core.hardware import AMD_RESOURCE

Side = Literal["requests", "limits"]


class Quantity(Struct, frozen=True, kw_only=True):
    """What one replica asks for, or may take at most."""

    name: str
    side: Side
    value: str
    tier: str


def tiers(spec: Manifest, active: Manifest, inference_service: Manifest) -> tuple[Quantity, ...]:
    """Return the quantities of a rendered InferenceService, each with the tier that it was taken from."""
    rendered = inference_service["spec"]["predictor"]["model"].get("resources") or {}
    layers = (
        ("service", spec.get("resources") or {}),
        ("template", active.get("templateResources") or {}),
        ("model", active.get("imageResources") or {}),
    )
    gpu = active.get("gpuResource") or AMD_RESOURCE
    return tuple(
        Quantity(name=name, side=side, value=str(value), tier=_tier(side, name, layers, gpu))
        for side in ("requests", "limits")
        for name, value in sorted((rendered.get(side) or {}).items())
    )


def _tier(side: Side, name: str, layers: tuple[tuple[str, Manifest], ...], gpu: str) -> str:
    # Where one side is unset, devices take it from the other.
    other: Side = "limits" if side == "requests" else "requests"
    for each in (side, other):
        for tier, resources in layers:
            if name in (resources.get(each) or {}):
                return tier
    return "profile" if name == gpu else "default for each GPU"
