"""What a hub can do to a download: each ends in the right reason, or in success after a retry; none hangs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from aim_operator.fetch.outcome import FetchReason
from aim_operator.fetch.partial import CHUNK_BYTES
from tests.support.fetch_process import assert_same_files, progress
from tests.support.fetching import fetched, stall_seconds_for
from tests.support.hub_server import Hub

PATIENCE_SECONDS = 60
"""Far above what any of these takes; for what hangs."""
BIG = "/cdn/model*"
SMALL = "*/resolve/*/config.json"
SIZE = 20_000_001


@pytest.mark.parametrize(
    ("fault", "want"),
    [
        pytest.param(
            f"drop:path={BIG},after=3000000,times=3", "ended the body early", id="a connection drops"
        ),
        pytest.param(f"short:path={BIG},after=5000,times=2", "ended early", id="a body ends early, properly"),
        pytest.param(f"stall:path={BIG},after=70000,times=2", "no byte from", id="streams fall silent once"),
        pytest.param("silent:path=/api/*,times=1", "no answer from", id="a listing is silent once"),
        pytest.param("status:path=/api/*,code=503,times=2", "answered 503", id="a listing is 503 twice"),
        pytest.param(f"status:path={SMALL},code=500,times=2", "answered 500", id="a file is 500 twice"),
        pytest.param("status:path=/cdn/*,code=502,times=3", "answered 502", id="the CDN is 502"),
        pytest.param(
            "status:path=/cdn/*,code=429,retry_after=1,times=1", "answered 429", id="the CDN asks to wait"
        ),
        pytest.param("status:path=/cdn/*,code=403,times=2", "answered 403", id="a signed address is refused"),
        pytest.param(f"wrong-range:path={BIG},times=2", "when asked for", id="other bytes than asked for"),
        pytest.param(f"gzip:path={BIG}", "done", id="stored with an encoding of its own"),
        pytest.param(f"corrupt:path={BIG},times=1", "discarded and fetched once more", id="a bad byte, once"),
        pytest.param(f"other-size:path={BIG},times=1", "is listed anew", id="another size, once"),
        pytest.param(f"no-range:path={BIG}", "sends whole files only", id="ranges are ignored"),
        pytest.param(f"part:path={BIG},bytes=3000000", "done", id="ranges are cut short"),
    ],
)
async def test_what_passes_is_survived(fault: str, want: str, hub: Hub, tmp_path: Path) -> None:
    hub.faults.add(fault)
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome, lines = await fetched(
            "hf://acme/tiny",
            tmp_path / "out",
            {"HF_ENDPOINT": hub.url},
            stall_seconds=stall_seconds_for(fault),
        )
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")
    assert want in "\n".join(lines)
    steps = progress("\n".join(lines))
    assert steps == sorted(steps)


@pytest.mark.parametrize(
    ("fault", "reason", "want"),
    [
        pytest.param(
            "status:path=/api/*,code=401", "AuthenticationFailed", "set HF_TOKEN", id="401 for the listing"
        ),
        pytest.param(
            "status:path=/api/*,code=403,code_name=GatedRepo",
            "AuthenticationFailed",
            "is gated",
            id="a gated repo",
        ),
        pytest.param(
            f"status:path={SMALL},code=403", "AuthenticationFailed", "HF_TOKEN", id="403 for a file"
        ),
        pytest.param(
            "status:path=/api/*,code=404,code_name=RepoNotFound",
            "SourceNotFound",
            "no model",
            id="no such repo",
        ),
        pytest.param("status:path=/api/*,code=500", "DownloadFailed", "500", id="500 for ever"),
        pytest.param("status:path=/api/*,code=418", "DownloadFailed", "418", id="an answer nobody expects"),
        pytest.param("silent:path=/api/*", "Stalled", "no answer", id="a listing is silent for ever"),
        pytest.param("stall:path=/cdn/*", "Stalled", "no byte", id="files are silent for ever"),
        pytest.param(
            "stall:path=/cdn/*,after=100", "Stalled", "no byte", id="a few bytes, then silence, each time"
        ),
        pytest.param("drop:path=/cdn/*,after=100", "DownloadFailed", "early", id="a few bytes, then a break"),
        pytest.param("status:path=/cdn/*,code=503", "DownloadFailed", "503", id="503 for ever"),
        pytest.param("status:path=/cdn/*,code=403", "DownloadFailed", "403", id="the CDN refuses for ever"),
        pytest.param(f"corrupt:path={BIG}", "DownloadFailed", "wanted sha256", id="a wrong checksum, twice"),
        pytest.param(f"corrupt:path={SMALL}", "DownloadFailed", "wanted git", id="a wrong git hash, twice"),
        pytest.param(f"other-size:path={BIG}", "DownloadFailed", "kept changing", id="another size for ever"),
        pytest.param(
            f"status:path={SMALL},code=404",
            "DownloadFailed",
            "kept changing",
            id="a listed file is not there",
        ),
        pytest.param(
            f"redirect:path={SMALL},to=ftp://elsewhere/x", "DownloadFailed", "no http(s)", id="sent on to ftp"
        ),
        pytest.param(
            f"redirect:path={SMALL},to=/acme/tiny/resolve/main/config.json",
            "DownloadFailed",
            "redirects more than",
            id="sent on in a circle",
        ),
    ],
)
async def test_what_stays_has_its_reason(
    fault: str, reason: str, want: str, hub: Hub, tmp_path: Path
) -> None:
    hub.faults.add(fault)
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome, lines = await fetched(
            "hf://acme/tiny",
            tmp_path / "out",
            {"HF_ENDPOINT": hub.url},
            stall_seconds=stall_seconds_for(fault),
        )
    assert (outcome.reason, want in outcome.message) == (reason, True), (outcome, lines)
    assert not (tmp_path / "out" / ".aim-fetch" / "complete.json").exists()
    assert 100 not in [percentage for _, _, percentage in progress("\n".join(lines))]

    # Once the source is well again, the same directory is completed.
    hub.faults.clear()
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


async def test_a_dead_server_is_said(tmp_path: Path) -> None:
    """Nobody listens at the discard port."""
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert outcome.reason == FetchReason.DOWNLOAD_FAILED
    assert "can't reach 127.0.0.1" in outcome.message


async def test_what_does_not_fit_is_refused_before_a_byte(hub: Hub, tmp_path: Path) -> None:
    outcome, _ = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, capacity_bytes=SIZE - 1
    )
    assert outcome.reason == FetchReason.INSUFFICIENT_SPACE
    assert all(
        word in outcome.message for word in (str(SIZE - 1), str(outcome.total_bytes), "enlarge the claim")
    )
    assert [entry for entry in hub.log.entries if "sent" in entry] == []


async def test_a_revision_that_is_not_there(hub: Hub, tmp_path: Path) -> None:
    outcome, _ = await fetched("hf://acme/tiny:v9", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.SOURCE_NOT_FOUND
    assert "no revision 'v9'" in outcome.message


@pytest.mark.parametrize(
    "path",
    [
        "../evil",
        "/etc/evil",
        "a/../../evil",
        ".aim-fetch/complete.json",
        ".AIM-FETCH/x",
        "a//b",
        "a\nb",
        "x" * 300,
    ],
)
async def test_a_listing_with_a_path_that_leads_elsewhere_writes_nothing(
    path: str, hub: Hub, tmp_path: Path
) -> None:
    hub.extra_entries.append({"type": "file", "path": path, "size": 1, "oid": "0" * 40})
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOAD_FAILED
    assert "the source lists" in outcome.message
    assert [found.name for found in (tmp_path / "out").iterdir()] == [".aim-fetch"]


async def test_a_mirror_without_trees(hub: Hub, tmp_path: Path) -> None:
    """The model's own list does."""
    hub.trees = False
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOADED
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


