"""The real process against a real hub: what a Job sees."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.fetch_process import FetchProcess, assert_same_files, progress
from tests.support.hub_server import Hub


def test_a_model_is_fetched_once(hub: Hub, tmp_path: Path) -> None:
    """Files at the root, the marker last, and a second run that asks for nothing."""
    environment = {"HF_ENDPOINT": hub.url}
    first = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "first", environment=environment)
    assert first.wait() == 0, first.text
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")

    total = sum(
        file.size for file in hub.models.files("acme/tiny", hub.models.commit("acme/tiny", "main") or "")
    )
    steps = progress(first.text)
    assert steps == sorted(steps)
    assert steps[0] == (0, total, 0)
    assert steps[-1] == (total, total, 100)
    marker = json.loads((tmp_path / "out" / ".aim-fetch" / "complete.json").read_text())
    assert marker == {
        "uri": "hf://acme/tiny",
        "revision": hub.models.commit("acme/tiny", "main"),
        "files": 4,
        "totalBytes": total,
        "finishedAt": marker["finishedAt"],
    }
    assert first.message["reason"] == "Downloaded"
    assert (first.message["totalBytes"], first.message["downloadedBytes"]) == (total, total)
    assert first.message["revision"] == marker["revision"]

    asked = len(hub.log.entries)
    second = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "second", environment=environment)
    assert second.wait() == 0, second.text
    assert progress(second.text) == [(total, total, 100)]
    assert len(hub.log.entries) == asked
