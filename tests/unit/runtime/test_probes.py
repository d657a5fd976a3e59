"""What the kubelet and Prometheus get to see."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
import trustme
from structlog.testing import capture_logs

from aim_operator import errors
from aim_operator.api.meta import Manifest
from aim_operator.api.resource import K, Resource
from aim_operator.errors import UserError
from aim_operator.runtime.certificate import ServingCertificate
from aim_operator.runtime.listener import Limits
from aim_operator.runtime.metrics import Metrics, MetricSink
from aim_operator.runtime.probes import Probes
from aim_operator.runtime.scrapers import ALLOWED_SECONDS, AT_ONCE, ScrapeAuthorizer
from tests.support.fake_client import FakeClient
from tests.support.virtual_clock import VirtualClock


@asynccontextmanager
async def serving(
    *,
    wrong: list[str],
    probe_address: str = "127.0.0.1:0",
    metrics_address: str = "127.0.0.1:0",
    metrics: MetricSink | None = None,
    limits: Limits | None = None,
    certificate: Callable[[], ServingCertificate] | None = None,
    scrapers: ScrapeAuthorizer | None = None,
    exemplars: bool = False,
) -> AsyncIterator[Probes]:
    probes = Probes(
        healthy=list,
        ready=lambda: wrong,
        metrics=metrics or Metrics(),
        probe_address=probe_address,
        metrics_address=metrics_address,
        limits=limits,
        certificate=certificate,
        scrapers=scrapers,
        exemplars=exemplars,
    )
    try:
        await probes.start()
        yield probes
    finally:
        await probes.close()


async def fetch(probes: Probes, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{probes.ports[path]}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_well_is_200_and_not_ready_is_503_with_the_reason() -> None:
    """Whoever describes the Pod reads it."""
    async with serving(wrong=["jobs.batch is not synced", "pods is not synced"]) as probes:
        assert await fetch(probes, "/healthz") == (200, "ok\n")
        assert await fetch(probes, "/readyz") == (503, "jobs.batch is not synced\npods is not synced\n")
        status, text = await fetch(probes, "/metrics")
        assert status == 200
        assert "aim_reconcile" in text


async def test_one_address_serves_both_two_serve_each() -> None:
    """Equal addresses are one listener."""
    async with serving(wrong=[]) as probes:
        assert probes.ports["/healthz"] == probes.ports["/metrics"]
    async with serving(wrong=[], metrics_address="localhost:0") as probes:
        assert probes.ports["/healthz"] != probes.ports["/metrics"]


async def test_no_address_serves_nothing() -> None:
    """The default."""
    async with serving(wrong=[], probe_address="", metrics_address="") as probes:
        assert probes.ports == {}


@pytest.mark.parametrize("address", ["8080", "host:", "host:http", "host:99999"])
async def test_a_bad_address_is_said(address: str) -> None:
    """With what to write instead."""
    with pytest.raises(UserError, match="write host:port"):
        async with serving(wrong=[], probe_address=address, metrics_address=""):
            pass


async def test_a_taken_address_is_said() -> None:
    """One line, no traceback."""
    async with serving(wrong=[], metrics_address="") as probes:
        taken = f"127.0.0.1:{probes.ports['/healthz']}"
        with pytest.raises(UserError, match=f"cannot listen on {taken}"):
            async with serving(wrong=[], probe_address=taken, metrics_address=""):
                pass


class Exposed(MetricSink):
    """Counts how often it is asked, and answers so much; or fails."""

    def __init__(self, content: bytes = b"aim_x 1\n", *, broken: bool = False) -> None:
        self.content, self.broken = content, broken
        self.generated = 0

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        self.generated += 1
        if self.broken:
            raise ZeroDivisionError("a gauge")
        return self.content


PROMETHEUS_ACCEPTS = (
    "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("exemplars", "accept", "content_type", "ends"),
    [
        pytest.param(True, PROMETHEUS_ACCEPTS, "application/openmetrics-text", True, id="Prometheus, traced"),
        pytest.param(False, PROMETHEUS_ACCEPTS, "text/plain", False, id="Prometheus, not traced"),
        pytest.param(True, "text/plain", "text/plain", False, id="who knows the older format only"),
        pytest.param(True, "*/*", "text/plain", False, id="curl"),
        pytest.param(True, "application/openmetrics-textual", "text/plain", False, id="another format"),
    ],
)
async def test_openmetrics_is_for_those_who_ask_where_there_are_exemplars(
    exemplars: bool,  # noqa: FBT001
    accept: str,
    content_type: str,
    ends: bool,  # noqa: FBT001
) -> None:
    async with (
        serving(wrong=[], exemplars=exemplars) as probes,
        aiohttp.ClientSession(headers={"Accept": accept}) as session,
        session.get(f"http://127.0.0.1:{probes.ports['/metrics']}/metrics") as response,
    ):
        assert response.content_type == content_type
        assert (await response.text()).endswith("# EOF\n") == ends


async def test_each_format_is_generated_once_for_all_who_ask_for_it() -> None:
    exposed = Exposed()
    async with (
        serving(wrong=[], metrics=exposed, exemplars=True) as probes,
        aiohttp.ClientSession() as session,
    ):
        for accept in ("text/plain", PROMETHEUS_ACCEPTS) * 3:
            url = f"http://127.0.0.1:{probes.ports['/metrics']}/metrics"
            async with session.get(url, headers={"Accept": accept}) as response:
                assert response.status == 200
    assert exposed.generated <= 4, "the six may take longer than a second"


async def test_a_hundred_scrapes_at_once_cost_one_exposition() -> None:
    exposed = Exposed(b"aim_x 1\n" * 50_000)
    async with serving(wrong=[], metrics=exposed, limits=Limits(pause_seconds=0, connections=200)) as probes:
        answers = await asyncio.gather(*(fetch(probes, "/metrics") for _ in range(100)))
        assert {status for status, _ in answers} == {200}
        assert {len(text) for _, text in answers} == {len(exposed.content)}
        assert exposed.generated <= 2, "the hundred may take longer than a second"


async def test_a_metric_that_fails_is_logged_once_not_once_a_scrape() -> None:
    exposed = Exposed(broken=True)
    with capture_logs() as logs:
        async with serving(wrong=[], metrics=exposed) as probes:
            assert (await fetch(probes, "/metrics"))[0] == 500
            for _ in range(5):
                await fetch(probes, "/metrics")
            assert (await fetch(probes, "/healthz"))[0] == 200
    assert exposed.generated <= 2
    assert sum(line["log_level"] == "error" for line in logs) == exposed.generated


@pytest.mark.parametrize("metrics_address", ["127.0.0.1:0", "localhost:0"], ids=["one address", "two"])
@pytest.mark.parametrize("say", [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["silent", "asking"])
async def test_the_kubelet_is_answered_while_500_connections_to_metrics_are_held(
    metrics_address: str, say: bytes
) -> None:
    """A liveness probe that fails three times would restart the operator."""
    held: list[socket.socket] = []
    exposed = Exposed(b"aim_x 1\n" * 50_000)
    limits = Limits(pause_seconds=0, connections=8)
    async with serving(wrong=[], metrics_address=metrics_address, metrics=exposed, limits=limits) as probes:
        try:
            for number in range(500):
                each = socket.create_connection(("127.0.0.1", probes.ports["/metrics"]))
                each.setblocking(False)
                held.append(each)
                if say:
                    with contextlib.suppress(OSError):
                        each.send(say)
                await asyncio.sleep(0)
                if number % 100 == 99:
                    assert (await fetch(probes, "/healthz"))[0] == 200
                    assert (await fetch(probes, "/readyz"))[0] == 200
                    assert all(each.connections <= 8 for each in probes.listeners.values())
        finally:
            for each in held:
                each.close()


async def test_other_paths_and_methods_are_refused() -> None:
    async with serving(wrong=[]) as probes:
        url = f"http://127.0.0.1:{probes.ports['/metrics']}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{url}/metrics/x") as response:
                assert response.status == 404
            async with session.post(f"{url}/metrics", data=b"x") as response:
                assert response.status == 405


class Reviewing(FakeClient):
    """An API server that knows two tokens, one of whom may read metrics; it is away while `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Manifest] = []
        self.away = False
        self.hangs: asyncio.Event | None = None

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K:
        del namespace
        self.asked.append(manifest)
        if self.hangs is not None:
            await self.hangs.wait()
        if self.away:
            raise errors.Unavailable("away")
        if resource.plural == "tokenreviews":
            name = {"prometheus": "monitoring", "nobody": "nobody"}.get(manifest["spec"]["token"])
            user = {"username": name, "uid": "u", "groups": ["g"], "extra": {"e": ["x", "y"]}}
            status: Manifest = {"authenticated": True, "user": user} if name else {"error": "no such token"}
        else:
            status = {"allowed": manifest["spec"]["user"] == "monitoring"}
        return msgspec.convert({"metadata": {"creationTimestamp": None}, "status": status}, resource.type)


async def scrape(probes: Probes, token: str | None) -> int:
    url = f"http://127.0.0.1:{probes.ports['/metrics']}/metrics"
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        await response.read()
        return response.status


async def test_only_who_may_get_the_url_metrics_reads_them() -> None:
    client, clock = Reviewing(), VirtualClock()
    async with serving(wrong=[], scrapers=ScrapeAuthorizer(client, clock=clock)) as probes:
        assert await scrape(probes, None) == 401
        assert await scrape(probes, "") == 401
        assert not client.asked, "nobody is asked about nothing"
        assert await scrape(probes, "made-up") == 401
        assert await scrape(probes, "nobody") == 403
        assert await scrape(probes, "prometheus") == 200
        (review,) = [each for each in client.asked if each["spec"].get("user") == "monitoring"]
        assert review["spec"] == {
            "user": "monitoring",
            "uid": "u",
            "groups": ["g"],
            "extra": {"e": ["x", "y"]},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        }
        assert await fetch(probes, "/healthz") == (200, "ok\n"), "probes have no token"


async def test_a_right_that_is_taken_away_ends_within_a_minute_and_one_scrape_asks_nobody() -> None:
    client, clock = Reviewing(), VirtualClock()
    scrapers = ScrapeAuthorizer(client, clock=clock)
    assert await scrapers.verdict("Bearer prometheus") == 200
    asked = len(client.asked)
    await clock.advance(ALLOWED_SECONDS - 1)
    assert await scrapers.verdict("bearer prometheus") == 200
    assert len(client.asked) == asked
    client.away = True
    await clock.advance(2)
    with capture_logs() as logs:
        for _ in range(20):
            assert await scrapers.verdict("Bearer prometheus") == 503
    assert len(logs) == 1
    assert "prometheus" not in str(logs), "no token in the log"


async def test_strangers_with_ever_new_tokens_keep_no_known_one_out_and_ask_little() -> None:
    """Each would cost the API server a request, in the operator's name."""
    client, clock = Reviewing(), VirtualClock()
    scrapers = ScrapeAuthorizer(client, clock=clock)
    assert await scrapers.verdict("Bearer prometheus") == 200
    for minute in range(10):
        verdicts = [await scrapers.verdict(f"Bearer made-up-{minute}-{number}") for number in range(1000)]
        assert set(verdicts) <= {401, 429}
        assert await scrapers.verdict("Bearer prometheus") == 200
        await clock.advance(61)
    made_up = [each for each in client.asked if str(each["spec"].get("token", "")).startswith("made-up")]
    assert len(made_up) <= 10 * 10


async def test_strangers_whose_reviews_hang_keep_no_known_token_out() -> None:
    client, clock = Reviewing(), VirtualClock()
    scrapers = ScrapeAuthorizer(client, clock=clock)
    assert await scrapers.verdict("Bearer prometheus") == 200
    client.hangs = asyncio.Event()
    hanging = [asyncio.create_task(scrapers.verdict(f"Bearer made-up-{number}")) for number in range(50)]
    await clock.settle()
    assert sum(not task.done() for task in hanging) == AT_ONCE
    assert await scrapers.verdict("Bearer prometheus") == 200
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await scrapers.close()


def issued(directory: Path, authority: trustme.CA) -> tuple[Path, Path]:
    """Write a new certificate to the two files that metrics are served with."""
    made = authority.issue_cert("localhost")
    certificate, key = directory / "tls.crt", directory / "tls.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return certificate, key


async def served_certificate(port: int, trust: ssl.SSLContext) -> bytes:
    reader, writer = await asyncio.open_connection("localhost", port, ssl=trust)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert isinstance(der, bytes)
    return der


async def test_a_renewed_certificate_is_served_without_a_restart(tmp_path: Path) -> None:
    """And half of a new pair changes nothing."""
    authority, seconds = trustme.CA(), [0.0]
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    certificate, key = issued(tmp_path, authority)
    made = ServingCertificate(certificate, key, time=lambda: seconds[0])
    async with serving(wrong=[], metrics_address="localhost:0", certificate=lambda: made) as probes:
        port = probes.ports["/metrics"]
        first = await served_certificate(port, trust)
        assert await served_certificate(port, trust) == first
        old_key = key.read_bytes()
        issued(tmp_path, authority)
        new_key = key.read_bytes()
        key.write_bytes(old_key)
        seconds[0] += 2
        with capture_logs() as logs:
            assert await served_certificate(port, trust) == first
        assert [line["log_level"] for line in logs] == ["warning"]
        key.write_bytes(new_key)
        seconds[0] += 2
        renewed = await served_certificate(port, trust)
        assert renewed != first
        certificate.unlink()
        seconds[0] += 2
        assert await served_certificate(port, trust) == renewed, "what is gone changes nothing"
        assert await fetch(probes, "/healthz") == (200, "ok\n"), "probes speak plain HTTP"


@pytest.mark.parametrize("missing", ["tls.crt", "tls.key"])
def test_a_certificate_that_cannot_be_read_is_said(tmp_path: Path, missing: str) -> None:
    certificate, key = issued(tmp_path, trustme.CA())
    (tmp_path / missing).write_text("nothing")
    with pytest.raises(UserError, match="metrics can't be served with"):
        ServingCertificate(certificate, key, time=lambda: 0.0)
    (tmp_path / missing).unlink()
    with pytest.raises(UserError, match="No such file"):
        ServingCertificate(certificate, key, time=lambda: 0.0)


async def test_probes_and_metrics_over_tls_need_two_addresses(tmp_path: Path) -> None:
    certificate, key = issued(tmp_path, trustme.CA())
    made = ServingCertificate(certificate, key, time=lambda: 0.0)
    with pytest.raises(UserError, match="need their own address"):
        async with serving(wrong=[], certificate=lambda: made):
            pass
