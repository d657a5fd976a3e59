"""Our own listing beside huggingface_hub's: the same questions, and the same answers understood alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.hf_api import RepoFile

from aim_operator.errors import FetchError
from aim_operator.fetch.hub import HubSource
from aim_operator.fetch.listing import RemoteFile
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.source_uri import HubUri
from tests.support.hub_server import Hub


def source(hub: Hub, revision: str = "main", **variables: str) -> HubSource:
    return HubSource(
        HubUri("acme/tiny", revision),
        {"HF_ENDPOINT": hub.url, **variables},
        policy=Policy(attempts=2, first_seconds=0.01),
        limit_seconds=20,
        retried=lambda _: None,
    )


@pytest.mark.parametrize("revision", ["main", "refs/pr/1"])
def test_a_model_is_listed_as_by_the_library(revision: str, hub: Hub, tmp_path: Path) -> None:
    """Over two pages, at a branch with slashes in its name, with names that have to be encoded."""
    model = tmp_path / "models" / "acme" / "tiny"
    if revision != "main":
        other = tmp_path / "models" / "acme" / f"tiny@{revision}"
        other.parent.mkdir(parents=True, exist_ok=True)
        other.symlink_to(model)
    (model / "folder é").mkdir()
    (model / "folder é" / "a+b & c%20#d?.txt").write_text("odd")
    for number in range(1001):
        (model / "variants" / f"{number}.txt").write_text(str(number))
    ours = source(hub, revision)
    got = ours.list(None)

    api = HfApi(endpoint=hub.url, token=False)
    commit = api.model_info("acme/tiny", revision=revision, expand=["sha"]).sha
    entries = api.list_repo_tree("acme/tiny", recursive=True, revision=commit)
    want = {
        entry.path: (entry.lfs.size, entry.lfs.sha256) if entry.lfs else (entry.size, entry.blob_id)
        for entry in entries
        if isinstance(entry, RepoFile)
    }
    assert (got.revision, len(got.files)) == (commit, 1006)
    assert {file.path: (file.size, file.etag) for file in got.files} == want
    for file in got.files:
        assert ours.request(file).url == hf_hub_url("acme/tiny", file.path, revision=commit, endpoint=hub.url)


def test_the_models_own_list_is_understood_as_by_the_library(hub: Hub) -> None:
    hub.trees = False
    got = source(hub).list(None)
    info = HfApi(endpoint=hub.url, token=False).model_info("acme/tiny", files_metadata=True)
    assert {file.path: file.size for file in got.files} == {
        sibling.rfilename: sibling.size for sibling in info.siblings or ()
    }
    assert {file.checksum.algorithm for file in got.files if file.checksum} == {"sha256", "git"}


@pytest.mark.parametrize(
    ("token", "want"),
    [
        pytest.param("", "set HF_TOKEN to a token that may", id="none"),
        pytest.param("hf_another", "the token in HF_TOKEN may not read acme/tiny", id="another"),
    ],
)
def test_what_the_hub_says_of_a_private_model(token: str, want: str, hub: Hub) -> None:
    hub.token = "hf_secretsecret"
    with pytest.raises(FetchError, match=want) as caught:
        source(hub, HF_TOKEN=token).list(None)
    assert caught.value.reason == "AuthenticationFailed"
    assert source(hub, HUGGING_FACE_HUB_TOKEN="hf_secretsecret").list(None).files


def test_files_of_a_listing_are_plain(hub: Hub) -> None:
    files = source(hub).list(None).files
    assert [type(file) for file in files] == [RemoteFile] * 4
