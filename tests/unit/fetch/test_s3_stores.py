"""Stores as the field has them: other regions, half of the protocol, odd keys, private certificates, away."""

from __future__ import annotations

import gzip
import socket
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from aim_operator.fetch.outcome import LeftOut
from aim_operator.fetch.s3 import NO_NAMES
from tests.support.faults import Faults
from tests.support.fetching import fetched
from tests.support.s3_server import S3Server, put_in_parts

MIB = 1024 * 1024
LARGE = bytes(range(256)) * 4096 * 6


def bucket(store: S3Server, name: str, **objects: bytes) -> str:
    client = store.client()
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, content in (objects or {"m/config.json": b"{}", "m/a/w.safetensors": b"weights"}).items():
        client.put_object(Bucket=name, Key=key, Body=content)
    return name


def files(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and ".aim-fetch" not in path.relative_to(directory).parts
    }


WHOLE = {"config.json": b"{}", "a/w.safetensors": b"weights"}


async def test_a_bucket_in_another_region_than_aws_region(store: S3Server, tmp_path: Path) -> None:
    """The listing found it by itself before, and every file was then refused."""
    name = bucket(store, "elsewhere")
    environment = {**store.environment, "AWS_REGION": "us-west-2"}
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path / "out") == WHOLE
    assert sum("is in region eu-central-1, not in us-west-2; set AWS_REGION" in line for line in lines) == 1


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param({"x-amz-checksum-mode": 400}, id="checksums of objects: 400"),
        pytest.param({"x-amz-checksum-mode": 501}, id="checksums of objects: 501"),
        pytest.param({"if-match": 400}, id="conditions: 400"),
        pytest.param({"if-match": 412}, id="conditions: never met"),
        pytest.param({"if-match": 501, "x-amz-checksum-mode": 400}, id="both"),
        pytest.param({"partNumber": 400}, id="parts of objects"),
        pytest.param({"encoding-type": 400}, id="escaped keys"),
        pytest.param({"list-type": 400}, id="the second kind of listing"),
        pytest.param({"list-type": 501, "encoding-type": 501}, id="all but what S3 began with"),
        pytest.param({"HEAD": 405}, id="HEAD"),
        pytest.param({"HEAD": 400}, id="HEAD: 400"),
    ],
)
async def test_a_store_that_knows_less_of_s3(
    refused: dict[str, int], store: S3Server, tmp_path: Path
) -> None:
    name = "less-" + "-".join(f"{key}{value}" for key, value in refused.items()).lower()[:40]
    bucket(store, name)
    put_in_parts(store.client(), name, "m/large.bin", LARGE, 5 * MIB)
    store.refuses = refused
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path / "out") == {**WHOLE, "large.bin": LARGE}
    # Found out once, not for each file and range; the library asks each time for the region, too.
    assert len([one for one in store.log.entries if one.get("server") == "refusal"]) <= 9


@pytest.mark.parametrize(
    ("refused", "reason", "want"),
    [
        pytest.param(
            {"prefix": 400},
            "DownloadFailed",
            "answered 400 InvalidArgument when asked about bucket hopeless",
            id="every listing is refused",
        ),
        pytest.param({"GET": 405}, "DownloadFailed", "405", id="every GET is"),
        pytest.param(
            {"HEAD": 403}, "AuthenticationFailed", "answered 403: the credentials may not", id="HEAD"
        ),
    ],
)
async def test_a_store_that_refuses_all_of_it_is_said_with_its_word_and_once(
    refused: dict[str, int], reason: str, want: str, store: S3Server, tmp_path: Path
) -> None:
    """ "S3 answered 400 400" was all that there was."""
    name = "hopeless-" + "".join(refused).lower()
    bucket(store, name)
    store.refuses = refused
    outcome, _ = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert (outcome.reason, want in outcome.message) == (reason, True), outcome
    assert "400 400" not in outcome.message


@pytest.mark.parametrize("encoding", ["gzip", "aws-chunked", "utf-8", "gzip,aws-chunked"])
async def test_objects_stored_with_a_content_encoding_are_taken_as_stored(
    encoding: str, store: S3Server, tmp_path: Path
) -> None:
    name = "encoded-" + encoding.replace(",", "-")
    bucket(store, name)
    content = {"packed.json": gzip.compress(b'{"a": 1}'), "large.bin": LARGE + b"x"}
    for path, each in content.items():
        store.client().put_object(Bucket=name, Key=f"e/{path}", Body=each, ContentEncoding=encoding)
    outcome, lines = await fetched(f"s3://{name}/e", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path / "out") == content


