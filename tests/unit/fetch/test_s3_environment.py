"""Credentials and files that variables name: as Secrets and Pods have them, and as an image may try to."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from aim_operator.fetch.certificates import VARIABLES
from tests.support.fetch_process import FetchProcess
from tests.support.fetching import fetched
from tests.support.s3_server import KEY, SECRET, S3Server
from tests.unit.fetch.test_http import serving

ROLE = "arn:aws:iam::123456789012:role/models"


def bucket(store: S3Server, name: str) -> str:
    client = store.client()
    client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    client.put_object(Bucket=name, Key="m/config.json", Body=b"{}")
    return f"s3://{name}/m"


async def test_a_secret_that_ends_with_a_line_break_works(store: S3Server, tmp_path: Path) -> None:
    """As whoever wrote it by `echo` has it: signatures of it were refused, and nobody saw why."""
    uri = bucket(store, "line-breaks")
    store.token = "a-session-token"
    environment = {**store.environment, "AWS_SESSION_TOKEN": "a-session-token"}
    broken = {name: f" {value}\r\n" for name, value in environment.items()}
    outcome, lines = await fetched(uri, tmp_path / "out", broken)
    assert outcome.reason == "Downloaded", lines


@pytest.mark.parametrize(
    "name",
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL"],
)
@pytest.mark.parametrize("within", ["\n", " ", "\0", "é"])
async def test_one_with_a_line_break_within_is_refused_by_its_name(
    name: str, within: str, store: S3Server, tmp_path: Path
) -> None:
    value = f"http://first{within}second"
    outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", {**store.environment, name: value})
    assert (outcome.reason, outcome.message.startswith(f"{name} has ")) == ("InvalidRequest", True), outcome
    assert "second" not in f"{outcome.message}{lines[1:]}"


@pytest.mark.parametrize(
    ("address", "want"),
    [
        pytest.param("minio:9000", "is no address", id="without a scheme"),
        pytest.param("ftp://minio", "is no address", id="of another scheme"),
        pytest.param("http://:9000", "is no address", id="without a host"),
        pytest.param("http://minio:port", "is no address", id="with a port that is none"),
        pytest.param("http://[::1", "is no address", id="half of an IPv6 address"),
        pytest.param("http://minio?a=b", "is no address", id="with a query"),
        pytest.param("http://user:hidden@minio:9000", "has a user or a password in it", id="with a password"),
    ],
)
async def test_an_endpoint_that_is_none_is_refused_by_its_name(
    address: str, want: str, store: S3Server, tmp_path: Path
) -> None:
    environment = {**store.environment, "AWS_ENDPOINT_URL_S3": address}
    outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", environment)
    assert (outcome.reason, f"AWS_ENDPOINT_URL_S3 {want}" in outcome.message) == ("InvalidRequest", True), (
        outcome
    )
    assert "hidden" not in f"{outcome}{lines}"


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
async def test_half_of_a_pair_is_said(missing: str, store: S3Server, tmp_path: Path) -> None:
    environment = {name: value for name, value in store.environment.items() if name != missing}
    outcome, _ = await fetched("s3://bucket/m", tmp_path / "out", environment)
    assert (outcome.reason, f"{missing} is not" in outcome.message) == ("InvalidRequest", True)


def identity(store: S3Server, token_file: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_REGION": "eu-central-1",
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


async def test_a_service_accounts_token_brings_the_credentials_of_its_role(
    store: S3Server, tmp_path: Path
) -> None:
    uri = bucket(store, "web-identity")
    (tmp_path / "token").write_text("header.claims.signature\n")
    store.token = "of-the-role"
    store.identities["header.claims.signature"] = ROLE
    outcome, lines = await fetched(uri, tmp_path / "out", identity(store, tmp_path / "token"))
    assert outcome.reason == "Downloaded", lines
    assert len([one for one in store.log.entries if one.get("server") == "sts"]) == 1


async def test_a_role_that_does_not_trust_the_token_is_said(store: S3Server, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("header.claims.signature")
    outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", identity(store, tmp_path / "token"))
    assert outcome.reason == "AuthenticationFailed", lines
    assert "STS gives no credentials for the role in AWS_ROLE_ARN" in outcome.message
    assert "header.claims" not in f"{outcome}{lines}"


@pytest.mark.parametrize(
    ("kind", "want"),
    [
        pytest.param("missing", "can't be read (No such file or directory)", id="missing"),
        pytest.param("folder", "can't be read (Is a directory)", id="a folder"),
        pytest.param("binary", "can't be read (no token)", id="no text"),
    ],
)
async def test_a_token_file_that_can_not_be_read_is_not_the_volumes_fault(
    kind: str, want: str, store: S3Server, tmp_path: Path
) -> None:
    path = tmp_path if kind == "folder" else tmp_path / "token"
    if kind == "binary":
        path.write_bytes(b"\xff\xfe")
    outcome, _ = await fetched("s3://bucket/m", tmp_path / "out", identity(store, path))
    assert outcome.reason == "AuthenticationFailed", outcome
    assert f"AWS_WEB_IDENTITY_TOKEN_FILE names {path}, which {want}" in outcome.message
    assert "volume" not in outcome.message


async def test_a_certificate_file_that_is_missing_is_not_the_volumes_fault(
    store: S3Server, tmp_path: Path
) -> None:
    environment = {
        **store.environment,
        "AWS_ENDPOINT_URL": "https://127.0.0.1:1",
        "SSL_CERT_FILE": "/no/ca.pem",
    }
    outcome, _ = await fetched("s3://bucket/m", tmp_path / "out", environment)
    assert outcome.reason == "InvalidRequest", outcome
    assert "SSL_CERT_FILE names /no/ca.pem, which can't be read" in outcome.message
    assert "volume" not in outcome.message


async def test_a_service_accounts_token_is_not_sent_over_plain_http(store: S3Server, tmp_path: Path) -> None:
    """Unless it is told so: whoever reads it is the service account. (A signature is no such thing.)"""
    (tmp_path / "token").write_text("header.claims.signature")
    environment = {**identity(store, tmp_path / "token"), "AWS_ENDPOINT_URL": "http://sts.invalid:9000"}
    outcome, _ = await fetched("s3://bucket/m", tmp_path / "out", environment, attempts=2)
    assert outcome.reason == "InvalidRequest", outcome
    assert "AWS_ENDPOINT_URL is plain http" in outcome.message
    environment["AIM_ALLOW_PLAIN_HTTP"] = "true"
    outcome, _ = await fetched("s3://bucket/m", tmp_path / "out", environment, attempts=2)
    assert "can't reach sts.invalid:9000" in outcome.message


async def test_a_public_bucket_without_credentials(store: S3Server, tmp_path: Path) -> None:
    uri = bucket(store, "public-bucket")
    store.public = True
    environment = {"AWS_ENDPOINT_URL": store.url, "awsAnonymousCredential": " True\n"}
    outcome, lines = await fetched(uri, tmp_path / "out", environment)
    assert outcome.reason == "Downloaded", lines


def test_no_program_is_run_that_a_file_in_the_image_names(store: S3Server, tmp_path: Path) -> None:
    """`credential_process` of a profile is code: files of the image are not read, whatever names them."""
    ran = tmp_path / "ran"
    profile = f"credential_process = /bin/sh -c 'touch {ran}'\n"
    for path in (tmp_path / "config", tmp_path / ".aws" / "config"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[default]\n{profile}[profile evil]\n{profile}")
    (tmp_path / ".aws" / "credentials").write_text(
        f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n"
    )
    environment = {
        "AWS_ENDPOINT_URL": store.url,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "evil",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
    }
    process = FetchProcess("s3://bucket/m", tmp_path / "out", tmp_path / "log", environment=environment)
    assert process.wait() == 10, process.text
    assert "there are no credentials for bucket bucket" in process.message["message"]
    assert not ran.exists()


def test_a_role_that_does_not_answer_does_not_hold_up_sigterm(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = FetchProcess(
            "s3://bucket/m",
            tmp_path / "out",
            tmp_path / "log",
            environment={
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{silent.getsockname()[1]}/role",
            },
        )
        silent.settimeout(30)
        asked, _ = silent.accept()
        process.process.terminate()
        assert process.wait(1.5) == 143, process.text
        asked.close()


async def test_a_role_that_gives_no_credentials_is_said(tmp_path: Path) -> None:
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/role",
    }
    outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", environment, attempts=1)
    assert outcome.reason == "DownloadFailed", lines
    assert "no credentials can be had from the container's or instance's role" in outcome.message


@pytest.mark.parametrize("variable", VARIABLES)
async def test_the_agent_of_a_role_has_a_certificate_of_ones_own_authority(
    variable: str, tmp_path: Path
) -> None:
    """The rule of hubs and buckets holds for where the credentials come from."""
    asked: list[str] = []

    async def agent(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        keys = {"AccessKeyId": KEY, "SecretAccessKey": SECRET, "Token": "t"}
        return web.json_response(keys | {"Expiration": "2999-01-01T00:00:00Z"})

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with serving(agent, authority.issue_cert("127.0.0.1")) as address:
        environment = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{address}/role",
        }
        known = environment | {variable: str(tmp_path / "ca.pem")}
        outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", known, attempts=1)
        assert asked == ["/role"], lines
        assert "127.0.0.1:9" in outcome.message, "it went on to the bucket"
        outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", environment, attempts=1)
    assert asked == ["/role"], "nobody vouches for this one"
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI: its certificate is not trusted" in outcome.message, lines
    assert "SSL_CERT_FILE" in outcome.message


@pytest.mark.parametrize(
    ("variable", "address"),
    [
        pytest.param(
            "RELATIVE_URI", "@169.254.169.254/latest/meta-data/iam/security-credentials/node", id="user"
        ),
        pytest.param("RELATIVE_URI", ".evil.example/role", id="another host"),
        pytest.param("RELATIVE_URI", ":80@169.254.169.254/role", id="a port and a user"),
        pytest.param("FULL_URI", "http://169.254.169.254/latest/meta-data/iam/x", id="the node's metadata"),
        pytest.param("FULL_URI", "http://kubernetes.default/role", id="the API server"),
        pytest.param("FULL_URI", "no address", id="none"),
    ],
)
async def test_the_address_of_a_containers_role_leads_to_no_node(
    variable: str, address: str, tmp_path: Path
) -> None:
    """The node's own role is what its metadata would give, in the very form of a container's."""
    name = f"AWS_CONTAINER_CREDENTIALS_{variable}"
    environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", name: address}
    outcome, lines = await fetched("s3://bucket/m", tmp_path / "out", environment, attempts=1)
    assert outcome.reason in ("InvalidRequest", "AuthenticationFailed"), lines
    assert outcome.message.startswith(name)


@pytest.mark.parametrize("allowed", ["", "true"])
def test_the_role_of_the_node_is_asked_only_where_that_is_allowed(allowed: str, tmp_path: Path) -> None:
    """What is asked of it goes through the proxy here, which sees it."""
    asked: list[str] = []

    class Seen(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(404)

        do_GET = do_PUT = answer  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Seen) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        environment = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "http_proxy": f"http://127.0.0.1:{proxy.server_port}",
            "AIM_ALLOW_INSTANCE_ROLE": allowed,
        }
        process = FetchProcess("s3://bucket/m", tmp_path / "out", tmp_path / "log", environment=environment)
        assert process.wait() == 10, process.text
        proxy.shutdown()
    assert "there are no credentials for bucket bucket" in process.message["message"]
    assert any("http://169.254.169.254/latest/" in one for one in asked) is bool(allowed), asked
