"""Hubs that cost too much: bodies that unpack, pages without end, bytes that trickle. Each ends."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.documents import Budget, decoded
from aim_operator.fetch.retrying import Transient
from tests.support.fetch_process import FetchProcess, assert_same_files
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.unit.fetch.test_process import peak_kib

INFORMATION = "/api/models/acme/tiny/revision/*"
TREE = "/api/models/acme/tiny/tree/*"


@pytest.mark.parametrize(
    ("fault", "want"),
    [
        pytest.param(f"bomb:path={INFORMATION},mib=900", "more than 33554432 bytes", id="information"),
        pytest.param(f"bomb:path={TREE},mib=900", "more than 33554432 bytes", id="a listing"),
        pytest.param(f"crowd:path={TREE}", "more than 400000 objects", id="many small objects"),
    ],
)
def test_a_small_answer_that_unpacks_to_a_gigabyte_is_left(
    fault: str, want: str, hub: Hub, tmp_path: Path
) -> None:
    """292 kB of gzip took 922 MB of memory; and what is decoded takes more than what is sent."""
    hub.faults.add(fault)
    process = FetchProcess(
        "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
    )
    peak = 0
    while process.process.poll() is None:
        peak = max(peak, peak_kib(process.process.pid))
    assert process.wait() == 14
    assert process.message["message"].startswith(f"the source's listing has {want}")
    assert 0 < peak < 160 * 1024


@pytest.mark.parametrize(
    ("fault", "reason", "want"),
    [
        pytest.param(f"endless:path={TREE}", "DownloadFailed", "more than 5000 pages", id="pages for ever"),
        pytest.param(f"circle:path={TREE}", "DownloadFailed", "lists in a circle", id="pages in a circle"),
        pytest.param(
            f"html:path={INFORMATION}",
            "DownloadFailed",
            "can't be read: a web page, perhaps of a proxy",
            id="a page to log in",
        ),
        pytest.param(f"junk:path={TREE}", "DownloadFailed", "a listing that can't be read", id="deep junk"),
        pytest.param(
            f"trickle:path={INFORMATION}", "Stalled", "sent no more than", id="information, byte by byte"
        ),
        pytest.param(f"trickle:path={TREE}", "Stalled", "sent no more than", id="a listing, byte by byte"),
        pytest.param(
            "slow:path=*/resolve/*/config.json,rate=4",
            "Stalled",
            r"sent no more than \d+ bytes|almost no byte came \(\d+ in all\)",
            id="a file, byte by byte",
        ),
        pytest.param(
            "slow:path=/cdn/*,rate=1000",
            "Stalled",
            r"sent no more than \d+ bytes|almost no byte came \(\d+ in all\)",
            id="a large file, in crumbs",
        ),
    ],
)
async def test_what_goes_on_for_ever_ends(
    fault: str, reason: str, want: str, hub: Hub, tmp_path: Path
) -> None:
    hub.faults.add(fault)
    # 5,000 pages take more than a minute where the machine is busy.
    async with asyncio.timeout(240):
        outcome, lines = await fetched(
            "hf://acme/tiny",
            tmp_path / "out",
            {"HF_ENDPOINT": hub.url},
            attempts=2,
            stall_seconds=3 if reason == "Stalled" else 30,
        )
    assert outcome.reason == reason, (outcome, lines)
    assert re.search(want, outcome.message), (outcome, lines)
    hub.faults.clear()
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


async def test_a_hub_that_trickles_once_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(f"trickle:path={TREE},times=1", "slow:path=/cdn/*,rate=1000,times=1")
    outcome, lines = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, stall_seconds=6
    )
    assert outcome.reason == "Downloaded", lines
    assert f"trying again after: {hub.url[7:]} sent no more than" in "\n".join(lines)


@asynccontextmanager
async def trickling(beginning: bytes, piece: bytes) -> AsyncIterator[str]:
    """A server of any protocol: it sends a beginning, and then a piece five times a second for ever."""

    answers: set[asyncio.Task[None] | None] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.add(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(beginning)
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.2)
        writer.transport.abort()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in filter(None, answers):
            task.cancel()
        await asyncio.gather(*filter(None, answers))
        await asyncio.sleep(0)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", id="a header that does not end"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-A: a\r\n", id="headers without end"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="it continues for ever"),
        pytest.param(b"HTT", b"P", id="a first line that does not end"),
        pytest.param(CHUNKED, b"0", id="the length of a chunk that does not end"),
        pytest.param(CHUNKED + b"1;", b"x", id="the extension of a chunk that does not end"),
        pytest.param(CHUNKED + b"0\r\n", b"X-A: a\r\n", id="trailers without end"),
        pytest.param(CHUNKED, b"1\r\n \r\n", id="chunks of one byte"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b" ", id="a body of unknown length"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n", b" ", id="the body of a redirect"),
    ],
)
async def test_whatever_part_of_an_answer_trickles_is_a_stall(
    beginning: bytes, piece: bytes, tmp_path: Path
) -> None:
    """Each of these bytes is in time for the socket's own limit."""
    async with trickling(beginning, piece) as url, asyncio.timeout(40):
        outcome, lines = await fetched(
            "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url}, attempts=2, stall_seconds=2
        )
    text = f"{outcome.message} {lines}"
    if b"302" in beginning:
        # Its body is not needed.
        assert outcome.reason == "DownloadFailed"
        assert "redirects in a circle" in text
        return
    assert outcome.reason == "Stalled", text
    assert "no answer from 127.0.0.1" in text or "no byte from" in text or "sent no more than" in text


def test_gzip_counts_as_it_is_unpacked() -> None:
    budget = Budget(most_page_bytes=1_000_000)
    assert decoded([gzip.compress(b"a" * 1000)], "gzip", "h", budget) == b"a" * 1000
    with pytest.raises(FetchError, match="in one answer"):
        decoded([gzip.compress(b" " * 2_000_000)], "gzip", "h", budget)
    with pytest.raises(FetchError, match="in one answer"):
        # Members that unpack to nothing.
        decoded([gzip.compress(b"")] * 60_000, "gzip", "h", Budget(most_page_bytes=1_000_000))


@pytest.mark.parametrize(
    ("content", "encoding", "want"),
    [
        pytest.param(b"no gzip", "gzip", "can't be unpacked", id="none"),
        pytest.param(gzip.compress(b"a" * 100)[:-9], "gzip", "ends early", id="cut"),
        pytest.param(zlib.compress(b"a"), "br", "was not asked for", id="another encoding"),
    ],
)
def test_what_can_not_be_unpacked_is_asked_for_again(content: bytes, encoding: str, want: str) -> None:
    with pytest.raises(Transient, match=want):
        decoded([content], encoding, "h", Budget())


def test_a_listing_costs_no_more_bytes_pages_and_time_than_it_may() -> None:
    budget = Budget(most_bytes=3000, most_page_bytes=2000, most_pages=2, most_seconds=10)
    budget.page()
    budget.took(1500, 4)
    budget.page()
    with pytest.raises(FetchError, match="more than 3000 bytes"):
        budget.took(1600)
    with pytest.raises(FetchError, match="more than 2 pages"):
        budget.page()
    budget = Budget(most_seconds=10)
    budget.took(1, 9)
    with pytest.raises(FetchError, match="not whole after 10 s") as caught:
        budget.took(1, 2)
    assert caught.value.reason == "Stalled"
