"""Kubernetes' JSONPath: what each spelling selects, what is refused with which words, and what it costs.

That paths select what kubectl selects is in test_jsonpath_kubectl.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core import jsonpath
from aim_operator.core.jsonpath_steps import Name
from aim_operator.errors import SpecError

DOCUMENT: dict[str, Any] = {
    "apiVersion": "aim.silogen.ai/v1alpha1",
    "metadata": {
        "name": "chat",
        "labels": {
            "team": "search",
            "app.kubernetes.io/name": "aim",
            "it's": "quoted",
            "a b": "blank",
            "brace}": "closed",
            "back\\slash": "slash",
            "größe": "xl",
            "*": "star",
        },
        "annotations": {},
    },
    "spec": {
        "model": "llama",
        "replicas": 2,
        "ratio": 0.5,
        "cacheModel": True,
        "nothing": None,
        "routing": {"enabled": False},
        "sizes": [{"name": "small", "gb": 2}, {"name": "large", "gb": 7.5}, {"name": "none", "gb": "8"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "C"}],
    },
}


def select(template: str) -> str:
    (part,) = jsonpath.parse(template)
    assert isinstance(part, jsonpath.Expression)
    assert part.source == template
    return jsonpath.evaluate(part, DOCUMENT)


@pytest.mark.parametrize(
    ("template", "want"),
    [
        pytest.param("{.spec.model}", "llama", id="a field"),
        pytest.param("{$.spec.model}", "llama", id="from the root"),
        pytest.param("{@.spec.model}", "llama", id="from the current object"),
        pytest.param("{ .spec.model }", "llama", id="with blanks"),
        pytest.param("{.metadata.labels['team']}", "search", id="a key in single quotes"),
        pytest.param('{.metadata.labels["team"]}', "search", id="a key in double quotes"),
        pytest.param("{.metadata.labels.['team']}", "search", id="a dot before the bracket"),
        pytest.param("{['metadata']['name']}", "chat", id="brackets from the start"),
        pytest.param("{.metadata.labels[ 'team' ]}", "search", id="blanks in brackets"),
        pytest.param(r"{.metadata.labels.app\.kubernetes\.io/name}", "aim", id="escaped dots"),
        pytest.param("{.metadata.labels['app.kubernetes.io/name']}", "aim", id="dots in quotes"),
        pytest.param(r"{.metadata.labels['app\.kubernetes\.io/name']}", "aim", id="escaped dots in quotes"),
        pytest.param(r"{.metadata.labels['it\'s']}", "quoted", id="an escaped quote"),
        pytest.param('{.metadata.labels["it\'s"]}', "quoted", id="the other quote"),
        pytest.param("{.metadata.labels['a b']}", "blank", id="a blank in a key"),
        pytest.param(r"{.metadata.labels.a\ b}", "blank", id="an escaped blank"),
        pytest.param("{.metadata.labels['brace}']}", "closed", id="a brace in quotes"),
        pytest.param(r"{.metadata.labels.back\\slash}", "slash", id="an escaped backslash"),
        pytest.param("{.metadata.labels.größe}", "xl", id="a key in another script"),
        pytest.param(r"{.metadata.labels.\*}", "star", id="an escaped star is a name"),
        pytest.param("{.spec.env[0].name}", "A", id="an index"),
        pytest.param("{.spec.env[-1].name}", "C", id="a negative index"),
        pytest.param("{.spec.env[01].name}", "B", id="an index with a leading zero"),
        pytest.param("{.spec.env[-0].name}", "A", id="minus zero"),
        pytest.param("{.spec.env[1:2].name}", "B", id="a slice of one"),
        pytest.param("{.spec.env[2:].name}", "C", id="an open slice of one"),
        pytest.param("{.spec.env[?(@.name=='B')].value}", "2", id="a filter"),
        pytest.param('{.spec.env[?( @.name == "B" )].value}', "2", id="a filter with blanks"),
        pytest.param("{.spec.env[?(@.value>'1')].name}", "B", id="a filter by order"),
        pytest.param("{.spec.routing[?(@==false)]}", "false", id="a filter by a boolean"),
        pytest.param("{.spec.routing[?(@!=true)]}", "false", id="a filter by a difference"),
        pytest.param("{.metadata[?(@.team)].team}", "search", id="a filter by presence"),
        pytest.param("{.spec.env[?(@['name']=='B')].value}", "2", id="a filter by a quoted field"),
        pytest.param("{.spec.sizes[?(@.gb>=7.5)].name}", "large", id="a filter by a number"),
        pytest.param("{.spec.sizes[?(@.gb<3)].name}", "small", id="numbers and texts have no order"),
        pytest.param("{.spec.env[0:1].name}", "A", id="a slice from the start"),
        pytest.param("{.spec.env[0:9:5].name}", "A", id="a slice with a step"),
        pytest.param("{..model}", "llama", id="a descent that finds one"),
        pytest.param("{..['team']}", "search", id="a descent to a quoted key"),
        pytest.param("{..env[0].name}", "A", id="a descent with steps after it"),
        pytest.param("{.metadata..team}", "search", id="a descent further in"),
        pytest.param("{.spec.routing.*}", "false", id="a wildcard that finds one"),
        pytest.param("{.spec.replicas}", "2", id="a number"),
        pytest.param("{.spec.ratio}", "0.5", id="a fraction"),
        pytest.param("{.spec.cacheModel}", "true", id="a boolean"),
    ],
)
def test_selects(template: str, want: str) -> None:
    assert select(template) == want


def test_a_template_is_text_expressions_and_quoted_strings_in_order() -> None:
    got = jsonpath.parse("/v1/{.spec.model}/{'a}b'}x")
    assert got == (
        jsonpath.Text("/v1/"),
        jsonpath.Expression("{.spec.model}", (Name("spec"), Name("model"))),
        jsonpath.Text("/"),
        jsonpath.Text("a}b", quoted=True),
        jsonpath.Text("x"),
    )


@pytest.mark.parametrize("template", ["", "/plain/path", "100%"])
def test_text_alone_needs_no_expression(template: str) -> None:
    assert all(part == jsonpath.Text(template) for part in jsonpath.parse(template))


def evaluate_all(template: str, document: dict[str, Any]) -> None:
    for part in jsonpath.parse(template):
        if isinstance(part, jsonpath.Expression):
            jsonpath.evaluate(part, document)


def refusal(template: str) -> str:
    with pytest.raises(SpecError) as caught:
        evaluate_all(template, DOCUMENT)
    assert caught.value.reason == Reason.ROUTE_TEMPLATE_INVALID
    assert caught.value.message.startswith("routeTemplate: ")
    assert caught.value.message.isprintable()
    return caught.value.message


@pytest.mark.parametrize(
    ("template", "want"),
    [
        pytest.param("{.spec.absent}", "selects nothing; set that field on the AIMService", id="missing"),
        pytest.param("{.spec.env[7].name}", "selects nothing", id="an index out of range"),
        pytest.param("{.metadata.name[0]}", "selects nothing", id="an index into text"),
        pytest.param("{.spec.env[::0].name}", "does not advance; use a step of 1", id="a slice that stands"),
        pytest.param("{.spec.env[::-1].name}", "does not advance", id="a slice that goes back"),
        pytest.param("{.spec.nothing}", "selects nothing", id="null"),
        pytest.param("{.spec.env[*].name}", "selects several values; select exactly one", id="a wildcard"),
        pytest.param(
            "{.spec.env[0,1].name}",
            "selects by several keys, and a path has one value; keep one",
            id="a union",
        ),
        pytest.param("{.metadata['name','uid']}", "selects by several keys", id="a union of keys"),
        pytest.param("{.spec.env[*,*].name}", "selects by several keys", id="a union of wildcards"),
        pytest.param("{.spec.env[0:2].name}", "selects several values", id="a slice"),
        pytest.param("{.spec.env[?(@.value)].name}", "selects several values", id="a filter"),
        pytest.param("{..name}", "selects several values", id="a descent"),
        pytest.param("{.metadata.labels}", "selects a map; select a single text", id="a map"),
        pytest.param("{$}", "selects a map", id="the whole object"),
        pytest.param("{.spec.env}", "selects a list", id="a list"),
        pytest.param(
            "/{.spec.model", "\"{.spec.model\" has a '{' that is not closed; close it", id="unclosed"
        ),
        pytest.param("/{", "does not start with '.'", id="a brace at the end"),
        pytest.param("/a}", "has a '}' without a '{'; remove it, or write %7D", id="a stray brace"),
        pytest.param("{{.spec.model}}", "does not start with '.'", id="double braces"),
        pytest.param("{}", "selects nothing; write a JSONPath between the braces", id="nothing in braces"),
        pytest.param("{.}", "no field name after it", id="a dot alone"),
        pytest.param("{.spec.}", "no field name after it", id="a dot at the end"),
        pytest.param("{.spec...model}", "no field name after it", id="three dots"),
        pytest.param(
            "{spec.model}", "does not start with '.'; write a JSONPath such as", id="no leading dot"
        ),
        pytest.param("{range .spec.env[*]}{.name}{end}", "is a loop, and a path has one value", id="range"),
        pytest.param("{end}", "is a loop", id="end"),
        pytest.param("{1}", "does not start with '.'", id="a number"),
        pytest.param("{.spec.model .metadata.name}", 'can\'t be read from ".metadata." on', id="two paths"),
        pytest.param("{.spec.model|upper}", "selects nothing", id="a pipe is part of a name"),
        pytest.param("{.spec[model]}", "no index and no quoted key; write [0] or ['team']", id="a bare key"),
        pytest.param("{.spec.env[1}", "'[' that is not closed", id="an unclosed bracket"),
        pytest.param("{.spec.env[]}", "no index and no quoted key", id="empty brackets"),
        pytest.param("{.spec.env[-]}", "no index and no quoted key", id="a minus alone"),
        pytest.param("{.spec.env[12345678901]}", "'[' that is not closed", id="a huge index"),
        pytest.param(
            "{.metadata.labels['team]}", "quote that is not closed; close it with '", id="an open quote"
        ),
        pytest.param("{.spec.model\\", "ends in a backslash", id="a backslash at the end"),
        pytest.param("{..labels..team}", "descends more than once", id="two descents"),
        pytest.param(
            "{.spec.env[?(@..name=='A')].value}", "has a filter that searches", id="a descent in a filter"
        ),
        pytest.param("{.spec.env[?(@.name='A')].value}", "filter that can't be read", id="a single ="),
        pytest.param("{.spec.env[?(@.name=~'A.*')].value}", "filter that can't be read", id="a pattern"),
        pytest.param(
            "{.spec.env[?(length(@.name)==1)].value}",
            "does not start with '@'; filter by a field",
            id="a function",
        ),
        pytest.param("{.spec.env[?(@.name==@.value)]}", "compare one field with a text", id="two fields"),
        pytest.param(
            "{.spec.env[?(@.name==$.kind)]}", "filter that can't be read", id="the root in a filter"
        ),
        pytest.param("{.spec.env[?(@.name=='A'||@.name=='B')]}", "can't be read", id="an alternative"),
        pytest.param("{.spec.env[?(@.name==A)]}", "filter that can't be read", id="a literal without quotes"),
        pytest.param(
            "{.spec.env[?(@.name=='A' && @.value)]}", "filter that can't be read", id="a conjunction"
        ),
        pytest.param("{.spec.env[?(@.name=='A'].value}", "filter that can't be read", id="an open filter"),
        pytest.param("{.spec.env[?(@[?(@.a)])].value}", "has a filter that searches", id="a nested filter"),
        pytest.param(
            "{.spec.env[?(@.*=='A')].value}",
            "has a filter that searches; filter by one field",
            id="a wildcard in a filter",
        ),
        pytest.param("{.spec.env[?(@.a[0:1]=='A')]}", "has a filter that searches", id="a slice in a filter"),
        pytest.param("{.spec.env[?('A')].value}", "does not start with '@'", id="a filter by a constant"),
        pytest.param("{.spec.env[?('A'==@.name)].value}", "does not start with '@'", id="a constant first"),
        pytest.param("{.spec.env[?(@.name<'A')].name}", "selects nothing", id="a filter that none meets"),
        pytest.param("{.spec.env[?(@.none!='A')].name}", "selects nothing", id="a filter by a missing field"),
        pytest.param("{..}", "no field name after it", id="a descent to nothing"),
        pytest.param("{..*}", "'..' with no field name after it; name a field", id="a descent to all"),
        pytest.param("{..[0]}", "'..' with no field name after it", id="a descent to an index"),
        pytest.param("{..[?(@.name=='A')]}", "no index and no quoted key", id="a descent to a filter"),
        pytest.param("{.metadata.labels['a\x00']}", "selects nothing", id="a control character"),
        pytest.param("{.metadata.labels['\ud800']}", "selects nothing", id="a lone surrogate"),
        pytest.param("{" + ".a" * 17 + "}", "has more than 16 steps", id="too many steps"),
        pytest.param(
            "{.spec" + "[?(@.a.b.c.d=='A')]" * 4 + "}",
            "has more than 16 steps",
            id="too many steps in filters",
        ),
        pytest.param(
            "{.spec.env[*].name}" * 4 + "{.a[0:1]}", "more than the 4 searches of a template", id="searches"
        ),
        pytest.param("{''}" * 17, "has too many expressions", id="too many quoted texts"),
        pytest.param("{.spec.model}" * 17, "has too many expressions; use at most 16", id="too many"),
        pytest.param(
            "{." + "a" * 300 + "}", "has 303 characters; use at most 256", id="too long an expression"
        ),
        pytest.param("/" * 1025, "has 1025 characters; use at most 1024", id="too long a template"),
    ],
)
def test_refuses_in_one_line_with_a_remedy(template: str, want: str) -> None:
    assert want in refusal(template)


fragments = st.sampled_from(
    [
        *"{}[].,:*?@$()'\"\\ =!<>-01/%",
        "..",
        "[?(",
        "{.",
        ".spec",
        ".metadata",
        ".env",
        "name",
        "range",
        "true",
    ]
)
templates = st.lists(fragments, max_size=30).map("".join) | st.text(max_size=60)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)
documents = st.dictionaries(
    st.sampled_from(["spec", "metadata", "name", "env"]) | st.text(max_size=3),
    st.recursive(
        scalars,
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(
                st.sampled_from(["spec", "env", "name"]) | st.text(max_size=3), children, max_size=3
            )
        ),
        max_leaves=10,
    ),
    max_size=4,
)


@given(templates, documents)
def test_any_template_over_any_object_gives_text_or_a_spec_error(
    template: str, document: dict[str, Any]
) -> None:
    try:
        evaluate_all(template, document)
    except SpecError as error:
        assert error.message.isprintable()  # noqa: PT017


@given(st.text(min_size=1, max_size=40))
def test_every_key_can_be_spelled_in_quotes(key: str) -> None:
    spelled = key.replace("\\", "\\\\").replace("'", "\\'")
    (part,) = jsonpath.parse(f"{{.labels['{spelled}']}}")
    assert isinstance(part, jsonpath.Expression)
    if key.isprintable():
        assert jsonpath.evaluate(part, {"labels": {key: "x"}}) == "x"


def test_a_deep_object_is_searched_without_recursion() -> None:
    deep: dict[str, Any] = {"team": "search"}
    for _ in range(50_000):
        deep = {"a": deep}
    (part,) = jsonpath.parse("{..team}")
    assert isinstance(part, jsonpath.Expression)
    assert jsonpath.evaluate(part, deep) == "search"