async def test_a_part_that_is_still_coming_when_the_whole_has_come_is_left(hub: Hub, tmp_path: Path) -> None:
    """The first range at a speed that takes a minute; all others are answered with the whole file."""
    hub.faults.add(f"slow:path={BIG},rate=140000,times=1", f"no-range:path={BIG}")
    async with asyncio.timeout(PATIENCE_SECONDS / 2):
        outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


async def test_signed_addresses_that_expire_are_asked_for_anew(hub: Hub, tmp_path: Path) -> None:
    hub.sign_seconds = 0.3
    hub.faults.add(f"slow:path={BIG},rate=20000000")
    outcome, lines = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, connections=1
    )
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert "answered 403" in "\n".join(lines)
    assert "very-secret" not in "\n".join(lines)


async def test_a_download_stays_at_the_commit_that_it_began_with(hub: Hub, tmp_path: Path) -> None:
    """main moves on meanwhile; files of two commits do not make a model."""
    model = tmp_path / "models" / "acme" / "tiny"
    first = hub.models.commit("acme/tiny", "main")
    hub.faults.add("status:path=/cdn/*,code=503")
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOAD_FAILED
    old = model.rename(tmp_path / "models" / "acme" / "tiny-1")
    hub.models.moved(model, old)
    model.mkdir()
    (model / "config.json").write_text("{}")
    hub.faults.clear()
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert (outcome.reason, outcome.revision) == (FetchReason.DOWNLOADED, first)
    assert_same_files(tmp_path / "out", old)


