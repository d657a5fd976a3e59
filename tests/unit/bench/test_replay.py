"""The stand-in for an API server tells a watch what its selector asks for, as the real one does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from aim_operator.api.external import HTTP_ROUTES, INFERENCE_SERVICES
from aim_operator.core import labels
from bench import replay, scene


async def test_who_watches_routes_that_are_not_the_operators_is_told_of_no_route_of_its(
    tmp_path: Path,
) -> None:
    (name,) = scene.names("svc", range(1), ["team"])
    async with replay.serving(replay.Server([name]), tmp_path) as kubeconfig:
        server = msgspec.yaml.decode(kubeconfig.read_bytes())["clusters"][0]["cluster"]["server"]
        async with aiohttp.ClientSession(server) as session:
            ours = await _watch(session, f"{labels.MANAGED_BY}={labels.CONTROLLER}")
            others = await _watch(session, labels.NOT_MANAGED_BY_CONTROLLER)
            first, mark = await _next(ours), await _next(ours)
            assert (first["type"], mark["type"]) == ("ADDED", "BOOKMARK")
            assert (await _next(others))["type"] == "BOOKMARK"
            path = HTTP_ROUTES.object_path(name.name, name.namespace)
            async with session.patch(f"{path}/status", json={"status": {"parents": []}}) as answer:
                assert answer.status == 200
            assert (await _next(ours))["type"] == "MODIFIED"
            heard = asyncio.ensure_future(_next(others))
            # What would be told has been sent with the one above; another answer comes behind it.
            async with session.get(INFERENCE_SERVICES.collection_path()) as answer:
                await answer.read()
            await asyncio.wait([heard], timeout=0.05)
            assert not heard.done()
            heard.cancel()
            ours.close()
            others.close()


async def _watch(session: aiohttp.ClientSession, selector: str) -> aiohttp.ClientResponse:
    query = {"watch": "true", "labelSelector": selector}
    return await session.get(HTTP_ROUTES.collection_path(), params=query)


async def _next(watch: aiohttp.ClientResponse) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(await watch.content.readline())
    return event
