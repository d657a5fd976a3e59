"""Which GPU models the nodes have, read from the labels that GPU operators put on them."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def _words(text: str) -> set[str]:
    return {word.upper() for word in _SEPARATORS.split(text) if word}


def _device(value: str) -> set[str]:
    model = _DEVICES.get(value.lower().removeprefix("0x"))
    return {model} if model else set()
