"""S3: what is listed, how it is verified, and what can go wrong. boto3 is the real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from aim_operator.fetch.outcome import FetchReason
from tests.support.fetch_process import FetchProcess, assert_same_files
from tests.support.fetching import fetched, stall_seconds_for
from tests.support.s3_server import SECRET, S3Server, put_in_parts

PATIENCE_SECONDS = 60
MIB = 1024 * 1024
LARGE = random.Random(2).randbytes(9 * MIB + 17)
FILES = {
    "config.json": b"{}",
    "sub folder/wei+rd é.txt": b"odd names",
    "empty": b"",
    "model.safetensors": LARGE,
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    """One moto for the module; each test has a bucket of its own."""
    with S3Server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server) -> Iterator[S3Server]:
    server.log.entries.clear()
    yield server
    server.as_new()


@pytest.fixture(scope="module")
def bucket(server: S3Server) -> str:
    """models/tiny/… with an object in parts, one with a SHA-256, plain ones; and a neighbour."""
    return filled(server, "models-for-all")


def filled(server: S3Server, name: str) -> str:
    client = server.client()
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for path, content in FILES.items():
        if path != "model.safetensors":
            client.put_object(Bucket=name, Key=f"models/tiny/{path}", Body=content)
    put_in_parts(client, name, "models/tiny/model.safetensors", LARGE, 5 * MIB)
    client.put_object(Bucket=name, Key="models/tiny/", Body=b"")
    client.put_object(Bucket=name, Key="models/tiny-2/other.txt", Body=b"not of this model")
    client.put_object(Bucket=name, Key="models/hashed/x.bin", Body=b"hashed", ChecksumAlgorithm="SHA256")
    return name


@pytest.fixture
def model(tmp_path: Path) -> Path:
    for path, content in FILES.items():
        where = tmp_path / "model" / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_bytes(content)
    return tmp_path / "model"


async def test_the_objects_below_a_prefix(s3: S3Server, bucket: str, model: Path, tmp_path: Path) -> None:
    """As a folder: not its neighbours whose names begin alike, nor the empty object that shows the folder."""
    outcome, lines = await fetched(f"s3://{bucket}/models/tiny", tmp_path / "out", s3.environment)
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert outcome.message == f"4 files, {outcome.total_bytes} bytes (9.0MiB)"
    assert_same_files(tmp_path / "out", model)
    ranges = sorted(entry["range"] for entry in s3.log.entries if entry["path"].endswith(".safetensors"))
    assert ranges == ["", "", "bytes=0-8388607", f"bytes=8388608-{len(LARGE) - 1}"]
    # What is signed can't be used for long, and no key is in it.
    signed = [entry["query"] for entry in s3.log.entries if entry["range"]]
    assert {query["X-Amz-Expires"] for query in signed} == {"900"}

    asked = len(s3.log.entries)
    again, _ = await fetched(f"s3://{bucket}/models/tiny", tmp_path / "out", s3.environment)
    assert again.reason == FetchReason.DOWNLOADED
    assert len(s3.log.entries) == asked


async def test_one_object_by_its_key(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    outcome, _ = await fetched(f"s3://{bucket}/models/hashed/x.bin", tmp_path / "out", s3.environment)
    assert outcome.reason == FetchReason.DOWNLOADED
    assert (tmp_path / "out" / "x.bin").read_bytes() == b"hashed"


@pytest.mark.parametrize(
    ("fault", "want"),
    [
        pytest.param("drop:path=*.safetensors,after=100000,skip=2,times=2", "early", id="a connection drops"),
        pytest.param(
            "stall:path=*.safetensors,after=70000,skip=2,times=1", "no byte", id="a stream is silent"
        ),
        pytest.param(
            "status:path=*config.json,code=503,code_name=SlowDown,skip=1,times=2", "503", id="slow down"
        ),
        # Not of any path: a stream of the test before may still ask for an object.
        pytest.param("status:path=*/models-for-all,code=500,times=1", "500", id="the listing is 500 once"),
        pytest.param(
            "corrupt:path=*.safetensors,skip=2,times=1", "fetched once more", id="a bad byte, in parts"
        ),
        pytest.param(
            "corrupt:path=*config.json,skip=1,times=1", "fetched once more", id="a bad byte, by MD5"
        ),
        pytest.param("no-range:path=*.safetensors", "whole files only", id="ranges are ignored"),
    ],
)
async def test_what_passes_is_survived(
    fault: str, want: str, s3: S3Server, bucket: str, model: Path, tmp_path: Path
) -> None:
    s3.faults.add(fault)
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome, lines = await fetched(
            f"s3://{bucket}/models/tiny",
            tmp_path / "out",
            s3.environment,
            stall_seconds=stall_seconds_for(fault),
        )
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert want in "\n".join(lines)
    assert_same_files(tmp_path / "out", model)


@pytest.mark.parametrize(
    ("fault", "reason", "want"),
    [
        pytest.param(
            "status:code=403,code_name=InvalidAccessKeyId", "AuthenticationFailed", "AWS_", id="a bad key"
        ),
        pytest.param(
            "status:code=400,code_name=ExpiredToken", "AuthenticationFailed", "AWS_", id="an old token"
        ),
        pytest.param("status:code=404,code_name=NoSuchBucket", "SourceNotFound", "no bucket", id="no bucket"),
        pytest.param("silent:path=*", "Stalled", "no answer", id="silence"),
        pytest.param(
            "status:path=*config.json,skip=1,code=403,code_name=AccessDenied",
            "AuthenticationFailed",
            "s3:GetObject",
            id="listing is allowed, reading is not",
        ),
        pytest.param(
            "status:path=*config.json,skip=1,code=403,code_name=InvalidObjectState",
            "DownloadFailed",
            "restore it",
            id="an archived object",
        ),
        pytest.param(
            "corrupt:path=*config.json,skip=1", "DownloadFailed", "wanted md5", id="a wrong MD5, twice"
        ),
        pytest.param(
            "corrupt:path=*x.bin,skip=1", "DownloadFailed", "wanted sha256", id="a wrong SHA-256, twice"
        ),
    ],
)
async def test_what_stays_has_its_reason(
    fault: str, reason: str, want: str, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    s3.faults.add(fault)
    prefix = "hashed" if "x.bin" in fault else "tiny"
    async with asyncio.timeout(PATIENCE_SECONDS):
        outcome, lines = await fetched(
            f"s3://{bucket}/models/{prefix}",
            tmp_path / "out",
            s3.environment,
            stall_seconds=stall_seconds_for(fault),
        )
    assert (outcome.reason, want in outcome.message) == (reason, True), (outcome, lines)
    assert SECRET not in str(outcome) + str(lines)


async def test_a_prefix_with_nothing_below(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    outcome, _ = await fetched(f"s3://{bucket}/models/tin", tmp_path / "out", s3.environment)
    assert outcome.reason == FetchReason.SOURCE_NOT_FOUND
    assert "'models/tin/'" in outcome.message


async def test_an_object_that_changes_meanwhile_starts_over(
    s3: S3Server, model: Path, tmp_path: Path
) -> None:
    """If-Match refuses the rest of what is not the same object any more; the other files stay."""
    bucket = filled(s3, "models-that-change")
    s3.faults.add("status:path=*.safetensors,code=503,skip=3")
    uri = f"s3://{bucket}/models/tiny"
    outcome, _ = await fetched(uri, tmp_path / "out", s3.environment, connections=1)
    assert outcome.reason == FetchReason.DOWNLOAD_FAILED
    s3.faults.clear()
    changed = bytes(reversed(LARGE))
    s3.client().put_object(Bucket=bucket, Key="models/tiny/model.safetensors", Body=changed)
    (model / "model.safetensors").write_bytes(changed)
    before = len(s3.log.entries)
    outcome, lines = await fetched(uri, tmp_path / "out", s3.environment)
    assert outcome.reason == FetchReason.DOWNLOADED, lines
    assert_same_files(tmp_path / "out", model)
    got = [entry["path"] for entry in s3.log.entries[before:] if entry["range"]]
    assert not any(path.endswith("config.json") for path in got)


async def test_where_etags_are_no_hashes_sizes_are_said_to_be_all(
    s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    """As with keys of KMS."""
    s3.headers["x-amz-server-side-encryption"] = "aws:kms"
    outcome, _ = await fetched(f"s3://{bucket}/models/tiny", tmp_path / "out", s3.environment)
    assert outcome.reason == FetchReason.DOWNLOADED
    assert "4 of them have no checksum to verify" in outcome.message


def test_the_process(s3: S3Server, bucket: str, model: Path, tmp_path: Path) -> None:
    process = FetchProcess(
        f"s3://{bucket}/models/tiny", tmp_path / "out", tmp_path / "log", environment=s3.environment
    )
    assert process.wait() == 0, process.text
    assert_same_files(tmp_path / "out", model)
    s3.denied = True
    process = FetchProcess(
        f"s3://{bucket}/models/hashed", tmp_path / "other", tmp_path / "log2", environment=s3.environment
    )
    assert process.wait() == 10, process.text
    assert process.message["reason"] == "AuthenticationFailed"
    assert SECRET not in process.text
