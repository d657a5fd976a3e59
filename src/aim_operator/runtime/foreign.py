"""Names that are taken by objects that the operator does not manage: watched one by one until they are free.

Informers see our labels only, so they would never report that such an object went. A name is watched
only while a key is in conflict over it. Used by controllers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import structlog

from aim_operator.api.meta import KubeObject, ObjectRef
from aim_operator.api.resource import Resource
from aim_operator.kube.protocol import KubeClient
from aim_operator.kube.wire import metadata_view
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.fair import may_have_more
from aim_operator.runtime.informer import Informer

log = structlog.get_logger("aim_operator.foreign")

LIMIT = 256
"""Watches at once, of which one namespace may have as many as are left for others: half, if it is alone.

Beyond, a conflict is looked at again every so often instead.
"""
POLL_SECONDS = 60.0


class Name(NamedTuple):
    """A name that an object of ours would have. `namespace` is "" for cluster kinds."""

    resource: Resource[Any]
    namespace: str
    name: str


class ForeignWatches:
    """`ensure` and `keep` are idempotent, and cost nothing where nothing changes."""

    def __init__(self, client: KubeClient, *, clock: Clock, limit: int = LIMIT) -> None:
        self._client = client
        self._clock = clock
        self._limit = limit
        self._watches: dict[ObjectRef, dict[Name, asyncio.Task[None]]] = {}
        self._streams: Counter[str] = Counter()
        """Open watches by the namespace of the key."""

    def __len__(self) -> int:
        return sum(len(names) for names in self._watches.values())

    def ensure(self, key: ObjectRef, name: Name, wake: Callable[[], None]) -> None:
        """Call `wake` whenever the object of that name changes or goes, until it is no longer kept.

        It is called once in the beginning as well: the object may have changed since it was looked at.
        """
        names = self._watches.setdefault(key, {})
        if name in names:
            return
        watched = may_have_more(self._streams[key.namespace], self._limit - self._streams.total())
        if not watched:
            log.info("too many name conflicts to watch, polling", kind=name.resource.kind, name=name.name)
        task = asyncio.create_task(
            self._watch(*name, wake) if watched else self._poll(wake),
            name=f"foreign {name.resource.kind} {name.namespace}/{name.name}",
        )
        names[name] = task
        if watched:
            self._streams[key.namespace] += 1
            task.add_done_callback(lambda _: self._ended(key.namespace))

    def watches(self, key: ObjectRef, name: Name) -> bool:
        """Whether that name is watched for `key`."""
        return name in self._watches.get(key, ())

    def keep(self, key: ObjectRef, names: Collection[Name]) -> None:
        """Stop watching every name for `key` but these."""
        watched = self._watches.get(key)
        if watched is None:
            return
        for name in [name for name in watched if name not in names]:
            watched.pop(name).cancel()
        if not watched:
            del self._watches[key]

    def _ended(self, namespace: str) -> None:
        self._streams[namespace] -= 1
        if not self._streams[namespace]:
            del self._streams[namespace]

    async def close(self) -> None:
        tasks = [task for names in self._watches.values() for task in names.values()]
        self._watches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(
        self, resource: Resource[Any], namespace: str, name: str, wake: Callable[[], None]
    ) -> None:
        informer: Informer[KubeObject] = Informer(
            self._client,
            metadata_view(resource),
            clock=self._clock,
            namespaces=(namespace,) if namespace else (),
            field_selector=f"metadata.name={name}",
        )
        following = asyncio.create_task(informer.run())
        try:
            await informer.wait_synced()
            wake()
            informer.add_handler(_after_first(informer, wake))
            await following
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _poll(self, wake: Callable[[], None]) -> None:
        while True:
            await self._clock.sleep(POLL_SECONDS)
            wake()


def _after_first(
    informer: Informer[KubeObject], wake: Callable[[], None]
) -> Callable[[KubeObject | None, KubeObject | None], None]:
    """Return a handler that leaves out what is there already, which add_handler tells at once."""
    initial_versions = {obj.metadata.resource_version for obj in informer.store.all()}

    def handle(old: KubeObject | None, new: KubeObject | None) -> None:
        if old is None and new is not None and new.metadata.resource_version in initial_versions:
            return
        wake()

    return handle
