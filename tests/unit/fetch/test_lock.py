"""One fetcher to a directory: by flock, by lease where flock can't be trusted; the dead hold nothing."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.lock import DirectoryLock, Timing

FAST = Timing(heartbeat_seconds=0.05, stale_seconds=1.0, settle_seconds=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def lock(folder: int, said: list[str], boot_id: str = "this node") -> DirectoryLock:
    return DirectoryLock(folder, said.append, FAST, boot_id)


async def enter(folder: int) -> None:
    async with lock(folder, []).hold():
        pass


def lease(holder: str, boot_id: str) -> str:
    return json.dumps({"holder": holder, "boot_id": boot_id, "beat": 1})


async def test_the_second_waits_says_so_and_goes_on(folder: int, tmp_path: Path) -> None:
    order: list[str] = []
    said: list[str] = []
    held = asyncio.Event()

    async def first() -> None:
        async with lock(folder, []).hold():
            held.set()
            await asyncio.sleep(0.3)
            order.append("first done")

    async def second() -> None:
        await held.wait()
        async with lock(folder, said).hold():
            order.append("second in")

    await asyncio.gather(first(), second())
    assert order == ["first done", "second in"]
    assert said == ["another fetcher is at work on this directory; waiting until it ends"]
    assert not (tmp_path / "lease").exists()


async def test_what_a_killed_one_on_this_node_left_stops_nobody(folder: int, tmp_path: Path) -> None:
    """Its flock went with it, and on one node that is certain."""
    (tmp_path / "lease").write_text(lease("dead", "this node"))
    said: list[str] = []
    async with lock(folder, said).hold():
        assert json.loads((tmp_path / "lease").read_text())["holder"] != "dead"
    assert said == []


async def test_one_of_another_node_is_waited_for_until_it_is_silent(folder: int, tmp_path: Path) -> None:
    (tmp_path / "lease").write_text(lease("elsewhere", "another node"))
    said: list[str] = []
    began = asyncio.get_running_loop().time()
    async with lock(folder, said).hold():
        waited = asyncio.get_running_loop().time() - began
    assert waited >= FAST.stale_seconds
    assert said == ["a fetcher on another node is, or was, at work on this directory; waiting until it ends"]


async def test_a_living_one_of_another_node_is_never_robbed(folder: int, tmp_path: Path) -> None:
    async def beat() -> None:
        for number in range(10_000):
            fresh = tmp_path / "fresh"
            fresh.write_text(json.dumps({"holder": "elsewhere", "boot_id": "another node", "beat": number}))
            fresh.rename(tmp_path / "lease")
            await asyncio.sleep(0.02)

    beating = asyncio.create_task(beat())
    await asyncio.sleep(0.1)
    try:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(enter(folder), 2 * FAST.stale_seconds)
    finally:
        beating.cancel()


async def test_whoever_was_frozen_and_robbed_stops(folder: int, tmp_path: Path) -> None:
    async def hold() -> None:
        async with lock(folder, []).hold():
            (tmp_path / "lease").write_text(lease("another", "another node"))
            await asyncio.sleep(30)

    with pytest.raises(FetchError, match="took this directory over"):
        await hold()
    # The other's lease is the other's.
    assert json.loads((tmp_path / "lease").read_text())["holder"] == "another"


async def test_an_error_within_stays_what_it_is_and_frees_the_lock(folder: int, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with lock(folder, []).hold():
            raise ZeroDivisionError
    assert not (tmp_path / "lease").exists()
    async with asyncio.timeout(5), lock(folder, []).hold():
        assert (tmp_path / "lease").exists()
