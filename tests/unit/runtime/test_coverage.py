"""Live covers wanted, where the server and webhooks only added; drift is what remains."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from aim_operator.api.external import Job
from aim_operator.runtime.coverage import fingerprint, object_covers, visible_content
from tests.unit.runtime.making import decode, make_widget

A, B = {"name": "a"}, {"name": "b"}

SAME: list[tuple[str, Any, Any]] = [
    ("defaults that the server added", {"a": 1, "added": 2}, {"a": 1}),
    ("an empty text, dropped by Go", {}, {"a": ""}),
    ("an empty list, dropped by Go", {}, {"a": []}),
    ("an empty map, dropped by Go", {}, {"a": {}}),
    ("false, dropped by Go", {}, {"a": False}),
    ("zero, dropped by Go", {}, {"a": 0}),
    ("null means absent", {}, {"a": None}),
    ("a map of empty things", {}, {"a": {"b": {"c": ""}}}),
    ("an empty map that was filled", {"a": {"sizeLimit": "8Gi"}}, {"a": {}}),
    ("named items in another order", {"l": [B, A]}, {"l": [A, B]}),
    ("a named item more, from a webhook", {"l": [A, B]}, {"l": [A]}),
    ("a default in a named item", {"l": [{"name": "a", "p": "TCP"}]}, {"l": [{"name": "a"}]}),
    ("plain items, the same", {"l": ["x", "y"]}, {"l": ["x", "y"]}),
    ("a quantity in other words", {"requests": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}}),
    ("a quantity as a number", {"limits": {"amd.com/gpu": "1"}}, {"limits": {"amd.com/gpu": 1}}),
    ("a binary quantity", {"limits": {"memory": "1Gi"}}, {"limits": {"memory": "1024Mi"}}),
    ("a quantity with an exponent", {"limits": {"memory": "1k"}}, {"limits": {"memory": "1e3"}}),
    ("a size limit", {"emptyDir": {"sizeLimit": "8Gi"}}, {"emptyDir": {"sizeLimit": "8192Mi"}}),
    ("whole numbers in two spellings", {"a": 1}, {"a": 1.0}),
]  # fmt: skip
DRIFT: list[tuple[str, Any, Any]] = [
    ("another value", {"a": 2}, {"a": 1}),
    ("a value that went", {}, {"a": 1}),
    ("a text where there should be none", {"a": "x"}, {"a": ""}),
    ("items where there should be none", {"a": ["x"]}, {"a": []}),
    ("a named item that went", {"l": [{"name": "a"}]}, {"l": [{"name": "a"}, {"name": "b"}]}),
    ("a named item that changed", {"l": [{"name": "a", "v": 1}]}, {"l": [{"name": "a", "v": 2}]}),
    ("plain items in another order", {"l": ["y", "x"]}, {"l": ["x", "y"]}),
    ("a plain item more", {"l": ["x", "y"]}, {"l": ["x"]}),
    ("names that repeat are compared by place", {"l": [{"name": "a", "v": 1}]}, {"l": [A, A]}),
    ("a text with a huge exponent", {"limits": {"memory": "1"}}, {"limits": {"memory": "1e999999999"}}),
    ("a text of many digits", {"limits": {"memory": "1" * 5001}}, {"limits": {"memory": "1" * 5000}}),
    ("another quantity", {"requests": {"cpu": "2"}}, {"requests": {"cpu": "1"}}),
    ("a text that only looks like a quantity", {"env": {"N": "1"}}, {"env": {"N": "1000m"}}),
    ("true is not 1", {"a": 1}, {"a": True}),
    ("true is not 1 in a list", {"l": [[1]]}, {"l": [[True]]}),
    ("a text is not a number", {"a": "1"}, {"a": 1}),
    ("a map that became a list", {"a": []}, {"a": {"b": 1}}),
    ("a list that became a text", {"a": "x"}, {"a": ["x"]}),
]  # fmt: skip


@pytest.mark.parametrize(("live", "wanted"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_no_drift(live: Any, wanted: Any) -> None:
    """Nothing of what we said has changed."""
    assert object_covers(decode(make_widget(spec=live)), make_widget(spec=wanted))


@pytest.mark.parametrize(("live", "wanted"), [row[1:] for row in DRIFT], ids=[row[0] for row in DRIFT])
def test_drift(live: Any, wanted: Any) -> None:
    """Somebody changed what we said."""
    assert not object_covers(decode(make_widget(spec=live)), make_widget(spec=wanted))


OWNER = {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "1", "controller": True}
OTHER = {**OWNER, "uid": "2", "controller": False}
FORMER = {**OWNER, "controller": False}
OWNERS = "ownerReferences"


@pytest.mark.parametrize(
    ("live", "wanted", "want"),
    [
        pytest.param({"labels": {"a": "b", "c": "d"}}, {"labels": {"a": "b"}}, True, id="labels of others"),
        pytest.param({"labels": {"a": "x"}}, {"labels": {"a": "b"}}, False, id="a label was changed"),
        pytest.param({}, {"annotations": {"a": "b"}}, False, id="an annotation was removed"),
        pytest.param({OWNERS: [OWNER, OTHER]}, {OWNERS: [OWNER]}, True, id="another owner besides"),
        pytest.param({OWNERS: [FORMER]}, {OWNERS: [OWNER]}, False, id="no controller any more"),
        pytest.param({}, {OWNERS: [OWNER]}, False, id="the owner was removed"),
        pytest.param({"finalizers": ["a", "b"]}, {"finalizers": ["a"]}, True, id="finalizers of others"),
        pytest.param({}, {"finalizers": ["a"]}, False, id="our finalizer was removed"),
    ],
)  # fmt: skip
def test_metadata(live: Any, wanted: Any, want: bool) -> None:  # noqa: FBT001
    """Maps and owners are shared with others; ours must be there."""
    assert object_covers(decode(make_widget(**live)), make_widget(**wanted)) is want


def test_a_partial_view_compares_what_it_shows() -> None:
    """A Job is watched without its template, which is immutable; its TTL is seen."""
    manifest = make_widget(
        spec={"backoffLimit": 0, "template": {"spec": {"x": 1}}, "ttlSecondsAfterFinished": 5}
    )

    def live(spec: Any) -> Job:
        return msgspec.convert({"metadata": manifest["metadata"], "spec": spec}, Job)

    assert object_covers(live({"ttlSecondsAfterFinished": 5}), manifest)
    assert not object_covers(live({"ttlSecondsAfterFinished": 6}), manifest)
    assert not object_covers(live({}), manifest)


def test_sections_of_others_are_not_compared() -> None:
    """The status is not ours to apply."""
    live = decode(make_widget(spec={"a": 1}, status={"phase": "Ready"}))
    assert object_covers(live, make_widget(spec={"a": 1}, status={"phase": "Pending"}))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"labels": {"a": "x"}}, id="a label"),
        pytest.param({"annotations": {"a": "x"}}, id="an annotation"),
        pytest.param({OWNERS: [OTHER]}, id="an owner"),
        pytest.param({"finalizers": []}, id="a finalizer"),
        pytest.param({"spec": {"a": 2}}, id="the spec"),
    ],
)
def test_a_fingerprint_shows_whatever_somebody_may_undo(change: Any) -> None:
    """By it alone a later version counts as the one that was looked at."""
    content: dict[str, Any] = {
        "labels": {"a": "b"},
        "annotations": {"a": "b"},
        OWNERS: [OWNER],
        "finalizers": ["a"],
        "spec": {"a": 1},
    }
    before = fingerprint(decode(make_widget(**content)))
    assert fingerprint(decode(make_widget(**content, status={"phase": "On"}))) == before
    assert fingerprint(decode(make_widget(**{**content, **change}))) != before


def test_owners_are_visible_content() -> None:
    """A webhook may rewrite a spec, but who drops the owner of it makes garbage collection miss it."""
    wanted = make_widget(ownerReferences=[OWNER])
    assert visible_content(decode(wanted), wanted) != visible_content(decode(make_widget()), wanted)


def test_visible_content_is_equal_for_equal_content_only() -> None:
    """Other people's labels and the resourceVersion are not content; the whole spec is."""
    wanted = make_widget(labels={"ours": "x"}, spec={"a": 1})
    one = visible_content(decode(make_widget(labels={"ours": "x"}, spec={"a": 1, "b": 2})), wanted)
    relabelled = make_widget(labels={"theirs": "y", "ours": "x"}, spec={"b": 2, "a": 1})
    assert visible_content(decode(relabelled), wanted) == one
    assert visible_content(decode(make_widget(labels={"ours": "x"}, spec={"a": 1, "b": 3})), wanted) != one
    assert visible_content(decode(make_widget(labels={"ours": "y"}, spec={"a": 1, "b": 2})), wanted) != one
