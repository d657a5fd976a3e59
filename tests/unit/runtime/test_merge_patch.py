"""A patch makes one document of the other, and is empty where they are equal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.meta import Condition
from aim_operator.runtime.merge_patch import document, json_patch, merge_patch, sets_null
from aim_operator.sandbox.updates import json_patched
from tests.support.fake_client import merge_patched
from tests.unit.runtime.making import WidgetStatus


@pytest.mark.parametrize(
    ("old", "new", "want"),
    [
        pytest.param({"a": 1}, {"a": 1}, {}, id="equal documents need nothing"),
        pytest.param({"a": 1}, {"a": 2}, {"a": 2}, id="a change"),
        pytest.param({"a": 1}, {}, {"a": None}, id="a removed field is an explicit null"),
        pytest.param({}, {"a": {"b": 1}}, {"a": {"b": 1}}, id="an added map"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {"c": None}}, id="inside maps too"),
        pytest.param({"l": [1, 2]}, {"l": [1]}, {"l": [1]}, id="lists go whole"),
        pytest.param({"l": [1]}, {"l": [1]}, {}, id="equal lists stay"),
        pytest.param({"a": {"b": 1}}, {"a": 5}, {"a": 5}, id="a map that becomes a number"),
        pytest.param({"a": True}, {"a": 1}, {"a": 1}, id="true is not 1"),
    ],
)
def test_merge_patch(old: Any, new: Any, want: Any) -> None:
    """RFC 7386, the smallest one."""
    assert merge_patch(old, new) == want


DOCUMENTS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.one_of(st.booleans(), st.integers(0, 2), st.text("xy", max_size=1)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
        max_leaves=5,
    ),
)


@given(DOCUMENTS, DOCUMENTS)
def test_a_patch_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    """For any two documents, also where a map turns empty."""
    assert merge_patched(old, merge_patch(old, new)) == new


NULLS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.none() | st.integers(0, 2),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2)
        ),
        max_leaves=5,
    ),
)


@given(NULLS, NULLS)
def test_one_of_the_two_patches_leads_there_with_nulls_too(old: dict[str, Any], new: dict[str, Any]) -> None:
    """The merge patch where it can."""
    if sets_null(old, new):
        assert json_patched({"s": old}, json_patch("/s", old, new)) == {"s": new}
    else:
        assert merge_patched(old, merge_patch(old, new)) == new


def test_a_document_leaves_out_fields_without_a_value() -> None:
    """They would mean removal; a condition without a time has none."""
    status = WidgetStatus(phase="Ready", conditions=(Condition(type="Ready", status="True"),))
    assert document(status) == {
        "phase": "Ready",
        "conditions": [{"type": "Ready", "status": "True", "reason": "", "message": ""}],
    }
    assert document(None) == {}


@pytest.mark.parametrize(
    ("other", "want"),
    [
        pytest.param(WidgetStatus(phase="Ready"), {"free": {"a": None, "b": 1}}, id="an equal member"),
        pytest.param(WidgetStatus(phase="Ready", free={"a": None, "b": 1}), {}, id="equal with a null in it"),
        pytest.param(
            WidgetStatus(free={"a": None, "b": True}),
            {"phase": "Ready", "free": {"a": None, "b": 1}},
            id="true is not 1",
        ),
        pytest.param(
            WidgetStatus(free={"b": 1}),
            {"phase": "Ready", "free": {"a": None, "b": 1}},
            id="null is not nothing",
        ),
        pytest.param(None, {"phase": "Ready", "free": {"a": None, "b": 1}}, id="no status yet"),
    ],
)
def test_a_document_without_the_members_that_another_has_just_so(other: Any, want: Any) -> None:
    status = WidgetStatus(phase="Ready", free={"a": None, "b": 1})
    assert document(status, unlike=other) == want
