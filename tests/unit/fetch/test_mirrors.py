"""Mirrors that do less than the Hub: a way through, or a sentence that says what is missing."""

from __future__ import annotations

import random
from hashlib import sha256
from pathlib import Path

import pytest
from aiohttp import web

from aim_operator.fetch.answers import checked_stop
from aim_operator.fetch.partial import CHUNK_BYTES
from aim_operator.fetch.retrying import Transient
from tests.support.fetch_process import assert_same_files
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.unit.fetch.test_http import serving


async def test_a_mirror_without_trees_and_sizes_that_refuses_head(hub: Hub, tmp_path: Path) -> None:
    """Sizes and checksums are those that the answer for the first byte tells, also of an empty file."""
    hub.trees = hub.sizes = hub.heads = False
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    assert "1 of them have no checksum" in outcome.message, "the empty one, which no range is of"
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        pytest.param(200, {"Content-Length": "60"}, id="a file beside it that is compressed"),
        pytest.param(200, {}, id="compressed while it is sent"),
        pytest.param(206, {"Content-Range": "bytes 0-49/100"}, id="a part, while it is sent"),
        pytest.param(206, {"Content-Range": "bytes 0-49/60", "Content-Length": "50"}, id="a part of another"),
        pytest.param(206, {"Content-Length": "30"}, id="a part that does not say of what"),
    ],
)
def test_a_mirror_that_compresses_models_on_the_way_is_said(status: int, headers: dict[str, str]) -> None:
    """What is compressed is not what the hub listed, by its length already."""
    with pytest.raises(Transient, match=r"mirror answered with Content-Encoding gzip.* send models as they"):
        checked_stop("mirror", status, GZIP | headers, range(50), 100)


@pytest.mark.parametrize(
    ("status", "headers", "stop"),
    [
        pytest.param(206, {"Content-Range": "bytes 0-49/100", "Content-Length": "50"}, 50, id="a part"),
        pytest.param(206, {"Content-Range": "bytes 0-9/100", "Content-Length": "10"}, 10, id="less of it"),
        pytest.param(206, {"Content-Length": "50"}, 50, id="a part that does not say of what"),
    ],
)
def test_a_mirror_may_have_stored_files_with_an_encoding(
    status: int, headers: dict[str, str], stop: int
) -> None:
    """A bucket behind it keeps the word; the bytes are the file's own."""
    assert checked_stop("mirror", status, GZIP | headers, range(50), 100) == stop


@pytest.mark.parametrize(
    ("fault", "reason", "want"),
    [
        pytest.param("no-range:path=*/resolve/*", "Downloaded", "4 files", id="ranges are ignored"),
        pytest.param(
            "status:path=*/resolve/*/config.json,code=403,code_name=GatedRepo",
            "AuthenticationFailed",
            "acme/tiny is gated",
            id="files are gated",
        ),
        pytest.param(
            "status:path=*/resolve/*/config.json,code=404",
            "DownloadFailed",
            "lists 'config.json', and has no such file",
            id="a file is not there",
        ),
        pytest.param(
            "status:path=*/resolve/*/config.json,code=503",
            "DownloadFailed",
            "answered 503",
            id="a file is ill",
        ),
        pytest.param(
            "status:path=*/resolve/*/config.json,code=429,retry_after=1,times=1",
            "Downloaded",
            "4 files",
            id="it asks to wait once",
        ),
    ],
)
async def test_a_mirror_without_sizes_has_faults_too(
    fault: str, reason: str, want: str, hub: Hub, tmp_path: Path
) -> None:
    hub.trees = hub.sizes = False
    hub.faults.add(fault)
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, attempts=2)
    assert (outcome.reason, want in outcome.message) == (reason, True), (outcome, lines)


