"""What the kubelet and Prometheus get to see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from aim_operator.errors import UserError
from aim_operator.runtime.metrics import Metrics
from aim_operator.runtime.probes import Probes


@asynccontextmanager
async def serving(
    *, wrong: list[str], probe_address: str = "127.0.0.1:0", metrics_address: str = "127.0.0.1:0"
) -> AsyncIterator[Probes]:
    probes = Probes(
        healthy=list,
        ready=lambda: wrong,
        metrics=Metrics(),
        probe_address=probe_address,
        metrics_address=metrics_address,
    )
    await probes.start()
    try:
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
