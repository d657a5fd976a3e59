"""Whether a model's files can be in the memory of GPUs, and what is not known."""

from __future__ import annotations

import pytest

from aim_operator.core.gpu_memory import GIB, judge, memory_bytes


@pytest.mark.parametrize(
    ("model", "want"),
    [
        ("MI300X", 192),
        ("AMD_Instinct_MI300X_OAM", 192),
        ("mi325x", 256),
        ("MI250X", 64),
        ("MI308X", None),
        ("H100", None),
        ("", None),
    ],
)
def test_the_memory_of_a_model_by_whatever_name(model: str, want: int | None) -> None:
    assert memory_bytes(model) == (None if want is None else want * GIB)


@pytest.mark.parametrize(
    ("model", "count", "gib", "fits", "says"),
    [
        pytest.param(
            "MI300X", 1, 16, True, "the model's files have 16Gi, and 1 MI300X has 192Gi", id="small"
        ),
        pytest.param("MI300X", 1, 810, False, "use more of them, or fewer bits", id="too large"),
        pytest.param("MI300X", 8, 810, True, "8 MI300X have", id="eight of them"),
        pytest.param("MI300X", 1, 180, True, "hardly anything is left", id="no room for the cache"),
        pytest.param("MI300X", 1, 192, True, "hardly anything is left", id="to the last byte"),
        pytest.param("H100", 1, 16, None, "is not known here", id="a model that is not in the table"),
        pytest.param(None, 1, 16, None, "it names no GPU", id="no model"),
        pytest.param("MI300X", 0, 16, None, "it names no GPU", id="no GPU"),
        pytest.param("MI300X", 1, 0, None, "size of the model's files is not known", id="no size"),
    ],
)
def test_files_and_memory(model: str | None, count: int, gib: int, *, fits: bool | None, says: str) -> None:
    got = judge(model, count, gib * GIB)
    assert got.fits is fits
    assert says in got.message


def test_a_partition_has_nobody_knows_how_much() -> None:
    assert judge("MI300X", 1, 500 * GIB, partition=True).fits is None