async def test_a_store_that_unpacks_what_is_stored_packed_is_asked_for_it_as_stored(
    store: S3Server, tmp_path: Path
) -> None:
    """Google's, for whoever does not take gzip: of another size, and without ranges."""
    name = bucket(store, "transcoding")
    packed = gzip.compress(b"{}" * 10_000)
    store.client().put_object(Bucket=name, Key="m/p.json", Body=packed, ContentEncoding="gzip")
    store.transcodes = True
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path / "out") == {**WHOLE, "p.json": packed}


async def test_an_encoding_that_was_put_on_for_the_way_is_not_taken_for_the_file(
    store: S3Server, tmp_path: Path
) -> None:
    """A proxy that compresses: the length does not fit, and it says so for as long as it lasts."""
    name = bucket(store, "on-the-way", **{"m/a.json": b"[]" * 1000})
    store.faults.add("repacked:path=*.json,skip=1")
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "DownloadFailed", lines
    assert "Content-Encoding gzip" in outcome.message


async def test_keys_that_no_file_can_have_are_left_out_and_said(store: S3Server, tmp_path: Path) -> None:
    """`//`, an empty `d` beside `d/f`, a file `e` beside `e/f`: the rest of the model is fetched."""
    odd = {
        "m//x": b"12345",
        "m/d": b"",
        "m/d/f": b"f",
        "m/e": b"123",
        "m/e/f": b"f",
        "m/t/": b"1",
        "m/g/": b"",
    }
    name = bucket(store, "odd-keys", **odd, **{"m/config.json": b"{}"})
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path / "out") == {"config.json": b"{}", "d/f": b"f", "e/f": b"f"}
    assert outcome.left_out == (LeftOut(pattern=NO_NAMES, files=4, total_bytes=9),)
    assert "left out: 4 files, 9 bytes (keys that no file can have)" in outcome.message


@pytest.mark.parametrize("key", ["m/a/../../../etc/x", "m/./x", "m/..", "m/.", "m/config.json/../x"])
async def test_a_key_that_leads_elsewhere_is_left_out_and_said(
    key: str, store: S3Server, tmp_path: Path
) -> None:
    """To a bucket `.` and `..` are names like any other; on a volume they would lead out of the model."""
    name = bucket(store, f"elsewhere-{key.encode().hex()}", **{key: b"123", "m/config.json": b"{}"})
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "model" / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert files(tmp_path) == {"model/out/config.json": b"{}"}
    assert outcome.left_out == (LeftOut(pattern=NO_NAMES, files=1, total_bytes=3),)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("endpoint", "more", "want"),
    [
        pytest.param("http://127.0.0.1:{closed}", {}, "can't reach 127.0.0.1:{closed}", id="refused"),
        pytest.param("http://nowhere.invalid:9000", {}, "nowhere.invalid", id="no such name"),
        pytest.param(
            "http://s3.example:9000",
            {"HTTP_PROXY": "http://127.0.0.1:{closed}"},
            "can't reach s3.example:9000 through the proxy",
            id="a dead proxy",
        ),
    ],
)
async def test_a_store_that_can_not_be_reached_is_tried_again_as_often_as_a_hub(
    endpoint: str, more: dict[str, str], want: str, tmp_path: Path, store: S3Server
) -> None:
    closed = str(closed_port())
    environment = {
        **store.environment,
        **{name: text.replace("{closed}", closed) for name, text in more.items()},
        "AWS_ENDPOINT_URL": endpoint.replace("{closed}", closed),
    }
    outcome, lines = await fetched("s3://some-bucket/m", tmp_path / "out", environment, attempts=3)
    assert outcome.reason == "DownloadFailed", lines
    assert want.replace("{closed}", closed) in outcome.message
    assert "3 attempts in a row" in outcome.message
    assert sum("trying again after" in line for line in lines) == 2


