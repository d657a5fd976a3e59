"""The client interface: everything the operator ever says to an API server.

`kube.client.Client` speaks it over HTTP, `sandbox.client.SandboxClient` in memory; tests wrap either.
Every method raises errors.ApiError and its children only, and retries nothing that could write twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

from aim_operator.api.meta import Manifest, Patch
from aim_operator.api.resource import K, Page, Resource, WatchEvent

FIELD_MANAGER = "aim-operator"


class KubeClient(Protocol):
    async def list(
        self,
        resource: Resource[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
        continue_token: str = "",
        resource_version: str = "",
    ) -> Page[K]:
        """One page. Raises NotInstalled where the kind is not served, Expired for an old token.

        TooLarge where it has more bytes than are read at once: ask for fewer objects then.
        """
        ...

    def watch(
        self,
        resource: Resource[K],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        send_initial_events: bool = False,
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent[K]]:
        """Events after `resource_version` until the server ends the stream (then the iterator ends).

        With `send_initial_events` the current objects come first as ADDED, then a BOOKMARK with
        `initial_events_end`. Raises Expired (410), NotInstalled, Invalid (the server knows no
        streamed lists), Unavailable (the stream broke, or was silent longer than it may be).
        """
        ...

    async def get(self, resource: Resource[K], name: str, *, namespace: str = "") -> K: ...

    async def create(self, resource: Resource[K], manifest: Manifest, *, namespace: str = "") -> K: ...

    async def apply(self, resource: Resource[K], manifest: Manifest, *, force: bool = False) -> K:
        """Server-side apply under FIELD_MANAGER. Name and namespace are the manifest's own.

        A `metadata.uid` in the manifest is a precondition (Conflict if another object took the name). So is
        a `metadata.resourceVersion`, for an object that exists: one that none has creates, or conflicts.
        """
        ...

    async def replace(self, resource: Resource[K], manifest: Manifest) -> K:
        """PUT, with the manifest's resourceVersion as precondition. For Leases only."""
        ...

    async def patch_status(self, resource: Resource[K], name: str, patch: Patch, *, namespace: str = "") -> K:
        """JSON merge patch on /status, or a JSON patch if it is a list, which can set nulls.

        A `metadata.resourceVersion` in it is a precondition.
        """
        ...

    async def patch(self, resource: Resource[K], name: str, patch: Manifest, *, namespace: str = "") -> K:
        """JSON merge patch on the object itself."""
        ...

    async def delete(
        self,
        resource: Resource[K],
        name: str,
        *,
        namespace: str = "",
        uid: str = "",
        resource_version: str = "",
        propagation: Literal["Background", "Foreground", "Orphan"] = "Background",
    ) -> None:
        """Delete with preconditions. Raises NotFound, Conflict (another uid or resourceVersion)."""
        ...

    def logs(
        self,
        namespace: str,
        pod: str,
        *,
        container: str,
        limit_seconds: float = 30.0,
        follow: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncIterator[bytes]:
        """The log of one container so far, in chunks as they come; ends at its end.

        With `follow` it continues as the container writes, and ends with it; `tail_lines` begins
        near the end.
        Raises Unavailable after `limit_seconds`.
        """
        ...

    async def close(self) -> None: ...
