"""GPU models from node labels."""

from __future__ import annotations

from typing import Any

import pytest

from aim_operator.core import hardware


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        pytest.param({}, set(), id="no labels, no models"),
        pytest.param({"kubernetes.io/hostname": "MI300X"}, set(), id="other labels do not count"),
        pytest.param(
            {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"},
            {"AMD", "INSTINCT", "MI300X", "OAM"},
            id="every word of a product name counts",
        ),
        pytest.param(
            {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            {"NVIDIA", "H100", "80GB", "HBM3"},
            id="NVIDIA's product label is read too",
        ),
        pytest.param({"amd.com/gpu.device-id": "74a1"}, {"MI300X"}, id="a device id names its model"),
        pytest.param({"amd.com/gpu.device-id": "0x74A1"}, {"MI300X"}, id="in hexadecimal of any case"),
        pytest.param({"amd.com/gpu.device-id": "ffff"}, set(), id="an unknown device id names none"),
        pytest.param(
            {"beta.amd.com/gpu.product-name": "MI325X"}, {"MI325X"}, id="the beta label counts as well"
        ),
        pytest.param(
            {"beta.amd.com/gpu.product-name.AMD_Instinct_MI250X": "8"},
            {"AMD", "INSTINCT", "MI250X"},
            id="the value may stand in the key",
        ),
        pytest.param(
            {"beta.amd.com/gpu.device-id.740f": "4"}, {"MI210"}, id="the device id may stand in the key"
        ),
        pytest.param(
            {"amd.com/gpu.device-id": "74a1", "nvidia.com/gpu.product": "L40S"},
            {"MI300X", "L40S"},
            id="several labels add up",
        ),
    ],
)
def test_models_of_a_node(labels: dict[str, str], want: set[str]) -> None:
    assert hardware.gpu_models(labels) == want


@pytest.mark.parametrize(
    ("model", "want"),
    [
        pytest.param("MI300X", True, id="the bare model"),
        pytest.param("mi300x", True, id="in any case"),
        pytest.param("Instinct-MI300X", True, id="with more words that are there"),
        pytest.param("MI300", False, id="no part of a word"),
        pytest.param("Radeon-MI300X", False, id="not with a word that is missing"),
        pytest.param("", False, id="no model is never there"),
        pytest.param("--", False, id="nor is one without a word"),
    ],
)
def test_available(model: str, want: bool) -> None:  # noqa: FBT001 - the expected answer
    models = hardware.gpu_models({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"})
    assert hardware.available(model, models) is want


def fits(affinity: Any, labels: dict[str, str]) -> bool:
    """Whether the scheduler would take a node with these labels: any term, all of its expressions."""
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]

    def holds(expression: Any) -> bool:
        if expression["operator"] == "DoesNotExist":
            return expression["key"] not in labels
        return labels.get(expression["key"]) in expression["values"]

    return any(all(map(holds, term["matchExpressions"])) for term in required["nodeSelectorTerms"])


@pytest.mark.parametrize(
    ("labels", "want"),
    [
        pytest.param({}, True, id="one that tells nothing"),
        pytest.param({"kubernetes.io/arch": "amd64"}, True, id="one that tells other things"),
        pytest.param({"amd.com/gpu.device-id": "74a1"}, True, id="one with its device id"),
        pytest.param(
            {"beta.amd.com/gpu.device-id": "74b5"}, True, id="one with that of its virtual function"
        ),
        pytest.param({"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, True, id="one with its name"),
        pytest.param(
            {"amd.com/gpu.device-id": "74a1", "amd.com/gpu.product-name": "spelled otherwise"},
            True,
            id="one whose name is spelled otherwise",
        ),
        pytest.param({"amd.com/gpu.device-id": "74a5"}, False, id="one with another device id"),
        pytest.param(
            {"amd.com/gpu.product-name": "AMD_Instinct_MI325X_OAM"}, False, id="one with another name"
        ),
        pytest.param({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, False, id="one of another maker"),
    ],
)
@pytest.mark.parametrize("model", ["MI300X", "mi300x", "AMD-Instinct-MI300X"])
def test_a_model_is_kept_to_nodes_that_may_have_it(model: str, labels: dict[str, str], want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert fits(hardware.node_affinity(model), labels) is want


@pytest.mark.parametrize("model", ["H100", "MI300", "--", "MI300X-or-MI325X"])
def test_a_model_whose_labels_are_not_known_is_kept_to_none(model: str) -> None:
    assert hardware.node_affinity(model) is None
