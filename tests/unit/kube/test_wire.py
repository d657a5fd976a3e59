"""One object that does not fit its type hides no other, and a watch line may be long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from aim_operator import errors
from aim_operator.api.external import JOBS
from aim_operator.api.meta import ObjectMeta
from aim_operator.api.resource import WatchEvent
from aim_operator.api.v1alpha1 import SERVICES
from aim_operator.kube.translate import Call
from aim_operator.kube.wire import Codec, split_lines

CALL = Call("watch", "jobs.batch")


class Undecodable(list[str]):
    """What the codec left out."""


def make_codec() -> tuple[Codec[Any], Undecodable]:
    left_out = Undecodable()
    return Codec(JOBS, left_out.append), left_out


def make_line(event: str, **obj: Any) -> bytes:
    return msgspec.json.encode({"type": event, "object": obj})


def make_metadata(name: str = "a", version: str = "7", **fields: Any) -> dict[str, Any]:
    return {"name": name, "namespace": "team", "resourceVersion": version, **fields}


def test_an_event_carries_its_object_and_version() -> None:
    """The usual line, in one decode."""
    codec, _ = make_codec()
    got = codec.event(make_line("MODIFIED", kind="Job", metadata=make_metadata()), CALL)
    assert (got.type, got.resource_version) == ("MODIFIED", "7")
    assert got.object is not None
    assert got.object.metadata.name == "a"


def test_an_object_without_its_kind_gets_it() -> None:
    """Items of built-in lists do not say what they are."""
    codec, _ = make_codec()
    page = codec.page(msgspec.json.encode({"metadata": {}, "items": [{"metadata": make_metadata()}]}))
    assert (page.items[0].kind, page.items[0].api_version) == ("Job", "batch/v1")


@pytest.mark.parametrize("event", ["ADDED", "MODIFIED", "DELETED"])
def test_an_event_about_an_undecodable_object_still_tells_whose_it_is(event: Any) -> None:
    """Its version is learnt, so that nobody waits for it; a deletion counts; the reason is told once."""
    codec, left_out = make_codec()
    got = codec.event(make_line(event, metadata=make_metadata(uid="u"), spec="nonsense"), CALL)
    metadata = ObjectMeta(name="a", namespace="team", uid="u", resource_version="7")
    assert got == WatchEvent(type=event, resource_version="7", undecodable=metadata)
    assert len(left_out) == 1
    assert "team/a" in left_out[0]


def test_metadata_that_does_not_fit_itself_still_names_its_object() -> None:
    """As much is read as can be."""
    codec, _ = make_codec()
    got = codec.event(make_line("DELETED", metadata=make_metadata(uid="u", labels=3)), CALL)
    assert got.type == "DELETED"
    assert got.undecodable is not None
    assert (got.undecodable.namespace, got.undecodable.name, got.undecodable.uid) == ("team", "a", "u")
    nameless = codec.event(make_line("DELETED", metadata="nonsense"), CALL)
    assert nameless.undecodable == ObjectMeta()


def test_an_undecodable_item_hides_no_other() -> None:
    """The page is what is left."""
    codec, left_out = make_codec()
    body = {
        "metadata": {"resourceVersion": "9", "continue": "more"},
        "items": [{"metadata": make_metadata(), "spec": 3}, {"metadata": make_metadata("b")}],
    }
    page = codec.page(msgspec.json.encode(body))
    assert [item.metadata.name for item in page.items] == ["b"]
    assert [metadata.name for metadata in page.undecodable] == ["a"]
    assert (page.resource_version, page.continue_token) == ("9", "more")
    assert len(left_out) == 1


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list of JSON"),
        pytest.param(b'{"status": "ok"}', id="some other program's"),
        pytest.param(b'{"metadata": {}, "items": {}}', id="items that are none"),
        pytest.param(b'{"metadata": 5, "items": [}', id="JSON that is none further on"),
        pytest.param(b"[" * 100_000, id="lists in lists without an end"),
    ],
)
def test_json_that_is_no_list_is_an_answer_that_can_not_be_used(body: bytes) -> None:
    """Of a proxy, or another server at that port: it was a traceback of whoever asked."""
    codec, _ = make_codec()
    with pytest.raises(errors.Unavailable, match=r"the (answer is no list|list is not JSON)"):
        codec.page(body)


def deep_service(levels: int, name: str = "deep") -> bytes:
    """An AIMService as the API server takes it: its decoder allows ten thousand levels."""
    metadata = msgspec.json.encode(make_metadata(name, uid="u"))
    nested = b"[" * levels + b"]" * levels
    return b'{"spec":{"model":"m","engineArgs":{"a":' + nested + b'}},"metadata":' + metadata + b"}"


@pytest.mark.parametrize("levels", [990, 1500, 9990])
def test_an_object_nested_thousands_of_levels_deep_stops_no_watch(levels: int) -> None:
    """A user who may create one service would else stop the operator for everybody, until it is deleted."""
    left_out = Undecodable()
    codec = Codec(SERVICES, left_out.append)
    got = codec.event(b'{"type":"MODIFIED","object":' + deep_service(levels) + b"}", CALL)
    metadata = got.undecodable or (got.object.metadata if got.object else ObjectMeta())
    assert (got.type, got.resource_version, metadata.name, metadata.uid) == ("MODIFIED", "7", "deep", "u")


@pytest.mark.parametrize("levels", [990, 1500, 9990])
def test_an_object_nested_thousands_of_levels_deep_hides_no_other(levels: int) -> None:
    codec = Codec(SERVICES, Undecodable().append)
    others = [deep_service(1, name) for name in ("a", "b")]
    items = b",".join([others[0], deep_service(levels), others[1]])
    page = codec.page(b'{"metadata":{"resourceVersion":"9"},"items":[' + items + b"]}")
    names = {metadata.name for metadata in page.undecodable} | {item.metadata.name for item in page.items}
    assert names == {"a", "deep", "b"}
    assert {"a", "b"} <= {item.metadata.name for item in page.items}
    assert page.resource_version == "9"


def test_an_answer_nested_too_deep_is_an_error_like_any_that_does_not_fit() -> None:
    left_out = Undecodable()
    with pytest.raises(errors.Unavailable, match="recursion"):
        Codec(SERVICES, left_out.append).object(deep_service(9990))
    assert len(left_out) == 1


@pytest.mark.parametrize("items", [None, []], ids=["null", "empty"])
def test_an_empty_page(items: Any) -> None:
    """Go writes an empty list as null."""
    codec, _ = make_codec()
    assert codec.page(msgspec.json.encode({"metadata": {}, "items": items})).items == ()


def test_any_other_bookmark_ends_no_list() -> None:
    codec, _ = make_codec()
    got = codec.event(make_line("BOOKMARK", metadata=make_metadata(version="9")), CALL)
    assert (got.type, got.resource_version, got.initial_events_end) == ("BOOKMARK", "9", False)


def test_the_bookmark_that_ends_the_initial_list() -> None:
    """KEP-3157 marks it by an annotation."""
    codec, _ = make_codec()
    line = make_line("BOOKMARK", metadata=make_metadata(annotations={"k8s.io/initial-events-end": "true"}))
    assert codec.event(line, CALL).initial_events_end


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(make_line("ERROR", code=410, reason="Expired"), errors.Expired, id="410 is expired"),
        pytest.param(make_line("ERROR", code=500), errors.Unavailable, id="500 is unavailable"),
        pytest.param(b'{"type":"ADD', errors.Unavailable, id="half a line is a broken stream"),
        pytest.param(b"[]", errors.Unavailable, id="something else is a broken stream"),
        pytest.param(
            b'{"type": "ERROR", "object": {"x": %b%b}}' % (b"[" * 3000, b"]" * 3000),
            errors.Unavailable,
            id="one that is nested three thousand levels deep ends it, too",
        ),
    ],
)
def test_error_lines(line: bytes, want: type[errors.ApiError]) -> None:
    """What ends a watch from inside of it."""
    codec, _ = make_codec()
    with pytest.raises(want):
        codec.event(line, CALL)


async def chunked(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000], ids=lambda size: f"chunks of {size}")
async def test_lines_do_not_depend_on_chunks(size: int) -> None:
    """However the network cuts the stream, the lines are the same; an unfinished one is dropped."""
    got = [line async for line in split_lines(chunked(b"one\n\ntwo two\nthree\nunfinished", size))]
    assert got == [b"one", b"two two", b"three"]


async def test_a_line_of_megabytes_is_a_line() -> None:
    """An object of 1.5 MiB, in the pieces a socket gives."""
    long = b"x" * 3_000_000
    assert [line async for line in split_lines(chunked(long + b"\n", 65536))] == [long]


async def test_many_lines_in_pieces_are_no_long_one() -> None:
    """A watch brings megabytes in an hour."""
    lines = [line async for line in split_lines(chunked(b"eight---\n" * 100, 7), limit=20)]
    assert lines == [b"eight---"] * 100


async def test_a_line_without_end_is_given_up() -> None:
    """Memory is bounded, whatever the other side sends."""
    with pytest.raises(errors.Unavailable, match="longer than 100 bytes"):
        _ = [line async for line in split_lines(chunked(b"x" * 1000, 10), limit=100)]
