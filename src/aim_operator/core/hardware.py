"""GPU models, and what the labels that GPU operators put on nodes say about them.

`verdict` judges one node for one model; `node_affinity` says the same to the scheduler, from the same table:
what HardwareAvailable says and where Pods may go are one decision. See docs/adr/0008.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache

from aim_operator.api.meta import Manifest

CPU = "NONE"
"""What profiles that need no GPU call their GPU."""
AMD_RESOURCE = "amd.com/gpu"
NVIDIA_RESOURCE = "nvidia.com/gpu"

NodeGpus = frozenset[tuple[str, str]]
"""The labels of a node that say something about its GPUs; nodes with equal GPUs have equal ones."""

_DEVICE_LABELS = ("amd.com/gpu.device-id", "beta.amd.com/gpu.device-id")
_PRODUCT_LABELS = ("amd.com/gpu.product-name", "beta.amd.com/gpu.product-name")
_NVIDIA_LABEL = "nvidia.com/gpu.product"
_AMD_LABELS = frozenset({*_DEVICE_LABELS, *_PRODUCT_LABELS})
_LABELS = _AMD_LABELS | {_NVIDIA_LABEL}
# The labels that may exclude a node. The beta name of a product only confirms: each label here makes every
# InferenceService longer, and labellers that write that one write device ids too.
_DECISIVE = (*_DEVICE_LABELS, _PRODUCT_LABELS[0])
# On a node with GPUs of several kinds the AMD node labeller writes the value into the key, and only there:
# beta.amd.com/gpu.product-name.<value>: "8".
_KEYED = re.compile(r"^(?:beta\.)?amd\.com/gpu\.(product-name|device-id)\.(.+)$")

# PCI device ids from the public PCI id database, virtual functions included. Two models may share one.
_DEVICES = {
    "MI100": ("738c", "738e"),
    "MI210": ("740f", "7410"),
    "MI250": ("740c",),
    "MI250X": ("7408", "740c"),
    "MI300A": ("74a0",),
    "MI300X": ("74a1", "74a9", "74b5", "74bd"),
    "MI308X": ("74a2", "74a8", "74b6"),
    "MI325X": ("74a5", "74b9"),
    "MI350X": ("75a0", "75b0"),
    "MI355X": ("75a3", "75b3"),
    "V710": ("7460", "7461"),
    "W7900": ("7448", "7449"),
    "R9700": ("7551",),
    "RX7900XTX": ("744c",),
}
# Names of products as labels have them. Only what is common, since each name is in each affinity: another
# spelling is confirmed by its words, and excludes no node.
_OAM = ("MI300X", "MI308X", "MI325X", "MI350X", "MI355X")
_VF = ("MI300X", "MI325X")
_RADEONS = {
    "V710": "Radeon_PRO_V710",
    "W7900": "Radeon_PRO_W7900",
    "R9700": "Radeon_AI_PRO_R9700",
    "RX7900XTX": "Radeon_RX_7900_XTX",
}
_NVIDIA = re.compile(
    r"NVIDIA|GEFORCE|QUADRO|TESLA|[RG]TX\d*|G?H\d{2,3}|G?B[1-3]00|L\d{1,2}S?|A\d{1,3}|[VP]100S?|T4"
)
# Words of a product's name that tell no model from another.
_NOISE = frozenset({"AMD", "INSTINCT", "RADEON", "PRO", "AI", "OAM", "VF", "HF"})
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")


class Verdict(Enum):
    """Whether a node has GPUs of a model, as far as its labels tell."""

    FITS = "fits"
    OTHER = "other"
    """It is known to have other GPUs."""
    UNKNOWN = "unknown"
    """Its labels are missing, or say what is not known here. It may fit."""


def is_gpu_label(key: str) -> bool:
    """Whether `node_gpus` may read a label."""
    return "/gpu." in key


def node_gpus(node_labels: Mapping[str, str]) -> NodeGpus:
    """Return what the labels of a node say about its GPUs; nothing where they are silent."""
    gpu_labels = {(key, value) for key, value in node_labels.items() if key in _LABELS}
    # Of a label with the value in its key, the value is a count.
    gpu_labels.update((key, "") for key in node_labels if _KEYED.match(key))
    return frozenset(gpu_labels)


def needs_gpu(model: str) -> bool:
    """Whether a profile for this GPU needs one at all."""
    return model.upper() != CPU


@lru_cache(64)
def gpu_resource(model: str) -> str:
    """Return the resource that the vendor of a model offers its GPUs as; AMD's where that is unknown."""
    nvidia = _model(model) is None and any(_NVIDIA.fullmatch(word) for word in _words(model))
    return NVIDIA_RESOURCE if nvidia else AMD_RESOURCE


def verdict(model: str, node: NodeGpus) -> Verdict:
    """Judge by a node's labels whether it has GPUs of a model.

    What is in the table goes first, in favour of the model: of labels that contradict each other, one that
    names it is enough. Then what is not, such as a product's name with a suffix of its own: it may
    confirm, never exclude.
    """
    name = _model(model)
    models_by_label = [_models_by(key, value) for key, value in node]
    if any(name in models for models in models_by_label):
        return Verdict.FITS
    if name is not None and any(models_by_label):
        return Verdict.OTHER
    if _of_another_maker(model, {key for key, _ in node}):
        return Verdict.OTHER
    return Verdict.FITS if any(_confirms(model, key, value) for key, value in node) else Verdict.UNKNOWN