@pytest.mark.parametrize(
    "kind", ["206 without Content-Range", "chunked, without any length", "no commits", "answers in gzip"]
)
async def test_a_mirror_of_ones_own(kind: str, tmp_path: Path) -> None:
    """A static file server with two JSON files in it."""
    content = b'{"architectures": ["Tiny"]}'

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if "/tree/" in request.path:
            return web.Response(status=404, text="Not Found")
        if "/api/" in request.path:
            body = '{"sha": null, "siblings": [{"rfilename": "config.json"}]}'
            response = web.Response(text=body, content_type="application/json")
            if kind == "answers in gzip":
                response.enable_compression(web.ContentCoding.gzip)
            return response
        asked = request.headers["Range"].removeprefix("bytes=").split("-")
        start, stop = int(asked[0]), min(int(asked[1]) + 1, len(content))
        if kind == "206 without Content-Range":
            if stop - start == 1:
                return web.Response(body=content)
            return web.Response(status=206, body=content[start:stop])
        if kind == "chunked, without any length":
            chunked = web.StreamResponse()
            chunked.enable_chunked_encoding()
            await chunked.prepare(request)
            await chunked.write(content)
            return chunked
        headers = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"}
        return web.Response(status=206, headers=headers, body=content[start:stop])

    async with serving(answer) as url:
        outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url}, attempts=2)
    if kind == "chunked, without any length":
        assert outcome.reason == "DownloadFailed", lines
        assert "gives no size of 'config.json'" in outcome.message
        assert "use a mirror that gives sizes" in outcome.message
        return
    assert outcome.reason == "Downloaded", (outcome, lines)
    assert outcome.revision == "main"
    assert (tmp_path / "out" / "config.json").read_bytes() == content
    assert "no checksum to verify" in outcome.message


@pytest.mark.parametrize("sha", ["../../evil", "a/b", "x" * 200, "a?b", ""])
async def test_a_commit_that_is_none_is_not_used(sha: str, tmp_path: Path) -> None:
    """It would become a part of addresses."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        asked.append(request.raw_path if isinstance(request, web.Request) else request.rel_url.raw_path)
        if "/tree/" in request.path:
            return web.json_response([])
        return web.json_response({"sha": sha})

    async with serving(answer) as url:
        outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url}, attempts=2)
    assert outcome.reason == "SourceNotFound", lines
    assert asked[1:] == ["/api/models/acme/tiny/tree/main"]


@pytest.mark.parametrize("kind", ["directory", "file"])
async def test_a_mirror_whose_tree_has_null_for_sizes(kind: str, hub: Hub, tmp_path: Path) -> None:
    """Of folders it does not matter; of files the model's own list is asked."""
    path = "variants" if kind == "directory" else "config.json"
    hub.extra_entries.append({"type": kind, "path": path, "size": None, "oid": None, "lfs": None})
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


async def test_a_whole_file_that_differs_from_its_earlier_ranges_spoils_nothing(tmp_path: Path) -> None:
    """A mirror that forgets ranges after the first, and sends other bytes with the whole.

    Those that were hashed are those that stay; else a file would be placed that is not what was verified.
    """
    content = random.Random(2).randbytes(2 * CHUNK_BYTES + 1)
    other = bytes(1_000_000) + content[1_000_000:]
    sibling = {"rfilename": "model.bin", "lfs": {"sha256": sha256(content).hexdigest(), "size": len(content)}}
    answers: list[int] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        if "/tree/" in request.path:
            return web.Response(status=404)
        if "/api/" in request.path:
            return web.json_response({"sha": None, "siblings": [sibling]})
        answers.append(200 if answers else 206)
        if answers[-1] == 200:
            return web.Response(body=other)
        headers = {"Content-Range": f"bytes 0-{CHUNK_BYTES - 1}/{len(content)}"}
        return web.Response(status=206, headers=headers, body=content[:CHUNK_BYTES])

    async with serving(answer) as url:
        outcome, lines = await fetched(
            "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url}, attempts=2, connections=1
        )
    assert outcome.reason == "Downloaded", (outcome, lines)
    assert answers[:2] == [206, 200]
    assert (tmp_path / "out" / "model.bin").read_bytes() == content


@pytest.mark.parametrize("blocked", ["/api/", "/resolve/"])
async def test_a_block_page_is_not_blamed_on_the_token(blocked: str, hub: Hub, tmp_path: Path) -> None:
    """A proxy's, or a firewall's: a web page with 403, without the hub's own word for why."""

    async def answer(request: web.BaseRequest) -> web.Response:
        if blocked in request.path:
            return web.Response(status=403, text="<html>Blocked by policy</html>", content_type="text/html")
        raise web.HTTPTemporaryRedirect(f"{hub.url}{request.rel_url.raw_path_qs}")

    async with serving(answer) as url:
        outcome, lines = await fetched(
            "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url, "HF_TOKEN": "hf_x"}, attempts=1
        )
    assert (outcome.reason, "answered 403 with a web page" in outcome.message) == ("DownloadFailed", True), (
        lines
    )
    assert "token" not in outcome.message
