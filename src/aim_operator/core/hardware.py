"""GPU models and the labels that GPU operators put on nodes: who has them, and who must not run what."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aim_operator.api.meta import Manifest

_PRODUCT_LABELS = frozenset(
    {"amd.com/gpu.product-name", "beta.amd.com/gpu.product-name", "nvidia.com/gpu.product"}
)
_DEVICE_LABELS = frozenset({"amd.com/gpu.device-id", "beta.amd.com/gpu.device-id"})
# The AMD node labeller also writes the value into the key: beta.amd.com/gpu.product-name.<value>: "8".
_KEYED = re.compile(r"^(?:beta\.)?amd\.com/gpu\.(product-name|device-id)\.(.+)$")

# PCI device ids of AMD Instinct GPUs, from the public PCI id database; virtual functions included.
_DEVICES = {
    "740c": "MI250X",
    "7408": "MI250X",
    "740f": "MI210",
    "74a0": "MI300A",
    "74a1": "MI300X",
    "74b5": "MI300X",
    "74a2": "MI308X",
    "74a5": "MI325X",
    "74b9": "MI325X",
    "75a0": "MI350X",
    "75b0": "MI350X",
    "75a3": "MI355X",
    "75b3": "MI355X",
}
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")


def is_gpu_label(key: str) -> bool:
    """Whether `gpu_models` may read a label."""
    return "/gpu." in key


def gpu_models(node_labels: Mapping[str, str]) -> frozenset[str]:
    """Return every word that may name a GPU model of this node, in upper case.

    "AMD_Instinct_MI300X_OAM" gives AMD, INSTINCT, MI300X and OAM: matching by word needs no list of
    all products in the world.
    """
    found: set[str] = set()
    for key, value in node_labels.items():
        keyed = _KEYED.match(key)
        if key in _PRODUCT_LABELS:
            found.update(_words(value))
        elif key in _DEVICE_LABELS:
            found.update(_device(value))
        elif keyed:
            found.update(_words(keyed[2]) if keyed[1] == "product-name" else _device(keyed[2]))
    return frozenset(found)


def available(model: str, models: frozenset[str]) -> bool:
    """Whether some node has GPUs of this model. All words of the name must be there."""
    wanted = _words(model)
    return bool(wanted) and wanted <= models


def node_affinity(model: str) -> Manifest | None:
    """Return the affinity that keeps Pods off nodes which are labelled with another GPU model.

    It follows from the model alone, not from the nodes there are: so it never changes under a running
    service, and where no node tells its GPUs it excludes none. None for a model whose labels are not
    known. See docs/adr/0008.
    """
    known = _words(model) & set(_DEVICES.values())
    if len(known) != 1:
        return None
    (name,) = known
    devices = sorted(device for device, of in _DEVICES.items() if of == name)
    products = [name, *(f"AMD_Instinct_{name}{form}" for form in ("", "_OAM", "_VF"))]
    having = [
        *(_expression(key, "In", devices) for key in sorted(_DEVICE_LABELS)),
        *(_expression(key, "In", products) for key in sorted(_PRODUCT_LABELS) if "amd.com" in key),
    ]
    silent = [_expression(key, "DoesNotExist") for key in sorted(_DEVICE_LABELS | _PRODUCT_LABELS)]
    terms = [{"matchExpressions": [one]} for one in having] + [{"matchExpressions": silent}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _expression(key: str, operator: str, values: list[str] | None = None) -> Manifest:
    return {"key": key, "operator": operator, **({"values": values} if values else {})}


def _words(text: str) -> set[str]:
    return {word.upper() for word in _SEPARATORS.split(text) if word}


def _device(value: str) -> set[str]:
    model = _DEVICES.get(value.lower().removeprefix("0x"))
    return {model} if model else set()
