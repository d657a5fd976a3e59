"""GPU models by the labels of nodes: one judgement, told to people and to the scheduler alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.core import hardware
from aim_operator.core.hardware import Verdict, node_gpus, verdict
from tests.support.node_affinity import admits

DEVICE = "amd.com/gpu.device-id"
BETA_DEVICE = "beta.amd.com/gpu.device-id"
PRODUCT = "amd.com/gpu.product-name"
BETA_PRODUCT = "beta.amd.com/gpu.product-name"
NVIDIA = "nvidia.com/gpu.product"

FITS, OTHER, UNKNOWN = Verdict.FITS, Verdict.OTHER, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("model", "labels", "want"),
    [
        pytest.param("MI300X", {}, UNKNOWN, id="no labels tell nothing"),
        pytest.param("MI300X", {"kubernetes.io/hostname": "MI300X"}, UNKNOWN, id="other labels do not count"),
        pytest.param("MI300X", {DEVICE: "74a1"}, FITS, id="a device id names its model"),
        pytest.param("MI300X", {DEVICE: "74a9"}, FITS, id="MI300X HF"),
        pytest.param("MI300X", {DEVICE: "74bd"}, FITS, id="MI300X HF, a virtual function"),
        pytest.param("MI300X", {BETA_DEVICE: "74b5"}, FITS, id="the beta label counts as well"),
        pytest.param("MI308X", {DEVICE: "74a8"}, FITS, id="MI308X HF"),
        pytest.param("MI308X", {DEVICE: "74b6"}, FITS, id="MI308X, a virtual function"),
        pytest.param("MI210", {DEVICE: "7410"}, FITS, id="MI210, the other id"),
        pytest.param("MI100", {DEVICE: "738c"}, FITS, id="MI100"),
        pytest.param("MI100", {DEVICE: "738e"}, FITS, id="MI100, the other id"),
        pytest.param("MI250", {DEVICE: "740c"}, FITS, id="an id of two models names the one"),
        pytest.param("MI250X", {DEVICE: "740c"}, FITS, id="and the other"),
        pytest.param("V710", {DEVICE: "7461"}, FITS, id="Radeon PRO V710"),
        pytest.param(
            "RADEON_RX_7900_XTX", {PRODUCT: "AMD_Radeon_RX_7900_XTX"}, FITS, id="Radeons by their whole names"
        ),
        pytest.param("RX7900XTX", {PRODUCT: "AMD_Radeon_RX_7900_XTX"}, FITS, id="or run together"),
        pytest.param("RADEON_PRO_W7900", {DEVICE: "7448"}, FITS, id="or by device id"),
        pytest.param("R9700", {PRODUCT: "AMD_Radeon_AI_PRO_R9700"}, FITS, id="or short"),
        pytest.param("MI300X", {DEVICE: "0x74A1"}, FITS, id="a device id in another spelling confirms"),
        pytest.param("MI300X", {DEVICE: "ffff"}, UNKNOWN, id="an unknown device id excludes nothing"),
        pytest.param("MI300X", {PRODUCT: "AMD_Instinct_MI300X_OAM"}, FITS, id="a product's name"),
        pytest.param("MI300X", {PRODUCT: "AMD_Instinct_MI300X_HC_192G"}, FITS, id="with a suffix of its own"),
        pytest.param("MI300X", {PRODUCT: "AMD_Instinct_MI399X"}, UNKNOWN, id="an unknown product"),
        pytest.param("mi300x", {PRODUCT: "MI300X"}, FITS, id="in any case"),
        pytest.param("Instinct-MI300X", {DEVICE: "74a1"}, FITS, id="with its maker's words"),
        pytest.param("MI300X-192GB", {DEVICE: "74a1"}, FITS, id="with words of the user's own"),
        pytest.param("MI300X", {DEVICE: "74a5"}, OTHER, id="another model's id"),
        pytest.param("MI300X", {PRODUCT: "AMD_Instinct_MI325X_OAM"}, OTHER, id="another model's name"),
        pytest.param("MI300X", {PRODUCT: "AMD_Radeon_PRO_W7900"}, OTHER, id="a Radeon"),
        pytest.param("MI300X", {BETA_PRODUCT: "AMD_Instinct_MI300X_OAM"}, FITS, id="a product's beta label"),
        pytest.param("MI300X", {BETA_PRODUCT: "AMD_Instinct_MI325X"}, UNKNOWN, id="which excludes nothing"),
        pytest.param("MI300X", {NVIDIA: "NVIDIA-H100-80GB-HBM3"}, OTHER, id="another maker's GPU"),
        pytest.param("MI300A", {DEVICE: "74a1"}, OTHER, id="no part of a word"),
        pytest.param(
            "MI300X", {DEVICE: "74a1", PRODUCT: "AMD_Instinct_MI325X"}, FITS, id="one that names it is enough"
        ),
        pytest.param(
            "MI300X",
            {DEVICE: "74a5", PRODUCT: "AMD_Instinct_MI300X_192G"},
            OTHER,
            id="a spelling that nobody knows does not outweigh an id",
        ),
        pytest.param(
            "MI250X",
            {"beta.amd.com/gpu.product-name.AMD_Instinct_MI250X": "8"},
            FITS,
            id="the value may stand in the key",
        ),
        pytest.param("MI210", {"beta.amd.com/gpu.device-id.740f": "4"}, FITS, id="so may the device id"),
        pytest.param(
            "MI300X", {"beta.amd.com/gpu.device-id.740f": "4"}, UNKNOWN, id="where several kinds are mixed"
        ),
        pytest.param("H100", {NVIDIA: "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb"}, FITS, id="NVIDIA's product"),
        pytest.param("H100", {NVIDIA: "NVIDIA-L40S"}, UNKNOWN, id="another product of NVIDIA"),
        pytest.param("H100", {DEVICE: "74a1"}, OTHER, id="AMD's GPUs are none of NVIDIA"),
        pytest.param("GAUDI3", {DEVICE: "74a1"}, UNKNOWN, id="an unknown model excludes nothing"),
        pytest.param("MI300", {DEVICE: "74a1"}, UNKNOWN, id="a family is no model"),
        pytest.param("MI300X-or-MI325X", {DEVICE: "74a5"}, UNKNOWN, id="nor are two"),
        pytest.param("--", {PRODUCT: "--"}, UNKNOWN, id="without a word nothing fits"),
    ],
)
def test_a_node_is_judged_by_its_labels(model: str, labels: dict[str, str], want: Verdict) -> None:
    assert verdict(model, node_gpus(labels)) is want
    assert admits(hardware.node_affinity(model), labels) is (want is not OTHER), "and the scheduler agrees"


MODELS = (
    "MI300X", "mi300x", "AMD-Instinct-MI325X", "MI250", "MI250X", "MI210", "MI100", "V710",
    "RADEON_PRO_W7900", "RX7900XTX", "H100", "A100", "NVIDIA-L40S", "GAUDI3", "MI300", "NONE", "--",
)  # fmt: skip
DEVICES = ("74a1", "74a5", "740c", "7408", "740f", "7448", "744c", "75a3", "0x74a1", "74A1", "ffff", "")
PRODUCTS = (
    "AMD_Instinct_MI300X_OAM", "AMD_Instinct_MI300X", "MI300X", "AMD_Instinct_MI325X_VF", "MI325X_Custom",
    "AMD_Instinct_MI250X", "AMD_Instinct_MI250X_MI250", "AMD_Radeon_PRO_W7900", "AMD_Radeon_RX_7900_XTX",
    "AMD_Instinct_MI999", "H100", "",
)  # fmt: skip
LABELS = {
    DEVICE: DEVICES,
    BETA_DEVICE: DEVICES,
    PRODUCT: PRODUCTS,
    BETA_PRODUCT: PRODUCTS,
    NVIDIA: ("NVIDIA-H100-80GB-HBM3", "Tesla-V100", "MI300X", ""),
    **{f"{BETA_DEVICE}.{device}": ("8",) for device in ("74a1", "74a5", "ffff")},
    **{f"{BETA_PRODUCT}.{product}": ("4",) for product in PRODUCTS[:6]},
    "amd.com/gpu.vram": ("192G",),
    "kubernetes.io/arch": ("amd64",),
}
node_labels = st.fixed_dictionaries({}, optional={key: st.sampled_from(LABELS[key]) for key in LABELS})


@given(model=st.sampled_from(MODELS), labels=node_labels)
def test_the_affinity_admits_exactly_the_nodes_that_are_not_ruled_out(
    model: str, labels: dict[str, str]
) -> None:
    ruled_out = verdict(model, node_gpus(labels)) is OTHER
    assert admits(hardware.node_affinity(model), labels) is not ruled_out


@given(model=st.sampled_from(MODELS), labels=node_labels)
def test_a_node_is_ruled_out_only_by_a_label_that_is_known(model: str, labels: dict[str, str]) -> None:
    """Whatever is spelled otherwise may be the model."""
    spelled_otherwise = {
        key: f"{value}-of-a-kind"
        for key, value in labels.items()
        if key in (DEVICE, BETA_DEVICE, PRODUCT, BETA_PRODUCT)
    }
    if hardware.gpu_resource(model) == hardware.AMD_RESOURCE:
        assert verdict(model, node_gpus(spelled_otherwise)) is not OTHER


def test_nodes_with_equal_gpus_are_of_one_kind() -> None:
    """So that two thousand of them are judged once."""
    one, two = (
        node_gpus({DEVICE: "74a1", "kubernetes.io/hostname": name, f"{BETA_DEVICE}.74a1": count})
        for name, count in (("a", "8"), ("b", "4"))
    )
    assert one == two
    assert node_gpus({"kubernetes.io/hostname": "c"}) == frozenset()


@pytest.mark.parametrize(
    ("model", "want"),
    [
        pytest.param("MI300X", True, id="one that a node has"),
        pytest.param("MI325X", False, id="one that none has"),
        pytest.param("GAUDI3", False, id="one that nobody knows"),
        pytest.param("NONE", True, id="none at all"),
        pytest.param("", False, id="no name"),
    ],
)
def test_available(model: str, want: bool) -> None:  # noqa: FBT001 - the expected answer
    assert hardware.available(model, [node_gpus({DEVICE: "74a1"}), node_gpus({DEVICE: "ffff"})]) is want


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("MI300X", "amd.com/gpu"),
        ("RADEON_PRO_W7900", "amd.com/gpu"),
        ("V710", "amd.com/gpu"),
        ("", "amd.com/gpu"),
        ("NONE", "amd.com/gpu"),
        ("MI400X", "amd.com/gpu"),
        ("H100", "nvidia.com/gpu"),
        ("h200", "nvidia.com/gpu"),
        ("NVIDIA-A100-SXM4-80GB", "nvidia.com/gpu"),
        ("L40S", "nvidia.com/gpu"),
        ("GB200", "nvidia.com/gpu"),
        ("RTX-6000", "nvidia.com/gpu"),
        ("T4", "nvidia.com/gpu"),
    ],
)
def test_gpus_are_requested_from_the_vendor_of_their_model(model: str, want: str) -> None:
    assert hardware.gpu_resource(model) == want


@pytest.mark.parametrize(
    ("model", "labels", "want"),
    [
        pytest.param("MI300X", {"amd.com/gpu.device-id": "74a1"}, True, id="its device id"),
        pytest.param("MI300X", {"beta.amd.com/gpu.device-id": "74a1"}, True, id="its old label"),
        pytest.param("MI300X", {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}, True, id="its name"),
        pytest.param("MI300X", {"amd.com/gpu.device-id": "74a5"}, False, id="another's device id"),
        pytest.param("MI300X", {}, False, id="a node without labels, which may have no GPU"),
        pytest.param("H100", {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, True, id="NVIDIA's"),
        pytest.param("H100", {}, False, id="none of NVIDIA's"),
    ],
)
def test_nodes_that_are_known_to_have_a_gpu(model: str, labels: dict[str, str], want: bool) -> None:  # noqa: FBT001
    assert admits(hardware.known_affinity(model), labels) is want
    assert hardware.is_known(model, [hardware.node_gpus(labels)]) is want


def test_a_gpu_that_no_label_is_known_of_is_known_on_no_node() -> None:
    assert hardware.known_affinity("Unheard-Of") is None
    assert not hardware.is_known("Unheard-Of", [hardware.node_gpus({"amd.com/gpu.device-id": "74a1"})])
