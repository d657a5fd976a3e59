"""What is a quantity to us is one to the API server, of the same amount; what we write it leaves as it is.

A ResourceSlice is asked, which no other rule limits: its capacities may be of any amount, also below zero,
and are not rounded to a thousandth, as those of containers are. Nothing is kept.
"""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aim_operator.api import quantity
from aim_operator.api.v1alpha1 import Quantity
from hack.cluster.api import Api
from hack.cluster.cluster import Cluster
from tests.support.schema_values import quantities

PATH = "/apis/resource.k8s.io/v1/resourceslices?dryRun=All"
CAPACITIES_OF_DEVICE = 32
REFUSED_EACH = 60
repeatable = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
LIKELY = (
    *(
        "",
        "+",
        "-",
        ".",
        "+.",
        "Gi",
        "m",
        "E",
        "e",
        "e5",
        "-Gi",
        "e-9",
        "e-10",
        ".e-20",
        "0e-20",
        ".5e-20",
        "5.Ki",
    ),
    *(
        "8Ei",
        "-9Ei",
        "1e30",
        "-9000E",
        "9223372036854775808",
        "9223372036854775807.5",
        "7.999Ei",
        "1e9999",
        "1e-9999",
    ),
    *(
        "1e0000",
        "1E+3",
        "01",
        "+1",
        "0.1Ki",
        "62.5Ki",
        "1.1n",
        "-0.00001n",
        "0x10",
        "1_000",
        "1,5",
        "Inf",
        "NaN",
    ),
    *(
        "1..5",
        "--1",
        "1 Gi",
        "\t1",
        "1\n",
        "\u00a01",
        "\u0661",
        "1\u212a",
        "1\u212ai",
        "\uff11",
        "1K",
        "1ki",
        "1Gib",
    ),
    *(
        "1\0",
        "1e5.0",
        "1e+",
        "1e--5",
        "1ee5",
        "1Ke5",
        "1iK",
        "\ud7ff",
        "\U0001f4a9",
        "9" * 64,
        "0." + "0" * 61 + "1",
    ),
)
near = st.from_regex(
    r"[+-]{0,2}[0-9]{0,20}\.{0,2}[0-9]{0,20}([numkKMGTPE]i?|[eE][+-]?[0-9]{0,4}|[a-z]{1,2})?", fullmatch=True
)
hostile = st.sampled_from(LIKELY) | quantities | near | st.text(max_size=12) | st.integers() | st.floats()


def asked(value: Quantity) -> bool:
    """Go drops spaces around a quantity in JSON, which the rules of our CRDs do not; NaN is no JSON."""
    return value == value.strip(" ") if isinstance(value, str) else abs(value) < float("inf")


def taken(api: Api, values: Sequence[Quantity]) -> list[str] | None:
    """How the API server writes them; None if it refuses one of them."""
    capacities = [(f"a{number}", {"value": value}) for number, value in enumerate(values)]
    step = CAPACITIES_OF_DEVICE
    parts = [dict(capacities[first : first + step]) for first in range(0, len(capacities), step)]
    spec = {
        "driver": "test.example.com",
        "allNodes": True,
        "pool": {"name": "pool", "generation": 1, "resourceSliceCount": 1},
        "devices": [{"name": f"d{number}", "capacity": part} for number, part in enumerate(parts)],
    }
    manifest = {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceSlice",
        "metadata": {"name": "quantities"},
        "spec": spec,
    }
    try:
        answer = api.request("POST", PATH, manifest)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.BAD_REQUEST:
            raise
        return None
    written = {
        name: each["value"]
        for device in answer["spec"].get("devices", ())
        for name, each in device["capacity"].items()
    }
    return [written[name] for name, _ in capacities]


def differences(api: Api, values: Sequence[Quantity]) -> Iterator[str]:
    """What the API server makes of these, where we make something else of it."""
    good = [value for value in values if quantity.canonical(value) is not None]
    ours = [str(quantity.canonical(value)) for value in good]
    theirs = taken(api, good)
    if theirs is None:
        yield from (f"{value!r} is refused" for value in good if taken(api, [value]) is None)
    for value, mine, other in zip(good, ours, theirs or (), strict=theirs is not None):
        amount = quantity.parse(value)
        countable = amount is not None and abs(amount) <= quantity.MAX
        # Go keeps a text such as 1E3 as it is, as long as nobody counts with it.
        if countable and quantity.parse(other) != amount:
            yield f"{value!r} is {other}, ours {mine}"
    for mine, other in zip(ours, taken(api, ours) or (), strict=True):
        if mine != other:
            yield f"what we write is changed: {mine} to {other}"
    bad = [value for value in values if quantity.canonical(value) is None]
    for value in bad[:REFUSED_EACH]:
        if (answer := taken(api, [value])) is not None:
            yield f"{value!r} is taken as {answer}"


def test_a_quantity_is_one_to_the_api_server_too_and_of_the_same_amount(control_plane: Cluster) -> None:
    @given(st.lists(hostile.filter(asked), min_size=200, max_size=200))
    @repeatable
    def agree(values: list[Quantity]) -> None:
        assert list(differences(control_plane.api, values)) == []

    assert list(differences(control_plane.api, [value for value in LIKELY if asked(value)])) == []
    agree()
