"""Hypothesis strategies for JSON that is nearly right: what programs of others send on a bad day."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(), max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=3), children, max_size=3)
    ),
    max_leaves=6,
)


def loosely(value: Any) -> st.SearchStrategy[Any]:
    """Something that is nearly `value`: a part of it may be anything."""
    exact: st.SearchStrategy[Any]
    if isinstance(value, dict):
        exact = st.fixed_dictionaries({key: loosely(item) for key, item in value.items()})
    elif isinstance(value, list):
        exact = st.lists(loosely(value[0]), max_size=2) if value else st.just([])
    else:
        exact = st.just(value)
    return st.one_of(exact, exact, exact, exact, json_values)
