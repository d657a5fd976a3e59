"""Endpoints that mean harm: what they can make a download cost, where they can send it, what they learn."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.fetch_process import FetchProcess
from tests.support.fetching import fetched
from tests.support.http_serving import Serving
from tests.support.s3_server import KEY, SECRET, S3Server
from tests.unit.fetch.test_process import peak_kib

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
URI = "s3://hostile/m"


def page(*keys: str, token: str = "", more: str = "") -> str:
    objects = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>&quot;{'0' * 32}&quot;</ETag></Contents>"
        for key in keys
    )
    following = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    truncated = "true" if token else "false"
    return (
        f"{HEAD}<ListBucketResult><Name>hostile</Name><IsTruncated>{truncated}</IsTruncated>"
        f"{following}{objects}{more}</ListBucketResult>"
    )


class Pages:
    """Answers listings with what a function makes of the number of the request."""

    def __init__(self, text: Callable[[int], str | bytes], headers: dict[str, str] | None = None) -> None:
        self._text = text
        self._headers = headers
        self.asked = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        text = self._text(self.asked)
        body = text if isinstance(text, bytes) else text.encode()
        return web.Response(body=body, headers=self._headers, content_type="application/xml")


def thousand(number: int) -> str:
    return page(*(f"m/{number}/{each}.bin" for each in range(1000)), token=f"after-{number}")


ATTRIBUTES = " ".join(f'b{number}=""' for number in range(20_000))
BOMB = (
    f'{HEAD}<!DOCTYPE a [<!ENTITY a "{"a" * 1000}">'
    + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 30}">' for before, name in zip("abcde", "bcdef", strict=True)
    )
    + "]><ListBucketResult><Name>&f;</Name></ListBucketResult>"
)


@pytest.mark.parametrize(
    ("text", "headers", "most_asked", "want"),
    [
        pytest.param(thousand, None, 102, "more than 100000 keys", id="a million keys"),
        pytest.param(
            lambda number: page(*(f"m/{number}/{each}/" for each in range(1000)), token=f"t{number}"),
            None,
            102,
            "more than 100000 keys",
            id="keys without end that are no files",
        ),
        pytest.param(
            lambda number: page(
                *(f"m/{number:05}{each:04}{'k' * 900}" for each in range(1000)), token=f"{number}"
            ),
            None,
            40,
            "has keys of more than 33554432 characters",
            id="keys that are long",
        ),
        pytest.param(
            lambda _: page(
                more=f"<Contents><Key>m/a</Key><Size>1</Size><ETag>{'e' * 1000}</ETag></Contents>"
            ),
            None,
            4,
            "can't be read",
            id="an ETag of any length",
        ),
        pytest.param(lambda _: page("m/a", token="same"), None, 3, "in a circle", id="a token that repeats"),
        pytest.param(
            lambda number: page("m/a", token=f"t{number % 3}"),
            None,
            5,
            "in a circle",
            id="a circle of tokens",
        ),
        pytest.param(
            lambda _: page("m/a", token="t" * 9000),
            None,
            2,
            "a token of 9000 char",
            id="a token of any length",
        ),
        pytest.param(
            lambda _: page("m/a").replace("false", "true"),
            None,
            3,
            "in a circle",
            id="an end that never comes",
        ),
        pytest.param(
            lambda _: page(more="<x>" + "y" * 5_000_000 + "</x>"),
            None,
            4,
            "more than 4194304 bytes",
            id="size",
        ),
        pytest.param(lambda _: BOMB, None, 4, "XML that no S3 sends", id="entities in entities"),
        pytest.param(
            lambda _: f'{HEAD}<!DOCTYPE a SYSTEM "http://169.254.169.254/"><ListBucketResult/>',
            None,
            4,
            "XML that no S3 sends",
            id="an external entity",
        ),
        pytest.param(
            lambda _: page(more="<a/>" * 200_000), None, 4, "XML that no S3 sends", id="elements without end"
        ),
        pytest.param(
            lambda _: page(more=f"<a {ATTRIBUTES}/>"),
            None,
            4,
            "XML that no S3 sends",
            id="attributes without end",
        ),
        pytest.param(
            lambda _: page(more="<a>" * 40_000 + "</a>" * 40_000),
            None,
            4,
            "no objects below",
            id="elements in elements",
        ),
        pytest.param(
            lambda _: b"\x1f\x8b" + bytes(1000),
            {"Content-Encoding": "gzip"},
            4,
            "compresses its answers",
            id="gzip, of whatever size it may be",
        ),
        pytest.param(
            lambda _: "<html><body>Log in to the console</body></html>",
            None,
            4,
            "is this the address of an S3 API, and not of a console",
            id="a page for people",
        ),
        pytest.param(lambda _: "\x00" * 1000, None, 4, "can't be read", id="no XML at all"),
    ],
)
async def test_a_listing_that_would_cost_too_much_ends_with_a_sentence(
    text: Callable[[int], str | bytes],
    headers: dict[str, str] | None,
    most_asked: int,
    want: str,
    store: S3Server,
    tmp_path: Path,
) -> None:
    pages = Pages(text, headers)
    store.listed = pages
    outcome, lines = await fetched(URI, tmp_path / "out", store.environment, attempts=3)
    assert want in outcome.message, (outcome, lines)
    assert outcome.reason in ("DownloadFailed", "SourceNotFound")
    assert pages.asked <= most_asked
    assert len(outcome.message) < 1000


def test_a_listing_that_is_refused_for_its_size_took_no_memory(store: S3Server, tmp_path: Path) -> None:
    store.listed = Pages(lambda _: page(more="<a/>" * 1_000_000))
    process = FetchProcess(URI, tmp_path / "out", tmp_path / "log", environment=store.environment)
    peak = 0
    while process.process.poll() is None:
        peak = max(peak, peak_kib(process.process.pid))
        time.sleep(0.01)
    assert process.process.returncode == 14, process.text
    assert 0 < peak < 120 * 1024


async def test_an_error_nested_without_end_is_no_bug_of_ours(store: S3Server, tmp_path: Path) -> None:
    async def nested(_: web.Request) -> web.StreamResponse:
        text = f"{HEAD}<Error><Code>Odd</Code>{'<a>' * 9000}{'</a>' * 9000}</Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    store.listed = nested
    outcome, _ = await fetched(URI, tmp_path / "out", store.environment, attempts=2)
    assert outcome.reason == "DownloadFailed"
    assert "answered 400" in outcome.message or "can't be read" in outcome.message


@pytest.mark.parametrize("first", ["", page("m/a")[:60]], ids=["no byte of the body", "a byte now and then"])
async def test_a_listing_that_trickles_is_a_stall(first: str, store: S3Server, tmp_path: Path) -> None:
    async def trickling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/xml"})
        await response.prepare(request)
        if first:
            await response.write(first.encode())
        for _ in range(600):
            await asyncio.sleep(0.1)
            if first:
                await response.write(b" ")
        return response

    store.listed = trickling
    async with asyncio.timeout(30):
        outcome, _ = await fetched(URI, tmp_path / "out", store.environment, stall_seconds=2, attempts=2)
    assert outcome.reason == "Stalled", outcome


@pytest.fixture
async def eavesdropper() -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Another host: its port, and what it was asked."""
    seen: list[web.Request] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        return web.Response(text=page("m/a"), content_type="application/xml")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", note)
    server = await Serving.start(application)
    yield f"http://127.0.0.1:{server.port}", seen
    await server.close()


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_nothing_signed_for_one_store_is_sent_to_another(
    status: int, eavesdropper: tuple[str, list[web.Request]], store: S3Server, tmp_path: Path
) -> None:
    other, seen = eavesdropper

    async def elsewhere(_: web.Request) -> web.StreamResponse:
        text = f"{HEAD}<Error><Code>TemporaryRedirect</Code><Endpoint>{other}</Endpoint></Error>"
        return web.Response(status=status, headers={"Location": f"{other}/hostile"}, text=text)

    store.listed = elsewhere
    outcome, _ = await fetched(URI, tmp_path / "out", store.environment, attempts=2)
    assert outcome.reason == "DownloadFailed"
    assert f"is at {other.removeprefix('http://')}, where requests are not sent on to" in outcome.message
    assert seen == []


