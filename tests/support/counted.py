"""A client of Kubernetes that counts what is asked of it."""

from __future__ import annotations

from typing import Any

from aim_operator.kube.protocol import KubeClient


class Counted:
    """Passes everything on; only reads may be asked of it, each of which is one request."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.requests = 0

    @property
    def as_client(self) -> KubeClient:
        """The same, for whoever takes a whole client."""
        whole: Any = self
        client: KubeClient = whole
        return client

    async def get(self, *args: Any, **named: Any) -> Any:
        self.requests += 1
        return await self._client.get(*args, **named)

    async def list(self, *args: Any, **named: Any) -> Any:
        self.requests += 1
        return await self._client.list(*args, **named)