async def test_a_commit_that_is_gone_gives_way_to_the_new_one(hub: Hub, tmp_path: Path) -> None:
    """What is equal in both stays; what the new one has not is removed; what others put there is left."""
    model = tmp_path / "models" / "acme" / "tiny"
    hub.faults.add("status:path=/cdn/*,code=503")
    # Patient enough for a fourth stream to be opened, which fetches what the large file does not keep away.
    await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url}, attempts=30)
    assert (tmp_path / "out" / "variants" / "params.json").exists()
    (tmp_path / "out" / "lost+found").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    hub.models.forget("acme/tiny", hub.models.commit("acme/tiny", "main") or "")
    (model / "variants" / "params.json").unlink()
    (model / "variants").rmdir()
    (model / "config.json").write_text('{"new": true}')
    hub.faults.clear()
    before = len(hub.log.entries)
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    (tmp_path / "out" / "lost+found").rmdir()
    (tmp_path / "out" / "notes.txt").unlink()
    assert_same_files(tmp_path / "out", model)
    assert not (tmp_path / "out" / "variants").exists()
    served = {entry["path"].rpartition("/")[2] for entry in hub.log.entries[before:] if "sent" in entry}
    assert "empty.txt" not in served


async def test_another_model_in_the_directory_is_not_touched(hub: Hub, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": hub.url}
    await fetched("hf://acme/tiny", tmp_path / "out", environment)
    outcome, _ = await fetched("hf://acme/other", tmp_path / "out", environment)
    assert (outcome.reason, outcome.exit_code) == (FetchReason.INVALID_REQUEST, 2)
    assert "holds hf://acme/tiny" in outcome.message


@pytest.mark.parametrize("damage", ["removed", "cut"])
async def test_a_damaged_complete_download_is_mended(damage: str, hub: Hub, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": hub.url}
    await fetched("hf://acme/tiny", tmp_path / "out", environment)
    if damage == "removed":
        (tmp_path / "out" / "config.json").unlink()
    else:
        (tmp_path / "out" / "config.json").write_text("{")
    before = len(hub.log.entries)
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", environment)
    assert outcome.reason == FetchReason.DOWNLOADED
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")
    assert [entry["path"].rpartition("/")[2] for entry in hub.log.entries[before:] if "sent" in entry] == [
        "config.json"
    ]


async def test_links_on_the_volume_are_not_followed(hub: Hub, tmp_path: Path) -> None:
    """Somebody who may write to the volume must not make the downloader write elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "variants").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "config.json").symlink_to(tmp_path / "elsewhere" / "config.json")
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == FetchReason.DOWNLOAD_FAILED
    assert "'variants' on the volume" in outcome.message
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_the_token_goes_to_the_hub_only(hub: Hub, tmp_path: Path) -> None:
    """The CDN refuses requests that carry it."""
    hub.token = "hf_secretsecret"
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_secretsecret"}
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", environment)
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert any(
        entry["server"] == "cdn" and entry["sent"] == CHUNK_BYTES
        for entry in hub.log.entries
        if "sent" in entry
    )
