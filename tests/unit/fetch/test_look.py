"""A source is listed without fetching, and fetched by patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from aim_operator.fetch.look import Question, look
from aim_operator.fetch.outcome import Outcome
from aim_operator.fetch.retrying import Policy
from aim_operator.fetch.selection import Selection
from tests.support.fetch_process import FetchProcess
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.support.s3_server import S3Server

WEIGHTS = 20_000_001
CONFIG = 27
"""Bytes of its config.json."""
DEFAULT = Selection()


@pytest.fixture
def llama(hub: Hub, tmp_path: Path) -> str:
    """acme/tiny, with its weights again in two other formats."""
    model = tmp_path / "models" / "acme" / "tiny"
    (model / "original").mkdir()
    (model / "original" / "consolidated.00.pth").write_bytes(bytes(5000))
    (model / "pytorch_model.bin").write_bytes(bytes(700))
    return hub.url


async def listed(
    uri: str, environment: dict[str, str], selection: Selection = DEFAULT
) -> tuple[Outcome, list[str]]:
    lines: list[str] = []
    policy = Policy(attempts=2, first_seconds=0.01, limit_seconds=0.1)
    question = Question(uri=uri, selection=selection, stall_seconds=30, policy=policy)
    return await look(question, environment, lines.append), lines


async def test_a_hub_is_listed_without_a_byte_of_a_file(hub: Hub, llama: str) -> None:
    outcome, lines = await listed("hf://acme/tiny", {"HF_ENDPOINT": llama})
    assert (outcome.reason, outcome.files, outcome.downloaded_bytes) == ("Listed", 4, 0)
    assert outcome.total_bytes == WEIGHTS + CONFIG + 2
    assert outcome.revision == hub.models.commit("acme/tiny", "main")
    assert [(one.pattern, one.files, one.total_bytes) for one in outcome.left_out] == [
        ("original/*", 1, 5000),
        ("*.bin", 1, 700),
    ]
    assert any(line.split() == [str(WEIGHTS), "model.safetensors"] for line in lines)
    assert "left out: 2 files, 5700 bytes (5.6KiB) (original/*, *.bin)" in lines[-1]
    assert [entry for entry in hub.log.entries if "sent" in entry] == []


async def test_what_is_listed_is_what_is_fetched(llama: str, tmp_path: Path) -> None:
    for selection in (Selection(), Selection(include=("*",)), Selection(include=("*.json", "*.bin"))):
        outcome, _ = await listed("hf://acme/tiny", {"HF_ENDPOINT": llama}, selection)
        got, lines = await fetched(
            "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": llama}, selection=selection
        )
        assert (got.reason, got.total_bytes, got.files) == (
            "Downloaded",
            outcome.total_bytes,
            outcome.files,
        ), lines
        assert (got.left_out, got.revision) == (outcome.left_out, outcome.revision)
        there = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
        there = [path for path in there if ".aim-fetch" not in path.parts]
        assert len(there) == outcome.files, "what other patterns had chosen is gone"
        again, lines = await fetched("hf://acme/tiny", tmp_path / "out", {}, selection=selection)
        assert (again.reason, again.files, again.left_out) == ("Downloaded", got.files, got.left_out), lines


@pytest.mark.parametrize(
    ("uri", "fault", "environment", "want"),
    [
        pytest.param(
            "hf://acme/none",
            "",
            {"HF_TOKEN": "hf_of_somebody"},
            ("SourceNotFound", "has no model acme/none"),
            id="no model",
        ),
        pytest.param(
            "hf://acme/none",
            "",
            {},
            ("AuthenticationFailed", "acme/none is private, or there is no such model; set HF_TOKEN"),
            id="no model, and no token: the Hub does not tell which",
        ),
        pytest.param(
            "hf://acme/tiny:v9", "", {}, ("SourceNotFound", "no revision 'v9'"), id="no such revision"
        ),
        pytest.param(
            "hf://acme/tiny",
            "status:code=401,path=/api/*",
            {},
            ("AuthenticationFailed", "set HF_TOKEN"),
            id="no token for a private model",
        ),
        pytest.param(
            "hf://acme/tiny",
            "status:code=503,path=/api/*",
            {},
            ("DownloadFailed", "can't be listed: 127.0.0.1:"),
            id="a hub that is ill",
        ),
        pytest.param(
            "hf://acme/tiny",
            "",
            {"HF_ENDPOINT": "http://127.0.0.1:9"},
            ("DownloadFailed", "can't be listed: can't reach 127.0.0.1"),
            id="nobody there",
        ),
        pytest.param("hf://a/b/c", "", {}, ("InvalidRequest", "can't be fetched"), id="no source at all"),
    ],
)
async def test_a_source_that_can_not_be_listed_says_why(
    uri: str, fault: str, environment: dict[str, str], want: tuple[str, str], hub: Hub
) -> None:
    if fault:
        hub.faults.add(fault)
    outcome, _ = await listed(uri, {"HF_ENDPOINT": hub.url, **environment})
    reason, words = want
    assert (outcome.reason, words in outcome.message) == (reason, True), outcome
    assert "the next run continues from it" not in outcome.message, "nothing is there to continue from"


async def test_a_bucket_is_listed_too() -> None:
    with S3Server() as s3:
        client = s3.client()
        client.create_bucket(
            Bucket="models", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        for path, size in {"model.safetensors": 5, "tf_model.h5": 4, "config.json": 2}.items():
            client.put_object(Bucket="models", Key=f"tiny/{path}", Body=bytes(size))
        outcome, lines = await listed("s3://models/tiny", s3.environment)
        assert (outcome.reason, outcome.files, outcome.total_bytes) == ("Listed", 2, 7), lines
        assert outcome.revision.startswith("sha256:")
        s3.denied = True
        outcome, _ = await listed("s3://models/tiny", s3.environment)
        assert outcome.reason == "AuthenticationFailed"


def test_the_process_lists_into_its_termination_message(llama: str, tmp_path: Path) -> None:
    environment = {"HF_ENDPOINT": llama}
    flags = ("--exclude=variants/*", "--include=*.json", "--include=v*")
    process = FetchProcess(
        "hf://acme/tiny", None, tmp_path / "log", "--list", *flags, environment=environment
    )
    assert process.wait() == 0, process.text
    message = process.message
    assert (message["reason"], message["files"], message["totalBytes"]) == ("Listed", 1, CONFIG)
    assert [one["pattern"] for one in message["leftOut"]] == ["not included", "variants/*"]
    assert sum(one["files"] for one in message["leftOut"]) == 5

    both = FetchProcess("hf://acme/tiny", tmp_path / "out", tmp_path / "both", "--list", environment={})
    assert both.wait() == 2
    assert "leave DIR out" in both.text
    neither = FetchProcess("hf://acme/tiny", None, tmp_path / "neither", environment={})
    assert neither.wait() == 2
    assert "name a directory" in neither.text


async def test_a_model_that_the_token_may_not_read_is_no_mistake_in_the_uri_alone(
    hub: Hub, tmp_path: Path
) -> None:
    """To whoever has a token the Hub answers 404 for others' private models, as for what is not there."""
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_of_somebody_else"}
    outcome, lines = await fetched("hf://acme/private", tmp_path / "out", environment)
    assert outcome.reason == "SourceNotFound", lines
    assert "or none that the token in HF_TOKEN may read" in outcome.message
