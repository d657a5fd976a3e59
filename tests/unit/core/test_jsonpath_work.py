"""What a route template can cost: the values that its evaluation looks at, counted, over any object.

Templates are searched for the worst one by Hypothesis; the object counts, so that no clock is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, target
from hypothesis import strategies as st

from aim_operator.api.v1alpha1 import AIMService
from aim_operator.controllers import slim
from aim_operator.core import jsonpath
from aim_operator.core.engine_args import BOUNDS
from aim_operator.core.routing import document
from aim_operator.errors import SpecError
from tests.support.large_objects import large

LIMIT = 2 * jsonpath.MAX_SEARCHES * jsonpath.MAX_STEPS
"""Looks per value of the object, whatever the template: a map is asked for a key, and for its values."""
NARROW = jsonpath.MAX_EXPRESSIONS * jsonpath.MAX_STEPS
"""Looks that do not depend on the object: one for each step by name."""


class Looks:
    count = 0


class CountedMap(dict[str, Any]):
    looks: Looks

    def __contains__(self, key: object) -> bool:
        self.looks.count += 1
        return super().__contains__(key)

    def values(self) -> Any:
        self.looks.count += len(self)
        return super().values()


class CountedList(list[Any]):
    looks: Looks

    def __getitem__(self, key: Any) -> Any:
        self.looks.count += len(range(len(self))[key]) if isinstance(key, slice) else 1
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[Any]:
        self.looks.count += len(self)
        return super().__iter__()


def counted(value: Any, looks: Looks) -> tuple[Any, int]:
    """A copy that counts, and how many values it holds."""
    if not isinstance(value, dict | list):
        return value, 1
    inner = [counted(child, looks) for child in (value.values() if isinstance(value, dict) else value)]
    size = 1 + sum(child_size for _, child_size in inner)
    copies = [copy for copy, _ in inner]
    copy = CountedMap(zip(value, copies, strict=True)) if isinstance(value, dict) else CountedList(copies)
    copy.looks = looks
    return copy, size


def looks_and_size(template: str, document: dict[str, Any]) -> tuple[int, int]:
    """What rendering all of a template costs; an expression that is refused ends it in real life."""
    looks = Looks()
    copy, size = counted(document, looks)
    for part in jsonpath.parse(template):
        if isinstance(part, jsonpath.Expression):
            try:
                jsonpath.evaluate(part, copy)
            except SpecError:
                continue
    return looks.count, size


def chain(length: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(length):
        value = {"a": value}
    return value


def tree(depth: int) -> Any:
    return {"a": [tree(depth - 1)] * 2, "b": tree(depth - 1)} if depth else "1"


names = st.sampled_from("ab")
leaves = st.sampled_from(["1", 1, None, True])
shapes = (
    st.integers(1, 60).map(chain)
    | st.integers(1, 5).map(tree)
    | st.integers(1, 200).map(lambda length: {"a": [{"a": "1", "b": "2"}] * length})
    | st.dictionaries(
        names,
        st.recursive(
            leaves,
            lambda inner: st.lists(inner, max_size=6) | st.dictionaries(names, inner, max_size=2),
            max_leaves=40,
        ),
    )
)
steps = st.sampled_from(
    [
        *(".a", ".b", "..a", "..b", "[*]", ".*", "[0:]", "[0:9:1]", "[-1]", "[0]", "['a']"),
        *("[?(@.a=='1')]", "[?(@.a)]", "[?(@.a.a.a.a.a.a.a.a!='2')]", "[?(@!='2')]", "[?(@<'2')]"),
    ]
)
# Longer than what is accepted, so that the limits are met and not only neared.
paths = st.lists(steps, min_size=1, max_size=17).map(lambda path: f"{{{''.join(path)}}}")
template_texts = st.lists(paths, min_size=1, max_size=5).map("".join)


@given(template_texts, shapes)
def test_the_slowest_template_costs_a_bounded_number_of_looks_at_each_value(
    template: str, document: dict[str, Any]
) -> None:
    try:
        looks, size = looks_and_size(template, document)
    except SpecError:
        return
    target(looks / size)
    assert looks <= LIMIT * size + NARROW


DESCENT = "{..a" + ".a" * 15 + "}"
FILTER = "{.a[?(@.a!='1')].c}"


@pytest.mark.parametrize(
    ("template", "make", "most"),
    [
        pytest.param(DESCENT * 4, chain, 4 * 18, id="descents over a chain of equal names"),
        pytest.param(
            FILTER * 4, lambda length: {"a": [{"a": "1"}] * length}, 4 * 2, id="filters over a list of maps"
        ),
        pytest.param(
            "{.a[*][*][*][*]}", lambda length: {"a": [[[["1"]]]] * length}, 2, id="wildcards within wildcards"
        ),
    ],
)
def test_twice_the_object_is_twice_the_work(template: str, make: Any, most: int) -> None:
    small, size = looks_and_size(template, make(200))
    large, double = looks_and_size(template, make(400))
    assert large <= 2.1 * small
    assert large <= most * double
    assert small <= most * size


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{.spec.env" + f"[{','.join('*' * 30)}]" * 3 + "}", id="a union of wildcards, thrice"),
        pytest.param("{.spec.env" + "[0,0,0,0,0,0,0,0]" * 8 + "}", id="a union of one index"),
        pytest.param("{..env..name..value}", id="descents within descents"),
        pytest.param("{.spec.env[?(@..a==@..b)]}", id="descents in a filter"),
        pytest.param("{.spec.env[*][*]}{.spec.env[*][*]}{..name}", id="more searches than allowed"),
        pytest.param("{.a}" * 256, id="as many expressions as fit"),
        pytest.param("{" + "[" * 500, id="brackets only"),
        pytest.param("{..a" + "['" * 400, id="quotes that are not closed"),
        pytest.param("{'" + "\\" * 1000, id="backslashes only"),
    ],
)
def test_what_would_multiply_the_work_is_refused_before_the_object_is_looked_at(template: str) -> None:
    with pytest.raises(SpecError):
        jsonpath.parse(template)


def largest_service() -> dict[str, Any]:
    """What route templates are evaluated on, of a service with as many values as caches keep."""
    manifest = large("AIMService", 0, "team")
    manifest["metadata"]["labels"] = {f"l{index}": "" for index in range(60_000)}
    manifest["metadata"]["annotations"] = {f"a{index}": "" for index in range(60_000)}
    manifest["spec"]["engineArgs"] = {"a": [[]] * (BOUNDS.values - 1)}
    return document(slim.service(msgspec.convert(manifest, AIMService)))


@given(
    st.lists(st.sampled_from(["{..a}", "{.*.*.*}", "{.spec.env[*].*.*}", DESCENT]), min_size=1, max_size=4)
)
@settings(max_examples=10, deadline=None)
def test_the_slowest_template_on_the_largest_service_looks_at_a_bounded_number_of_values(
    template: list[str],
) -> None:
    """So a namespace of 500 such services costs a restart what 500 times as many looks do: some seconds."""
    try:
        looks, size = looks_and_size("".join(template), largest_service())
    except SpecError:
        return
    assert size < 12_000
    assert looks < 10 * 12_000
