"""Quantities of specs: what is refused with which reason and words. The values are api.quantity's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.v1alpha1 import Quantity
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import quantity
from aim_operator.errors import SpecError


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


def test_an_integer_that_python_would_not_print_is_refused_in_one_line() -> None:
    with pytest.raises(SpecError, match="an integer of more than 64 bits is more than Kubernetes can count"):
        quantity.canonical(10**5000)


@given(st.text(max_size=70) | st.floats() | st.integers())
def test_anything_is_a_quantity_or_a_spec_error(value: Quantity) -> None:
    try:
        quantity.canonical(value)
    except SpecError as error:
        assert "\n" not in error.message  # noqa: PT017


@pytest.mark.parametrize(
    ("count", "want"),
    [
        pytest.param(0, "0", id="nothing"),
        pytest.param(1023, "1023", id="bytes"),
        pytest.param(1024, "1Ki", id="a whole unit"),
        pytest.param(16_060_522_240, "14.96Gi", id="two digits, rounded up"),
        pytest.param(1024**2 - 1, "1024Ki", id="just below the next unit"),
        pytest.param(2**60, "1Ei", id="the largest unit"),
    ],
)
def test_bytes_are_written_as_quantities_that_can_be_read(count: int, want: str) -> None:
    assert quantity.readable(count) == want
    assert quantity.parse(want) >= count
