"""The store and its indexes agree whatever happens, and a relist tells every difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.meta import ObjectMeta
from aim_operator.runtime.store import Store
from tests.unit.runtime.making import Widget, make_stored


def by_team(widget: Widget) -> Iterator[str]:
    team = widget.metadata.label("team")
    if team is not None:
        yield team


def names(widgets: list[Widget]) -> list[str]:
    return [widget.metadata.name for widget in widgets]


def test_an_object_is_found_by_name_and_index() -> None:
    """And not by another."""
    store = Store({"team": by_team})
    store.upsert(make_stored("a", labels={"team": "red"}))
    store.upsert(make_stored("b"))
    assert names(store.by_index("team", "red")) == ["a"]
    assert store.by_index("team", "blue") == []
    assert store.get("team", "a") is not None
    assert store.get("other", "a") is None
    assert len(store) == 2


def test_an_object_that_changes_its_key_moves() -> None:
    """The old key does not keep it."""
    store = Store({"team": by_team})
    store.upsert(make_stored("a", labels={"team": "red"}))
    old = store.upsert(make_stored("a", "2", labels={"team": "blue"}))
    assert old is not None
    assert old.metadata.label("team") == "red"
    assert store.by_index("team", "red") == []
    assert names(store.by_index("team", "blue")) == ["a"]


def test_an_undeclared_index_is_a_mistake() -> None:
    """Better than an empty answer."""
    with pytest.raises(KeyError):
        Store[Widget]().by_index("nope", "x")


def test_a_broken_index_leaves_the_store_as_it_was() -> None:
    """Half an update would be found later, far away."""

    def broken(widget: Widget) -> Iterator[str]:
        raise ZeroDivisionError
        yield widget.kind

    store = Store({"team": by_team, "broken": broken})
    with pytest.raises(ZeroDivisionError):
        store.upsert(make_stored("a", labels={"team": "red"}))
    assert len(store) == 0
    assert store.by_index("team", "red") == []


def test_a_relist_tells_every_difference() -> None:
    """What stayed the same is none; what was made anew is two."""
    store = Store({"team": by_team})
    for widget in (make_stored("same"), make_stored("changed"), make_stored("gone"), make_stored("anew")):
        store.upsert(widget)
    changes = store.replace_all(
        [
            make_stored("same"),
            make_stored("changed", "2"),
            make_stored("anew", "3", uid="another"),
            make_stored("new"),
        ]
    )
    got = [(old and old.metadata.name, new and new.metadata.name) for old, new in changes]
    assert got == [("gone", None), ("changed", "changed"), ("anew", None), (None, "anew"), (None, "new")]
    assert sorted(names(store.all())) == ["anew", "changed", "new", "same"]


def test_a_relist_of_one_namespace_leaves_the_others() -> None:
    """Each namespace has its own watch."""
    store: Store[Widget] = Store()
    store.upsert(make_stored("a", namespace="one"))
    store.upsert(make_stored("b", namespace="two"))
    changes = store.replace_all([], namespace="one")
    assert [old and old.metadata.name for old, _ in changes] == ["a"]
    assert names(store.all()) == ["b"]


def test_a_relist_of_one_namespace_says_nothing_of_what_others_can_not_decode() -> None:
    """Else what is there passes for gone."""
    store: Store[Widget] = Store()
    for namespace in ("one", "two"):
        store.keep(ObjectMeta(name="a", namespace=namespace, uid="u"))
    store.replace_all([], namespace="one")
    assert not store.is_undecodable("one", "a")
    assert store.is_undecodable("two", "a")


def test_an_object_that_names_something_twice_is_filed_once() -> None:
    """A user may list one cache two times."""

    def twice(widget: Widget) -> Iterator[str]:
        yield widget.metadata.name
        yield widget.metadata.name

    store = Store({"twice": twice})
    store.upsert(make_stored("a"))
    assert names(store.by_index("twice", "a")) == ["a"]
    store.remove("team", "a")
    assert store.by_index("twice", "a") == []


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "remove", "replace"]),
        st.sampled_from("abc"),
        st.sampled_from(["red", "blue", ""]),
    ),
    max_size=30,
)


@given(CHANGES)
def test_indexes_agree_with_the_objects(changes: list[tuple[str, str, str]]) -> None:
    """After any history, an index holds exactly what a scan would find."""
    store = Store({"team": by_team})
    for number, (action, name, team) in enumerate(changes):
        widget = make_stored(name, str(number), labels={"team": team} if team else {})
        if action == "upsert":
            store.upsert(widget)
        elif action == "remove":
            store.remove("team", name)
        else:
            store.replace_all([widget])
        for key in ("red", "blue"):
            want = sorted(w.metadata.name for w in store.all() if w.metadata.label("team") == key)
            assert sorted(names(store.by_index("team", key))) == want
