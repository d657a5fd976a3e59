"""What the Pods of a service ask for, read off the InferenceService that makes them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from aim_operator.api import quantity
from aim_operator.api.meta import Manifest

Amounts = Counter[str]
"""By resource; whole units of GPUs, thousandths of everything else's."""
_MILLI = 1000


class Demand(Struct, frozen=True, kw_only=True, rename="camel"):
    """`replicas` are wanted in all. `predictor` is the spec of its Pods, as KServe has it."""

    namespace: str
    name: str
    replicas: int
    predictor: Manifest
    gpu_model: str | None = None
    gpu_count: int = 0
    partition: bool = False
    size_bytes: int | None = None

    @property
    def requests(self) -> Amounts:
        resources = (self.predictor.get("model") or {}).get("resources") or {}
        return _asked(resources)

    @property
    def limits(self) -> Amounts:
        return amounts(((self.predictor.get("model") or {}).get("resources") or {}).get("limits"))

    @property
    def claims(self) -> tuple[str, ...]:
        return claims_of(self.predictor)


def claims_of(spec: Manifest) -> tuple[str, ...]:
    """Return the claims that a Pod mounts."""
    volumes = (volume.get("persistentVolumeClaim") or {} for volume in spec.get("volumes") or ())
    return tuple(dict.fromkeys(claim["claimName"] for claim in volumes if claim.get("claimName")))


def amounts(resources: Manifest | None) -> Amounts:
    """Return quantities as thousandths; what is no quantity counts as nothing."""
    parsed = {name: quantity.parse(amount) for name, amount in (resources or {}).items()}
    return Counter({name: int(amount * _MILLI) for name, amount in parsed.items() if amount is not None})


def pod_requests(pod: Manifest) -> Amounts:
    """Return what a Pod takes of its node: its containers together, or its largest init container if more.

    Sidecars run beside both (KEP-753).
    """
    spec = pod["spec"]
    largest: Amounts = Counter()
    together: Amounts = Counter()
    for container in spec.get("initContainers") or ():
        asked = _asked(container.get("resources") or {})
        if container.get("restartPolicy") == "Always":
            together.update(asked)
        else:
            largest |= asked + together
    for container in spec.get("containers") or ():
        together.update(_asked(container.get("resources") or {}))
    return (together | largest) + amounts(spec.get("overhead"))


def _asked(resources: Manifest) -> Amounts:
    """Return requests; a limit alone is a request, too."""
    return Counter(dict(amounts(resources.get("limits"))) | dict(amounts(resources.get("requests"))))


def shown(resource: str, amount: int) -> str:
    """Write an amount for people."""
    value = Decimal(amount) / _MILLI
    if resource.endswith(("memory", "storage")):
        return f"{value / 1024**3:.1f}Gi"
    return f"{value.normalize():f}"


def is_gpu(resource: str) -> bool:
    """Whether a resource is a device: those of vendors have a domain."""
    return (
        "/" in resource and not resource.startswith(("requests.", "limits.")) and "hugepages" not in resource
    )


def listed(of: Amounts, only: Iterable[str] | None = None) -> str:
    """Write amounts, devices first."""
    names = sorted(of if only is None else only, key=lambda name: (not is_gpu(name), name))
    return ", ".join(f"{name} {shown(name, of[name])}" for name in names if of[name])
