"""Arrays in a log: found among anything, in linear work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from aim_operator.core.json_arrays import MAX_DEPTH, MAX_MARKS, RETRY_BYTES, JSONArrays


def found(log: bytes) -> list[list[Any]]:
    return list(JSONArrays(log))


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(b"", [], id="an empty log"),
        pytest.param(b"INFO nothing here", [], id="words"),
        pytest.param(b'[{"a": 1}]', [[{"a": 1}]], id="an array alone"),
        pytest.param(b'INFO got [{"a": 1}] done', [[{"a": 1}]], id="an array in a line"),
        pytest.param(b'x\n[\n {\n  "a": 1\n }\n]\ny', [[{"a": 1}]], id="an array over lines"),
        pytest.param(b'[{"a": 1}]\n[{"a": 2}]', [[{"a": 1}], [{"a": 2}]], id="two arrays"),
        pytest.param(b'[1, 2] [] [{}] ["a"]', [], id="arrays that do not begin with an object of something"),
        pytest.param(b'[{"a": [{"b": 1}]}]', [[{"a": [{"b": 1}]}]], id="an inner array is part of the outer"),
        pytest.param(b'[{"a": "[{\\"b\\": 1}]"}]', [[{"a": '[{"b": 1}]'}]], id="so is one in a text"),
        pytest.param(b'[{"a": "]"}]', [[{"a": "]"}]], id="a bracket in a text closes nothing"),
        pytest.param(b'[{"a": "\\\\"}]', [[{"a": "\\"}]], id="an escaped backslash escapes no quote"),
        pytest.param(b'[{"a [{"b": 1}]', [[{"b": 1}]], id="a text that opens too early"),
        pytest.param(b'[{"a": \n[{"b": 1}]', [[{"b": 1}]], id="an array cut off, then a whole one"),
        pytest.param(b'[{"a": [{"b": 1}] oops', [[{"b": 1}]], id="a whole one in one cut off"),
        pytest.param(b'1}]}] [{"b": 1}]', [[{"b": 1}]], id="the end of one whose beginning was cut"),
        pytest.param(b'it\'s "odd\n[{"b": 1}]', [[{"b": 1}]], id="an odd quote before"),
        pytest.param(
            b'\xff\x00[{"b": "\xc3\xa4"}]\xff', [[{"b": "ä"}]], id="bytes that are no text around it"
        ),
        pytest.param(b'[{"a": 1}, x [{"b": true}]', [[{"b": True}]], id="a log line in an array"),
    ],
)
def test_found(log: bytes, want: list[Any]) -> None:
    assert found(log) == want


@pytest.mark.parametrize(
    ("log", "want"),
    [
        pytest.param(b"no array", "", id="none"),
        pytest.param(b'[{"a": 1', "is cut off", id="no end"),
        pytest.param(b'[{"a": 1]}', "has brackets that do not match", id="crossed brackets"),
        pytest.param(b'[{"a": "x\n"}]', "has a text that is not closed", id="a line break in a text"),
        pytest.param(b'[{"a": NaN}]', 'has, outside of quotes, "NaN}]"', id="NaN"),
        pytest.param(b'[{"a": -Infinity}]', 'has, outside of quotes, "Infinity}]"', id="infinity"),
        pytest.param(
            b'[{"a": 01}]',
            "is not valid JSON (JSON is malformed: invalid number (byte 8))",
            id="a bad number",
        ),
        pytest.param(b'[{"a": 1e999}]', "is not valid JSON (Number out of range", id="a huge number"),
        pytest.param(b'[{"a": ' + b"9" * 5000 + b"}]", "is not valid JSON (Integer", id="a very long number"),
        pytest.param(b'[{"a": "\xff"}]', "is not valid JSON ('utf-8' codec", id="invalid UTF-8"),
        pytest.param(b'[{"a": "\\ud800"}]', "is not valid JSON", id="a lone surrogate"),
        pytest.param(
            b'[{"a": ' * 20 + b"1" + b"}]" * 20, "is nested deeper than 32 levels", id="deep nesting"
        ),
        pytest.param(b'[{"a": 1, "b": 01}] [{"a" x', "is not valid JSON", id="the longest broken one counts"),
    ],
)
def test_problem(log: bytes, want: str) -> None:
    arrays = JSONArrays(log)
    for _ in arrays:
        pass
    assert arrays.problem.startswith(want) if want else arrays.problem == ""


def test_the_deepest_nesting_that_is_read() -> None:
    pairs = MAX_DEPTH // 2
    got: Any = found(b'[{"a": ' * pairs + b"1" + b"}]" * pairs)[0]
    for _ in range(pairs):
        got = got[0]["a"]
    assert got == 1


SIZE = 64 * 1024


@pytest.mark.parametrize(
    "unit",
    [
        pytest.param(b"[", id="brackets"),
        pytest.param(b'"', id="quotes"),
        pytest.param(b"[ ", id="brackets and blanks"),
        pytest.param(b'[{"a":', id="nested arrays"),
        pytest.param(b'[{"a":{', id="nested objects"),
        pytest.param(b'[{"a":1}],', id="whole arrays"),
        pytest.param(b'[{"a":"[{', id="arrays in texts"),
        pytest.param(b'[{"a\\"', id="escapes"),
        pytest.param(b'[{"a":1},', id="siblings that nest"),
        pytest.param(b'[{"a":' * 15 + b'[{"a":1}],' * 100, id="nests with whole arrays in them"),
    ],
)
def test_work_is_linear(unit: bytes) -> None:
    examined = []
    for size in (SIZE, 4 * SIZE, 8 * SIZE):
        arrays = JSONArrays(unit * (size // len(unit)))
        for _ in arrays:
            pass
        examined.append(arrays.examined)
        assert arrays.examined <= size + 2 * RETRY_BYTES
    # From four times on, the constant is used up: the rest is read once.
    assert examined[2] - examined[1] <= 4 * SIZE + RETRY_BYTES


MAX_STEPS = 3 * MAX_MARKS + RETRY_BYTES
"""Each mark once, each closing bracket, each stray character; and what is read twice."""


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [b"[", b"{", b'"', b"]", b"}", b'[{"', b'[{""', b'[{"a":', b":1", b",", b" ", b"\\", b"\n"]
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_slowest_log_takes_a_bounded_number_of_steps(units: list[bytes]) -> None:
    unit = b"".join(units)
    arrays = JSONArrays(unit * (1024 * 1024 // len(unit)))
    count = sum(1 for _ in arrays)
    target(arrays.steps)
    assert arrays.steps <= MAX_STEPS
    assert count <= MAX_MARKS


def test_arrays_at_the_end_are_found_behind_any_number_of_brackets() -> None:
    log = b'[{"a": 1}] ' * MAX_MARKS + b'[{"b": 2}]'
    got = found(log)
    assert got[-1] == [{"b": 2}]
    assert 1 < len(got) <= MAX_MARKS // 4


def test_an_array_that_begins_before_what_is_read_is_said_so() -> None:
    arrays = JSONArrays(b'[{"a": [' + b"[]," * MAX_MARKS + b"1]}]")
    assert list(arrays) == []
    assert arrays.problem == f"begins before the last {MAX_MARKS} brackets and quotes of the log"


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6) | st.just('[{"a": ['),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=3), values, min_size=1, max_size=3)
arrays_of_objects = st.lists(objects, min_size=1, max_size=3)
# Words that no JSON has in them, so that a cut array can't swallow the next one.
lines = st.text(alphabet="INFO xyz'#\n", max_size=30)


@given(arrays_of_objects, arrays_of_objects, lines, lines, lines, st.sampled_from([None, 2]), st.booleans())
def test_whole_arrays_are_found_between_lines(
    first: list[Any],
    second: list[Any],
    before: str,
    between: str,
    after: str,
    indent: int | None,
    ascii_only: bool,  # noqa: FBT001
) -> None:
    texts = [json.dumps(array, indent=indent, ensure_ascii=ascii_only) for array in (first, second)]
    log = f"{before}{texts[0]}{between}{texts[1]}{after}".encode()
    assert found(log) == [first, second]


@given(arrays_of_objects, st.integers(0, 200), lines)
def test_an_array_is_found_after_a_piece_of_itself(array: list[Any], cut: int, between: str) -> None:
    text = json.dumps(array).encode()
    piece = text[: min(cut, len(text) - 1)]
    assert found(piece + b"\n" + between.encode() + text)[-1] == array


@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from([b"[", b"{", b'"', b"]", b"}", b'[{"', b"\\", b"\n", b":1"])).map(b"".join)
)
def test_any_bytes_are_read(log: bytes) -> None:
    for array in JSONArrays(log):
        assert isinstance(array[0], dict)
