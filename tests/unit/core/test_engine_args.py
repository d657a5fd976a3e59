"""Engine arguments: laid over the variable and each other, or refused in a sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.engine_args import BOUNDS, VARIABLE, check, kept, lay_over, merge
from aim_operator.errors import SpecError
from aim_operator.sandbox.kubelet import environment


@pytest.mark.parametrize(
    ("under", "over", "want"),
    [
        pytest.param({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}, id="by name"),
        pytest.param({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}, id="deep"),
        pytest.param({"a": [1, 2]}, {"a": [3]}, {"a": [3]}, id="lists go whole"),
        pytest.param({"a": {"x": 1}}, {"a": 5}, {"a": 5}, id="an object by a number"),
        pytest.param({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}, id="a number by an object"),
        pytest.param({"a": 5}, {"a": None}, {"a": None}, id="null is a flag, and removes nothing"),
    ],
)
def test_merge(under: dict[str, Any], over: dict[str, Any], want: dict[str, Any]) -> None:
    before = json.dumps([under, over])
    assert merge(under, over) == want
    assert json.dumps([under, over]) == before, "neither is changed"


@pytest.mark.parametrize(
    ("known", "want"),
    [
        pytest.param([], {"b": {"y": None}}, id="no variable"),
        pytest.param([{"name": VARIABLE}], {"b": {"y": None}}, id="a variable without a value"),
        pytest.param([{"name": VARIABLE, "value": ""}], {"b": {"y": None}}, id="an empty variable"),
        pytest.param(
            [{"name": VARIABLE, "value": '{"a": 1, "b": {"x": 2}}'}],
            {"a": 1, "b": {"x": 2, "y": None}},
            id="over the variable's own",
        ),
    ],
)
def test_arguments_become_the_variable(known: list[dict[str, Any]], want: dict[str, Any]) -> None:
    others = [{"name": "A", "value": "1"}, *known, {"name": "Z", "value": "2"}]
    got = lay_over(others, {"b": {"y": None}})
    [laid] = [variable for variable in got if variable["name"] == VARIABLE]
    assert json.loads(laid["value"]) == want
    assert [v for v in got if v["name"] != VARIABLE] == [v for v in others if v["name"] != VARIABLE]
    if known:
        assert got.index(laid) == 1, "what refers to it finds it before"


def test_a_secret_is_not_put_into_arguments_that_name_it() -> None:
    """The kubelet would, since they become a variable. What the variable itself has is its author's."""
    known = [
        {"name": "HF_TOKEN", "value": "secret"},
        {"name": VARIABLE, "value": '{"kept": "$(HF_TOKEN)", "under": {"$$(x)": 1}}'},
    ]
    asked = {"a": ["$(HF_TOKEN)", "$$(HF_TOKEN)", "$"], "$(HF_TOKEN)": 1, "under": {"$(x)": 2}}
    got = json.loads(environment(lay_over(known, asked))[VARIABLE])
    assert got == {"kept": "secret", **asked}


def test_equal_arguments_make_equal_texts() -> None:
    assert lay_over([], {"a": 1, "b": 2}) == lay_over([], {"b": 2, "a": 1})


@pytest.mark.parametrize("args", [None, {}])
def test_no_arguments_change_nothing(args: Any) -> None:
    env = [{"name": VARIABLE, "value": "no JSON"}]
    assert lay_over(env, args) == env


def deep(levels: int) -> dict[str, Any]:
    return {"a": deep(levels - 1)} if levels > 1 else {"a": 1}


@pytest.mark.parametrize(
    ("args", "env", "want"),
    [
        pytest.param({"a": "{{ x }}"}, {}, "contains '{{'; KServe would expand it", id="a Go template"),
        pytest.param({"{{": 1}, {}, "contains '{{'", id="in a key"),
        pytest.param({"a": "x" * BOUNDS.bytes}, {}, "bytes as JSON; at most 16384", id="too much"),
        pytest.param(deep(BOUNDS.levels + 1), {}, "deeper than 8 levels", id="too deep"),
        pytest.param({"a": [[[[[[[[1]]]]]]]]}, {}, "deeper than 8 levels", id="too deep in lists"),
        pytest.param({"a": [[]] * 2000}, {}, "more than 1024 values", id="too many values"),
        pytest.param({"a": 1}, {"value": "[" * 900 + "]" * 900}, "is no JSON object", id="over deep lists"),
        pytest.param(
            {"a": 1}, {"value": '{"a":' * 900 + "1" + "}" * 900}, "is no JSON object", id="over a deep object"
        ),
        pytest.param({"a": 1}, {"value": "--a"}, "is no JSON object", id="over what is no JSON"),
        pytest.param({"a": 1}, {"value": "[1]"}, "is no JSON object", id="over a list"),
        pytest.param({"a": 1}, {"valueFrom": {}}, "can't be laid over a reference", id="over a reference"),
    ],
)
def test_what_is_refused(args: dict[str, Any], env: dict[str, Any], want: str) -> None:
    with pytest.raises(SpecError) as caught:
        lay_over([{"name": VARIABLE, **env}], args)
    assert caught.value.reason == Reason.ENGINE_ARGS_INVALID
    assert want in caught.value.message


def test_the_deepest_that_is_taken() -> None:
    check(deep(BOUNDS.levels))


@pytest.mark.parametrize(
    "args",
    [
        pytest.param({"a": "x" * BOUNDS.bytes}, id="too much"),
        pytest.param({"a": [[]] * 2000}, id="too many values"),
        pytest.param(deep(900), id="too deep"),
    ],
)
def test_what_a_cache_keeps_of_too_many_arguments_is_small_and_refused_alike(
    args: dict[str, Any],
) -> None:
    """Nobody can be told of what is refused if it takes the memory of the operator first."""
    with pytest.raises(SpecError) as whole:
        check(args)
    left = kept(args)
    with pytest.raises(SpecError) as small:
        check(left)
    assert small.value.message == whole.value.message
    assert len(str(left)) < 200


def test_arguments_within_the_bounds_are_kept_as_they_are() -> None:
    args = deep(BOUNDS.levels)
    assert kept(args) is args
