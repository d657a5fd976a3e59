"""A token stays with the hub; redirects go right, or end with a sentence that says what is wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from aim_operator.errors import FetchError, UserError
from aim_operator.fetch import hub_account
from aim_operator.fetch.redirects import Trail
from tests.support.fetch_process import assert_same_files
from tests.support.fetching import fetched
from tests.support.hub_server import Hub
from tests.unit.fetch.test_http import serving

TOKEN = "hf_secretsecret"
SMALL = "*/resolve/*/config.json"
TREE = "/api/models/acme/tiny/tree/*"


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Another server, and the headers of all requests that it gets."""
    headers: list[dict[str, str]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        headers.append(dict(request.headers))
        return web.json_response([])

    async with serving(answer) as url:
        yield url, headers


@pytest.mark.parametrize(
    ("fault", "asked"),
    [
        pytest.param("redirect:path=/api/models/acme/tiny/revision/*,to={}/x", True, id="of information"),
        pytest.param(f"redirect:path={TREE},to={{}}/x", True, id="of a listing"),
        pytest.param(f"redirect:path={SMALL},to={{}}/x", True, id="of a file"),
        pytest.param(f"next:path={TREE},to={{}}", False, id="by the link to the next page"),
    ],
)
async def test_no_other_host_gets_the_token(fault: str, hub: Hub, tmp_path: Path, *, asked: bool) -> None:
    """Not even another port of the same; and who is only named by a link is not asked at all."""
    hub.token = TOKEN
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    async with listening() as (other, headers):
        hub.faults.add(fault.format(other))
        await fetched("hf://acme/tiny", tmp_path / "out", environment, attempts=2)
    assert bool(headers) == asked
    assert [one for one in headers if TOKEN in str(one) or "Authorization" in one] == []


async def test_a_mirror_that_passes_on_links_to_the_hub_behind_it_is_listed_whole(
    hub: Hub, tmp_path: Path
) -> None:
    """nginx before the real hub: each page says that the next one is at huggingface.co."""
    for number in range(1500):
        (tmp_path / "models" / "acme" / "tiny" / "variants" / f"{number}").write_text("")
    hub.link_host = "http://huggingface.invalid"
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert (outcome.reason, outcome.files) == ("Downloaded", 1504), lines


async def test_a_renamed_model_is_followed_with_the_token(hub: Hub, tmp_path: Path) -> None:
    """The Hub redirects from an old name to the new one, at the same host, by a path alone."""
    hub.token = TOKEN
    commit = hub.models.commit("acme/tiny", "main")
    hub.faults.add(
        "redirect:path=/api/models/old/name/revision/*,to=/api/models/acme/tiny/revision/main",
        f"redirect:path=/api/models/old/name/tree/*,to=/api/models/acme/tiny/tree/{commit}?recursive=true",
        *(
            f"redirect:path=/old/name/resolve/*/{path},to=/acme/tiny/resolve/{commit}/{path}"
            for path in ("config.json", "empty.txt", "model.safetensors", "variants/params.json")
        ),
    )
    environment = {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    outcome, lines = await fetched("hf://old/name", tmp_path / "out", environment)
    assert outcome.reason == "Downloaded", lines
    assert_same_files(tmp_path / "out", tmp_path / "models" / "acme" / "tiny")


@pytest.mark.parametrize(
    "location", ["/acme/tiny/resolve/main/modèle.json", "/acme/tiny/resolve/main/a b.json"]
)
async def test_a_redirect_in_raw_utf8_or_with_a_space_is_followed(
    location: str, hub: Hub, tmp_path: Path
) -> None:
    model = tmp_path / "models" / "acme" / "tiny"
    (model / location.rpartition("/")[2]).write_bytes((model / "config.json").read_bytes())
    hub.faults.add(f"redirect:path={SMALL},to={location}")
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": hub.url})
    assert outcome.reason == "Downloaded", lines
    assert_same_files(tmp_path / "out", model)


@pytest.mark.parametrize("path", ["/api/models/acme/tiny/revision/*", TREE])
@pytest.mark.parametrize(
    ("to", "want"),
    [
        pytest.param("?again", "redirects in a circle", id="a circle"),
        pytest.param("ftp://elsewhere/x", "redirects to what is no http(s) address", id="no http"),
        pytest.param("http://[::1", "redirects to what is no http(s) address", id="no address"),
        pytest.param("http://169.254.169.254/latest/meta-data", "link-local", id="metadata"),
        pytest.param("http://10.96.0.1/api/v1/secrets", "the Kubernetes API server", id="the API server"),
    ],
)
async def test_a_listing_that_redirects_astray_ends_with_a_sentence(
    path: str, to: str, want: str, hub: Hub, tmp_path: Path
) -> None:
    """Never as a bug of the downloader."""
    hub.faults.add(f"redirect:path={path},to={to}")
    environment = {"HF_ENDPOINT": hub.url, "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", environment, attempts=2)
    assert (outcome.reason, want in outcome.message) == ("DownloadFailed", True), (outcome, lines)
    assert "bug" not in outcome.message


def test_from_https_nothing_goes_on_to_http() -> None:
    trail = Trail("https://hub.example/x", {"Authorization": "Bearer t", "Range": "bytes=0-1"})
    with pytest.raises(FetchError, match=r"redirects from https to http \(hub\.example\)"):
        trail.follow("http://hub.example/x")


@pytest.mark.parametrize(
    ("location", "carries"),
    [
        pytest.param("/y", True, id="the same host"),
        pytest.param("https://HUB.example:443/y", True, id="the same, written in full"),
        pytest.param("https://hub.example:444/y", False, id="another port"),
        pytest.param("https://hub.example.evil/y", False, id="a longer name"),
        pytest.param("https://evil@cdn.example/y", False, id="a user"),
        pytest.param("https://hub.example@evil/y", False, id="the host as a user"),
        pytest.param("//evil/y", False, id="without a scheme"),
        pytest.param("https:\\\\evil\\y", True, id="backslashes: a path of the same host"),
    ],
)
def test_what_a_redirect_carries(location: str, *, carries: bool) -> None:
    trail = Trail("https://hub.example/x", {"Authorization": "Bearer t", "Range": "bytes=0-1"})
    try:
        trail.follow(location)
    except FetchError:
        return
    assert ("Authorization" in trail.headers) == carries
    assert "Range" in trail.headers
    assert "@" not in trail.url


@pytest.mark.parametrize(
    ("environment", "sent"),
    [
        pytest.param({"HF_ENDPOINT": "https://hub.example"}, True, id="https"),
        pytest.param({"HF_ENDPOINT": "http://hub.example"}, False, id="plain http"),
        pytest.param({"HF_ENDPOINT": "http://10.0.0.7:8080"}, False, id="within the cluster too"),
        pytest.param(
            {"HF_ENDPOINT": "http://hub.example", "AIM_ALLOW_PLAIN_HTTP": "true"}, True, id="told to"
        ),
        pytest.param({"HF_ENDPOINT": "http://127.0.0.1:8080"}, True, id="on this machine"),
        pytest.param({"HF_ENDPOINT": "http://localhost.evil.example"}, False, id="what only sounds like it"),
        pytest.param(
            {"HF_ENDPOINT": "http://127.0.0.1", "HTTP_PROXY": "http://proxy:3128"}, False, id="by a proxy"
        ),
        pytest.param({}, True, id="the Hub"),
    ],
)
def test_over_plain_http_no_token_goes_unless_told_so(environment: dict[str, str], *, sent: bool) -> None:
    account = hub_account.of({**environment, "HF_TOKEN": f"{TOKEN}\n"})
    assert account.headers == ({"Authorization": f"Bearer {TOKEN}"} if sent else {})
    assert bool(account.withheld) == (not sent)


async def test_a_proxy_that_wants_a_password_is_said(tmp_path: Path) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=407, headers={"Proxy-Authenticate": "Basic"})

    async with serving(answer) as proxy:
        for scheme in ("https", "http"):
            environment = {"HF_ENDPOINT": f"{scheme}://hub.invalid", "ALL_PROXY": proxy}
            outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", environment)
            assert outcome.reason == "AuthenticationFailed", outcome
            assert "wants a user and a password (407)" in outcome.message
            assert [line for line in lines if "trying again" in line] == [], "it will not pass"


async def test_who_needs_the_token_that_was_not_sent_reads_why(hub: Hub, tmp_path: Path) -> None:
    hub.token = TOKEN
    environment = {"HF_ENDPOINT": "http://hub.invalid", "HTTP_PROXY": hub.url, "HF_TOKEN": TOKEN}
    outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", environment)
    assert outcome.reason == "AuthenticationFailed"
    assert "HF_TOKEN is not sent, since HF_ENDPOINT is plain http" in outcome.message
    assert "set AIM_ALLOW_PLAIN_HTTP=true" in outcome.message


@pytest.mark.parametrize(
    ("environment", "want"),
    [
        pytest.param({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set", id="offline"),
        pytest.param(
            {"TRANSFORMERS_OFFLINE": "ON"}, "TRANSFORMERS_OFFLINE is set", id="offline, its other name"
        ),
        pytest.param(
            {"HF_TOKEN": "hf_a\nhf_b"}, "HF_TOKEN has characters that no token has", id="two tokens"
        ),
        pytest.param({"HF_TOKEN": "hf_é"}, "HF_TOKEN has characters", id="no ASCII"),
        pytest.param({"HF_ENDPOINT": "hub.example"}, "HF_ENDPOINT is no address", id="no scheme"),
        pytest.param({"HF_ENDPOINT": "https://[hub"}, "HF_ENDPOINT is no address", id="no host"),
        pytest.param({"HF_ENDPOINT": "https://hub:secretport"}, "HF_ENDPOINT is no address", id="no port"),
        pytest.param({"HF_ENDPOINT": "https://me:secretpw@hub"}, "HF_ENDPOINT has a user", id="a password"),
        pytest.param({"HF_ENDPOINT": "https://hub/a b"}, "HF_ENDPOINT is no address", id="a space"),
        pytest.param({"ALL_PROXY": "socks5://me:secret@p"}, "ALL_PROXY names a SOCKS proxy", id="SOCKS"),
        pytest.param({"SSL_CERT_FILE": "/no/ca.pem"}, "SSL_CERT_FILE names /no/ca.pem", id="no certificates"),
        pytest.param(
            {"AWS_CA_BUNDLE": "/no/ca.pem"}, "AWS_CA_BUNDLE names /no/ca.pem", id="the same for all"
        ),
    ],
)
async def test_a_variable_that_can_not_be_used_is_named_and_the_volume_is_not_blamed(
    environment: dict[str, str], want: str, tmp_path: Path
) -> None:
    """Nor is it a bug; and what it holds is not quoted, since it may be a secret."""
    outcome, _ = await fetched(
        "hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": "https://127.0.0.1:9", **environment}
    )
    assert outcome.reason == "InvalidRequest", outcome
    assert want in outcome.message
    for word in ("volume", "bug", "secret", "hf_a"):
        assert word not in outcome.message
    with pytest.raises(UserError):
        raise UserError(outcome.message)


async def test_a_hub_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    """An unknown authority is said for the listing as for files; each of the variables makes it known."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})

    async with serving(answer, authority.issue_cert("127.0.0.1")) as url:
        outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", {"HF_ENDPOINT": url})
        assert "its certificate is not trusted" in outcome.message, lines
        assert "set SSL_CERT_FILE" in outcome.message
        assert [line for line in lines if "trying again" in line] == [], "it will not pass"
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
            known = {"HF_ENDPOINT": url, name: str(tmp_path / "ca.pem")}
            outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", known)
            assert outcome.reason == "SourceNotFound", lines
            unknown = {"HF_ENDPOINT": url, name: str(tmp_path / "other.pem")}
            outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", unknown)
            assert f"{name} names {tmp_path / 'other.pem'}, and only" in outcome.message
    async with serving(answer, authority.issue_cert("another.example")) as url:
        known = {"HF_ENDPOINT": url, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        outcome, _ = await fetched("hf://acme/tiny", tmp_path / "out", known)
        assert "the server named as it is in it" in outcome.message


@pytest.mark.parametrize(
    ("exception", "direct"),
    [("127.0.0.0/8", True), ("10.0.0.0/8", False), ("127.0.0.1", True), ("*", True)],
)
async def test_listing_and_files_agree_on_who_is_asked_directly(
    exception: str, hub: Hub, tmp_path: Path, *, direct: bool
) -> None:
    """ALL_PROXY names nobody; what NO_PROXY excepts is reached all the same, as a network too."""
    environment = {"HF_ENDPOINT": hub.url, "ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": exception}
    outcome, lines = await fetched("hf://acme/tiny", tmp_path / "out", environment, attempts=2)
    if direct:
        assert outcome.reason == "Downloaded", lines
    else:
        assert (outcome.reason, "through the proxy" in outcome.message) == ("DownloadFailed", True), outcome
