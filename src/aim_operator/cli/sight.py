"""What somebody may see of a cluster, and why not the rest. Used by `aimctl doctor` and `aimctl fit`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aim_operator.api.resource import K, Resource
from aim_operator.cli.connect import everything, in_the_users_words
from aim_operator.errors import Forbidden, NotInstalled
from aim_operator.kube.protocol import KubeClient

T = TypeVar("T")


class Sight:
    """Reads with the rights of whoever asks. What goes wrong otherwise is raised."""

    def __init__(self, client: KubeClient) -> None:
        self._client = client
        self.unseen: dict[str, str] = {}
        """Why a field is None, by its name."""

    async def of(self, field: str, work: Callable[[], Awaitable[T]]) -> T | None:
        """Return what `work` reads for `field`; None where that is forbidden."""
        try:
            return await work()
        except Forbidden as error:
            self.unseen[field] = in_the_users_words(error)
            return None

    async def all_of(
        self, resource: Resource[K], namespace: str = "", *, selector: str = ""
    ) -> tuple[K, ...]:
        """Return all objects of a kind; none where it is not installed. Raises Forbidden."""
        try:
            return tuple(await everything(self._client, resource, namespace, label_selector=selector))
        except NotInstalled:
            return ()
