"""Other names of the same, and errors that are nobody's volume's."""

from __future__ import annotations

from pathlib import Path

import pytest

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.source_uri import HubUri, S3Uri, parse
from aim_operator.fetch.sources import not_the_volume, source_of
from tests.support.fetching import fetched
from tests.support.hub_server import Hub


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("hf://a/b", HubUri("a/b", "main"), id="a model"),
        pytest.param("hf://a/b:refs/pr/1", HubUri("a/b", "refs/pr/1"), id="at a revision"),
        pytest.param("hf://gpt2", HubUri("gpt2", "main"), id="one of the first, without an owner"),
        pytest.param("hf://gpt2:v1", HubUri("gpt2", "v1"), id="at a revision too"),
        pytest.param("s3://bucket", S3Uri("bucket", ""), id="a bucket"),
    ],
)
def test_what_may_be_asked_for(text: str, want: HubUri | S3Uri) -> None:
    assert parse(text) == want


@pytest.mark.parametrize(
    "text", ["hf://", "hf:///b", "hf://a/", "hf://a/b/c", "hf://..", "hf://a/.", "gpt2", "hf:gpt2"]
)
def test_what_is_no_source_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write hf://owner/model"):
        parse(text)


@pytest.mark.parametrize("text", ["s3://a/b", "s3://Models/llama", f"s3://{'a' * 64}/b"])
def test_a_bucket_that_can_be_none_is_told_by_the_rule_for_its_name(text: str) -> None:
    with pytest.raises(UserError, match="name has 3 to 63 lower-case letters"):
        parse(text)


async def test_a_model_of_the_first_ones_without_an_owner(hub: Hub, tmp_path: Path) -> None:
    """The Hub redirects its name to where it is now, for the listing and for each file."""
    hub.renamed["gpt2"] = "acme/tiny"
    outcome, lines = await fetched("hf://gpt2", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    assert (tmp_path / "out" / "config.json").read_bytes() == b'{"architectures": ["Tiny"]}'
    outcome, _ = await fetched("hf://gpt3", tmp_path / "none", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "SourceNotFound"


def test_an_error_of_a_library_is_never_the_volumes() -> None:
    with (
        pytest.raises(
            FetchError, match=r"hf://a/b can't be asked: No such file .* \(/etc/ssl/none\)"
        ) as caught,
        not_the_volume("hf://a/b"),
    ):
        Path("/etc/ssl/none").read_bytes()
    assert caught.value.reason == "DownloadFailed"
    assert "volume" not in str(caught.value)


async def test_a_hub_that_is_forbidden_is_not_blamed_on_the_volume(tmp_path: Path) -> None:
    outcome, _ = await fetched("hf://a/b", tmp_path / "out", {"HF_HUB_OFFLINE": "1"})
    assert outcome.reason == "InvalidRequest"
    assert "HF_HUB_OFFLINE" in outcome.message


def test_nothing_is_asked_before_it_is_listed() -> None:
    source_of("s3://bucket/m", {}, policy=Policy(), limit_seconds=1, retried=print).close()
