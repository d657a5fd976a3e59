"""The stand-in serves what an operator finds nothing wrong with, and shows its reaction to a change."""

from __future__ import annotations

from pathlib import Path

from bench import restart


async def test_beside_converged_services_nothing_is_written_until_one_changes(tmp_path: Path) -> None:
    stage = await restart.measure(3, 10, tmp_path)
    assert stage.writes == 0
    assert stage.change_p50_ms > 0
    assert stage.memory_mib > 20
