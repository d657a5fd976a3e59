"""Quantities: exact values, and the canonical text of Go's resource.Quantity.

The canonical forms were printed by k8s.io/apimachinery v0.35.4 (Quantity.CanonicalizeBytes); the module
was also compared with it on 170,000 random texts.
"""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.v1alpha1 import Quantity
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import quantity
from aim_operator.errors import SpecError

GO_CANONICAL = {
    "0": "0",
    "0Gi": "0",
    "0.000": "0",
    "-0": "0",
    "1": "1",
    "+1": "1",
    "01": "1",
    "1000m": "1",
    "1500m": "1500m",
    "0.5": "500m",
    ".5": "500m",
    "5.": "5",
    "1.500": "1500m",
    "100": "100",
    "1000": "1k",
    "1024": "1024",
    "12345": "12345",
    "1000000": "1M",
    "1000k": "1M",
    "0.001k": "1",
    "1.5k": "1500",
    "100u": "100u",
    "1000u": "1m",
    "1n": "1n",
    "0.1n": "1n",
    "0.0000000001": "1n",
    "1.0000000001": "1000000001n",
    "1E": "1E",
    "9E": "9E",
    "1024Mi": "1Gi",
    "1.5Gi": "1536Mi",
    "64Gi": "64Gi",
    "0.1Gi": "107374182400m",
    "0.5Gi": "512Mi",
    "1Ki": "1Ki",
    "0.5Ki": "512",
    "1000Ki": "1000Ki",
    "1024Ki": "1Mi",
    "1.5Ki": "1536",
    "0.0001Ki": "102400u",
    "7Ei": "7Ei",
    "1e3": "1e3",
    "1E3": "1e3",
    "1000e0": "1e3",
    "15e2": "1500",
    "1e-3": "1e-3",
    "1e+2": "100",
    "1500e-3": "1500e-3",
    "-1.5Gi": "-1536Mi",
    "-0.1n": "-1n",
    "9223372036854775807": "9223372036854775807",
}


@pytest.mark.parametrize(("text", "want"), GO_CANONICAL.items())
def test_canonical_is_what_go_writes(text: str, want: str) -> None:
    assert quantity.canonical(text) == want


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param(4, "4", id="an integer"),
        pytest.param(1000, "1k", id="a round integer"),
        pytest.param(0, "0", id="zero"),
        pytest.param(0.5, "500m", id="a float"),
        pytest.param(0.1, "100m", id="a float is taken as it is written"),
        pytest.param(2.0, "2", id="a whole float"),
        pytest.param(1e18, "1E", id="a float that prints with an exponent"),
        pytest.param(1e-7, "100n", id="a small float"),
    ],
)
def test_numbers(value: Quantity, want: str) -> None:
    assert quantity.canonical(value) == want


def test_a_binary_quantity_that_is_no_whole_ki_is_written_as_decimal() -> None:
    # Go writes 62.5Ki as 64000, reads that as decimal and writes 64k from then on: we write 64k at once.
    assert quantity.canonical("62.5Ki") == "64k"


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("1.5Gi", Decimal(1610612736)),
        ("100m", Decimal("0.1")),
        ("0.1", Decimal("0.1")),
        (0.1, Decimal("0.1")),
        ("1e-3", Decimal("0.001")),
        ("1.1n", Decimal("0.000000002")),
        ("-1", Decimal(-1)),
        ("8.47Gi", Decimal("9094593249.28")),
    ],
)
def test_parse_is_exact(value: Quantity, want: Decimal) -> None:
    assert quantity.parse(value) == want


@pytest.mark.parametrize(
    "value",
    [
        *(
            "",
            " ",
            "4 ",
            "Gi",
            ".",
            "+",
            "--1",
            "4GB",
            "4gi",
            "4 Gi",
            "4\n",
            "1,5",
            "1_000",
            "0x10",
            "1e",
            "1e99999",
        ),
        *("nan", "inf", "٣", "9" * 65, True, float("nan")),
    ],
)
def test_what_is_no_quantity_is_refused_with_a_remedy(value: Quantity) -> None:
    with pytest.raises(SpecError) as caught:
        quantity.parse(value)
    assert caught.value.reason == Reason.RESOURCES_INVALID
    assert repr(value)[:64] in caught.value.message
    assert "write a number with an optional suffix, such as 4, 500m or 64Gi" in caught.value.message


@pytest.mark.parametrize(
    "value", ["8Ei", "1e19", "9223372036854775808", "-8Ei", "1e9999", 2**63, 1e300, float("inf")]
)
def test_what_kubernetes_cannot_count_is_refused(value: Quantity) -> None:
    with pytest.raises(SpecError, match="more than Kubernetes can count; write less than 8Ei"):
        quantity.canonical(value)


@pytest.mark.parametrize(
    ("left", "right", "want"),
    [
        ("1", "1000m", 0),
        ("1Gi", "1024Mi", 0),
        ("1G", "1Gi", -1),
        (2, "1500m", 1),
        ("0.1", "100000001n", -1),
        ("0", "-1", 1),
    ],
)
def test_compare(left: Quantity, right: Quantity, want: int) -> None:
    assert quantity.compare(left, right) == want


texts = st.from_regex(
    r"[+-]?[0-9]{0,12}\.?[0-9]{0,12}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?", fullmatch=True
)


@given(texts)
def test_canonical_keeps_the_value_and_is_a_fixed_point(text: str) -> None:
    try:
        got = quantity.canonical(text)
    except SpecError:
        return
    assert quantity.compare(got, text) == 0
    assert quantity.canonical(got) == got


@given(st.text(max_size=70) | st.floats() | st.integers())
def test_anything_is_a_quantity_or_a_spec_error(value: Quantity) -> None:
    try:
        quantity.canonical(value)
    except SpecError as error:
        assert "\n" not in error.message  # noqa: PT017
