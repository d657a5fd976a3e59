"""A bare client: what a request to the API server costs without an operator around it.

One connection pool, bytes in and out, no retries: an error ends the measurement. Used for the floor, for
setting scenes, and for counting.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
import msgspec

from bench.counts import Call, Calls, calls_of
from hack.cluster.cluster import Cluster
from hack.cluster.instance import ADMIN, Instance

T = TypeVar("T")
R = TypeVar("R")

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
CONCURRENCY = 24
"""As many as the operator's workers, by default: floor and operator may have the same in flight."""


class _ListMeta(msgspec.Struct, rename="camel"):
    remaining_item_count: int = 0
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw]


class Api:
    """Speaks to the API server of a cluster of ours as one of its users."""

    def __init__(self, cluster: Cluster, user: str = ADMIN, *, impersonated: str = "") -> None:
        instance = Instance.load(cluster.directory)
        assert instance is not None
        context = ssl.create_default_context(cadata=(instance.certificates / "ca.crt").read_text())
        self._server = instance.server
        self._lists: Calls = Calls()
        """This client's own, of which a measurement makes more the longer it takes."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=context),
            headers={
                "Authorization": f"Bearer {instance.tokens[user]}",
                "Accept": JSON,
                **({"Impersonate-User": impersonated} if impersonated else {}),
            },
            timeout=aiohttp.ClientTimeout(total=120),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(
        self, method: str, path: str, body: bytes | None = None, content_type: str = JSON
    ) -> bytes:
        """Return the answer's body. Raises RuntimeError for anything but success."""
        async with self._session.request(
            method, self._server + path, data=body, headers={"Content-Type": content_type}
        ) as response:
            answer = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {answer[:300]!r}")
            return answer

    async def get(self, path: str) -> Any:
        return msgspec.json.decode(await self.send("GET", path))

    async def create(self, path: str, manifest: Any) -> Any:
        return msgspec.json.decode(await self.send("POST", path, msgspec.json.encode(manifest)))

    async def merge(self, path: str, patch: Any) -> None:
        await self.send("PATCH", path, msgspec.json.encode(patch), MERGE)

    async def count(self, path: str) -> int:
        """How many objects a collection has, for the price of listing one."""
        found = msgspec.json.decode(await self._page(path, "limit=1"), type=_List)
        return len(found.items) + found.metadata.remaining_item_count

    async def _page(self, path: str, query: str) -> bytes:
        self._lists[Call("LIST", path.rpartition("/")[2])] += 1
        return await self.send("GET", f"{path}?{query}")

    async def list(self, path: str, type_: type[T]) -> list[T]:
        """Return everything in a collection, page by page."""
        found: list[T] = []
        token = ""
        while True:
            page = await self._page(path, f"limit=500{f'&continue={token}' if token else ''}")
            decoded = msgspec.json.decode(page, type=_List)
            found += [msgspec.json.decode(item, type=type_) for item in decoded.items]
            token = decoded.metadata.continue_
            if not token:
                return found

    @asynccontextmanager
    async def watching(self, path: str, query: str = "") -> AsyncIterator[Changes]:
        """Follow a collection from now on."""
        url = f"{self._server}{path}?watch=true&{query}"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(sock_read=600)) as response:
            response.raise_for_status()
            yield Changes(response)

    async def calls(self) -> Calls:
        """What the API server has answered since it started, without this client's lists."""
        calls = calls_of((await self.send("GET", "/metrics")).decode())
        calls.subtract(self._lists)
        return calls


class Changes:
    """A watch: what changed, one after the other, as plain JSON."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._chunks = response.content.iter_any()
        self._pending = b""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        while b"\n" not in self._pending:
            self._pending += await anext(self._chunks)
        line, _, self._pending = self._pending.partition(b"\n")
        change: dict[str, Any] = msgspec.json.decode(line)
        return change

    async def until(self, fits: Callable[[dict[str, Any]], bool]) -> None:
        """Return when an object fits."""
        async for change in self:
            if fits(change["object"]):
                return


async def each(
    items: Iterable[T], work: Callable[[T], Awaitable[R]], concurrency: int = CONCURRENCY
) -> list[R]:
    """Do `work` for every item, so many at once, in order; the results in the order they came."""
    waiting = iter(items)
    results: list[R] = []

    async def worker() -> None:
        for item in waiting:
            results.append(await work(item))  # noqa: PERF401 - one after the other, by several workers

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return results
