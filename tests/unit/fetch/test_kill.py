"""kill -9 at any moment: the next run continues, and by the hub's log hardly a byte was sent twice."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aim_operator.fetch.partial import CHUNK_BYTES
from tests.support.fetch_process import FetchProcess, assert_same_files, progress
from tests.support.hub_server import Hub, HubThread

CONNECTIONS = 3
KILLS = 5
MOST_RUNS = 40


@pytest.fixture
def busy_hub(tmp_path: Path) -> Iterator[Hub]:
    """Two models' worth of chunks in three files, and a few small ones; slow enough to be caught at it."""
    model = tmp_path / "models" / "acme" / "tiny"
    model.mkdir(parents=True)
    generator = random.Random(3)
    for number in range(3):
        (model / f"model-{number}.safetensors").write_bytes(generator.randbytes(3 * CHUNK_BYTES + number))
    for number in range(5):
        (model / f"small-{number}.json").write_bytes(generator.randbytes(50_000))
    with HubThread(tmp_path / "models") as running:
        running.hub.faults.add("slow:path=/cdn/*,rate=5000000")
        yield running.hub


def test_killed_again_and_again(busy_hub: Hub, tmp_path: Path) -> None:
    """Each kill may cost what was open: a chunk for each stream, and no more."""
    generator = random.Random(1)
    shown = (0, 0)
    kills = 0
    for run in range(MOST_RUNS):
        began = sent_bytes(busy_hub)
        process = FetchProcess(
            "hf://acme/tiny",
            tmp_path / "out",
            tmp_path / f"log-{run}",
            f"--connections={CONNECTIONS}",
            environment={"HF_ENDPOINT": busy_hub.url},
        )
        if kills == KILLS:
            busy_hub.faults.clear()
        else:
            # After so many bytes, wherever that is: in the midst of chunks, at their ends, between files.
            until = began + generator.randrange(1, CHUNK_BYTES * 3 // 2)
            while sent_bytes(busy_hub) < until and process.process.poll() is None:
                time.sleep(0.002)
            process.process.kill()
        code = process.wait()
        steps = [(downloaded, percentage) for downloaded, _, percentage in progress(process.text)]
        # Only ever rising, within a run and from one to the next.
        assert [shown, *steps] == sorted([shown, *steps])
        shown = max([shown, *steps])
        if code == 0:
            break
        assert code == -9, process.text
        kills += 1
    assert kills == KILLS
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")
    total = sum(path.stat().st_size for path in (tmp_path / "models" / "acme" / "tiny").iterdir())
    assert sent_bytes(busy_hub) - total <= kills * CONNECTIONS * CHUNK_BYTES
    ranges = [(entry["path"], entry["start"]) for entry in busy_hub.log.entries if entry.get("sent")]
    assert len(ranges) - len(set(ranges)) <= kills * CONNECTIONS


def sent_bytes(hub: Hub) -> int:
    return sum(entry.get("sent", 0) for entry in list(hub.log.entries))