async def test_a_store_that_comes_up_late_is_waited_for(store: S3Server, tmp_path: Path) -> None:
    name = bucket(store, "late")
    store.faults = Faults("status:code=503,times=2")
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"])
async def test_a_private_authority_is_trusted_for_the_listing_and_the_files(
    variable: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with S3Server(authority.issue_cert("127.0.0.1")) as private:
        name = bucket(private, "private")
        environment = {**private.environment, variable: str(tmp_path / "ca.pem")}
        outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", environment)
        assert outcome.reason == "Downloaded", lines
        outcome, _ = await fetched(f"s3://{name}/m", tmp_path / "other", private.environment)
    assert outcome.reason == "DownloadFailed"
    assert "certificate is not trusted" in outcome.message
    assert "SSL_CERT_FILE" in outcome.message


async def test_a_proxy_is_asked_for_listing_and_files_and_not_where_no_proxy_has_the_network(
    store: S3Server, tmp_path: Path
) -> None:
    """The stand-in answers a forwarded request as a proxy would: by its path."""
    name = bucket(store, "by-proxy")
    dead = f"http://127.0.0.1:{closed_port()}"
    environment = {**store.environment, "ALL_PROXY": dead, "NO_PROXY": "127.0.0.0/8"}
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", environment)
    assert outcome.reason == "Downloaded", lines
    outcome, lines = await fetched(
        f"s3://{name}/m", tmp_path / "other", {**store.environment, "ALL_PROXY": "socks5://127.0.0.1:1"}
    )
    assert (outcome.reason, "ALL_PROXY names a SOCKS proxy" in outcome.message) == ("InvalidRequest", True)


def listing(*keys: str, more: str) -> str:
    objects = "".join(
        f"<Contents><Key>{key}</Key><Size>2</Size><ETag>&quot;99914b932bd37a50b983c5e7c90ae93b&quot;</ETag></Contents>"
        for key in keys
    )
    return f"<ListBucketResult><Name>b</Name>{more}{objects}</ListBucketResult>"


async def test_a_store_that_continues_by_markers_though_asked_by_tokens(
    store: S3Server, tmp_path: Path
) -> None:
    """As older Ceph, and OBS: truncated, without a token. The rest was left out in silence before."""
    name = bucket(store, "by-markers", **{f"m/{letter}.json": b"{}" for letter in "abcde"})

    async def marked(request: web.Request) -> web.StreamResponse:
        letters = [letter for letter in "abcde" if f"m/{letter}.json" > request.query.get("marker", "")]
        truncated = f"<IsTruncated>{'true' if len(letters) > 2 else 'false'}</IsTruncated>"
        text = listing(*(f"m/{letter}.json" for letter in letters[:2]), more=truncated)
        return web.Response(text=text, content_type="application/xml")

    store.listed = marked
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert sorted(files(tmp_path / "out")) == [f"{letter}.json" for letter in "abcde"]


async def test_pages_that_are_empty_are_not_the_end(store: S3Server, tmp_path: Path) -> None:
    name = bucket(store, "empty-pages", **{"m/a.json": b"{}"})
    asked = 0

    async def sparse(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        assert request.query.get("continuation-token", "1") == str(asked)
        following = f"<NextContinuationToken>{asked + 1}</NextContinuationToken>"
        more = f"<IsTruncated>true</IsTruncated>{following}" if asked < 5 else ""
        text = listing(*(("m/a.json",) if asked == 5 else ()), more=more)
        return web.Response(text=text, content_type="application/xml")

    store.listed = sparse
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment)
    assert outcome.reason == "Downloaded", lines
    assert asked == 5


async def test_a_listing_that_fails_on_its_way_continues_where_it_was(
    store: S3Server, tmp_path: Path
) -> None:
    name = bucket(store, "on-its-way", **{f"m/{number:04}": b"{}" for number in range(1001)})
    store.faults.add("status:path=/on-its-way,code=503,skip=1,times=1")
    outcome, lines = await fetched(f"s3://{name}/m", tmp_path / "out", store.environment, connections=8)
    assert (outcome.reason, outcome.files) == ("Downloaded", 1001), lines
    pages = [
        entry for entry in store.log.entries if entry["path"] == "/on-its-way" and entry["status"] == 200
    ]
    assert ["continuation-token" in entry["query"] for entry in pages] == [False, True]
