"""One fetcher to a directory: by flock, by lease where flock can't be trusted; the dead hold nothing."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from aim_operator.errors import FetchError
from aim_operator.fetch.lock import DirectoryLock, Timing

EAGER = Timing(heartbeat_seconds=0.02)
"""Looks often; the limits are those of a real one, which a busy machine does not reach."""
PATIENT_SECONDS = 60


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def lock(folder: int, said: list[str], boot_id: str = "this node") -> DirectoryLock:
    return DirectoryLock(folder, said.append, EAGER, boot_id)


def lease(holder: str, boot_id: str) -> str:
    return json.dumps({"holder": holder, "boot_id": boot_id, "beat": 1})


async def test_the_second_waits_says_so_and_goes_on(folder: int, tmp_path: Path) -> None:
    order: list[str] = []
    said: list[str] = []
    held, waits = asyncio.Event(), asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        waits.set()

    async def first() -> None:
        async with lock(folder, []).hold():
            held.set()
            await waits.wait()
            order.append("first done")

    async def second() -> None:
        await held.wait()
        async with DirectoryLock(folder, say, EAGER).hold():
            order.append("second in")

    async with asyncio.timeout(PATIENT_SECONDS):
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
    looks = count()
    timing = Timing(heartbeat_seconds=0.02, stale_seconds=30, settle_seconds=0.1)
    # A second passes with each look at the clock.
    waiting = DirectoryLock(folder, said.append, timing, "this node", clock=lambda: float(next(looks)))
    async with waiting.hold():
        assert next(looks) > timing.stale_seconds
    assert set(said) == {
        "a fetcher on another node is, or was, at work on this directory; waiting until it ends"
    }


async def test_a_living_one_of_another_node_is_never_robbed(folder: int, tmp_path: Path) -> None:
    """However long it takes: here thirty times as long as one may be silent."""
    now, long_after = 0.0, asyncio.Event()

    def clock() -> float:
        """Between two looks of the one that waits, the other renews its lease."""
        nonlocal now
        now += EAGER.stale_seconds / 3
        fresh = tmp_path / "fresh"
        fresh.write_text(json.dumps({"holder": "elsewhere", "boot_id": "another node", "beat": int(now)}))
        fresh.rename(tmp_path / "lease")
        if now > 30 * EAGER.stale_seconds:
            long_after.set()
        return now

    async def enter() -> None:
        async with DirectoryLock(folder, print, EAGER, "this node", clock).hold():
            pytest.fail("it was robbed")

    entering = asyncio.create_task(enter())
    seen = asyncio.create_task(long_after.wait())
    async with asyncio.timeout(PATIENT_SECONDS):
        await asyncio.wait((entering, seen), return_when=asyncio.FIRST_COMPLETED)
    assert not entering.done()
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering


async def test_whoever_was_frozen_and_robbed_stops(folder: int, tmp_path: Path) -> None:
    async def hold() -> None:
        async with lock(folder, []).hold():
            (tmp_path / "lease").write_text(lease("another", "another node"))
            await asyncio.sleep(PATIENT_SECONDS)

    with pytest.raises(FetchError, match="took this directory over"):
        await hold()
    # The other's lease is the other's.
    assert json.loads((tmp_path / "lease").read_text())["holder"] == "another"


async def test_an_error_within_stays_what_it_is_and_frees_the_lock(folder: int, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with lock(folder, []).hold():
            raise ZeroDivisionError
    assert not (tmp_path / "lease").exists()
    async with asyncio.timeout(PATIENT_SECONDS), lock(folder, []).hold():
        assert (tmp_path / "lease").exists()