def available(model: str, nodes: Iterable[NodeGpus]) -> bool:
    """Whether some node is known to have GPUs of this model, or none are needed."""
    return not needs_gpu(model) or any(verdict(model, node) is Verdict.FITS for node in nodes)


@lru_cache(64)
def node_affinity(model: str) -> Manifest | None:
    """Return the affinity that admits all nodes but those whose `verdict` is OTHER; None if that is all.

    It follows from the model alone, not from the nodes there are: so it never changes under a running
    service. See docs/adr/0008. The result is shared; it must not be changed.
    """
    name = _model(model)
    if name is None:
        if gpu_resource(model) != NVIDIA_RESOURCE:
            return None
        return _required(
            [_expression(_NVIDIA_LABEL, "Exists")],
            [_expression(key, "DoesNotExist") for key in sorted(_AMD_LABELS)],
        )
    having = [[_expression(key, "In", _values(key, name, named=True))] for key in _DECISIVE]
    others = [_expression(key, "NotIn", _values(key, name, named=False)) for key in _DECISIVE]
    return _required(*having, [*others, _expression(_NVIDIA_LABEL, "DoesNotExist")])


@lru_cache(64)
def known_affinity(model: str) -> Manifest | None:
    """Return the affinity that admits only nodes whose labels name the model; None if no label is known.

    It is for what needs no GPU itself and still must be where one is: a node without labels may have none.
    The result is shared; it must not be changed.
    """
    name = _model(model)
    if name is not None:
        return _required(*([_expression(key, "In", _values(key, name, named=True))] for key in _DECISIVE))
    if gpu_resource(model) == NVIDIA_RESOURCE:
        return _required([_expression(_NVIDIA_LABEL, "Exists")])
    return None


def is_known(model: str, nodes: Iterable[NodeGpus]) -> bool:
    """Whether some node fits `known_affinity`."""
    name = _model(model)
    if name is None:
        nvidia = gpu_resource(model) == NVIDIA_RESOURCE
        return nvidia and any(key == _NVIDIA_LABEL for node in nodes for key, _ in node)
    return any(key in _DECISIVE and name in _models_by(key, value) for node in nodes for key, value in node)


def same(one: str, other: str) -> bool:
    """Whether two names mean one model of GPU."""
    return (_model(one) or one.upper()) == (_model(other) or other.upper())


def _required(*terms: list[Manifest]) -> Manifest:
    selector = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def _expression(key: str, operator: str, values: list[str] | None = None) -> Manifest:
    return {"key": key, "operator": operator, **({"values": values} if values else {})}


def _of_another_maker(model: str, keys: set[str]) -> bool:
    """Whether only labels of another maker's GPU operator are there, for a model whose maker is known."""
    if _model(model) is not None:
        return _NVIDIA_LABEL in keys
    return gpu_resource(model) == NVIDIA_RESOURCE and _NVIDIA_LABEL not in keys and bool(_AMD_LABELS & keys)


def _confirms(model: str, key: str, value: str) -> bool:
    keyed = _KEYED.match(key)
    value = keyed[2] if keyed else value
    if key in _DEVICE_LABELS or (keyed and keyed[1] == "device-id"):
        return _model(model) in _models_by(_DEVICE_LABELS[0], value.lower().removeprefix("0x"))
    words = _words(model)
    return bool(words) and (words <= _words(value) or _squeezed(model) == _squeezed(value))


def _models_by(key: str, value: str) -> frozenset[str]:
    """Return the models that a value of an AMD label names; none if it is not in the table."""
    return _TABLE.get((key, value), frozenset())


def _values(key: str, name: str, *, named: bool) -> list[str]:
    return sorted(
        value for (label, value), models in _TABLE.items() if label == key and (name in models) is named
    )


def _model(name: str) -> str | None:
    """Return the model of the table that a name means, in whatever case and with whatever words around."""
    if (squeezed := _squeezed(name)) in _DEVICES:
        return squeezed
    words = _words(name) & _DEVICES.keys()
    return words.pop() if len(words) == 1 else None


def _words(text: str) -> set[str]:
    return {word for word in _SEPARATORS.split(text.upper()) if word and word not in _NOISE}


def _squeezed(text: str) -> str:
    return "".join(word for word in _SEPARATORS.split(text.upper()) if word not in _NOISE)


def _products(model: str) -> Iterable[str]:
    yield f"AMD_{_RADEONS.get(model, f'Instinct_{model}')}"
    if model in _OAM:
        yield f"AMD_Instinct_{model}_OAM"
    if model in _VF:
        yield f"AMD_Instinct_{model}_VF"


def _table() -> dict[tuple[str, str], frozenset[str]]:
    """Return the models that each known label names, by label and value."""
    table: dict[tuple[str, str], frozenset[str]] = {}
    for model, devices in _DEVICES.items():
        named = [(key, device) for key in _DEVICE_LABELS for device in devices]
        named += [(_PRODUCT_LABELS[0], product) for product in _products(model)]
        for label in named:
            table[label] = table.get(label, frozenset()) | {model}
    return table


_TABLE = _table()
