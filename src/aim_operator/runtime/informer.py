"""A cache of one kind that follows the API server, and the handlers of its changes.

Owns one store, fed by one watcher per namespace. Handlers are called in the order of the watch, after
the store has the change; what they do with it (mostly: a trigger) is theirs.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Generic

import structlog

from aim_operator.api.meta import KubeObject, ObjectMeta
from aim_operator.api.resource import K, Resource
from aim_operator.errors import ApiError
from aim_operator.kube.protocol import KubeClient
from aim_operator.runtime.clock import Clock
from aim_operator.runtime.metrics import MetricSink
from aim_operator.runtime.store import Change, Index, Store
from aim_operator.runtime.watcher import GRACE_SECONDS, WATCH_SECONDS, Selection, Watcher

log = structlog.get_logger("aim_operator.informer")

Handler = Callable[[K | None, K | None], None]
"""Called with (old, new); None where it appeared or went."""

STUCK_SECONDS = WATCH_SECONDS[1] + 6 * GRACE_SECONDS
"""Nothing was heard nor tried for longer than any watch may last."""


class Informer(Generic[K]):
    """`namespaces` () watches all of them; "slim" returns what to keep of an object.

    A kind that is not installed counts as synced: `installed` is False and the store empty until it
    comes. Handlers must not block; an exception in one is logged and concerns nobody else.
    """

    def __init__(
        self,
        client: KubeClient,
        resource: Resource[K],
        *,
        clock: Clock,
        namespaces: Sequence[str] = (),
        label_selector: str = "",
        field_selector: str = "",
        indexes: Mapping[str, Index[K]] | None = None,
        slim: Callable[[K], K] | None = None,
        metrics: MetricSink | None = None,
    ) -> None:
        self.resource = resource
        self.store: Store[K] = Store(indexes)
        self._clock = clock
        self._slim = slim
        self._metrics = metrics or MetricSink()
        self._handlers: list[Handler[K]] = []
        self._on_installed: list[Callable[[bool], None]] = []
        self._installed = True
        self._all_synced = asyncio.Event()
        self._started_at: float | None = None
        self._requirements = _requirements(label_selector)
        watched = tuple(namespaces) if resource.namespaced else ()
        self.selections = tuple(
            Selection(namespace=namespace, label_selector=label_selector, field_selector=field_selector)
            for namespace in (watched or ("",))
        )
        """What is asked for, one for each namespace."""
        self._streams = {
            selection.namespace: _Stream(self, client, clock, selection) for selection in self.selections
        }
        self._metrics.watch_age(resource.qualified, lambda: self.age_seconds)

    def __repr__(self) -> str:
        return f"Informer({self.resource.qualified})"

    # For everybody

    @property
    def installed(self) -> bool:
        """Whether the server serves this kind, as far as known; True until it said otherwise."""
        return self._installed

    @property
    def synced(self) -> bool:
        """Whether every namespace was listed, or the kind found to be missing."""
        return self._all_synced.is_set()

    @property
    def age_seconds(self) -> float:
        """How long ago the server was last heard of, by the namespace it is longest for."""
        now = self._clock.monotonic()
        since = self._started_at if self._started_at is not None else now
        return max(
            0.0
            if stream.watcher.is_missing
            else now - (stream.watcher.last_contact if stream.watcher.last_contact is not None else since)
            for stream in self._streams.values()
        )

    @property
    def stuck(self) -> bool:
        """Whether the cache stopped following by itself: a server that is away is asked again and again."""
        now = self._clock.monotonic()
        signs = [stream.watcher.last_sign for stream in self._streams.values()]
        return any(now - sign > STUCK_SECONDS for sign in signs if sign is not None)

    @property
    def last_error(self) -> ApiError | None:
        """Why the cache can't follow at the moment, if it can't."""
        return next(
            (s.watcher.last_error for s in self._streams.values() if s.watcher.last_error is not None), None
        )

    def selects(self, obj: KubeObject) -> bool:
        """Whether the labels of an object are among those that are watched."""
        label = obj.metadata.label
        return all((label(name) == value) is required for name, value, required in self._requirements)

    def add_handler(self, handler: Handler[K]) -> None:
        """Call `handler` with every change from now on, and with what there is when synced before."""
        self._handlers.append(handler)
        for obj in self.store.all():
            self._call(handler, None, obj)

    def on_installed(self, callback: Callable[[bool], None]) -> None:
        """Call back with `installed` whenever it changes."""
        self._on_installed.append(callback)

    def recheck(self) -> None:
        """Look now whether a missing kind is installed. Cheap: call it whenever its CRD changes."""
        for stream in self._streams.values():
            stream.watcher.recheck()

    def relist(self, namespace: str) -> None:
        """List again, because the stream is doubted."""
        stream = self._stream_of(namespace)
        if stream is not None:
            stream.watcher.relist()

    async def run(self) -> None:
        """Follow, until cancelled."""
        self._started_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            for namespace, stream in self._streams.items():
                group.create_task(stream.watcher.run(), name=f"watch {self.resource.qualified} {namespace}")

    async def wait_synced(self) -> None:
        await self._all_synced.wait()

    def has_seen(self, namespace: str, resource_version: str) -> bool:
        """Whether every change up to `resource_version` is in the store.

        True as well where it can never come: a namespace that is not watched, a kind that is missing,
        a resourceVersion that does not count.
        """
        stream = self._stream_of(namespace)
        return stream is None or stream.has_seen(resource_version)

    def when_seen(self, namespace: str, resource_version: str, callback: Callable[[], None]) -> None:
        """Call back once has_seen(namespace, resource_version); at once if it has."""
        stream = self._stream_of(namespace)
        if stream is None or stream.has_seen(resource_version):
            callback()
        else:
            stream.wait_for(resource_version, callback)

    # For its streams

    def slimmed(self, obj: K) -> K:
        return obj if self._slim is None else self._slim(obj)

    def tell(self, changes: Sequence[Change[K]]) -> None:
        for old, new in changes:
            for handler in self._handlers:
                self._call(handler, old, new)

    def stream_changed(self) -> None:
        """Follow the streams: synced once all are, installed unless all are missing."""
        streams = self._streams.values()
        if not self.synced and all(stream.synced for stream in streams):
            self._all_synced.set()
        installed = not all(stream.watcher.is_missing for stream in streams)
        if installed != self._installed:
            self._installed = installed
            for callback in self._on_installed:
                callback(installed)

    def _stream_of(self, namespace: str) -> _Stream[K] | None:
        return self._streams.get("") or self._streams.get(namespace)

    def _call(self, handler: Handler[K], old: K | None, new: K | None) -> None:
        try:
            handler(old, new)
        except Exception:
            log.exception("handler failed", resource=self.resource.qualified)


class _Stream(Generic[K]):
    """One namespace of an informer: how far its watch has come, and who waits for it to come further."""

    def __init__(self, informer: Informer[K], client: KubeClient, clock: Clock, selection: Selection) -> None:
        self._informer = informer
        self._namespace = selection.namespace
        self._seen = -1
        self._waiting: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self.synced = False
        self.watcher: Watcher[K] = Watcher(client, informer.resource, self, clock=clock, selection=selection)

    def has_seen(self, resource_version: str) -> bool:
        if self.synced and self.watcher.is_missing:
            return True
        number = _number(resource_version)
        return number is None or self._seen >= number

    def wait_for(self, resource_version: str, callback: Callable[[], None]) -> None:
        number = _number(resource_version)
        heapq.heappush(self._waiting, (number or 0, next(self._order), callback))

    # The sink of the watcher

    def slimmed(self, obj: K) -> K:
        return self._informer.slimmed(obj)

    def replaced(self, objects: list[K], undecodable: list[ObjectMeta]) -> None:
        changes = self._informer.store.replace_all(
            objects, namespace=self._namespace, undecodable=undecodable
        )
        self.synced = True
        self._informer.stream_changed()
        self._informer.tell(changes)

    def changed(self, obj: K) -> None:
        kept = self._informer.slimmed(obj)
        old = self._informer.store.upsert(kept)
        if old is not None and old.metadata.uid != kept.metadata.uid:
            self._informer.tell([(old, None), (None, kept)])
        else:
            self._informer.tell([(old, kept)])

    def deleted(self, metadata: ObjectMeta) -> None:
        old = self._informer.store.remove(metadata.namespace, metadata.name)
        if old is not None:
            self._informer.tell([(old, None)])

    def undecodable(self, metadata: ObjectMeta) -> None:
        gone = self._informer.store.keep(metadata)
        if gone is not None:
            self._informer.tell([(gone, None)])

    def progressed(self, resource_version: str) -> None:
        number = _number(resource_version)
        if number is None:
            return
        # Not max(): a server restored from a backup counts from lower again.
        self._seen = number
        while self._waiting and self._waiting[0][0] <= number:
            heapq.heappop(self._waiting)[2]()

    def missing(self) -> None:
        gone = self._informer.store.replace_all([], namespace=self._namespace)
        self.synced = True
        self._informer.stream_changed()
        self._informer.tell(gone)
        waiting, self._waiting = self._waiting, []
        for _, _, callback in sorted(waiting, key=lambda entry: entry[:2]):
            callback()


def _requirements(label_selector: str) -> list[tuple[str, str, bool]]:
    """Return name, value and whether that is wanted (=) or excluded (!=): what our selectors are made of."""
    parsed: list[tuple[str, str, bool]] = []
    for term in filter(None, label_selector.split(",")):
        name, _, value = term.partition("=")
        parsed.append((name.removesuffix("!"), value, not name.endswith("!")))
    return parsed


def _number(resource_version: str) -> int | None:
    """KEP-5504: resourceVersions of one resource compare as integers."""
    return int(resource_version) if resource_version.isdecimal() else None
