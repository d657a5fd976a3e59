"""Whatever a hub or a store answers, a download ends with a readable outcome, and keeps to its folder."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from aim_operator.fetch.outcome import Outcome
from tests.support.fetching import fetched
from tests.support.http_serving import Serving
from tests.support.loose_json import loosely

COMMIT = "0" * 40
INFO = {"sha": COMMIT, "siblings": [{"rfilename": "a.json", "size": 2, "blobId": "1" * 40}]}
LFS = {"oid": "2" * 64, "size": 2}
TREE = [{"path": "a.json", "type": "file", "size": 2, "oid": "1" * 40, "lfs": LFS}]
paths = st.sampled_from(["a", "../b", "/c", "d/e", "d", "f\x00", "é" * 200, ".", "", "a/../../g", "x" * 5000])
links = st.sampled_from(
    ["", '</next?a=b>; rel="next"', '<>; rel="next"', "<" * 100, '<http://[>; rel="next"']
)
statuses = st.sampled_from([200, 200, 200, 200, 204, 206, 302, 401, 404, 416, 429, 500])
answers = st.fixed_dictionaries(
    {
        "info": loosely(INFO) | st.just(INFO),
        "tree": loosely(TREE)
        | st.lists(paths.map(lambda path: TREE[0] | {"path": path}), min_size=1, max_size=3),
        "link": links,
        "info status": statuses,
        "tree status": statuses,
        "file status": statuses,
        "file": st.binary(max_size=20),
        "headers": st.dictionaries(
            st.sampled_from(
                ["ETag", "X-Linked-Etag", "X-Linked-Size", "Content-Range", "Location", "Retry-After"]
            ),
            st.sampled_from(["", '"1"', "-1", "9" * 30, "bytes 0-1/2", "bytes 5-1/*", "//[", "x" * 300]),
        ),
    }
)


def cut(text: str, where: int) -> bytes:
    """The text, or what is left of it where a connection or a proxy cut it."""
    return text.encode(errors="surrogatepass")[: where or None]


async def hub(answer: dict[str, Any], where: int) -> Serving:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        if "/resolve/" in request.path:
            return web.Response(status=answer["file status"], body=answer["file"], headers=answer["headers"])
        kind = "tree" if "/tree/" in request.path else "info"
        headers = {"Content-Type": "application/json"} | ({"Link": answer["link"]} if answer["link"] else {})
        body = cut(json.dumps(answer[kind]), where)
        return web.Response(status=answer[f"{kind} status"], body=body, headers=headers)

    return await Serving.start(web.Server(serve))


async def download(serving: Serving, uri: str, environment: dict[str, str]) -> tuple[Outcome, list[str]]:
    """The outcome, and what lies beside the folder of the download."""
    with tempfile.TemporaryDirectory() as above:
        try:
            async with asyncio.timeout(60):
                outcome, _ = await fetched(uri, Path(above) / "models" / "out", environment, attempts=1)
        finally:
            await serving.close()
        beside = [
            entry.name for folder in (Path(above), Path(above) / "models") for entry in folder.iterdir()
        ]
        return outcome, sorted(beside)


def assert_fit(outcome: Outcome, beside: list[str]) -> None:
    assert outcome.reason
    assert outcome.message.isprintable()
    assert len(outcome.message) < 2000
    assert beside == ["models", "out"]


@given(answers, st.sampled_from([0, 0, 0, 1, 30]))
@settings(max_examples=40, deadline=None)
def test_any_hub_is_an_outcome(answer: dict[str, Any], where: int) -> None:
    async def run() -> tuple[Outcome, list[str]]:
        serving = await hub(answer, where)
        return await download(serving, "hf://acme/tiny", {"HF_ENDPOINT": f"http://127.0.0.1:{serving.port}"})

    assert_fit(*asyncio.run(run()))


elements = st.lists(
    st.tuples(
        st.sampled_from(
            ["Key", "Size", "ETag", "IsTruncated", "NextContinuationToken", "Prefix", "Contents"]
        ),
        st.sampled_from(
            ["", "m/a", "m/../../b", "1", "-1", "1e9", "true", "nonsense", quote("m/ü"), "&#x41;"]
        ),
    ),
    max_size=6,
)
listings = st.builds(
    lambda contents, more: (
        "<ListBucketResult>"
        + "".join(f"<Contents>{_xml(each)}</Contents>" for each in contents)
        + f"{_xml(more)}</ListBucketResult>"
    ),
    st.lists(elements, max_size=3),
    elements,
)


def _xml(pairs: list[tuple[str, str]]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in pairs)


@given(listings | st.text(max_size=40), statuses, st.binary(max_size=20), st.sampled_from([0, 0, 0, 40]))
@settings(max_examples=25, deadline=None)
def test_any_store_is_an_outcome(listing: str, status: int, content: bytes, where: int) -> None:
    async def run() -> tuple[Outcome, list[str]]:
        async def serve(request: web.BaseRequest) -> web.StreamResponse:
            if "list-type" in request.query or "prefix" in request.query:
                body = cut(listing, where)
                return web.Response(status=status, body=body, content_type="application/xml")
            return web.Response(body=content)

        serving = await Serving.start(web.Server(serve))
        address = f"http://127.0.0.1:{serving.port}"
        environment = {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        return await download(serving, "s3://bucket/m", environment)

    assert_fit(*asyncio.run(run()))