async def test_an_object_that_lies_elsewhere_is_fetched_there_without_what_was_signed(
    eavesdropper: tuple[str, list[web.Request]], store: S3Server, tmp_path: Path
) -> None:
    """Stores may send on to a CDN. It learns of the object's own address alone, and its checksum decides."""
    other, seen = eavesdropper
    client = store.client()
    client.create_bucket(Bucket="moved", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket="moved", Key="m/a", Body=b"what was uploaded")
    store.token = "session-token"
    store.faults.add(f"redirect:path=/moved/m/a,to={other}/elsewhere,skip=1")
    environment = {**store.environment, "AWS_SESSION_TOKEN": "session-token"}
    outcome, lines = await fetched("s3://moved/m", tmp_path / "out", environment, attempts=2)
    assert outcome.reason == "DownloadFailed", lines
    assert seen
    for request in seen:
        assert request.query_string == ""
        assert not {"Authorization", "X-Amz-Security-Token", "Cookie"} & set(request.headers)
        assert "session-token" not in str(request.headers)


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://100.100.100.200/"]
)
async def test_an_object_does_not_lead_to_the_nodes_metadata(
    to: str, store: S3Server, tmp_path: Path
) -> None:
    name = f"inward-{len(to)}"
    client = store.client()
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket=name, Key="m/a", Body=b"12")
    store.faults.add(f"redirect:path=/{name}/m/a,to={to},skip=1")
    outcome, _ = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment, attempts=2)
    assert outcome.reason == "DownloadFailed"
    assert "where a source must not lead to; not followed" in outcome.message


@pytest.mark.parametrize("region", ["evil.example/", "x y", "169.254.169.254/#", "a" * 100, "-", "évil"])
async def test_a_region_that_is_no_region_leads_nowhere(region: str, store: S3Server, tmp_path: Path) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        text = f"{HEAD}<Error><Code>AuthorizationHeaderMalformed</Code><Region>{region}</Region></Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    store.listed = elsewhere
    outcome, lines = await fetched(URI, tmp_path / "out", store.environment, attempts=2)
    assert outcome.reason == "DownloadFailed", outcome
    assert "bug" not in outcome.message
    assert SECRET not in f"{outcome}{lines}"


async def test_no_answer_brings_a_secret_into_a_message(store: S3Server, tmp_path: Path) -> None:
    """The store repeats what it was sent: key, signature, and whatever else it likes."""

    async def repeating(request: web.Request) -> web.StreamResponse:
        text = f"{HEAD}<Error><Code>{request.headers['Authorization']}</Code></Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    store.listed = repeating
    process = await asyncio.to_thread(
        lambda: FetchProcess(URI, tmp_path / "out", tmp_path / "log", environment=store.environment)
    )
    assert await asyncio.to_thread(process.wait) == 14, process.text
    assert not re.search(f"{KEY}|Signature=[0-9a-f]", process.text)
