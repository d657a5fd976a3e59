"""Quantities: exact values, the canonical text of Go's resource.Quantity, and bounded work.

The canonical forms were printed by k8s.io/apimachinery v0.35.4 (Quantity.CanonicalizeBytes); the module
was also compared with it on 170,000 random texts. tests/cluster/test_quantities.py asks an API server.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api import quantity
from aim_operator.api.v1alpha1 import Quantity

GO_CANONICAL: dict[str, str | None] = {
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
    # Nothing before the suffix is nothing.
    "Gi": "0",
    "m": "0",
    "-Gi": "0",
    "+": "0",
    ".": "0",
    "E": "0",
    "e5": "0",
    "e-9": "0",
    ".e-20": None,
    "e": None,
    "i": None,
}


@pytest.mark.parametrize(("text", "want"), GO_CANONICAL.items())
def test_canonical_is_what_go_writes(text: str, want: str | None) -> None:
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
        pytest.param("0" * 63 + "1", Decimal(1), id="as long as may be"),
    ],
)
def test_parse_is_exact(value: Quantity, want: Decimal) -> None:
    assert quantity.parse(value) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [("8Ei", "9223372036854775807"), ("1e30", "9223372036854775807"), ("-9000E", "-9223372036854775807")],
)
def test_more_than_kubernetes_can_count_is_written_as_the_most(text: str, want: str) -> None:
    # Go caps 8Ei so, and loses count of others: -9000E comes back as -9. What we write, it takes as it is.
    assert quantity.canonical(text) == want


@pytest.mark.parametrize("value", ["", "nonsense", "4 Gi", "1e99999", "1" * 65, None, True, {}, float("nan")])
def test_what_is_no_quantity_has_no_value(value: object) -> None:
    assert quantity.parse(value) is None
    assert quantity.canonical(value) is None


SUFFIXES = {"m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(1000), "Ki": Fraction(1024)} | {
    "M": Fraction(10**6),
    "Gi": Fraction(1024**3),
    "e3": Fraction(1000),
    "E-3": Fraction(1, 1000),
}
plain = st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**6), st.sampled_from(sorted(SUFFIXES)))


@given(plain)
def test_the_value_is_number_times_suffix(parts: tuple[int, int, str]) -> None:
    whole, fraction, suffix = parts
    number = Fraction(f"{whole}.{fraction:06}")
    want = number * SUFFIXES[suffix]
    got = quantity.parse(f"{whole}.{fraction:06}{suffix}")
    assert got is not None
    # Rounded away from zero to the nano unit.
    assert abs(Fraction(got)) - abs(want) < Fraction(1, 10**9)
    assert abs(Fraction(got)) >= abs(want)


texts = st.from_regex(
    r"[+-]?[0-9]{0,12}\.?[0-9]{0,12}([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?", fullmatch=True
)


@given(texts)
def test_canonical_keeps_the_value_and_is_a_fixed_point(text: str) -> None:
    got = quantity.canonical(text)
    value = quantity.parse(text)
    assert (got is None) == (value is None)
    if got is None or value is None:
        return
    assert quantity.parse(got) == max(-quantity.MAX, min(quantity.MAX, value))
    assert quantity.canonical(got) == got


hostile = (
    st.text(alphabet="0123456789.+-eEKMGi", max_size=80)
    | st.from_regex(r"[0-9]{1,70}[eE][+-]?[0-9]{1,10}", fullmatch=True)
    | st.floats()
    | st.integers()
    | st.integers(0, 5000).map(lambda digits: 10**digits)
)


@given(hostile)
def test_no_value_has_more_digits_than_its_text_can_hold(value: Quantity) -> None:
    got = quantity.parse(value)
    text = quantity.canonical(value)
    assert (got is None) == (text is None)
    if got is not None and text is not None:
        assert len(got.as_tuple().digits) <= 100
        assert len(text) <= 32


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("9" * 10**6, id="a million digits"),
        pytest.param("1e" + "9" * 10**6, id="an exponent of a million digits"),
        pytest.param("0." + "0" * 10**6 + "1", id="a million zeros"),
        pytest.param("1e-999999999", id="a tiny exponent"),
        pytest.param("1e999999999", id="a huge exponent"),
    ],
)
def test_a_long_text_is_no_quantity(value: str) -> None:
    assert quantity.parse(value) is None


@pytest.mark.parametrize(
    ("value", "count", "want"),
    [
        pytest.param("32Gi", 2, "64Gi", id="in the same style"),
        pytest.param("1.5Gi", 2, "3Gi", id="to whole numbers"),
        pytest.param("500m", 3, "1500m", id="and back to parts"),
        pytest.param(4, 8, "32", id="a number"),
        pytest.param("1e3", 2, "2e3", id="with an exponent"),
        pytest.param("0", 8, "0", id="of nothing"),
        pytest.param("4Ei", 8, str(2**63 - 1), id="to what Kubernetes can count"),
        pytest.param("four", 2, None, id="of no quantity"),
    ],
)
def test_times(value: Quantity, count: int, want: str | None) -> None:
    assert quantity.times(value, count) == want


@given(st.integers(0, 2**40), st.sampled_from(["", "m", "Ki", "Gi", "k"]), st.integers(0, 1024))
def test_times_is_the_exact_product(number: int, suffix: str, count: int) -> None:
    value = quantity.parse(f"{number}{suffix}")
    assert value is not None
    got = quantity.parse(quantity.times(f"{number}{suffix}", count))
    assert got == min(value * count, quantity.MAX)
