"""Where kubectl prints one value for a path, a route template selects that value.

kubectl's algorithm (k8s.io/client-go/util/jsonpath) stands here for generated paths, the answers of a
real kubectl beside it. Elsewhere we may be more generous: a wildcard over a map, keys in double quotes.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from aim_operator.core import jsonpath
from aim_operator.errors import SpecError

DOCUMENT: dict[str, Any] = {
    "metadata": {"name": "chat", "labels": {"team": "search", "app.kubernetes.io/name": "aim"}},
    "spec": {
        "model": "llama",
        "replicas": 2,
        "ratio": 0.5,
        "cacheModel": True,
        "routing": {"enabled": False},
        "one": [{"name": "only"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C"}],
        "nested": [[1, 2], [3]],
    },
}


def ours(template: str, document: dict[str, Any]) -> str | None:
    (part,) = jsonpath.parse(template)
    assert isinstance(part, jsonpath.Expression)
    try:
        return jsonpath.evaluate(part, document)
    except SpecError:
        return None


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        (r"{.metadata.labels.app\.kubernetes\.io/name}", "aim"),
        (r"{.metadata.labels['app\.kubernetes\.io/name']}", "aim"),
        ("{['metadata']['name']}", "chat"),
        ("{$.spec.model}", "llama"),
        ("{@.spec.model}", "llama"),
        ("{.spec.ratio}", "0.5"),
        ("{.spec.cacheModel}", "true"),
        ("{.spec.routing.*}", "false"),
        ("{.spec.one[*].name}", "only"),
        ("{.spec.env[-1].name}", "C"),
        ("{.spec.env[-3].name}", "A"),
        ("{.spec.env[0:1].name}", "A"),
        ("{.spec.env[-1:].name}", "C"),
        ("{.spec.env[1:-1].name}", "B"),
        ("{.spec.env[:1].name}", "A"),
        ("{.spec.env[0:3:3].name}", "A"),
        ("{.spec.nested[1][0]}", "3"),
        ("{.spec.env[?(@.name=='B')].value}", "2"),
        ('{.spec.env[?(@.name == "B")].value}', "2"),
        ("{.spec.env[?(@.value!='1')].name}", "B"),
        ("{.spec.env[?(@.value>='2')].name}", "B"),
        ("{.spec.env[?(@.name<'B')].value}", "1"),
        ("{..team}", "search"),
        ("{.spec..model}", "llama"),
        ("{..env[1].value}", "2"),
        ("{..labels['team']}", "search"),
    ],
)
def test_what_kubectl_1_32_prints(template: str, printed: str) -> None:
    # Recorded: kubectl patch --local -f document.json --type=merge -p '{}' -o jsonpath=TEMPLATE
    assert ours(template, DOCUMENT) == printed


class Failed(Exception):
    """kubectl prints an error, and no value."""


class Step(Struct, frozen=True):
    kind: str
    spelling: str
    argument: Any = None

    def select(self, values: list[Any]) -> list[Any]:
        """evalField, evalArray, evalWildcard, evalRecursive and evalFilter of jsonpath.go."""
        match self.kind:
            case "field":
                return [value[self.argument] for value in values if has(value, self.argument)]
            case "array":
                return [item for value in values for item in array(value, *self.argument)]
            case "wildcard":
                return [child for value in values for child in children(value)]
            case "descent":
                inner = [below for value in values for below in containers(value)]
                return [value[self.argument] for value in inner if has(value, self.argument)]
            case _:
                return [item for value in values for item in filtered(value, *self.argument)]


def has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and key in value


def children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def containers(value: Any) -> list[Any]:
    below = [inner for child in children(value) for inner in containers(child)]
    return [value, *below] if isinstance(value, dict | list) and value else below


def array(value: Any, start: int | None, stop: int | None) -> list[Any]:
    if not isinstance(value, list):
        raise Failed
    first = (start or 0) + (len(value) if (start or 0) < 0 else 0)
    end = len(value) if stop is None else stop + (len(value) if stop < 0 else 0)
    if first == end:
        return []
    if not 0 <= first < len(value) or not 0 <= end <= len(value) or first > end:
        raise Failed
    return value[first:end]


def filtered(value: Any, field: str, comparison: str, literal: str) -> list[Any]:
    if not isinstance(value, list):
        raise Failed
    selected = []
    for item in value:
        left = item.get(field) if isinstance(item, dict) else None
        if left is None:
            continue
        if not isinstance(left, str):
            raise Failed
        orders = {"==": left == literal, "!=": left != literal, "<": left < literal, ">=": left >= literal}
        if orders[comparison]:
            selected.append(item)
    return selected


keys = st.sampled_from(["a", "b", "c.d"])
bounds = st.none() | st.integers(-3, 3)
comparisons = st.sampled_from(["==", "!=", "<", ">="])
documents = st.dictionaries(
    keys,
    st.recursive(
        st.sampled_from(["x", "y", 1, True]),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=3) | st.dictionaries(keys, inner, min_size=1, max_size=3)
        ),
        max_leaves=15,
    ),
    min_size=1,
    max_size=3,
)


def escaped(key: str) -> str:
    return key.replace(".", "\\.")


def on_maps(value: dict[str, Any]) -> st.SearchStrategy[Step]:
    named = st.sampled_from(sorted(value)) if value else keys
    return (
        named.map(lambda key: Step("field", f".{escaped(key)}", key))
        | named.map(lambda key: Step("field", f"['{escaped(key)}']", key))
        | keys.map(lambda key: Step("descent", f"..{escaped(key)}", key))
        | st.just(Step("wildcard", ".*"))
    )


def on_lists() -> st.SearchStrategy[Step]:
    return (
        st.integers(-2, 2).map(lambda index: Step("array", f"[{index}]", (index, (index + 1) or None)))
        | st.tuples(bounds, bounds).map(
            lambda ends: Step("array", "[{}:{}]".format(*("" if end is None else end for end in ends)), ends)
        )
        | st.sampled_from([Step("wildcard", "[*]"), Step("descent", "..a", "a")])
        | st.tuples(st.sampled_from("ab"), comparisons, st.sampled_from("xy")).map(
            lambda parts: Step("filter", "[?(@.{}{}'{}')]".format(*parts), parts)
        )
    )


@st.composite
def walks(draw: st.DrawFn) -> tuple[dict[str, Any], list[Step], list[Any]]:
    """An object, a path that goes somewhere in it, and what kubectl selects."""
    document = draw(documents)
    path: list[Step] = []
    selected: list[Any] = [document]
    while len(path) < 6 and selected and isinstance(selected[0], dict | list):
        step = draw(on_maps(selected[0]) if isinstance(selected[0], dict) else on_lists())
        if step.kind == "descent" and any(before.kind == "descent" for before in path):
            break
        try:
            after = step.select(selected)
        except Failed:
            break
        path.append(step)
        selected = after
    return document, path, selected


@given(walks())
def test_one_value_of_kubectl_is_ours(walk: tuple[dict[str, Any], list[Step], list[Any]]) -> None:
    document, path, selected = walk
    template = f"{{${''.join(step.spelling for step in path)}}}"
    try:
        got = ours(template, document)
    except SpecError as refused:
        assert "more than" in refused.message  # noqa: PT017
        return
    if len(selected) == 1 and not isinstance(selected[0], dict | list):
        assert got == ("true" if selected[0] is True else str(selected[0]))
    else:
        assert got is None
