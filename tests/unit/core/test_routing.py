"""Route paths: rendered from the AIMService, normalised, and never refused by Gateway API.

`gateway_accepts` repeats the CEL rules of HTTPPathMatch in gateway-api v1.4.1.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aim_operator.api.meta import ObjectMeta
from aim_operator.api.v1alpha1 import AIMService, AIMServiceSpec, AIMServiceStatus, EnvVar
from aim_operator.api.v1alpha1.conditions import Reason
from aim_operator.core.routing import covers, document, keeps_apart, literal_path, render_path
from aim_operator.errors import SpecError

UID = "5f2b9c6e-0d5f-4f7e-9a63-0f3f0e6c1a11"
VALID = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+")


def gateway_accepts(path: str) -> bool:
    return (
        path.startswith("/")
        and not any(part in path for part in ("//", "/./", "/../", "%2f", "%2F", "#"))
        and not path.endswith(("/..", "/."))
        and VALID.fullmatch(path) is not None
        and len(path) <= 1024
    )


def make_service(**labels: str) -> AIMService:
    return AIMService(
        api_version="",
        kind="",
        metadata=ObjectMeta(
            name="chat",
            namespace="ml-team",
            uid=UID,
            resource_version="42",
            generation=3,
            labels={"team": "Search", **labels},
        ),
        spec=AIMServiceSpec(model="meta-llama-3-8b-instruct", env=(EnvVar(name="A", value="x y"),)),
        status=AIMServiceStatus(status="Running"),
    )


def render(template: str | None, **labels: str) -> str:
    return render_path(template, document(make_service(**labels)), namespace="ml-team", uid=UID)


@pytest.mark.parametrize(
    ("template", "labels", "want"),
    [
        pytest.param(None, {}, f"/ml-team/{UID}", id="no template gives namespace and uid"),
        pytest.param(
            "/{.metadata.namespace}/{.metadata.labels['team']}/{.spec.model}/",
            {},
            "/ml-team/search/meta-llama-3-8b-instruct",
            id="the example of the seed",
        ),
        pytest.param("/v1/Chat", {}, "/v1/chat", id="text is lower-cased"),
        pytest.param("v1", {}, "/v1", id="a leading slash is added"),
        pytest.param("/v1/", {}, "/v1", id="a trailing slash is trimmed"),
        pytest.param("//v1///chat//", {}, "/v1/chat", id="empty segments are dropped"),
        pytest.param("/a/a", {}, "/a/a", id="equal segments are not"),
        pytest.param("/{.metadata.labels.x}/v1", {"x": ""}, "/v1", id="an empty value is an empty segment"),
        pytest.param("/{.metadata.labels.x}", {"x": "A/b//C"}, "/a/b/c", id="a slash in a value separates"),
        pytest.param("/{.metadata.labels.x}", {"x": "/" * 1023 + "a"}, "/a", id="even a thousand of them"),
        pytest.param("/{.metadata.labels.x}", {"x": "a%2Fb"}, "/a%252fb", id="a triplet in a value is data"),
        pytest.param("/{.metadata.labels.x}", {"x": "50%"}, "/50%25", id="so is a percent sign"),
        pytest.param("/a%20b", {}, "/a%20b", id="a triplet in the template is kept"),
        pytest.param("/a%c3%a4", {}, "/a%C3%A4", id="with upper-case digits"),
        pytest.param("/%41b%7e%31", {}, "/ab~1", id="that of an unreserved character is the character"),
        pytest.param("/%2541", {}, "/%2541", id="but what it encodes twice is not decoded twice"),
        pytest.param("/50%/%zz", {}, "/50%25/%25zz", id="a bare percent sign is data"),
        pytest.param(
            "/%{.metadata.labels.x}", {"x": "2f"}, "/%252f", id="a triplet never spans text and value"
        ),
        pytest.param("/a b?c#d", {}, "/a%20b%3Fc%23d", id="reserved characters are encoded"),
        pytest.param("/-._~", {}, "/-._~", id="unreserved ones are not"),
        pytest.param("/Größe", {}, "/gr%C3%B6%C3%9Fe", id="other scripts are encoded as UTF-8"),
        pytest.param("/...", {}, "/...", id="three dots are a name"),
        pytest.param("/{'A/b%2f'}", {}, "/a/b%252f", id="a quoted string is data"),
        pytest.param("/{.spec.env[0].value}", {}, "/x%20y", id="an index"),
        pytest.param("/{.spec.aimImageName}", {}, "/meta-llama-3-8b-instruct", id="the alias of the model"),
        pytest.param("/{.spec.replicas}", {}, "/1", id="a number"),
        pytest.param("/" + "a" * 198, {}, "/" + "a" * 198, id="199 characters"),
    ],
)
def test_path(template: str | None, labels: dict[str, str], want: str) -> None:
    assert render(template, **labels) == want


@pytest.mark.parametrize(
    ("template", "labels", "want"),
    [
        pytest.param(
            "/", {}, "the path is '/', which would take the whole Gateway; add a segment", id="root"
        ),
        pytest.param("", {}, "the path is '/'", id="empty"),
        pytest.param("/{.metadata.labels.x}", {"x": ""}, "the path is '/'", id="empty by its values"),
        pytest.param("/a/../b", {}, 'segment ".." stands for another directory', id="two dots"),
        pytest.param("/a/.", {}, 'segment "." stands for another directory; remove or rename it', id="a dot"),
        pytest.param("/%2e%2E/b", {}, 'segment ".." stands for another directory', id="dots as triplets"),
        pytest.param("/.%2e", {}, "stands for another directory", id="dots half as triplets"),
        pytest.param("/{.metadata.labels.x}", {"x": "a/../b"}, "another directory", id="dots in a value"),
        pytest.param(
            "/.{.metadata.labels.x}", {"x": "."}, "another directory", id="dots across text and value"
        ),
        pytest.param("/a%2Fb", {}, 'segment "a%2Fb" has an encoded slash; write /', id="an encoded slash"),
        pytest.param("/a%2fb", {}, "has an encoded slash", id="an encoded slash in lower case"),
        pytest.param("/a\\b", {}, 'segment "a%5Cb" has a backslash; write /', id="a backslash"),
        pytest.param("/..%5cb", {}, "has a backslash", id="dots before a backslash as a triplet"),
        pytest.param(
            "/.well-known/acme-challenge",
            {},
            'the path "/.well-known/acme-challenge" is below /.well-known, which is about the whole host',
            id="where a host is proven to be somebody's",
        ),
        pytest.param("//.WELL-Known/", {}, "is below /.well-known", id="the same in capitals"),
        pytest.param("/%2ewell%2Dknown/x", {}, "is below /.well-known", id="the same as triplets"),
        pytest.param("/{.metadata.labels.x}", {"x": ".well-known"}, "is below", id="the same by a value"),
        pytest.param("/a\nb", {}, "has a control character; remove it", id="a line break"),
        pytest.param("/a%0ab", {}, "has a control character", id="a line break as a triplet"),
        pytest.param("/%7F", {}, "has a control character", id="DEL as a triplet"),
        pytest.param("/%C2%85", {}, "has a control character", id="a C1 control as triplets"),
        pytest.param("/{.metadata.labels.x}", {"x": "\x00"}, "has a control character", id="NUL in a value"),
        pytest.param("/\ud800", {}, "is no valid Unicode text", id="a lone surrogate"),
        pytest.param(
            "/" + "a" * 199,
            {},
            "has 200 characters once encoded; shorten the template or the values it selects, to at most 199",
            id="a path of exactly 200 characters",
        ),
        pytest.param("/" + "a" * 200, {}, "has 201 characters once encoded; shorten", id="too long"),
        pytest.param("/" + "ä" * 40, {}, "has 241 characters once encoded", id="too long once encoded"),
        pytest.param(
            "/{.metadata.labels.x}",
            {"x": "/" * 1025},
            '"{.metadata.labels.x}" selects a text of 1025 characters; select one of at most 1024',
            id="a value that is too long to look at",
        ),
        pytest.param("/{.metadata.labels.absent}", {}, "selects nothing", id="a missing label"),
        pytest.param("/{.metadata.labels}", {}, "selects a map", id="a map"),
        pytest.param("/{.status.status}", {}, "selects nothing", id="the status is not there"),
        pytest.param("/{.metadata.generation}", {}, "selects nothing", id="nor is the generation"),
    ],
)
def test_refuses_in_one_line_with_a_remedy(template: str, labels: dict[str, str], want: str) -> None:
    with pytest.raises(SpecError) as caught:
        render(template, **labels)
    assert caught.value.reason == Reason.ROUTE_TEMPLATE_INVALID
    assert caught.value.message.startswith("routeTemplate: ")
    assert caught.value.message.isprintable()
    assert want in caught.value.message


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(AIMServiceSpec(model="llama"), id="by model"),
        pytest.param(AIMServiceSpec(aim_image_name="llama"), id="by its alias"),
        pytest.param(AIMServiceSpec(model="llama", aim_image_name="llama"), id="by both"),
    ],
)
def test_both_spellings_of_the_model_are_in_the_document(spec: AIMServiceSpec) -> None:
    got = document(AIMService(metadata=ObjectMeta(name="chat"), spec=spec))
    assert got["spec"]["model"] == got["spec"]["aimImageName"] == "llama"


def test_the_document_is_the_service_without_what_changes_by_itself() -> None:
    got = document(make_service())
    assert (got["apiVersion"], got["kind"]) == ("aim.silogen.ai/v1alpha1", "AIMService")
    assert "status" not in got
    assert got["metadata"].keys().isdisjoint({"resourceVersion", "generation", "managedFields"})
    assert got["metadata"]["labels"] == {"team": "Search"}
    assert got["spec"]["env"] == [{"name": "A", "value": "x y"}]


def test_a_write_of_ours_does_not_move_the_path() -> None:
    before = make_service()
    after = AIMService(
        api_version="aim.silogen.ai/v1alpha1",
        kind="AIMService",
        metadata=ObjectMeta(
            name="chat",
            namespace="ml-team",
            uid=UID,
            resource_version="43",
            generation=4,
            labels={"team": "Search"},
        ),
        spec=before.spec,
        status=None,
    )
    assert document(before) == document(after)


texts = st.text(max_size=20) | st.text(alphabet="aZ/.%2fFeE~! {}é\x7f\ud800", max_size=20)
documents = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"labels": st.dictionaries(st.just("x"), texts)}),
        "spec": st.fixed_dictionaries(
            {"model": texts, "replicas": st.integers(-5, 5), "env": st.lists(texts, max_size=2)}
        ),
    }
)
pieces = texts | st.sampled_from(
    [
        "{.metadata.labels.x}",
        "{.spec.model}",
        "{.spec.replicas}",
        "{.spec.env[0]}",
        "{..x}",
        "{'q/%'}",
        "/",
        "%",
    ]
)
templates = st.none() | st.lists(pieces, max_size=8).map("".join)


@given(templates, documents)
@example("/%{.spec.model}", {"metadata": {}, "spec": {"model": "2F"}})
def test_any_template_gives_a_path_that_gateway_api_takes_or_a_spec_error(
    template: str | None, service: dict[str, Any]
) -> None:
    try:
        got = render_path(template, service, namespace="ns", uid=UID)
    except SpecError as error:
        assert error.reason == Reason.ROUTE_TEMPLATE_INVALID  # noqa: PT017
        return
    assert gateway_accepts(got)
    assert len(got) < 200
    assert got != "/"
    assert not got.endswith("/")
    assert literal_path(got) == got


@given(texts)
def test_literal_paths_are_idempotent(path: str) -> None:
    try:
        got = literal_path(path)
    except SpecError:
        return
    assert gateway_accepts(got)
    assert literal_path(got) == got


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8))
def test_a_path_decodes_to_the_value_in_lower_case(value: str) -> None:
    try:
        got = render_path("/v/{.x}", {"x": value}, namespace="ns", uid=UID)
    except SpecError:
        return
    want = "/".join(segment for segment in value.lower().split("/") if segment)
    assert unquote(got) == f"/v/{want}".rstrip("/")


@pytest.mark.parametrize(
    ("path", "want"),
    [
        ("/team", True),
        ("/team/x", True),
        ("/teams", False),
        ("/team-b/x", False),
        ("/tea", False),
        ("/x", False),
    ],
)
def test_a_prefix_covers(path: str, *, want: bool) -> None:
    assert covers("/team", path) is want


@pytest.mark.parametrize(
    ("prefix", "want"),
    [
        (None, False),
        ("/models", False),
        ("/{.metadata.namespace}", True),
        ("/models/{.metadata.namespace}/x", True),
    ],
)
def test_namespaces_are_kept_apart_by(prefix: str | None, *, want: bool) -> None:
    assert keeps_apart(prefix) is want
