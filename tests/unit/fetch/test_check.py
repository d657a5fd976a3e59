"""Files that somebody else put there are compared with the source, and nothing is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aim_operator.fetch.check import Check, check
from aim_operator.fetch.outcome import Outcome
from aim_operator.fetch.retrying import Policy
from tests.support.fetching import fetched
from tests.support.hub_server import Hub

URI = "hf://acme/tiny"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def copied(hub: Hub, tmp_path: Path) -> Path:
    """What a user copied from the hub, without a marker."""
    directory = tmp_path / "copied"
    shutil.copytree(tmp_path / "models" / "acme" / "tiny", directory)
    assert hub.url, "the hub has made it"
    return directory


async def checked(directory: Path, endpoint: str, uri: str = URI) -> Outcome:
    policy = Policy(attempts=1, first_seconds=0.01, limit_seconds=0.1)
    before = listing(directory)
    question = Check(uri=uri, directory=directory, stall_seconds=5, policy=policy)
    outcome = await check(question, {"HF_ENDPOINT": endpoint}, lambda _: None)
    assert listing(directory) == before, "nothing is written"
    return outcome


def listing(directory: Path) -> list[tuple[str, float]]:
    return sorted((str(path), path.lstat().st_mtime) for path in directory.rglob("*"))


async def test_what_a_user_copied_is_compared_with_the_hub(hub: Hub, copied: Path) -> None:
    outcome = await checked(copied, hub.url)
    assert (outcome.reason, outcome.exit_code) == ("Verified", 0)
    assert outcome.revision == hub.models.commit("acme/tiny", "main")
    assert (outcome.files, outcome.total_bytes) == (4, 20_000_001 + 27 + 2)


@pytest.mark.parametrize(
    ("spoil", "want"),
    [
        pytest.param(Path.unlink, "is missing", id="missing"),
        pytest.param(lambda path: path.write_bytes(b"{"), "has 1 bytes instead of", id="cut off"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), "is no file", id="a folder of its name"),
    ],
)
async def test_a_file_that_is_not_as_it_should_be_is_named(
    hub: Hub, copied: Path, spoil: object, want: str
) -> None:
    assert callable(spoil)
    spoil(copied / "config.json")
    outcome = await checked(copied, hub.url)
    assert (outcome.reason, outcome.exit_code) == ("VerificationFailed", 15)
    assert f"config.json {want}" in outcome.message
    assert "nothing is written by a check" in outcome.message


async def test_a_folder_of_a_hubs_cache_has_links_to_the_files(hub: Hub, copied: Path) -> None:
    blob = copied / ".." / "blob"
    (copied / "config.json").rename(blob)
    (copied / "config.json").symlink_to(blob)
    assert (await checked(copied, hub.url)).reason == "Verified"


async def test_a_site_without_a_hub_takes_what_looks_like_a_model_and_says_so(copied: Path) -> None:
    outcome = await checked(copied, NOWHERE)
    assert outcome.reason == "Verified"
    assert "not compared with the source: " in outcome.message


async def test_an_empty_volume_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    outcome = await checked(tmp_path, NOWHERE)
    assert outcome.reason == "VerificationFailed"
    assert "has no weights of a model" in outcome.message


async def test_what_aimctl_downloaded_needs_no_hub_and_another_model_is_refused(
    hub: Hub, tmp_path: Path
) -> None:
    directory = tmp_path / "fetched"
    await fetched(URI, directory, {"HF_ENDPOINT": hub.url})
    assert (await checked(directory, NOWHERE)).reason == "Verified"
    outcome = await checked(directory, NOWHERE, "hf://acme/other")
    assert outcome.reason == "InvalidRequest"
    assert f"holds {URI}, not hf://acme/other" in outcome.message
