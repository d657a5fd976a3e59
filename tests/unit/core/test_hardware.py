"""GPU models from node labels."""

from __future__ import annotations

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
