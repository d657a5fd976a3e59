"""Compute resources of the serving container: service over template over image, GPUs from discovery.

What no tier mentions of CPU and memory comes from defaults for each GPU.

Owns the merge and the checks that Kubernetes would otherwise fail on Pod by Pod, long after the
service was accepted. Called by the service's desired module.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from aim_operator.api.v1alpha1 import Quantity, ResourceRequirements, ResourcesPerGpu
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import canonical, quantity
from aim_operator.core.hardware import AMD_RESOURCE
from aim_operator.errors import SpecError

# Not all that vendors offer are GPUs: AMD's and NVIDIA's network cards have the same domains.
_GPUS = re.compile(
    r"amd\.com/(?:gpu|[sdtqc]px_nps\d+)"
    r"|nvidia\.com/(?:gpu|gpu\.shared|mig-.+)"
    r"|gpu\.intel\.com/.+"
    r"|habana\.ai/gaudi"
)
_STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"
_DEFAULT = "defaults for each GPU"

_Side = Literal["requests", "limits"]
_SIDES: tuple[_Side, _Side] = ("requests", "limits")


class MergedResources(Struct, frozen=True, kw_only=True):
    """Canonical quantities by resource name, sorted."""

    requests: dict[str, str]
    limits: dict[str, str]


class _Entry(Struct, frozen=True):
    """One quantity and the tier that it comes from."""

    value: str
    tier: str


def merge(
    service: ResourceRequirements | None,
    template: ResourceRequirements | None,
    image: ResourceRequirements | None,
    *,
    gpu_count: int | None,
    gpu_resource: str = AMD_RESOURCE,
    per_gpu: ResourcesPerGpu | None = None,
) -> MergedResources:
    """Merge each of requests.X and limits.X on its own: service, then template, then image.

    Where no tier has a quantity of any GPU resource, the discovered `gpu_count` is requested as
    `gpu_resource`. CPU or memory that no tier mentions, on neither side, is `gpu_count` times what `per_gpu`
    says. Devices and huge pages cannot be overcommitted, so where one side is unset it is taken from the
    other. Raises SpecError(ResourcesInvalid) for what no Pod could be made of.
    """
    tiers = (("service", service), ("template", template), ("image", image))
    requests, limits = (_side(side, tiers) for side in _SIDES)
    if gpu_count is not None and not any(_is_gpu(name, gpu_resource) for name in (*requests, *limits)):
        requests[gpu_resource] = _Entry(str(gpu_count), "discovered profile")
    if gpu_count and per_gpu is not None:
        _add_defaults(requests, limits, per_gpu, gpu_count)
    for name in filter(_must_be_equal, requests.keys() ^ limits.keys()):
        only = requests.get(name) or limits[name]
        requests[name] = limits[name] = only
    for name in sorted(requests.keys() & limits.keys()):
        _check(name, requests[name], limits[name])
    return MergedResources(requests=_values(requests), limits=_values(limits))


def _add_defaults(
    requests: dict[str, _Entry], limits: dict[str, _Entry], per_gpu: ResourcesPerGpu, gpu_count: int
) -> None:
    """Add what is not mentioned. One side alone is taken for meant so: the other might contradict it."""
    mentioned = requests.keys() | limits.keys()
    if "cpu" not in mentioned and (cpu := _times(per_gpu.cpu, gpu_count)):
        requests["cpu"] = _Entry(cpu, _DEFAULT)
    if "memory" not in mentioned:
        memory, limit = _times(per_gpu.memory, gpu_count), _times(per_gpu.memory_limit, gpu_count)
        if memory:
            requests["memory"] = _Entry(memory, _DEFAULT)
        if limit:
            # They may come from different places, each of which is right by itself.
            enough = not memory or quantity.compare(memory, limit) <= 0
            limits["memory"] = _Entry(limit if enough else memory, _DEFAULT)


def _times(value: Quantity | None, count: int) -> str:
    """Return `count` times a quantity; "" for none. Raises SpecError(ResourcesInvalid)."""
    if value is None or not quantity.parse(value):
        return ""
    return quantity.times(value, count)


def _is_gpu(name: str, gpu_resource: str) -> bool:
    return name == gpu_resource or _GPUS.fullmatch(name) is not None


def _side(side: _Side, tiers: tuple[tuple[str, ResourceRequirements | None], ...]) -> dict[str, _Entry]:
    merged: dict[str, _Entry] = {}
    for tier, requirements in tiers:
        if requirements is None:
            continue
        quantities: dict[str, Quantity] = getattr(requirements, side) or {}
        for name, value in quantities.items():
            if name not in merged:
                merged[name] = _Entry(_canonical(side, name, value, tier), tier)
    return merged


@lru_cache(1024, typed=True)
def _canonical(side: _Side, name: str, value: Quantity, tier: str) -> str:
    field = f"resources.{side}[{name}] of the {tier}"
    if "/" not in name and name not in _STANDARD and not name.startswith(_HUGE_PAGES):
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{field}: no container can ask for {name!r}; write {', '.join(_STANDARD)}"
            " or a device with its domain, such as amd.com/gpu",
        )
    try:
        text = quantity.canonical(value)
    except SpecError as error:
        raise SpecError(error.reason, f"{field}: {error.message}") from error
    amount = quantity.parse(text)
    if amount < 0:
        raise SpecError(Reason.RESOURCES_INVALID, f"{field} is {text}; write 0 or more")
    if _is_device(name) and amount != amount.to_integral_value():
        raise SpecError(Reason.RESOURCES_INVALID, f"{field} is {text}; write a whole number of devices")
    return text


def _check(name: str, request: _Entry, limit: _Entry) -> None:
    order = quantity.compare(request.value, limit.value)
    if order == 0:
        return
    floor = f"resources.requests[{name}] is {request.value} (from the {request.tier})"
    ceiling = f"resources.limits[{name}] is {limit.value} (from the {limit.tier})"
    if _must_be_equal(name):
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{floor} but {ceiling}; {name} cannot be overcommitted:"
            " set both to the same value in the service",
        )
    if order > 0:
        raise SpecError(
            Reason.RESOURCES_INVALID,
            f"{floor}, which is more than its limit: {ceiling};"
            " lower the request or raise the limit in the service",
        )


def _is_device(name: str) -> bool:
    """Whether a name is an extended resource: one with a domain that is not Kubernetes' own."""
    return "/" in name and "kubernetes.io/" not in name


def _must_be_equal(name: str) -> bool:
    """Whether Kubernetes refuses to overcommit it (IsOvercommitAllowed in its core validation)."""
    return _is_device(name) or name.startswith(_HUGE_PAGES)


def _values(side: dict[str, _Entry]) -> dict[str, str]:
    return canonical.amounts({name: side[name].value for name in sorted(side)})
