"""`aimctl fetch --verify`: what lies there, against what was downloaded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from aim_operator.fetch.checksums import as_text, of_text
from aim_operator.fetch.listing import Checksum
from aim_operator.fetch.outcome import Outcome
from aim_operator.fetch.verify import Verification, verify
from tests.docs.blocks import shown
from tests.docs.output import difference
from tests.support.fetch_process import AIMCTL, FetchProcess
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.support.s3_server import S3Server, put_in_parts


async def checked(directory: Path) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    return await verify(Verification(directory=directory), lines.append), lines


@pytest.fixture
async def model(hub: Hub, tmp_path: Path) -> Path:
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    return tmp_path / "out"


def marker_of(model: Path) -> Path:
    return model / ".aim-fetch" / "complete.json"


def times(model: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in model.rglob("*")}


async def test_a_download_is_as_it_was(model: Path) -> None:
    before = times(model)
    (model / "notes.txt").write_text("of somebody else")
    outcome, lines = await checked(model)
    assert outcome.reason == "Verified", lines
    assert outcome.message.startswith("4 files, 20000030 bytes (19.1MiB), are as they were downloaded")
    assert outcome.exit_code == 0
    after = times(model)
    assert {path: after[path] for path in before} == before


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace_by_link(path: Path) -> None:
    path.rename(path.with_suffix(".moved"))
    path.symlink_to(path.with_suffix(".moved"))


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "want"),
    [
        pytest.param(flip, "has sha256 ", id="one bit"),
        pytest.param(lambda path: os.truncate(path, 1000), "has 1000 bytes, and had 20000001", id="cut"),
        pytest.param(Path.unlink, "is missing", id="gone"),
        pytest.param(replace_by_link, "or a file where a folder does", id="a link"),
        pytest.param(replace_by_pipe, "is no file any more", id="a pipe"),
    ],
)
async def test_what_changed_is_named_with_what_it_was(
    damage: Callable[[Path], None], want: str, model: Path, hub: Hub
) -> None:
    damage(model / "model.safetensors")
    outcome, lines = await checked(model)
    assert (outcome.reason, outcome.exit_code) == ("VerificationFailed", 15)
    assert outcome.message.startswith("1 of 4 files are not what was downloaded: model.safetensors ")
    assert want in outcome.message
    assert len([line for line in lines if line.startswith("model.safetensors")]) == 1

    # The message's own remedy helps.
    (model / "model.safetensors").unlink(missing_ok=True)
    asked = len(hub.log.entries)
    again, lines = await fetched("hf://acme/tiny", model, {"HF_ENDPOINT": hub.url})
    assert again.reason == "Downloaded", lines
    assert {entry["path"] for entry in hub.log.entries[asked:] if "/resolve/" in entry["path"]} == {
        f"/acme/tiny/resolve/{again.revision}/model.safetensors"
    }
    outcome, _ = await checked(model)
    assert outcome.reason == "Verified"


async def test_a_folder_without_a_download_is_said(tmp_path: Path) -> None:
    outcome, _ = await checked(tmp_path)
    assert (outcome.reason, "no complete download" in outcome.message) == ("VerificationFailed", True)
    outcome, _ = await checked(tmp_path / "nowhere")
    assert outcome.reason == "InvalidRequest"


async def test_a_marker_of_an_earlier_version_is_verified_by_what_it_knows(model: Path, hub: Hub) -> None:
    """It lists no files, and what was done has no checksums: sizes are compared, and that is said."""
    marker = json.loads(marker_of(model).read_text())
    del marker["contents"]
    marker_of(model).write_text(json.dumps(marker))
    done = model / ".aim-fetch" / "done.jsonl"
    lines = [json.loads(line) for line in done.read_text().splitlines()]
    done.write_text(
        "".join(
            json.dumps({name: one[name] for name in ("identity", "path", "size")}) + "\n" for one in lines
        )
    )
    outcome, _ = await checked(model)
    assert outcome.reason == "Verified", outcome
    assert "4 of them by their size only" in outcome.message
    # And it still counts as complete.
    asked = len(hub.log.entries)
    again, _ = await fetched("hf://acme/tiny", model, {"HF_ENDPOINT": hub.url})
    assert (again.reason, len(hub.log.entries)) == ("Downloaded", asked)
    done.write_text("")
    outcome, _ = await checked(model)
    assert "the marker" in outcome.message


async def test_a_marker_that_somebody_else_wrote_leads_nowhere(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    marker = json.loads(marker_of(model).read_text())
    marker["contents"][0] = {"path": "../secret", "size": 1}
    marker_of(model).write_text(json.dumps(marker))
    outcome, _ = await checked(model)
    assert "no plain relative path" in outcome.message


async def test_objects_in_parts_are_verified_as_the_store_counts_them(
    store: S3Server, tmp_path: Path
) -> None:
    client = store.client()
    client.create_bucket(Bucket="parts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    put_in_parts(client, "parts", "m/large.bin", bytes(6_000_000), 5 * 1024 * 1024)
    outcome, _ = await fetched("s3://parts/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded"
    (listed,) = json.loads(marker_of(tmp_path / "out").read_text())["contents"]
    assert listed["checksum"].startswith("md5:")
    assert listed["checksum"].endswith("/5242880")
    outcome, _ = await checked(tmp_path / "out")
    assert outcome.reason == "Verified"
    flip(tmp_path / "out" / "large.bin")
    outcome, _ = await checked(tmp_path / "out")
    assert "has md5 " in outcome.message


@pytest.mark.parametrize(
    "checksum",
    [Checksum("sha256", "a" * 64), Checksum("git", "b" * 40), Checksum("md5", "c" * 32, 5242880)],
    ids=lambda checksum: checksum.algorithm,
)
def test_a_checksum_is_read_as_it_was_written(checksum: Checksum) -> None:
    assert of_text(as_text(checksum)) == checksum


@pytest.mark.parametrize(
    "text", [None, "", "sha512:00", "md5:zz", "sha256:" + "a" * 63, "md5:" + "a" * 32 + "/0"]
)
def test_what_is_no_checksum_is_none(text: str | None) -> None:
    assert of_text(text) is None


def test_the_command(hub: Hub, tmp_path: Path) -> None:
    first = FetchProcess(
        "hf://acme/tiny", tmp_path / "out", tmp_path / "log", environment={"HF_ENDPOINT": hub.url}
    )
    assert first.wait() == 0, first.text
    found = FetchProcess("--verify", tmp_path / "out", tmp_path / "verified", environment={})
    assert found.wait() == 0, found.text
    assert found.message["reason"] == "Verified"
    flip(tmp_path / "out" / "config.json")
    found = FetchProcess("--verify", tmp_path / "out", tmp_path / "damaged", environment={})
    assert found.wait() == 15, found.text
    assert "config.json has git" in found.message["message"]
    assert Path(AIMCTL).exists()


_DIFFERS = re.compile(r"hf://\S+|\S+[.]safetensors|(?<=sha256 )\w+|(?<=had )\w+|(?<= at )\w+|\d+([.]\d+\w+)?")


def alike(line: str) -> str:
    """A line without what differs from model to model; the page shortens what is long."""
    return _DIFFERS.sub("N", line).replace("N…", "N")


async def test_what_the_page_shows_of_it_is_what_it_says(model: Path) -> None:
    flip(model / "model.safetensors")
    outcome, lines = await checked(model)
    got = [*lines, f"{outcome.reason}: {outcome.message}"]
    want = shown("docs/guides/caching.md", "verifying ").splitlines()
    assert difference("\n".join(map(alike, want)), "\n".join(map(alike, got))) == ""
